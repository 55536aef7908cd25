"""A decoder so small that a test can train it."""

from __future__ import annotations

import pytest
import torch

from engine.training.corpus import Document
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


@pytest.fixture(scope="session")
def documents():
    return (Document("one", "the dog sat on the mat; " * 4), Document("two", "a cat"), Document("empty", ""))
