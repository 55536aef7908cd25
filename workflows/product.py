"""What this product is called in the files it makes, and its version."""

from __future__ import annotations

import functools
import tomllib

from workflows.folders import PROJECT

NAME = "Weightscope"


@functools.cache
def version() -> str:
    """The version in `pyproject.toml`; "" for a copy of the packages without that file."""
    path = PROJECT / "pyproject.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))["project"]["version"] if path.is_file() else ""


def signature() -> str:
    """ "Weightscope 0.1.0"."""
    return f"{NAME} {version()}".strip()
