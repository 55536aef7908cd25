"""The generation loop on decoders whose every score is known."""

import math
import threading

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.errors import RunnerError
from engine.runners import GenerationSettings, speed
from engine.runners.generation import generated
from engine.runners.token_text import TextStream, TokenTexts

LETTERS = "abcdefghijklmnopqrstuvwxyz .\n"
END = len(LETTERS)


class ScriptedDecoder:
    """Writes a given text letter by letter: the next letter has the score 5, all others 0."""

    is_encoder_decoder = False

    def __init__(self, text: str, context: int | None = None, on_feed=None) -> None:
        self.script = [LETTERS.index(letter) for letter in text] + [END]
        self.end_ids = frozenset({END})
        self.context = context
        self.on_feed = on_feed or (lambda: None)

    def begin(self, prompt):
        self.place = -1
        return self, self.feed(prompt)

    def feed(self, token_ids):
        self.on_feed()
        self.place += 1
        scores = torch.zeros(END + 1)
        scores[self.script[min(self.place, len(self.script) - 1)]] = 5.0
        return scores


TEXTS = TokenTexts(
    decode=lambda ids: "".join(LETTERS[each] for each in ids if each != END), spell=lambda token: f"<{token}>"
)


def write(text: str, prompt=(0,), stop=None, context=None, lock=None, on_feed=None, **fields):
    chosen = GenerationSettings(**{"temperature": 0, "top_k": 0, "max_new_tokens": 1000, **fields})
    decoder = ScriptedDecoder(text, context, on_feed)
    return generated(decoder, TEXTS, prompt, chosen, lock or threading.Lock(), stop)


def joined(tokens) -> str:
    return "".join(token.text for token in tokens)


def test_a_generation_ends_with_the_end_token():
    tokens = list(write("hello"))
    assert joined(tokens) == "hello"
    assert tokens[-1].token_id == END
    assert tokens[-1].finish == "end"
    assert [token.is_last for token in tokens] == [False] * 5 + [True]


def test_a_token_comes_with_its_probability_and_alternatives():
    token = next(iter(write("hello", alternatives=3)))
    top = math.exp(5) / (math.exp(5) + END)
    assert token.probability == pytest.approx(top, rel=1e-6)
    assert token.alternatives[0] == ("h", pytest.approx(top, rel=1e-6))
    assert [chance for _, chance in token.alternatives[1:]] == pytest.approx([(1 - top) / END] * 2, rel=1e-5)


def test_the_probability_is_the_models_own_whatever_the_settings():
    greedy = next(iter(write("hello")))
    other = next(iter(write("hello", temperature=0.2, top_k=1, repetition_penalty=1.5)))
    assert other.probability == greedy.probability


def test_it_ends_at_the_most_tokens_and_where_the_context_is_full():
    assert [token.finish for token in write("hello", max_new_tokens=2)] == ["", "length"]
    tokens = list(write("hello", prompt=(0, 1, 2), context=7))
    assert joined(tokens) == "hell"
    assert tokens[-1].finish == "context"


def test_a_prompt_that_fills_the_context_is_refused():
    with pytest.raises(RunnerError, match="7 tokens"):
        list(write("hello", prompt=(0,) * 7, context=7))
    with pytest.raises(RunnerError, match="empty"):
        list(write("hello", prompt=()))


def test_a_stop_text_ends_it_and_is_cut_off():
    chosen = GenerationSettings(temperature=0, top_k=0, stop=("two",))
    tokens = list(generated(ScriptedDecoder("one. two. three"), TEXTS, (0,), chosen, threading.Lock()))
    assert joined(tokens) == "one. "
    assert tokens[-1].finish == "stop text"
    assert sum(token.is_last for token in tokens) == 1


@settings(max_examples=300, deadline=None)
@given(st.text("ab .", max_size=30), st.lists(st.text("ab .", min_size=1, max_size=4), min_size=1, max_size=3))
def test_the_text_is_what_comes_before_the_first_stop_text(text, stops):
    chosen = GenerationSettings(temperature=0, top_k=0, stop=tuple(stops))
    tokens = list(generated(ScriptedDecoder(text), TEXTS, (0,), chosen, threading.Lock()))
    places = [text.find(stop) for stop in stops if stop in text]
    # letters come one at a time, so that the stop text that is complete first ends it
    ends = [text.find(stop) + len(stop) for stop in stops if stop in text]
    expected = text if not places else text[: min(p for p, e in zip(places, ends, strict=True) if e == min(ends))]
    assert joined(tokens) == expected
    assert [token.is_last for token in tokens] == [False] * (len(tokens) - 1) + [True]


