"""The job that asks whether models share weight patterns, and whether sharing would compress them."""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace

import numpy as np

import engine.sources
from engine.compare.lineage import lineage
from engine.compare.matching import match_tensors
from engine.discovery import shared_patterns, sharing_dividend
from engine.discovery.activations import NUM_STARTS, compared, passage_vectors, passages
from engine.discovery.cka import Cka
from engine.discovery.coding_gain import coding_gain
from engine.discovery.nulls import DEFAULT_NULL, NULLS
from engine.discovery.power import power
from engine.discovery.shared_patterns import PatternTest, count_tests, pattern_test
from engine.discovery.sharing_dividend import SHARED_BITS, dividend, group_dividend
from engine.discovery.signature.registry import VERSION as SIGNATURE_VERSION
from engine.discovery.subspace import SIBLINGS, Subspace, common_matrices, lineages_of, subspace, tensor_products
from engine.discovery.verdict import PairDividend, verdict
from engine.errors import JobError, RunnerError, SourceError
from engine.naming import family
from engine.sources.base import Source
from engine.training.corpora.bundled import bundled
from storage.findings import PatternModel, PatternRecord, PatternSummary
from storage.store import Store
from workflows.extract import ExtractOutcome, ExtractSettings, extract
from workflows.locations import location
from workflows.pattern_features import measurable, measured
from workflows.pattern_staging import PatternStaging, pair_of, pair_part
from workflows.reports import Meter, Report
from workflows.runs import RunFolder

FEWEST_MODELS, MOST_DRAWS = 2, 50
SUBSPACE_WEIGHTS = 1 << 25
"""Weights of a model that the subspace test looks at; chosen by us: more changes no share visibly."""


@dataclass(frozen=True)
class PatternSettings:
    """How to test.

    Attributes:
        null: a name of `engine.discovery.nulls.NULLS`. draws: nulls of every matrix, and of every pair.
        with_features: effects, concordance and variance. with_coding: really write one model given the other.
        with_subspace: the leave-one-out test. with_cka: run models that can be run, and compare what they make of text.
        labels: model (as it is given) -> what is known of its training: {"data": …, "seed": …}.
    """

    null: str = DEFAULT_NULL
    draws: int = 3
    with_features: bool = True
    with_coding: bool = True
    with_subspace: bool = True
    with_cka: bool = False
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.null not in NULLS:
            raise JobError(f"There is no null model {self.null!r}.", f"Choose one of {', '.join(NULLS)}.")
        if not 1 <= self.draws <= MOST_DRAWS:
            raise JobError(f"Between 1 and {MOST_DRAWS} draws of the null are taken, got {self.draws}.")

    def as_json(self, labels: Mapping[str, Mapping[str, str]]) -> dict:
        """What is stored; labels by content hash."""
        facts = {name: value for name, value in asdict(self).items() if name != "labels"}
        return facts | {"labels": {key: dict(labels[key]) for key in sorted(labels)}}


@dataclass(frozen=True)
class PatternOutcome:
    """What testing did: the stored test's number and verdict, and whether it was there already."""

    test: int
    names: tuple[str, ...]
    was_stored: bool
    verdict: str
    sentences: tuple[str, ...]
    limits: tuple[str, ...]
    num_lineages: int
    num_resumed: int
    elapsed_s: float


