"""Orders of rows: permutations that find what was hidden, and a null that says what sorting finds in noise."""

from itertools import pairwise

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import orders
from engine.errors import MeasureError
from engine.orders import ORDERS, check_sortable, line_order, neighbour_correlation, shuffled
from engine.sources.base import TensorInfo

SORTED = ORDERS[1:]


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def hidden_blocks(num_blocks=6, size=12, width=80, seed=0):
    """Rows that are noisy copies of a few patterns, in random order, and the pattern of each."""
    rng = np.random.default_rng(seed)
    pattern = rng.permutation(np.repeat(np.arange(num_blocks), size))
    return rng.standard_normal((num_blocks, width))[pattern] + 0.3 * rng.standard_normal((pattern.size, width)), pattern


@settings(max_examples=80, deadline=None)
@given(
    kind=st.sampled_from(ORDERS),
    rows=st.integers(0, 40),
    columns=st.integers(0, 12),
    seed=st.integers(0, 99),
    fill=st.sampled_from([None, 0.0, 3.5, np.nan, np.inf]),
)
def test_every_order_of_any_matrix_is_a_permutation(kind, rows, columns, seed, fill):
    matrix = noise(rows, columns, seed=seed)
    if fill is not None:
        matrix[::2] = fill
    order = line_order(matrix, kind)
    assert order.dtype == np.int64 and sorted(order.tolist()) == list(range(rows))
    assert line_order(matrix.copy(), kind).tolist() == order.tolist()  # a shared link shows the same picture


def test_norm_puts_the_longest_row_first_and_ties_in_file_order():
    matrix = np.array([[1, 0], [3, 4], [np.nan, 6], [0, 1], [-5, 0]], np.float32)
    assert line_order(matrix, "norm").tolist() == [2, 1, 4, 0, 3]


def test_the_hierarchy_keeps_the_rows_of_a_pattern_together():
    matrix, pattern = hidden_blocks()
    found = pattern[line_order(matrix, "hierarchical")]
    assert (np.diff(found) != 0).sum() == 5  # six blocks, five borders


def test_many_lines_are_grouped_first_and_still_keep_together(monkeypatch):
    monkeypatch.setattr(orders, "LEAF_LINES", 50)
    monkeypatch.setattr(orders, "NUM_GROUPS", 30)
    matrix, pattern = hidden_blocks()
    found = pattern[line_order(matrix, "hierarchical")]
    assert (np.diff(found) != 0).sum() <= 7


def test_seriation_finds_the_turn_of_a_hidden_wheel():
    """Rows that are one wave, shifted: their angles are the shifts, from a cut on."""
    shift = np.random.default_rng(3).permutation(90)
    matrix = np.cos(2 * np.pi * (np.arange(120) / 120 - shift[:, None] / 100))  # a gap of a tenth to cut at
    found = shift[line_order(matrix, "seriation")]
    assert found.tolist() in (list(range(90)), list(range(89, -1, -1)))
    assert neighbour_correlation(matrix, line_order(matrix, "seriation")) > 0.99 > abs(neighbour_correlation(matrix))


def test_neighbour_correlation_is_numpys():
    matrix = noise(20, 30) + np.arange(20)[:, None]
    matrix[7] = 2.5
    order = np.random.default_rng(1).permutation(20)
    pairs = [(a, b) for a, b in pairwise(order) if 7 not in (a, b)]
    slow = np.mean([np.corrcoef(matrix[a], matrix[b])[0, 1] for a, b in pairs])
    assert neighbour_correlation(matrix, order) == pytest.approx(slow, abs=1e-6)


def test_neighbour_correlation_taken_in_pieces_leaves_out_no_pair(monkeypatch):
    matrix = noise(50, 10)
    whole = neighbour_correlation(matrix)
    monkeypatch.setattr(orders, "_BLOCK_ENTRIES", 70)
    assert neighbour_correlation(matrix) == pytest.approx(whole, abs=1e-7)


def test_without_a_pair_of_lines_that_vary_there_is_no_correlation():
    for matrix in (np.ones((5, 3)), noise(1, 4), np.zeros((0, 4)), np.full((4, 3), 1e-7) + 1.0):
        assert np.isnan(neighbour_correlation(matrix))


def test_a_shuffled_copy_has_the_same_values_and_never_the_same_places():
    matrix = np.arange(600, dtype=np.float32).reshape(20, 30)
    copy = shuffled(matrix)
    assert sorted(copy.ravel().tolist()) == matrix.ravel().tolist() and not np.array_equal(copy, matrix)
    assert np.array_equal(matrix.ravel(), np.arange(600)) and np.array_equal(copy, shuffled(matrix))


def test_sorting_lifts_the_correlation_of_noise_so_the_null_is_needed():
    matrix = noise(300, 60)
    assert abs(neighbour_correlation(matrix)) < 0.03
    null = shuffled(matrix)
    lifted, of_null = (neighbour_correlation(m, line_order(m, "hierarchical")) for m in (matrix, null))
    assert lifted > 0.15 and of_null == pytest.approx(lifted, abs=0.05)


@pytest.mark.parametrize("kind", SORTED)
def test_bfloat16_and_transposed_matrices_are_sorted_as_their_values_are(kind):
    matrix = noise(40, 30).astype(ml_dtypes.bfloat16)
    values = matrix.astype(np.float64)
    assert line_order(matrix, kind).tolist() == line_order(values, kind).tolist()
    assert line_order(matrix.T, kind).tolist() == line_order(values.T.copy(), kind).tolist()


def test_what_is_too_large_to_sort_is_refused_with_its_size():
    check_sortable(TensorInfo("w", (8192, 8192), "F32", 0, "f"))
    for shape in [(8193, 8192), (1 << 19,), (1 << 19, 2)]:
        with pytest.raises(MeasureError, match="too large to be sorted"):
            check_sortable(TensorInfo("w", shape, "F32", 0, "f"))


def test_a_real_layer_has_more_neighbours_than_its_shuffled_copy(minilm_path):
    import engine.sources

    with engine.sources.open(minilm_path) as source:
        matrix = source.read("encoder.layer.0.attention.self.query.weight")
    found = neighbour_correlation(matrix, line_order(matrix, "hierarchical"))
    null = shuffled(matrix)
    assert found > neighbour_correlation(null, line_order(null, "hierarchical")) + 0.03
