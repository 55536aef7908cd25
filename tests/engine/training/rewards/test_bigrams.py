"""The bigram model is a probability, and agrees with a slow count."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.training.rewards import Standards
from engine.training.rewards.bigrams import DISCOUNT, BigramModel
from engine.training.rewards.naturalness import naturalness

ROWS = st.lists(st.lists(st.integers(0, 4), max_size=12), max_size=3)


def slow(rows, vocabulary_size, before, after):
    pairs = [(a, b) for row in rows for a, b in itertools.pairwise(row)]
    kinds = set(pairs)
    q = (sum(b == after for _, b in kinds) + 1) / (len(kinds) + vocabulary_size)
    total = sum(a == before for a, _ in pairs)
    if not total:
        return q
    spare = DISCOUNT * sum(a == before for a, _ in kinds) / total
    return max(pairs.count((before, after)) - DISCOUNT, 0) / total + spare * q


@given(ROWS)
def test_it_agrees_with_a_slow_count_and_adds_up_to_one(rows):
    model = BigramModel([np.array(row, dtype=int) for row in rows], 5)
    for before in range(5):
        probs = [math.exp(model.log_probs([before, after])[0]) for after in range(5)]
        assert probs == pytest.approx([slow(rows, 5, before, after) for after in range(5)])
        assert sum(probs) == pytest.approx(1)


def test_without_any_text_all_tokens_are_alike():
    np.testing.assert_allclose(BigramModel([], 8).log_probs([0, 3, 7]), math.log(1 / 8))


def test_pairs_do_not_reach_across_stretches():
    apart = BigramModel([np.array([0, 1]), np.array([2, 3])], 4)
    together = BigramModel([np.array([0, 1, 2, 3])], 4)
    assert together.log_probs([1, 2])[0] > apart.log_probs([1, 2])[0]


@pytest.mark.parametrize("tokens", [[], [3]])
def test_fewer_than_two_tokens_have_no_pair(tokens):
    assert BigramModel([np.array([1, 2])], 4).log_probs(tokens).shape == (0,)


def test_large_vocabularies_do_not_overflow():
    model = BigramModel([np.array([199_999, 199_998, 199_999], dtype=np.int32)], 200_000)
    assert model.log_probs([199_999, 199_998])[0] > model.log_probs([199_998, 199_998])[0]


def test_training_text_is_natural_and_its_reverse_is_not(standards, write):
    forward, backward = naturalness([write(range(10)), write(range(9, -1, -1))], standards)
    assert forward == pytest.approx(1.0)
    assert backward == 0.0


def test_a_text_is_worth_the_share_of_pairs_it_gets_right(standards, write):
    """ln p + ln V is linear in the share of known pairs, as all known pairs are alike here and all unknown ones too."""
    known, unknown = (float(standards.bigrams.log_probs(pair)[0]) + math.log(10) for pair in ([0, 1], [1, 0]))
    expected = (2 * known + unknown) / 3 / known
    assert naturalness([write([0, 1, 2, 1])], standards)[0] == pytest.approx(max(expected, 0), abs=0.02)


def test_the_commonest_pair_again_and_again_gains_nothing_over_real_text(write):
    text = np.array([0, 1, 0, 1, 0, 2, 0, 3, 2, 3] * 20)
    bigrams = BigramModel([text], 4)
    standards = Standards(20, 1.0, 3.0, bigrams, float(bigrams.log_probs(text).mean()))
    assert bigrams.log_probs([1, 0] * 5).mean() > standards.bigram_level
    assert naturalness([write([1, 0] * 5)], standards) == [1.0]
