"""The generation loop: one token at a time, the same for every backend."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from engine.errors import RunnerError
from engine.runners.generation_settings import GenerationSettings
from engine.runners.sampling import Sampler
from engine.runners.token_text import TextStream, TokenTexts

if TYPE_CHECKING:
    import torch

END, STOP_TEXT, LENGTH, CONTEXT, STOPPED = "end", "stop text", "length", "context", "stopped"
"""Why it ended: the model's end token, a stop text, max_new_tokens, the context is full, a person stopped it."""


@dataclass(frozen=True, slots=True)
class GeneratedToken:
    """One step of a generation.

    Attributes:
        text: what it adds to the text; "" while a character or a possible stop text is incomplete, and for the end
            token. The texts of all tokens joined are the generated text.
        token_id: in the vocabulary; None for the empty last item of a generation that was stopped.
        probability: that the model itself gives this token (softmax of its raw scores: before penalty, temperature and
            cuts), in [0, 1]; NaN without a token.
        alternatives: the likeliest tokens under the same distribution, as (text, probability), likeliest first.
        is_last: whether nothing follows; the last item of every stream, and only that.
        finish: why it ended, on the last item (END, STOP_TEXT, LENGTH, CONTEXT, STOPPED); else "".
        elapsed: seconds since the generation began; of the first token: the time to first token.
    """

    text: str
    token_id: int | None
    probability: float
    alternatives: tuple[tuple[str, float], ...]
    is_last: bool
    elapsed: float
    finish: str = ""


class Decoding(Protocol):
    """One text on its way: the cache of what the network has seen."""

    def feed(self, token_ids: Sequence[int]) -> torch.Tensor:
        """Let the network see more tokens. Returns: its scores for the one after them, (vocabulary,), float32, CPU."""
        ...


