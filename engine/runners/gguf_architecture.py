"""The architecture that a GGUF file names, from its first bytes."""

from __future__ import annotations

import struct
from pathlib import Path

_KEY = b"general.architecture"
_STRING = 8
_HEAD_BYTES = 65_536
_MAX_NAME = 64


def gguf_architecture(path: Path) -> str:
    """`general.architecture`, which writers put first; "" if it is not found near the beginning.

    Source: the GGUF specification: a key, its type (8: string), the string's length in 64 bits, the string.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    start = head.find(_KEY) + len(_KEY)
    if not head.startswith(b"GGUF") or start < len(_KEY) or len(head) < start + 12:
        return ""
    value_type, length = struct.unpack_from("<IQ", head, start)
    if value_type != _STRING or length > _MAX_NAME:
        return ""
    return head[start + 12 : start + 12 + length].decode("utf-8", errors="replace")
