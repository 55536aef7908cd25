"""What the numbers of a spectrum mean, in plain words."""

from __future__ import annotations

import math

from storage.spectra import StoredSpectrum

HEALTHY_ALPHA = (2.0, 6.0)
"""Martin & Mahoney 2021: where the exponents of well-trained layers lie."""


def explanations(found: StoredSpectrum) -> list[str]:
    """What the numbers mean, a sentence each."""
    values = found.values
    sentences = []
    if is_defined(values["alpha"]):
        sentences.append(_alpha_words(values))
    elif not found.is_estimate:
        sentences.append("Too few distinct eigenvalues for a tail: **α** stays open (it needs 20).")
    if is_defined(values["scaled_spikes"]):
        own, shuffled = int(values["scaled_spikes"]), values["iid_spikes"]
        words = (
            f"**{own:,} of {min(found.num_rows, found.num_columns):,} directions stand out** of noise with the same "
            "row and column norms: the honest count of structure."
        )
        if is_defined(shuffled) and shuffled > own:
            words += (
                f" Against plainly shuffled entries it would be {int(shuffled):,}: rows and columns of different scale "
                "alone pass that edge."
            )
        sentences.append(words)
    share = 1 / values["stable_rank"] if is_defined(values["stable_rank"]) else math.nan
    if is_defined(share):
        sentences.append(
            f"The strongest direction carries **{share:.1%}** of the energy. Shape alone explains much "
            "of the stable rank: compare it between equal shapes."
        )
    if math.isinf(values["condition_number"]):
        sentences.append(
            f"The matrix is **singular**: only {number_text(values['numerical_rank'])} directions are not exactly lost."
        )
    return sentences


def _alpha_words(values: dict[str, float]) -> str:
    alpha, tail, distance = values["alpha"], int(values["tail_count"]), values["ks_distance"]
    low, high = HEALTHY_ALPHA
    if values["scaled_spikes"] == 0:
        return (
            f"**α = {number_text(alpha)} says nothing of training here**: no direction stands out of noise, so the "
            "fit follows the upper end of the bulk."
        )
    if alpha < low:
        meaning = f"a very heavy tail, below {low:g}: few directions dominate, often a sign of over-training"
    elif alpha <= high:
        meaning = f"a heavy tail, as well-trained layers have it ({low:g} to {high:g}); smaller is heavier"
    else:
        meaning = f"hardly a tail, above {high:g}: near to noise, as in untrained or barely used layers"
    words = f"**α = {number_text(alpha)}** is {meaning}. The fit rests on the largest {tail:,} eigenvalues"
    if distance > 0.1:
        words += f", and follows them badly (distance {distance:.2f}): take it with care"
    return words + ". Its third decimal is noise: rounding to bf16 moves it."


def is_defined(value: float) -> bool:
    """Whether a measure has a value."""
    return not math.isnan(value)


def number_text(value: float, digits: int = 3) -> str:
    """A number with so many digits, thousands in full; “–” where it is undefined."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞"
    return f"{value:,.0f}" if value >= 1000 or float(value).is_integer() else f"{value:.{digits}g}"
