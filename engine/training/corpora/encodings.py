"""Bytes to text: which encoding they are in, and whether they are text at all."""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING

from engine.errors import TrainingError

if TYPE_CHECKING:
    from charset_normalizer import CharsetMatch

MAX_CONTROL_SHARE = 0.001
"""More control characters than this, and it is no text. Chosen by us: terminal logs have some, binaries hundreds."""

_SAMPLE_BYTES = 1 << 16
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_IN_WIDE_USE = (
    "cp1252", "cp1251", "gb18030", "cp932", "big5", "cp949", "cp1256", "cp1250", "cp1254", "cp1253", "cp1255",
)  # fmt: skip
_RARE = ("mac_", "cp0", "cp1006", "cp1026", "cp1125", "cp1140", "cp273", "cp424", "cp500", "hp_", "kz", "ptcp")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def decoded(data: bytes, name: str) -> tuple[str, str]:
    """The text of a file, and the encoding it was in.

    A byte order mark decides; else UTF-8 if all of it is; else UTF-16 or UTF-32 where zeros betray them; else what
    charset-normalizer finds likeliest of a sample and all of it can be read in.

    Returns: (text with plain line feeds, encoding as Python names it: "utf-8", "cp1251", …).
    Raises: TrainingError if it is no text.
    """
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return plain(_strictly(data, encoding, name), name), encoding
    for encoding in _candidates(data):
        try:
            return plain(data.decode(encoding), name), encoding
        except UnicodeDecodeError:
            continue
    raise _no_text(name, "it is in no encoding that we know")


def plain(text: str, name: str) -> str:
    """The text with line feeds alone and nothing that UTF-8 cannot hold. Raises: TrainingError if it is binary."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    num_control = len(_CONTROL.findall(text))
    if num_control > MAX_CONTROL_SHARE * len(text):
        raise _no_text(name, f"{num_control / len(text):.1%} of its characters are control characters")
    return _SURROGATE.sub("\ufffd", _CONTROL.sub("", text))


def _strictly(data: bytes, encoding: str, name: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise _no_text(name, f"it says it is {encoding}, but byte {error.start} is not") from error


def _candidates(data: bytes) -> list[str]:
    """Encodings to try, likeliest first."""
    candidates = ["utf-8"]
    sample = data[: _SAMPLE_BYTES - _SAMPLE_BYTES % 4]
    zeros = [sample[offset::4].count(0) / max(len(sample) // 4, 1) for offset in range(4)]
    if min(zeros[2:]) > 0.9 or min(zeros[:2]) > 0.9:
        candidates.insert(0, "utf-32-le" if zeros[3] > zeros[0] else "utf-32-be")
    elif max(zeros) > 0.2 and len(data) % 2 == 0:
        candidates.insert(0, "utf-16-le" if zeros[1] + zeros[3] > zeros[0] + zeros[2] else "utf-16-be")
    elif not _is_utf8(data):
        from charset_normalizer import from_bytes

        matches = sorted(from_bytes(_sample(data)), key=_rank)
        candidates += [encoding for match in matches for encoding in sorted(match.could_be_from_charset, key=_rarity)]
    return candidates


def _rank(match: CharsetMatch) -> tuple[bool, int, int, int]:
    """Lower is likelier: measured mess and fit to a language first; where these are equal, what is in wider use."""
    is_rare, place = min(map(_rarity, match.could_be_from_charset))
    return is_rare, round(match.chaos * 50), -round(match.coherence * 20), place


def _rarity(encoding: str) -> tuple[bool, int]:
    return encoding.startswith(_RARE), (*_IN_WIDE_USE, encoding).index(encoding)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _sample(data: bytes) -> bytes:
    """Lines of the beginning that hold letters outside ASCII, where there are such: only they tell encodings apart."""
    if len(data) <= _SAMPLE_BYTES:
        return data
    telling = [line for line in data[: 64 * _SAMPLE_BYTES].splitlines(keepends=True) if not line.isascii()]
    return b"".join(telling)[:_SAMPLE_BYTES] or data[:_SAMPLE_BYTES]


def _no_text(name: str, why: str) -> TrainingError:
    return TrainingError(f"{name} is no text: {why}.", "Save it as UTF-8 text, or choose another file.")
