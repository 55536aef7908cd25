"""How fast a training goes, how long it still takes, and the memory it has."""

from __future__ import annotations

import time
from collections import deque

import psutil
import torch

UPDATES = 50
MEMORY_EVERY_S = 0.5
"""Asking the system takes some 20 µs; a small model makes an update in a millisecond."""


class Pace:
    """Counts updates of the weights.

    Args: steps_left: updates still to be made.
    """

    def __init__(self, steps_left: int) -> None:
        self._left, self._done = steps_left, 0
        self._start_s = time.perf_counter()
        self._last: deque[tuple[int, float]] = deque(maxlen=UPDATES)  # tokens and seconds of each update
        self._process = psutil.Process()
        self._memory, self._asked_s = 0, -1.0

    @property
    def elapsed_s(self) -> float:
        """Since the start of this call, looks and checkpoints included."""
        return time.perf_counter() - self._start_s

    def updated(self, tokens: int, took_s: float) -> None:
        """One update is made."""
        self._last.append((tokens, took_s))
        self._done += 1

    @property
    def tokens_per_s(self) -> float:
        """Over the last updates, without looks and checkpoints between."""
        return sum(tokens for tokens, _ in self._last) / max(sum(took_s for _, took_s in self._last), 1e-9)

    @property
    def left_s(self) -> float:
        """Until the last update, with looks and checkpoints as often as so far."""
        return self.elapsed_s / max(self._done, 1) * (self._left - self._done)

    @property
    def memory_bytes(self) -> int:
        """Resident memory of this process, asked for at most twice a second."""
        if self._asked_s < 0 or self.elapsed_s - self._asked_s >= MEMORY_EVERY_S:
            self._memory, self._asked_s = self._process.memory_info().rss, self.elapsed_s
        return self._memory


def card_memory(device: str) -> dict[str, float]:
    """Most memory that was taken on a CUDA card, as "card_memory_bytes"; nothing on other devices."""
    return {"card_memory_bytes": float(torch.cuda.max_memory_allocated(device))} if device.startswith("cuda") else {}
