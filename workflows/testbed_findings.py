"""What the tests of the test bed found, by kind of pair, and beside what was expected."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from engine.discovery.sharing_dividend import SHARED_BITS
from engine.discovery.verdict import bits_text, share_text
from storage.store import Store
from workflows.testbed import TestbedOutcome
from workflows.testbed_zoo import Member

CODING_TOLERANCE = 0.05
"""Bits per weight by which a prediction and what coding really saves may differ."""

KINDS = (
    "the child and its parent",
    "same start, other text",
    "same text, other start",
    "other text, other start",
    "the child and strangers",
)


@dataclass(frozen=True, slots=True)
class Expectation:
    """One claim of earlier work, and what was found. holds: None where there is nothing to judge it by."""

    claim: str
    found: str
    holds: bool | None


@dataclass(frozen=True, eq=False)
class Findings:
    """The stored numbers of all tests: tables as the store gives them, pairs with a column "kind"."""

    trained: pd.DataFrame
    freed: pd.DataFrame
    starts: pd.DataFrame
    variances: pd.DataFrame
    subspace: pd.DataFrame


def findings(store: Store, outcome: TestbedOutcome) -> Findings:
    """Read what was stored."""
    zoo = outcome.zoo
    by_name = {zoo.names[member.name]: member for member in zoo.members}
    trained = store.pattern_pairs(outcome.trained.test)
    both = zip(trained["model_a"], trained["model_b"], strict=True)
    trained["kind"] = [pair_kind(by_name[a], by_name[b]) for a, b in both]
    return Findings(
        trained,
        store.pattern_pairs(outcome.freed.test),
        store.pattern_pairs(outcome.starts.test),
        store.pattern_variances(outcome.trained.test),
        store.pattern_subspace(outcome.trained.test),
    )


def pair_kind(a: Member, b: Member) -> str:
    """What two models of the usual shape have in common, one of KINDS."""
    if b.parent == a.name or a.parent == b.name:
        return KINDS[0]
    if a.start == b.start:
        return KINDS[1]
    if a.parent or b.parent:
        return KINDS[4]
    return KINDS[2] if a.text == b.text else KINDS[3]


def by_kind(found: Findings) -> pd.DataFrame:
    """Mean numbers of each kind of pair, with the largest net dividend; freed and untrained pairs below."""
    groups = [(kind, found.trained[found.trained["kind"] == kind]) for kind in KINDS]
    groups += [("independent, embeddings freed", found.freed), ("independent, before training", found.starts)]
    rows = []
    for kind, pairs in groups:
        if len(pairs):
            means = pairs[[*_AVERAGED]].astype(float).mean()
            rows.append({"kind": kind, "pairs": len(pairs), "largest": float(pairs["net"].max()), **means})
    return pd.DataFrame(rows)


_AVERAGED = ("correlation", "aligned_correlation", "gross", "null_bits", "net", "coded_gain", "cka", "cka_null")


def by_role(pairs: pd.DataFrame) -> dict[str, float]:
    """Role -> mean gross bits per weight over pairs: where the dividend comes from."""
    tables = pd.DataFrame([json.loads(text) for text in pairs["by_role"]])
    return {str(role): float(value) for role, value in tables.mean().sort_values(ascending=False).items()}


def shares_of_variance(variances: pd.DataFrame) -> pd.DataFrame:
    """Median η² over features of each factor, the chance in it, and how many are beyond chance (p ≤ 0.01)."""
    table = variances.assign(excess=(variances["eta_squared"] - variances["chance"]).clip(lower=0))
    found = table.groupby("factor", sort=False).agg(
        features=("feature", "size"),
        eta_squared=("eta_squared", "median"),
        low=("eta_squared", lambda column: column.quantile(0.25)),
        high=("eta_squared", lambda column: column.quantile(0.75)),
        excess=("excess", "median"),
    )
    return found.reset_index()


def expectations(found: Findings, outcome: TestbedOutcome) -> list[Expectation]:
    """The claims of earlier work on nine models like these, each with the number that supports or contradicts it."""
    return [
        *_dividends(found),
        _coding(found),
        _lineages(outcome),
        _position(found),
        *_subspace(found),
        *_function(found),
    ]


def _dividends(found: Findings) -> list[Expectation]:
    strangers = found.trained[found.trained["kind"].isin(KINDS[2:])]
    said = []
    for claim, pairs in (
        ("Models without a common origin share no weights", strangers),
        ("… nor when the leading direction of their embeddings is taken away", found.freed),
        ("Untrained models share no weights", found.starts),
    ):
        largest = float(pairs["net"].max())
        saved = float(pairs["coded_gain"].max())
        words = f"at most {bits_text(largest)} bits net, by coding {bits_text(saved)}, in {len(pairs)} pairs"
        said.append(Expectation(f"{claim}: net ≤ {SHARED_BITS:g} bits", words, largest <= SHARED_BITS))
    kin = found.trained[found.trained["kind"].isin(KINDS[:2])]
    least, most = float(kin["net"].min()), float(strangers["net"].max())
    words = f"at least {bits_text(least)} bits within lineages, at most {bits_text(most)} outside"
    return [*said, Expectation("Relatives share far more than strangers", words, least > 2 * most)]


def _coding(found: Findings) -> Expectation:
    child = found.trained[found.trained["kind"] == KINDS[0]].iloc[0]
    apart = abs(child["predicted_gain"] - child["coded_gain"])
    words = f"predicted {bits_text(child['predicted_gain'])}, coded {bits_text(child['coded_gain'])}"
    claim = f"What coding a child given its parent saves is predicted within {CODING_TOLERANCE:g} bits"
    return Expectation(claim, words, bool(apart <= CODING_TOLERANCE))


def _lineages(outcome: TestbedOutcome) -> Expectation:
    starts = len({member.start for member in outcome.zoo.members if member.is_common})
    words = f"{outcome.trained.num_lineages} lineages of {starts} starts"
    return Expectation("Lineages are found from the weights alone", words, outcome.trained.num_lineages == starts)


def _position(found: Findings) -> Expectation:
    table = shares_of_variance(found.variances).set_index("factor")
    others = [name for name in table.index if name != "position"]
    words = ", ".join(f"{name} {share_text(table.loc[name, 'excess'])}" for name in ["position", *others])
    best = max((table.loc[name, "excess"] for name in others), default=0.0)
    claim = "Features vary with the position in the model, hardly with text or start (η² beyond chance, median)"
    return Expectation(claim, words, bool(table.loc["position", "excess"] > max(0.5, 3 * best)))


def _subspace(found: Findings) -> list[Expectation]:
    if not len(found.subspace):
        return []
    last = found.subspace.iloc[-1]
    own, null, kin = (float(last[name]) for name in ("unrelated", "null_share", "left_out"))
    words = f"{share_text(own)} of a model left out, of nulls {share_text(null)}"
    more = f"{share_text(kin)} with relatives among the others, {share_text(own)} without"
    return [
        Expectation("Directions of unrelated models explain no more than those of noise", words, own <= null + 0.003),
        Expectation("Relatives among the others make a subspace look universal", more, kin > 2 * own),
    ]


def _function(found: Findings) -> list[Expectation]:
    means = [found.trained.loc[found.trained["kind"] == kind, "cka"].astype(float).mean() for kind in KINDS[2:4]]
    null = found.trained["cka_null"].astype(float).mean()
    if not np.isfinite([*means, null]).all():
        return [Expectation("Function follows the text (CKA)", "the models were not run", None)]
    same, other = means
    words = f"{same:.2f} with the same text, {other:.2f} with another, {null:.2f} between random starts"
    return [
        Expectation("Function follows the text (CKA)", words, bool(same > other)),
        Expectation("CKA needs its null: random starts do not have 0", f"{null:.2f}", bool(null > 0.1)),
    ]


def mark(holds: bool | None) -> str:
    """ "yes", "**no**" or "not asked"."""
    return "not asked" if holds is None else "yes" if holds else "**no**"


def number(value: float, digits: int = 3) -> str:
    """A number of a table; "–" where there is none."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.{digits}f}".replace("-", "−")
