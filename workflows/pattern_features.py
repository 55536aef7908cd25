"""Signatures of a model's matrices beside those of their nulls, for the shared-pattern test."""

from __future__ import annotations

import numpy as np

from engine.discovery.initialisation import initial_law
from engine.discovery.nulls import null_matrix
from engine.discovery.shared_patterns import Measured
from engine.discovery.sharing_dividend import seed
from engine.discovery.signature import FEATURES, signature
from engine.discovery.signature.facts import HeadRun
from engine.discovery.signature.reading import has_signature, head_runs, read_for_null
from engine.errors import MeasureError
from engine.naming import family, place
from engine.sources.base import Source, TensorInfo
from workflows.pattern_staging import PatternStaging
from workflows.reports import Meter


def measurable(source: Source) -> list[TensorInfo]:
    """The tensors that have a signature, in file order."""
    return [info for info in source.infos() if has_signature(info)]


def measured(
    source: Source,
    content_hash: str,
    null: str,
    draws: int,
    labels: dict[str, str],
    staging: PatternStaging,
    meter: Meter,
) -> Measured:
    """Signatures of every matrix and of `draws` nulls of it; one that has none is left out.

    Nulls differ between models, tensors and draws: equal noise in two models would look like a shared pattern.
    """
    infos, heads = measurable(source), head_runs(source)
    kind = family([info.name for info in source.infos()], source.config)
    places, values, nulls = [], [], []
    for info in infos:
        where = place(info.name, info.shape)
        found = staging.take("signature", content_hash, info.name)
        if found is None:
            law = initial_law(info.shape, source.config, kind, where.role)

            def make(matrix: np.ndarray, draw: int, name: str = info.name, law=law) -> np.ndarray:
                return null_matrix(null, matrix, seed(f"{content_hash} {name}", draw), law)

            try:
                found = _signatures(source, info, heads.get(info.name, ()), make, draws, meter)
            except MeasureError:  # such as NaN weights: this matrix says nothing
                found = []
            staging.keep(found, "signature", content_hash, info.name)
            meter.advance(1, info.name)
        else:
            meter.skip(1)
        if found:
            places.append(where)
            values.append(found[0])
            nulls.append(found[1:])
    shape = (draws, len(places), len(FEATURES))
    return Measured(
        source.name,
        tuple(places),
        np.array(values, np.float64).reshape(shape[1:]),
        np.array(nulls, np.float64).reshape(len(places), draws, len(FEATURES)).transpose(1, 0, 2),
        labels,
    )


def _signatures(
    source: Source, info: TensorInfo, heads: tuple[HeadRun, ...], make, draws: int, meter: Meter
) -> list[list[float]]:
    """Features of the matrix, then of each of its nulls."""
    matrix, heads = read_for_null(source, info, heads)
    found = [signature(matrix, heads=heads, on_bytes=lambda _: meter.say(info.name)).values.tolist()]
    for draw in range(draws):
        other = make(matrix, draw)
        found.append(signature(other, heads=heads, on_bytes=lambda _: meter.say(info.name)).values.tolist())
    return found