def patterns(
    models: Sequence[str],
    *,
    store: Store,
    run: RunFolder | None = None,
    settings: PatternSettings | None = None,
    report: Report | None = None,
) -> PatternOutcome:
    """Ask whether models share weight patterns, and store the answer; a stored answer is not sought again.

    Models that were not measured yet are measured first. Of equal models only the first counts.

    Args:
        models: at least two, each as `extract` takes it. run: where finished parts are kept for resuming.
        report: hears phases, work done and time left; may stop the work.
    Raises: JobError if fewer than two different models are left; SourceError; Cancelled; StorageError.
    """
    begin_s = time.monotonic()
    settings, report = settings or PatternSettings(), report or Report()
    known: dict[str, ExtractOutcome] = {}
    labels: dict[str, dict[str, str]] = {}
    for model in dict.fromkeys(models):
        found = extract(model, store=store, run=run, settings=ExtractSettings(), report=report)
        known.setdefault(found.content_hash, found)
        said = settings.labels.get(model) or settings.labels.get(found.name) or {}
        labels.setdefault(found.content_hash, {name: str(value) for name, value in said.items()})
    if len(known) < FEWEST_MODELS:
        raise JobError(
            f"A test of shared patterns takes at least {FEWEST_MODELS} different models, got {len(known)}.",
            "Name more models; copies of one model count once.",
        )
    facts = settings.as_json({key: value for key, value in labels.items() if value})
    versions = (shared_patterns.VERSION, sharing_dividend.VERSION, SIGNATURE_VERSION)
    key = hashlib.sha256(json.dumps([versions, facts], sort_keys=True).encode()).hexdigest()[:16]
    stored, num_resumed = store.find_pattern_test(list(known), key), 0
    was_stored = stored is not None
    if stored is None:
        staging = PatternStaging(run.checkpoints if run else None, (*sorted(known), key))
        with ExitStack() as opened:
            sources = [
                opened.enter_context(engine.sources.open(location(store, found.name).uri)) for found in known.values()
            ]
            work = _Work(sources, list(known.values()), list(labels.values()), settings, staging, report)
            record = work.record(facts, key, versions[0])
            work.check_unchanged()
        Meter(report, "storing")
        elapsed_s = time.monotonic() - begin_s
        stored = store.pattern_test(store.save_pattern_test(replace(record, elapsed_s=elapsed_s)))
        num_resumed = staging.num_resumed
        staging.clear()
    return _outcome(stored, was_stored, num_resumed, time.monotonic() - begin_s)