class Decoder(Protocol):
    """A network that continues a sequence of tokens.

    Attributes: context: the most tokens it can see; None for no limit. end_ids: tokens that end a text.
        is_encoder_decoder: whether the prompt is read by an encoder and takes no room in the context.
    """

    context: int | None
    end_ids: frozenset[int]
    is_encoder_decoder: bool

    def begin(self, prompt: Sequence[int]) -> tuple[Decoding, torch.Tensor]:
        """A new text that begins with a prompt (1 token or more), and the scores for what follows it."""
        ...


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast a generation went.

    Attributes: num_tokens. first_token_s: time to first token; NaN without tokens. tokens_per_s: of those after the
        first; NaN for fewer than two.
    """

    num_tokens: int
    first_token_s: float
    tokens_per_s: float


def speed(tokens: Sequence[GeneratedToken]) -> Speed:
    """The speed of a generation, or of its part so far."""
    times = [token.elapsed for token in tokens if token.token_id is not None]
    if not times:
        return Speed(0, math.nan, math.nan)
    spread = times[-1] - times[0]
    return Speed(len(times), times[0], (len(times) - 1) / spread if spread > 0 else math.nan)


def generated(
    decoder: Decoder,
    texts: TokenTexts,
    prompt: Sequence[int],
    settings: GenerationSettings,
    lock: contextlib.AbstractContextManager,
    stop: threading.Event | None = None,
) -> Iterator[GeneratedToken]:
    """Tokens that continue a prompt, as they come.

    Args:
        decoder, texts: the network, and the words of its tokens. prompt: token ids, at least one, within the context.
        lock: held while the network computes, and not between two tokens.
        stop: set it, from any thread, to end after the token that is being computed.
    """
    return _with_stop_texts(_raw(decoder, texts, prompt, settings, lock, stop), settings.stop)


def _raw(
    decoder: Decoder,
    texts: TokenTexts,
    prompt: Sequence[int],
    settings: GenerationSettings,
    lock: contextlib.AbstractContextManager,
    stop: threading.Event | None,
) -> Iterator[GeneratedToken]:
    """The same without regard to stop texts."""
    started = time.perf_counter()
    if not prompt:
        raise RunnerError("The prompt is empty, and this model has no token to begin with.", "Write a word.")
    limit, finish = _room(decoder, len(prompt), settings)
    stream = TextStream(texts, () if decoder.is_encoder_decoder else prompt)
    with lock:
        decoding, scores = decoder.begin(prompt)
    sampler = Sampler(settings, [] if decoder.is_encoder_decoder else list(prompt), scores.shape[0])
    for number in range(1, limit + 1):
        token = sampler.draw(scores)
        probability, likeliest = _read(scores, token, settings.alternatives)
        is_end = token in decoder.end_ids
        is_last = is_end or number == limit
        yield GeneratedToken(
            text=(stream.flush() if is_end else stream.push(token) + (stream.flush() if is_last else "")),
            token_id=token,
            probability=probability,
            alternatives=tuple((texts.of(each), chance) for each, chance in likeliest),
            is_last=is_last,
            elapsed=time.perf_counter() - started,
            finish=END if is_end else finish if is_last else "",
        )
        if is_last:
            return
        if stop is not None and stop.is_set():
            yield GeneratedToken(stream.flush(), None, math.nan, (), True, time.perf_counter() - started, STOPPED)
            return
        with lock:
            scores = decoding.feed([token])


def _room(decoder: Decoder, num_prompt: int, settings: GenerationSettings) -> tuple[int, str]:
    """How many tokens can follow, and what the end is called if they all do."""
    if decoder.context is None:
        return settings.max_new_tokens, LENGTH
    room = decoder.context - (1 if decoder.is_encoder_decoder else num_prompt)
    if room < 1:
        raise RunnerError(
            f"The prompt has {num_prompt} tokens, and the model sees {decoder.context}.", "Shorten the prompt."
        )
    return (settings.max_new_tokens, LENGTH) if settings.max_new_tokens <= room else (room, CONTEXT)


def _read(scores: torch.Tensor, token: int, num_alternatives: int) -> tuple[float, list[tuple[int, float]]]:
    """The probability of a token and the likeliest tokens, under softmax(scores)."""
    import torch

    probabilities = torch.softmax(scores, 0)
    if not num_alternatives:
        return float(probabilities[token]), []
    values, ids = torch.topk(probabilities, min(num_alternatives, len(probabilities)))
    return float(probabilities[token]), list(zip(ids.tolist(), values.tolist(), strict=True))


def _with_stop_texts(tokens: Iterator[GeneratedToken], stop_texts: Sequence[str]) -> Iterator[GeneratedToken]:
    """Ends the stream at the first stop text, which is cut off with everything after it.

    Tokens wait as long as what they end with could be the beginning of a stop text.
    """
    wanted = [text for text in stop_texts if text]
    if not wanted:
        yield from tokens
        return
    waiting: deque[GeneratedToken] = deque()
    for token in tokens:
        waiting.append(token)
        text = "".join(each.text for each in waiting)
        found = [place for place in (text.find(stop_text) for stop_text in wanted) if place >= 0]
        if found:
            yield from _cut(waiting, min(found))
            return
        num_safe = len(text) if token.is_last else len(text) - _longest_beginning(text, wanted)
        while waiting and len(waiting[0].text) <= num_safe:
            num_safe -= len(waiting[0].text)
            yield waiting.popleft()


def _cut(waiting: deque[GeneratedToken], length: int) -> Iterator[GeneratedToken]:
    """The waiting tokens, whose joined text is cut to a length; the last one says that a stop text was found."""
    for place, token in enumerate(waiting):
        text, length = token.text[:length], max(length - len(token.text), 0)
        is_last = place == len(waiting) - 1
        yield replace(token, text=text, is_last=is_last, finish=STOP_TEXT if is_last else "")


def _longest_beginning(text: str, stop_texts: Sequence[str]) -> int:
    """Length of the longest end of `text` that begins one of the stop texts."""
    longest = max(map(len, stop_texts)) - 1
    lengths = range(min(longest, len(text)), 0, -1)
    return next((n for n in lengths if any(each.startswith(text[-n:]) for each in stop_texts)), 0)
