"""Folders and small files that several workflows share."""

from __future__ import annotations

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
"""The folder that holds the packages, the pages and the bundled checkpoints."""

BUNDLED = PROJECT / "models"


def replace_text(path: Path, text: str) -> None:
    """Write a small text file so that a reader sees the old one or the new one, never a half."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
