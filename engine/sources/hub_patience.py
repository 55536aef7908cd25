"""How long to try again what a network or a busy server failed to do."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")

RETRIES = 6
"""Failures in a row that are borne; with the waits below some 20 seconds, in which most servers come back."""

FIRST_WAIT_S = 0.4
LONGEST_WAIT_S = 10.0

LONGEST_RETRY_AFTER_S = 120.0
"""A server that wants a longer pause is taken at its word: the work fails at once, and says so."""

TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})


class Patience:
    """Waits between failures: doubled each time, times a random half to one, or what the server's Retry-After says.

    Args: pause: how to wait; an event's `wait` where somebody may want to end it.
    Source: the "full jitter" family of https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.
    """

    def __init__(self, pause: Callable[[float], object] = time.sleep) -> None:
        self._pause = pause
        self._failures = 0

    def forgive(self) -> None:
        """Something went well: the next failure is the first again."""
        self._failures = 0

    def bear(self, error: Exception) -> None:
        """Wait before the next try. Raises: the error itself, if it will not pass or came too often."""
        self._failures += 1
        wait_s = retry_after_s(error)
        if not is_transient(error) or self._failures > RETRIES or (wait_s or 0) > LONGEST_RETRY_AFTER_S:
            raise error
        if wait_s is None:
            longest_s = min(FIRST_WAIT_S * 2 ** (self._failures - 1), LONGEST_WAIT_S)
            wait_s = longest_s * random.uniform(0.5, 1.0)  # noqa: S311 — spreads requests, keeps no secret
        self._pause(wait_s)

    def insist(self, ask: Callable[[], Answer]) -> Answer:
        """The answer, asked for again and again. Raises: what `ask` raised last."""
        while True:
            try:
                return ask()
            except Exception as error:  # noqa: BLE001 — what will not pass is raised again at once
                self.bear(error)


def is_transient(error: Exception) -> bool:
    """Whether a network, or a server in trouble, is to blame, so that the same request may succeed later."""
    import httpx2

    response = getattr(error, "response", None)
    if response is not None:
        return response.status_code in TRANSIENT_STATUS
    return isinstance(error, httpx2.TimeoutException | httpx2.NetworkError | httpx2.RemoteProtocolError)


def retry_after_s(error: Exception) -> float | None:
    """The pause that the server asked for; None if it named none, or gave a date."""
    response = getattr(error, "response", None)
    text = response.headers.get("Retry-After", "").strip() if response is not None else ""
    return float(text) if text.isdecimal() and len(text) < 10 else None
