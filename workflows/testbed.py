"""The test bed: trains a small zoo, asks it the research question as anyone would, and writes the answer down."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from threadpoolctl import threadpool_limits

from engine.discovery.nulls import DEFAULT_NULL
from engine.errors import SourceError
from storage.store import Store
from workflows.locations import add_path
from workflows.null_signatures import null_signatures
from workflows.reports import Meter, Report
from workflows.runs import RunFolder
from workflows.shared_patterns import PatternOutcome, PatternSettings, patterns
from workflows.signatures import SignaturesSettings, signatures
from workflows.testbed_zoo import Member, ZooSettings, freed_folder, make_zoo, start_folder

WORK = "testbed"
"""The folder in which unfinished work is kept."""


@dataclass(frozen=True)
class TestbedSettings:
    """What to make and ask.

    Attributes:
        zoo: the models to train. others: more models for the test over kinds, as `extract` takes them.
        draws: nulls of every matrix and pair. workers: trainings at once, and threads of everything else.
        with_cka: run the models too.
    """

    __test__ = False  # no test case, whatever pytest makes of its name

    zoo: ZooSettings = field(default_factory=ZooSettings)
    others: tuple[str, ...] = ()
    draws: int = 3
    workers: int = 2
    with_cka: bool = True


@dataclass(frozen=True)
class Zoo:
    """The models by what they are for.

    Attributes:
        members: as they were trained. folder: where. others: names of the models that came from elsewhere.
        names: of the folders of members, starts and freed copies -> as the database knows them.
        left_out: model -> why it could not be used.
    """

    members: tuple[Member, ...]
    folder: Path
    names: dict[str, str]
    others: tuple[str, ...]
    left_out: dict[str, str]


@dataclass(frozen=True)
class TestbedOutcome:
    """The zoo, and the stored tests.

    Attributes:
        trained: of all models of the usual shape. freed: of the independent ones without the leading direction of their
            embeddings. starts: of what those were before training. kinds: of one model a text, the two other shapes,
            and models from elsewhere.
    """

    __test__ = False

    zoo: Zoo
    trained: PatternOutcome
    freed: PatternOutcome
    starts: PatternOutcome
    kinds: PatternOutcome
    elapsed_s: float


def testbed(data: Path, settings: TestbedSettings | None = None, report: Report | None = None) -> TestbedOutcome:
    """Train what is missing, measure what was not measured, and test what was not tested.

    Args: data: the database's folder; the models go into its folder "zoo".
    Raises: JobError if the zoo there is another; TrainingError; StorageError; Cancelled. What is done stays done.
    """
    begin_s = time.monotonic()
    settings, report = settings or TestbedSettings(), report or Report()
    members = make_zoo(data / "zoo", settings.zoo, settings.workers, report)
    store, run = Store(data), RunFolder(data / WORK)
    run.checkpoints.mkdir(parents=True, exist_ok=True)
    with threadpool_limits(settings.workers):
        zoo = _known(store, data / "zoo", members, settings.others, report)
        said = {zoo.names[member.name]: {"text": text_label(member)} for member in members}
        asked = {"store": store, "run": run, "report": report}
        alone = [member for member in members if member.part == "independent"]
        common = [zoo.names[member.name] for member in members if member.is_common]
        _signatures(store, run, common, settings.workers, report)
        usual = PatternSettings(draws=settings.draws, with_cka=settings.with_cka, labels=said)
        plain = PatternSettings(draws=settings.draws)
        found = {
            "trained": patterns(common, settings=usual, **asked),
            "freed": patterns(
                [zoo.names[freed_folder(zoo.folder, member).name] for member in alone],
                settings=PatternSettings(draws=settings.draws, with_features=False),
                **asked,
            ),
            "starts": patterns(
                [zoo.names[start_folder(zoo.folder, member).name] for member in alone], settings=plain, **asked
            ),
        }
        firsts = [member for member in members if not member.is_common or (member in alone and not member.order)]
        kinds = [*(zoo.names[member.name] for member in firsts), *zoo.others]
        found["kinds"] = patterns(kinds, settings=plain, **asked)
    return TestbedOutcome(zoo, **found, elapsed_s=time.monotonic() - begin_s)


def text_label(member: Member) -> str:
    """What a member learnt from; a child's second text is not its only one."""
    return f"{member.parent.rpartition('-')[0]}, then {member.text}" if member.parent else member.text


def _known(store: Store, folder: Path, members: Sequence[Member], others: Sequence[str], report: Report) -> Zoo:
    folders = [folder / member.name for member in members]
    for member in members:
        if member.part == "independent":
            folders += [start_folder(folder, member), freed_folder(folder, member)]
    names = {place.name: add_path(store, place).name for place in folders}
    found, left_out = [], {}
    for other in others:
        try:
            found.append(add_path(store, other).name)
        except SourceError as error:
            left_out[Path(other).name] = error.message.replace(f"{Path(other).parent}{os.sep}", "")
            report.log(f"{other} is left out: {error.message}")
    return Zoo(tuple(members), folder, names, tuple(dict.fromkeys(found)), left_out)


def _signatures(store: Store, run: RunFolder, models: Sequence[str], threads: int, report: Report) -> None:
    """Signatures of models and of a null of each: what the maps are drawn from."""
    meter = Meter(report, "taking signatures", len(models), "models")
    for model in models:
        signatures(model, store=store, run=run, settings=SignaturesSettings(threads), report=_Quiet(report))
        null_signatures(model, DEFAULT_NULL, store=store, run=run, threads=threads, report=_Quiet(report))
        meter.advance(1, model)


class _Quiet(Report):
    """Passes on the wish to stop and what goes into the log, but not every step."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def log(self, text: str) -> None:
        self._report.log(text)

    def check(self) -> None:
        self._report.check()