def test_tokens_are_not_held_back_without_need():
    chosen = GenerationSettings(temperature=0, top_k=0, stop=("xyz",))
    decoder = ScriptedDecoder("axyb")
    stream = generated(decoder, TEXTS, (0,), chosen, threading.Lock())
    assert next(stream).text == "a"
    assert decoder.place == 0, "the first token waited for a second one"
    assert joined(stream) == "xyb"


def test_setting_stop_ends_it_after_the_current_token():
    stop, stream_of = threading.Event(), []
    stream = write("hello world", stop=stop)
    stream_of.extend([next(stream), next(stream)])
    stop.set()
    rest = list(stream)
    assert joined(stream_of + rest) == "he"
    assert (rest[-1].token_id, rest[-1].finish, rest[-1].is_last) == (None, "stopped", True)


def test_stop_may_be_set_by_another_thread_while_it_runs():
    stop, seen, has_three = threading.Event(), [], threading.Event()

    def produce():
        for token in write("hello world", stop=stop, on_feed=lambda: len(seen) < 3 or stop.wait(10)):
            seen.append(token)
            if len(seen) == 3:
                has_three.set()

    producer = threading.Thread(target=produce)
    producer.start()
    assert has_three.wait(10)
    stop.set()
    producer.join(timeout=10)
    assert not producer.is_alive()
    assert seen[-1].finish == "stopped"
    assert joined(seen) in ("hel", "hell")


def test_the_lock_is_held_while_the_network_computes_and_not_between_tokens():
    lock, held = threading.Lock(), []
    for _ in write("hello", lock=lock, on_feed=lambda: held.append(lock.locked())):
        assert not lock.locked()
    assert held == [True] * 6


def test_times_rise_and_give_the_speed():
    tokens = list(write("hello"))
    times = [token.elapsed for token in tokens]
    assert times == sorted(times)
    found = speed(tokens)
    assert found.num_tokens == 6
    assert found.first_token_s == times[0]
    assert found.tokens_per_s == pytest.approx(5 / (times[-1] - times[0]))
    assert math.isnan(speed([]).first_token_s)
    assert math.isnan(speed(tokens[:1]).tokens_per_s)


def byte_texts() -> TokenTexts:
    """Every byte is a token."""
    return TokenTexts(lambda ids: bytes(ids).decode("utf-8", errors="replace"), lambda token: f"<0x{token:02X}>")


@given(st.text(max_size=20), st.text(max_size=5))
def test_characters_of_several_tokens_come_whole(text, before):
    stream = TextStream(byte_texts(), before.encode())
    parts = [stream.push(byte) for byte in text.encode()]
    assert "".join(parts) + stream.flush() == text
    if "\ufffd" not in text:
        assert not any("\ufffd" in part for part in parts)


@settings(max_examples=500)
@given(st.lists(st.sampled_from([b"a", b"\x80", b"\xc3", b"\xa9", b"\xe2\x82", b"\xac", b"\xf0\x9f\x98", b"\xff"])))
@example([b"\x80", b"\x80", b"\xe1", b"\x80", b"\x80"])
def test_broken_characters_come_in_the_end_at_the_latest(pieces):
    texts = TokenTexts(lambda ids: b"".join(pieces[each] for each in ids).decode("utf-8", errors="replace"), str)
    stream = TextStream(texts, ())
    text = "".join(stream.push(place) for place in range(len(pieces))) + stream.flush()
    assert text == b"".join(pieces).decode("utf-8", errors="replace")


def test_a_token_that_is_part_of_a_character_reads_as_it_is_spelt():
    assert byte_texts().of(0xE2) == "<0xE2>"
    assert byte_texts().of(65) == "A"
    assert TEXTS.of(END) == f"<{END}>"
