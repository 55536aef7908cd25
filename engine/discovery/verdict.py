"""Do differently trained models share weight patterns, and would sharing compress them? The answer in plain words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from engine.discovery.cka import Cka
from engine.discovery.coding_gain import CodingGain
from engine.discovery.power import Power
from engine.discovery.shared_patterns import PatternTest
from engine.discovery.sharing_dividend import SHARED_BITS, Dividend
from engine.discovery.subspace import Subspace

ALPHA = 0.05
"""Share of false ones allowed among the effects that are called found."""

ENOUGH_POWER = 0.8
"""Probability of finding an effect below which finding none says nothing; the usual one (Cohen 1988)."""

VERDICTS: dict[str, str] = {
    "weights": "Models without a common origin share weights: knowing one saves bits of another.",
    "form": "Models share the form of their weights, not the weights: scales, tails and spectra, no content.",
    "nothing": "Nothing was found that models share beyond their nulls.",
    "apart": "Models without a common origin share no weights; whether their form is alike was not asked.",
    "unanswered": "Whether models share the form of their weights cannot be answered with these models.",
}
"""Verdict -> what it claims."""


@dataclass(frozen=True, slots=True)
class PairDividend:
    """One pair of models.

    Attributes:
        first, second: their numbers. is_related: whether they have a common origin.
        coding: what writing one given the other took; cka: how alike they compute; None if that was not tried.
    """

    first: int
    second: int
    is_related: bool
    dividend: Dividend
    coding: CodingGain | None = None
    cka: Cka | None = None

    @property
    def pays(self) -> bool:
        """Whether more is shared than alignment finds in noise, and, where it was tried, coding really saved bits."""
        return self.dividend.is_shared and (self.coding is None or self.coding.gain > 0)


@dataclass(frozen=True, slots=True)
class Verdict:
    """kind: a key of VERDICTS. sentences: the answer and its grounds. limits: what it does not say."""

    kind: str
    sentences: tuple[str, ...]
    limits: tuple[str, ...]

    @property
    def words(self) -> str:
        return " ".join(self.sentences)


def verdict(
    names: Sequence[str],
    test: PatternTest | None,
    power: Power,
    pairs: Sequence[PairDividend],
    subspace: Subspace | None = None,
) -> Verdict:
    """Weigh all that was found.

    Args: names: of the models. test: None if no features were tested. pairs: those that could be compared.
    """
    strangers = [pair for pair in pairs if not pair.is_related and math.isfinite(pair.dividend.net)]
    family = [pair for pair in pairs if pair.is_related and math.isfinite(pair.dividend.net)]
    is_shared = any(pair.pays for pair in strangers)
    found = num_found(test) if test else 0
    if is_shared:
        kind = "weights"
    elif power.can_answer and found:
        kind = "form"
    elif power.power >= ENOUGH_POWER and test is not None:
        kind = "nothing"
    elif test is None and strangers:
        kind = "apart"
    else:
        kind = "unanswered"
    sentences = [VERDICTS[kind]]
    sentences += _of_effects(test, power) if test is not None else []
    sentences += _of_strangers(strangers, names) + _of_family(family, names) + _of_subspace(subspace)
    return Verdict(kind, tuple(sentences), _limits(test, power, pairs, strangers))


def num_found(test: PatternTest) -> int:
    """Effects and concordances with q ≤ ALPHA."""
    return sum(one.q_value <= ALPHA for one in (*test.effects, *test.concordances))


def _of_effects(test: PatternTest, power: Power) -> list[str]:
    if not power.can_answer:
        return [power.words]
    effects = [one for one in test.effects if one.q_value <= ALPHA]
    agreeing = [one for one in test.concordances if one.q_value <= ALPHA]
    sentences = [
        f"{len(effects):,} of {len(test.effects):,} effects (a feature in a role) lie beyond the null at "
        f"q ≤ {ALPHA:g}, with {test.num_lineages} independent models as the unit."
    ]
    if effects:
        best = max(effects, key=lambda one: abs(one.delta.effect))
        sentences.append(
            f"The largest: {best.feature} of {best.role}, Cliff's δ {best.delta.effect:+.2f} "
            f"[{best.delta.low:+.2f}, {best.delta.high:+.2f}]."
        )
    if not effects and not agreeing and power.power < ENOUGH_POWER:
        sentences.append(f"That says little: {power.words[0].lower()}{power.words[1:]}")
    if test.concordances:
        sentences.append(
            f"In {len(agreeing)} of {len(test.concordances)} features models agree on which positions are high and "
            "low, more than their nulls do."
        )
    return sentences


def _of_strangers(pairs: Sequence[PairDividend], names: Sequence[str]) -> list[str]:
    if not pairs:
        return ["No two models without a common origin have matrices of one shape: no sharing dividend between them."]
    best = max(pairs, key=lambda pair: pair.dividend.net)
    mean = sum(pair.dividend.net for pair in pairs) / len(pairs)
    noun = "pair" if len(pairs) == 1 else "pairs"
    said = (
        f"Between {len(pairs)} {noun} without a common origin the sharing dividend is {bits_text(mean)} bits per "
        f"weight on average, {bits_text(best.dividend.net)} at most, after what alignment finds in noise "
        f"({bits_text(best.dividend.null)}) is taken away"
    )
    if any(pair.pays for pair in pairs):
        best = max((pair for pair in pairs if pair.pays), key=lambda pair: pair.dividend.net)
        where = f"{names[best.first]} and {names[best.second]}"
        return [f"{said}: {where} share more than noise does. Check their origin before you believe it."]
    if best.dividend.is_shared:
        return [
            f"{said}: a trace beyond noise, but telling the order costs more than it saves (by coding: "
            f"{bits_text(best.coding.gain)})."
        ]
    return [f"{said}: one does not help to compress another."]


def _of_family(pairs: Sequence[PairDividend], names: Sequence[str]) -> list[str]:
    if not pairs:
        return []
    best = max(pairs, key=lambda pair: pair.dividend.net)
    noun = "pair of relatives" if len(pairs) == 1 else "pairs of relatives"
    said = (
        f"Within lineages ({len(pairs)} {noun}) it reaches {bits_text(best.dividend.net)} bits per weight: "
        f"{names[best.first]} and {names[best.second]}"
    )
    if best.coding is not None and math.isfinite(best.coding.gain):
        said += f"; really coding one given the other saved {bits_text(best.coding.gain)}"
    return [said + "."]


def _of_subspace(found: Subspace | None) -> list[str]:
    if found is None or not found.num_directions:
        return []
    said = []
    if math.isfinite(found.unrelated[-1]):
        said.append(
            f"The directions of unrelated models explain {share_text(found.unrelated[-1])} of a model they have not "
            f"seen, of nulls {share_text(found.null[-1])}; their mean alone {share_text(found.mean_only)}."
        )
    if found.has_siblings:
        said.append(
            f"With relatives among the others it would be {share_text(found.left_out[-1])}: that is common origin, not "
            "a universal subspace."
        )
    return said


def _limits(
    test: PatternTest | None, power: Power, pairs: Sequence[PairDividend], strangers: Sequence[PairDividend]
) -> tuple[str, ...]:
    limits = []
    if test is not None and test.num_lineages < test.num_models:
        limits.append(f"{test.num_models} models are {test.num_lineages} independent ones: relatives count once.")
    if test is not None and power.can_answer and num_found(test):
        limits.append(power.words)
    if any(math.isnan(pair.dividend.low) for pair in pairs):
        limits.append("With fewer than 2 draws of the null, dividends have no interval.")
    if strangers and max(pair.dividend.net for pair in strangers) <= SHARED_BITS:
        limits.append(
            "The dividend sees linear likeness of weights in matching places, after the permutations that change no "
            "output; a likeness that only a rotation or a nonlinear map would show is not counted."
        )
    limits.append("The models are those you chose, not a random sample of all there are.")
    return tuple(limits)


def bits_text(value: float) -> str:
    """Bits per weight as people read them: 1.85, 0.022, −0.0002; 0 within ±0.00005."""
    if not math.isfinite(value):
        return "?"
    text = f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.3f}" if abs(value) >= 0.01 else f"{value:.4f}"
    return text.replace("-0.0000", "0.0000").replace("-", "−")


def share_text(value: float) -> str:
    """A share of variance: 58 %, 0.03 %."""
    return f"{value:.0%}".replace("%", " %") if value >= 0.1 else f"{value * 100:.2g} %"
