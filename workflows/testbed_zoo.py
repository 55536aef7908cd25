"""The zoo of the test bed: small decoders trained here, of which it is known what they learnt and where they began."""

from __future__ import annotations

import json
import math
import multiprocessing
import platform
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from engine.errors import JobError, TrainingError
from engine.training.corpora.token_stream import TokenStream
from engine.training.events import Evaluated, Event
from engine.training.footprint import num_parameters
from engine.training.llama_folder import load_llama, save_llama
from engine.training.model import Decoder
from engine.training.settings import ModelSettings, TrainingSettings
from engine.training.supervised import train
from workflows.folders import replace_text
from workflows.reports import Meter, Report
from workflows.testbed_texts import Prepared, prepared

Part = Literal["independent", "sibling", "child", "wide", "deep"]
FREED, START = "-freed", "-start"
FACTS, SETTINGS = "testbed.json", "settings.json"


@dataclass(frozen=True, slots=True)
class ZooSettings:
    """What decides the zoo's weights, but for the texts of the running Python.

    Attributes:
        repeats: independent models of each text. steps, child_steps: updates. batch_size: windows of `context` tokens.
        learning_rate, child_rate: AdamW's highest. corpus_bytes: of each text at the most. The rest: the usual shape.
    """

    repeats: int = 3
    vocabulary_size: int = 1024
    width: int = 128
    layers: int = 4
    heads: int = 4
    context: int = 128
    steps: int = 500
    child_steps: int = 150
    batch_size: int = 8
    learning_rate: float = 3e-3
    child_rate: float = 5e-4
    corpus_bytes: int = 600_000


QUICK = ZooSettings(2, 512, 32, 2, 2, 64, 60, 20, 8, 3e-3, 5e-4, 60_000)
"""Tiny models that know hardly anything, in about a minute: shows that everything works, and no more."""


@dataclass(frozen=True, slots=True)
class Member:
    """One model of the zoo.

    Attributes:
        name: of its folder. part: its role in the test bed. text: what it learnt. start: seed of its first weights.
        order: seed of the order of its text. parent: whose weights it went on with; "" for fresh ones.
    """

    name: str
    part: Part
    text: str
    start: int
    order: int
    parent: str = ""

    @property
    def is_common(self) -> bool:
        """Whether it has the usual shape."""
        return self.part not in ("wide", "deep")


def members(texts: Sequence[str], repeats: int) -> list[Member]:
    """Everyone: each text `repeats` times with a start of its own; siblings of the first; a child; two other shapes."""
    found = [
        Member(f"{text}-{repeat + 1}", "independent", text, 1 + number * repeats + repeat, repeat)
        for number, text in enumerate(texts)
        for repeat in range(repeats)
    ]
    first = found[0]
    found += [Member(f"{text}-from-start-1", "sibling", text, first.start, 0) for text in texts[1:]]
    found.append(Member(f"{first.name}-then-{texts[1]}", "child", texts[1], first.start, 100, first.name))
    starts = len(texts) * repeats
    found += [Member(name, name, first.text, starts + 1 + place, 0) for place, name in enumerate(("wide", "deep"))]
    return found


