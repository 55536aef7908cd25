"""A small checkpoint in which something can be found, with a tokenizer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

WORDS = "embeddings.word_embeddings.weight"
POSITIONS = "embeddings.position_embeddings.weight"
QUERY = "encoder.layer.0.attention.self.query.weight"
TOKENS = ["[PAD]", *(f"[unused{i}]" for i in range(9)), "the", "`<b>x</b>", "你", "7"]


def folder_of(folder: Path, write, seed: int = 0) -> Path:
    """Rows 1–9 and 12 of 20 words, and positions 16–63, were only widened; the query repeats a row."""
    random = np.random.default_rng(seed)
    words = random.normal(0, 0.05, (20, 24)).astype(np.float32)
    positions = random.normal(0, 0.05, (64, 24)).astype(np.float32)
    query = random.normal(0, 0.05, (24, 24)).astype(np.float32)
    for array, rows in ((words, [*range(1, 10), 12]), (positions, range(16, 64))):
        array[list(rows)] = array[list(rows)].astype(np.float16)
    query[5] = query[3]
    write(folder / "model.safetensors", {WORDS: words, POSITIONS: positions, QUERY: query})
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}), encoding="utf-8")
    vocabulary = {token: row for row, token in enumerate(TOKENS)}
    fast = {"model": {"type": "WordPiece", "vocab": vocabulary}, "added_tokens": [{"id": "no", "content": 3}]}
    (folder / "tokenizer.json").write_text(json.dumps(fast), encoding="utf-8")
    return folder
