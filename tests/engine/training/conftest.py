"""A decoder so small that a test can train it."""

from __future__ import annotations

import pytest
import torch

from engine.training.corpus import Document
from engine.training.decoder import DecoderShape, new_decoder
from engine.training.held_out import encode
from engine.training.tokenizer import train_tokenizer

CONTEXT = 16
TEXT = "the cat sat on the mat, and the dog sat by the door; " * 40


@pytest.fixture(autouse=True)
def _one_thread():
    """Matrices of 16 columns are no work to share, and waiting for busy processors is slow."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tokenizer():
    return train_tokenizer([TEXT], 270, CONTEXT)


@pytest.fixture
def model(tokenizer):
    return new_decoder(DecoderShape(width=16, layers=2, heads=2, ffn_width=32, context=CONTEXT), tokenizer, seed=1)


@pytest.fixture(scope="session")
def tokens(tokenizer):
    return torch.tensor(encode(tokenizer, TEXT))


@pytest.fixture(scope="session")
def documents():
    return (Document("one", "the dog sat on the mat; " * 4), Document("two", "a cat"), Document("empty", ""))
