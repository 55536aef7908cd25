"""Checkpoint files written byte by byte, without the code under test."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture
def write_raw():
    """Write a safetensors file of any header and data: write_raw(path, header, data); the header is not padded."""

    def write(path: Path, header: dict | bytes, data: bytes = b"") -> Path:
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(len(text).to_bytes(8, "little") + text + data)
        return path

    return write


@pytest.fixture
def write_index():
    """Write `*.index.json` beside shards: write_index(path, {tensor: file})."""

    def write(path: Path, weight_map: dict[str, str]) -> Path:
        path.write_text(json.dumps({"metadata": {"total_size": 0}, "weight_map": weight_map}), encoding="utf-8")
        return path

    return write