def shape(member: Member, settings: ZooSettings) -> ModelSettings:
    """The usual shape; "wide" has half the layers and 3/2 of the width, "deep" twice the layers and 3/4 of it."""
    width, layers = {
        "wide": (settings.width * 3 // 2, settings.layers // 2),
        "deep": (settings.width * 3 // 4, settings.layers * 2),
    }.get(member.part, (settings.width, settings.layers))
    return ModelSettings(settings.vocabulary_size, width, layers, settings.heads, context=settings.context)


def make_zoo(folder: Path, settings: ZooSettings, workers: int, report: Report) -> list[Member]:
    """Train everyone who is not there yet, each on one thread, so many at a time; then write the untrained starts.

    A model's folder appears whole or not at all, with what is known of it in testbed.json.

    Raises: JobError if the folder holds a zoo of other settings; TrainingError; Cancelled between two models.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _claim(folder, settings)
    Meter(report, "gathering texts")
    text = prepared(settings.corpus_bytes, settings.vocabulary_size, settings.context)
    everyone = members(list(text.texts), settings.repeats)
    meter = Meter(report, "training", len(everyone), "models")
    for children in (False, True):  # a child needs its parent
        wave = [member for member in everyone if bool(member.parent) == children]
        missing = [member for member in wave if not (folder / member.name / FACTS).is_file()]
        meter.skip(len(wave) - len(missing))
        for name, seconds in _trained(folder, settings, text, missing, workers):
            report.log(f"{name} was trained in {seconds:.0f} s.")
            meter.advance(1, name)
    for member in everyone:
        if member.part == "independent":
            _write_start(folder, member, settings, text)
            _write_freed(folder, member, text)
    return everyone


def start_folder(folder: Path, member: Member) -> Path:
    """Where the weights are that a model began with."""
    return folder / f"{member.name}{START}"


def freed_folder(folder: Path, member: Member) -> Path:
    """Where a copy of a model is whose embedding lacks its leading direction."""
    return folder / f"{member.name}{FREED}"


def facts_of(place: Path) -> dict:
    """What was noted when the model in that folder was made. Raises: JobError if that is gone."""
    try:
        return json.loads((place / FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise JobError(f"{place.name} of the test bed cannot be read: {error}.", "Delete its folder.") from error


def _claim(folder: Path, settings: ZooSettings) -> None:
    said = json.dumps(asdict(settings) | {"python": platform.python_version(), "torch": torch.__version__}, indent=1)
    path = folder / SETTINGS
    if path.is_file() and path.read_text(encoding="utf-8") != said:
        raise JobError(
            f"{folder} holds a zoo that was made with other settings or versions.",
            "Choose another folder with --data, or delete this one.",
        )
    replace_text(path, said)


def _trained(
    folder: Path, settings: ZooSettings, text: Prepared, missing: Sequence[Member], workers: int
) -> Iterator[tuple[str, float]]:
    """(name, seconds) of each, as they end; with one worker in this very process."""
    if workers == 1 or len(missing) < 2:
        for member in missing:
            yield member.name, make_member(folder, settings, text, member)
        return
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        try:
            yield from _ended(pool, missing, lambda one: pool.submit(make_member, folder, settings, text, one))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _ended(
    pool: Executor, missing: Sequence[Member], submit: Callable[[Member], Future[float]]
) -> Iterator[tuple[str, float]]:
    names = {submit(member): member.name for member in missing}
    for future in as_completed(names):
        yield names[future], future.result()


def make_member(folder: Path, settings: ZooSettings, text: Prepared, member: Member) -> float:
    """Train one and put it in place; an interrupted training goes on. Returns: seconds.

    Raises: TrainingError if it did not come to its end.
    """
    own, looks = text.texts[member.text], {}

    def hear(event: Event) -> None:
        if isinstance(event, Evaluated):
            looks[event.step] = event.bits_per_byte

    asked = training_settings(member, settings)
    model = load_llama(folder / member.parent)[0] if member.parent else fresh(member, settings)
    stream = TokenStream.of([own.training], text.tokenizer, member.order)
    work = folder / f".{member.name}.work"
    result = train(model, text.tokenizer, stream, own.validation, asked, work, hear, lambda: False)
    if result.ending != "finished":
        raise TrainingError(f"{member.name} was not trained to its end: {result.reason}", "Delete its folder.")
    facts = asdict(member) | {
        "num_parameters": num_parameters(shape(member, settings)),
        "num_tokens": stream.num_tokens,
        "steps": asked.steps,
        "bits_per_byte_before": looks.get(0, math.nan),
        "bits_per_byte": looks.get(asked.steps, math.nan),
        "elapsed_s": result.elapsed_s,
    }
    _put_in_place(model, text, folder / member.name, facts)
    shutil.rmtree(work, ignore_errors=True)
    return result.elapsed_s


def training_settings(member: Member, settings: ZooSettings) -> TrainingSettings:
    """How a member learns: AdamW in fp32 on one thread, so that the same versions give the same bits."""
    usual = TrainingSettings(
        steps=settings.steps,
        batch_size=settings.batch_size,
        optimizer="adamw",
        learning_rate=settings.learning_rate,
        precision="fp32",
        evaluate_every=settings.steps,
        save_every=100,
        keep_last=1,
        sample_every=0,
        seed=member.order,
        threads=1,
        device="cpu",
    )
    if not member.parent:
        return usual
    steps = settings.child_steps
    return replace(usual, steps=steps, evaluate_every=steps, learning_rate=settings.child_rate, warmup_steps=10)


def fresh(member: Member, settings: ZooSettings) -> Decoder:
    """The model before it learnt anything: a pure function of its start and shape."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(member.start)
        return Decoder(shape(member, settings))


def _write_start(folder: Path, member: Member, settings: ZooSettings, text: Prepared) -> None:
    place = start_folder(folder, member)
    if not (place / FACTS).is_file():
        _put_in_place(fresh(member, settings), text, place, asdict(member))


def _write_freed(folder: Path, member: Member, text: Prepared) -> None:
    """A copy whose embedding has its leading direction taken away: what is common to nearly all of its rows.

    Training pushes the rows of rare words all in one direction. Sorting the columns lays these directions of any two
    models over each other, so that they count as shared, though they say next to nothing.
    """
    place = freed_folder(folder, member)
    if (place / FACTS).is_file():
        return
    model, _ = load_llama(folder / member.name)
    with torch.no_grad():
        table = model.embed_tokens.weight.double()
        left, values, right = torch.linalg.svd(table, full_matrices=False)
        model.embed_tokens.weight.copy_(table - values[0] * torch.outer(left[:, 0], right[0]))
    share = float(values[0] ** 2 / (values**2).sum())
    _put_in_place(model, text, place, asdict(member) | {"leading_share": share})


def _put_in_place(model: Decoder, text: Prepared, place: Path, facts: dict) -> None:
    part = place.with_name(f".{place.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    save_llama(model, text.tokenizer, part)
    (part / FACTS).write_text(json.dumps(facts, indent=1), encoding="utf-8")
    shutil.rmtree(place, ignore_errors=True)
    part.rename(place)