class _Work:
    """The models of one test, opened, and what was found of them."""

    def __init__(
        self,
        sources: list[Source],
        models: list[ExtractOutcome],
        labels: list[dict[str, str]],
        settings: PatternSettings,
        staging: PatternStaging,
        report: Report,
    ) -> None:
        self._sources, self._models, self._labels = sources, models, labels
        self._settings, self._staging, self._report = settings, staging, report
        self._fingerprints = [source.fingerprint for source in sources]
        self._names = [model.name for model in models]

    def record(self, facts: dict, key: str, version: int) -> PatternRecord:
        """All of it, in order: pairs say who is related, and everything else counts relatives once."""
        pairs = self._pairs()
        lineages = self._lineages(pairs)
        likeness = self._cka() if self._settings.with_cka else {}
        pairs = [_judged(pair, lineages, likeness.get((pair.first, pair.second))) for pair in pairs]
        test, num_tests = self._features(lineages)
        expected = power(len(set(lineages)), num_tests)
        common = self._subspace(lineages)
        nets = np.full((len(self._models),) * 2, np.nan)
        for pair in pairs:
            gain = pair.dividend.net if pair.pays else 0.0
            nets[pair.first, pair.second] = nets[pair.second, pair.first] = gain
        group_bits, tree = group_dividend(nets)
        said = verdict(self._names, test, expected, pairs, common)
        models = tuple(
            PatternModel(model.content_hash, lineage, labels)
            for model, lineage, labels in zip(self._models, lineages, self._labels, strict=True)
        )
        return PatternRecord(
            models, said, self._settings.null, facts, key, version, tuple(pairs), test, common, group_bits,
            tuple(tree), expected.power,
        )  # fmt: skip

    def check_unchanged(self) -> None:
        for source, before in zip(self._sources, self._fingerprints, strict=True):
            if source.fingerprint != before:
                raise SourceError(f"{source.uri} changed while it was being tested; nothing was stored.", "Try again.")

    def _pairs(self) -> list[PairDividend]:
        """Every pair that has matrices in common; `is_related` by what the pair itself shows."""
        everyone = list(itertools.combinations(range(len(self._models)), 2))
        meter = Meter(self._report, "laying models over each other", len(everyone), "pair")
        found = []
        for first, second in everyone:
            names = f"{self._names[first]} and {self._names[second]}"
            hashes = self._models[first].content_hash, self._models[second].content_hash
            kept = self._staging.take("pair", *hashes)
            if kept is None:
                pair = self._pair(first, second, meter)
                self._staging.keep(pair_part(pair), "pair", *hashes)
                meter.advance(1, names)
            else:
                pair = pair_of(first, second, kept)
                meter.skip(1)
            if pair.dividend.num_weights:
                found.append(pair)
        return found

    def _pair(self, first: int, second: int, meter: Meter) -> PairDividend:
        a, b = self._sources[first], self._sources[second]
        matching = match_tensors(a, b)
        found, laid = dividend(a, b, matching, self._settings.null, self._settings.draws, meter.say)
        is_related = found.correlation > SIBLINGS
        if not is_related and found.net > SHARED_BITS:  # relatives in another order, or the discovery of the year
            is_related = lineage(a, b, matching, lambda _: meter.say()).verdict in _KIN
        coding = coding_gain(laid, meter.say) if self._settings.with_coding and found.num_weights else None
        return PairDividend(first, second, is_related, found, coding)

    def _lineages(self, pairs: Sequence[PairDividend]) -> list[int]:
        table = np.zeros((len(self._models),) * 2)
        for pair in pairs:
            table[pair.first, pair.second] = table[pair.second, pair.first] = float(pair.is_related)
        return lineages_of(table)

    def _features(self, lineages: Sequence[int]) -> tuple[PatternTest | None, int]:
        if not self._settings.with_features:
            return None, 1
        total = sum(len(measurable(source)) for source in self._sources)
        meter = Meter(self._report, "measuring features", total, "matrix")
        asked = self._settings.null, self._settings.draws
        kinds = [family([info.name for info in source.infos()], source.config) for source in self._sources]
        labelled = [{"architecture": kind} | labels for kind, labels in zip(kinds, self._labels, strict=True)]
        models = [
            measured(source, model.content_hash, *asked, labels, self._staging, meter)
            for source, model, labels in zip(self._sources, self._models, labelled, strict=True)
        ]
        testing = Meter(self._report, "testing")
        found = pattern_test(models, lineages, testing.say)
        return found, len(found.effects) or count_tests(models)

    def _cka(self) -> dict[tuple[int, int], Cka]:
        """How alike the models compute that can be run, on passages of the bundled book; the others are left out."""
        texts = passages("\n\n".join(document.text for document in bundled()["weigh-house"].documents()))
        meter = Meter(self._report, "running models", len(self._sources), "model")
        vectors, starts, kept = [], [], []
        for number, source in enumerate(self._sources):
            try:
                own = passage_vectors(source, texts, None, meter.say)
                others = [passage_vectors(source, texts, number * 1000 + s, meter.say) for s in range(NUM_STARTS)]
            except RunnerError as error:
                self._report.log(str(error))
            else:
                vectors.append(own)
                starts.append(others)
                kept.append(number)
            meter.advance(1, self._names[number])
        every = itertools.combinations(range(len(kept)), 2)
        return {(kept[i], kept[j]): compared(vectors, starts, i, j) for i, j in every}

    def _subspace(self, lineages: Sequence[int]) -> Subspace | None:
        """Of the largest group of models with equal shapes, if there are at least three; else None."""
        shapes: dict[str, list[int]] = {}
        for number, source in enumerate(self._sources):
            table = sorted((info.name, info.shape) for info in source.infos() if len(info.shape) >= 2)
            shapes.setdefault(str(table), []).append(number)
        group = max(shapes.values(), key=len)
        if not self._settings.with_subspace or len(group) < 3:
            return None
        sources = [self._sources[number] for number in group]
        names = common_matrices(sources, SUBSPACE_WEIGHTS)
        meter = Meter(self._report, "leaving one out", len(names), "matrix")
        products = []
        for name in names:
            products.append(tensor_products(sources, name, sharing_dividend.fit_null(self._settings.null)))
            meter.advance(1, name)
        num_weights = sum(int(np.prod(sources[0].info(name).shape)) for name in names)
        own, nulls = zip(*products, strict=True) if products else ((), ())
        return subspace(own, nulls, [lineages[number] for number in group], num_weights)


_KIN = frozenset({"same weights", "derived", "same seed"})
"""Verdicts of a lineage test that mean a common origin."""


def _judged(pair: PairDividend, lineages: Sequence[int], likeness: Cka | None) -> PairDividend:
    """A pair is related if a chain of relatives joins its models."""
    return replace(pair, is_related=lineages[pair.first] == lineages[pair.second], cka=likeness)


def _outcome(stored: PatternSummary, was_stored: bool, num_resumed: int, elapsed_s: float) -> PatternOutcome:
    names = tuple(model.name for model in stored.models)
    told = stored.verdict, stored.sentences, stored.limits, stored.num_lineages
    return PatternOutcome(stored.test, names, was_stored, *told, num_resumed, elapsed_s)
