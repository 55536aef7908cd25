"""What real text is like, measured on training text before self-play begins."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from engine.training.corpora.token_stream import TokenStream
from engine.training.model import Decoder
from engine.training.policy_gradient import Rollout, log_probs_in_parts
from engine.training.rewards import Standards
from engine.training.rewards.bigrams import BigramModel
from engine.training.rewards.coherence import BAND, window_surprise
from engine.training.settings import SelfPlaySettings

BIGRAM_TOKENS = 1 << 18
"""Tokens of training text that pairs are counted in, at the most: enough to know the common ones. Chosen by us."""

LEVEL_EVERY = 8
"""One window in so many is kept from the counts and tells how likely the pairs of text are that was not counted."""

SURPRISE_WINDOWS = 128
"""Stretches of real text that set the band of coherence. Chosen by us."""

_ROWS = 32
"""Windows fetched at once."""


def measure_standards(reference: Decoder, stream: TokenStream, settings: SelfPlaySettings) -> Standards:
    """Measure the training text as samples are measured: same lengths, same reference, same temperature.

    The same arguments give the same standards: nothing is drawn at random but what the stream draws by its own seed.

    Args: reference: frozen. stream: of training text; held-out text must not set what is rewarded.
    """
    length = settings.prompt_tokens + settings.new_tokens
    rows = list(_windows(stream, min(BIGRAM_TOKENS, stream.num_tokens), length))
    bigrams = BigramModel([row for n, row in enumerate(rows) if n % LEVEL_EVERY], reference.settings.vocabulary_size)
    level = np.concatenate([bigrams.log_probs(row) for row in rows[::LEVEL_EVERY]]).mean()
    low, high = np.quantile(_surprises(reference, rows[:SURPRISE_WINDOWS], settings), BAND)
    return Standards(settings.new_tokens, float(low), float(high), bigrams, float(level))


def _windows(stream: TokenStream, num_tokens: int, length: int) -> Iterator[np.ndarray]:
    """Windows of `length` tokens that together have `num_tokens`, and 2 · LEVEL_EVERY of them at least."""
    count = max(-(-num_tokens // length), 2 * LEVEL_EVERY)
    for step in range(-(-count // _ROWS)):
        ids, _ = stream.batch(step, _ROWS, length)
        yield from ids.numpy()[: count - step * _ROWS]


def _surprises(reference: Decoder, rows: list[np.ndarray], settings: SelfPlaySettings) -> np.ndarray:
    """The surprise of all windows of the true continuations."""
    ids = torch.from_numpy(np.stack(rows)).to(reference.head.device)
    is_written = torch.zeros_like(ids, dtype=torch.bool)
    is_written[:, settings.prompt_tokens :] = True
    log_probs, _ = log_probs_in_parts(reference, Rollout(ids, is_written), settings.temperature)
    return np.concatenate([window_surprise(row) for row in log_probs.view(len(rows), -1).cpu().numpy()])
