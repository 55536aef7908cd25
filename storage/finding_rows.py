"""The rows of a shared-pattern test, as Arrow tables."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from storage.rows import nullable

if TYPE_CHECKING:  # only named here: reading stored tests shall not load the science
    from engine.discovery.shared_patterns import PatternTest
    from engine.discovery.subspace import Subspace
    from engine.discovery.verdict import PairDividend, Verdict

_EFFECT = ("effect", "low", "high", "p_value", "q_value", "typical", "typical_null")
_PAIR = (
    "correlation",
    "aligned_correlation",
    "gross",
    "null_bits",
    "net",
    "low",
    "high",
    "coded_alone",
    "coded_given",
    "coded_gain",
    "predicted_gain",
    "side_bits",
    "cka",
    "cka_null",
)


@dataclass(frozen=True)
class PatternModel:
    """A model of a test: its content hash (its name too where it was read), its lineage, and what its labels say."""

    content_hash: str
    lineage: int
    labels: dict[str, str] = field(default_factory=dict)
    name: str = ""


@dataclass(frozen=True, eq=False)
class PatternRecord:
    """One shared-pattern test as the job hands it to storage; attributes as the tables' comments say.

    Attributes:
        patterns, subspace: None if that was not asked. pairs: numbers count into `models`; those compared.
        tree: the pairs by which the group is written best.
    """

    models: tuple[PatternModel, ...]
    verdict: Verdict
    null_name: str
    settings: dict
    settings_hash: str
    version: int
    pairs: tuple[PairDividend, ...] = ()
    patterns: PatternTest | None = None
    subspace: Subspace | None = None
    group_bits: float = math.nan
    tree: tuple[tuple[int, int], ...] = ()
    power: float = math.nan
    elapsed_s: float = 0.0


def finding_rows(record: PatternRecord, keys: list[int]) -> dict[str, pa.Table]:
    """The rows of one test by table; the column `test` is added when they are inserted."""
    places = pa.array(range(len(keys)), pa.int32())
    lineages = [model.lineage for model in record.models]
    labels = [json.dumps(model.labels, ensure_ascii=False) for model in record.models]
    found = {"pattern_model": pa.table({"position": places, "model": keys, "lineage": lineages, "labels": labels})}
    if record.patterns is not None:
        found |= {"pattern_effect": _effects(record.patterns), "pattern_variance": _variances(record.patterns)}
    if record.pairs:
        found["pattern_pair"] = _pairs(record, keys)
    if record.subspace is not None and record.subspace.num_directions:
        found["pattern_subspace"] = _subspace(record.subspace)
    return found


def _effects(patterns: PatternTest) -> pa.Table:
    levels = [("level", e.feature, e.role, e.delta, e.q_value, e.typical, e.typical_null) for e in patterns.effects]
    agreements = [
        ("agreement", c.feature, None, c.excess, c.q_value, math.nan, math.nan) for c in patterns.concordances
    ]
    rows = [*levels, *agreements]
    numbers = [(e.effect, e.low, e.high, e.p_value, q, own, null) for _, _, _, e, q, own, null in rows]
    return pa.table(
        {
            "position": pa.array(range(len(rows)), pa.int32()),
            "question": pa.array([row[0] for row in rows], pa.string()),
            "feature": pa.array([row[1] for row in rows], pa.string()),
            "role": pa.array([row[2] for row in rows], pa.string()),
            "num_lineages": pa.array([row[3].num_models for row in rows], pa.int32()),
        }
        | {name: nullable([each[i] for each in numbers]) for i, name in enumerate(_EFFECT)}
    )


def _variances(patterns: PatternTest) -> pa.Table:
    rows = [one for one in patterns.variances if math.isfinite(one.eta_squared)]
    return pa.table(
        {
            "position": pa.array(range(len(rows)), pa.int32()),
            "feature": pa.array([one.feature for one in rows], pa.string()),
            "factor": pa.array([one.factor for one in rows], pa.string()),
            "eta_squared": nullable([one.eta_squared for one in rows]),
            "chance": nullable([one.chance for one in rows]),
            "p_value": nullable([one.p_value for one in rows]),
        }
    )


def _pairs(record: PatternRecord, keys: list[int]) -> pa.Table:
    tree = {frozenset(pair) for pair in record.tree}
    numbers = []
    for pair in record.pairs:
        found, coding, cka = pair.dividend, pair.coding, pair.cka
        coded = [math.nan] * 5
        if coding is not None:
            coded = [coding.bits_alone, coding.bits_given, coding.gain, coding.predicted, coding.side_bits]
        shown = (
            found.correlation,
            found.aligned_correlation,
            found.gross,
            found.null,
            found.net,
            found.low,
            found.high,
        )
        numbers.append((*shown, *coded, *((cka.value, cka.null) if cka else (math.nan, math.nan))))
    return pa.table(
        {
            "model_a": pa.array([keys[pair.first] for pair in record.pairs], pa.int32()),
            "model_b": pa.array([keys[pair.second] for pair in record.pairs], pa.int32()),
            "is_related": pa.array([pair.is_related for pair in record.pairs], pa.bool_()),
            "is_in_tree": pa.array([frozenset((p.first, p.second)) in tree for p in record.pairs], pa.bool_()),
            "alignment": pa.array([pair.dividend.alignment for pair in record.pairs], pa.string()),
            "num_weights": pa.array([pair.dividend.num_weights for pair in record.pairs], pa.int64()),
            "by_role": pa.array([_json(pair.dividend.by_role) for pair in record.pairs], pa.string()),
        }
        | {name: nullable([each[i] for each in numbers]) for i, name in enumerate(_PAIR)}
    )


def _subspace(found: Subspace) -> pa.Table:
    return pa.table(
        {
            "num_directions": pa.array(found.num_directions, pa.int32()),
            "left_out": nullable(found.left_out),
            "unrelated": nullable(found.unrelated),
            "mean_only": nullable([found.mean_only] * len(found.num_directions)),
            "null_share": nullable(found.null),
            "in_sample": nullable(found.in_sample),
        }
    )


def null(value: float) -> float | None:
    """What SQL and JSON can hold: None for NaN and infinities."""
    return value if math.isfinite(value) else None


def _json(values: dict[str, float]) -> str:
    return json.dumps({name: null(value) for name, value in values.items()}, ensure_ascii=False)
