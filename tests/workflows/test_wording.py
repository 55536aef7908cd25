import pytest

from workflows.wording import bytes_text, count_text, duration_text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (90_868_376, "90.9 MB"), (999_600, "1 MB"), (14e9, "14 GB")],
)
def test_bytes_are_shown_in_decimal_units_with_three_digits(number, text):
    assert bytes_text(number) == text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (384, "384"), (1536, "1.54 k"), (22_713_216, "22.7 M"), (7e9, "7 B")]
)
def test_counts_are_exact_below_a_thousand_and_short_above(number, text):
    assert count_text(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.42, "0.4 s"), (59.6, "1 min 0 s"), (75, "1 min 15 s"), (7260, "2 h 1 min"), (float("inf"), "unknown")],
)
def test_durations_name_their_two_largest_units(seconds, text):
    assert duration_text(seconds) == text
