"""Samples and standards small enough to count by hand."""

from __future__ import annotations

import numpy as np
import pytest

from engine.training.rewards import Sample, Standards
from engine.training.rewards.bigrams import BigramModel


@pytest.fixture(scope="session")
def standards():
    """Ten tokens; training text counts up, 0 1 2 … 9 0 1 …; samples have at most 20 tokens."""
    text = np.arange(200) % 10
    bigrams = BigramModel([text], 10)
    return Standards(20, 1.0, 3.0, bigrams, float(bigrams.log_probs(text).mean()))


@pytest.fixture(scope="session")
def write():
    """write(tokens, surprise a token) -> Sample."""

    def write(tokens, surprise=2.0):
        return Sample(tuple(tokens), -np.broadcast_to(np.asarray(surprise, dtype=np.float64), len(tokens)))

    return write
