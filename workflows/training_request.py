"""What a person asks of a training: the model, its text, how it learns and plays. Plain data, JSON both ways."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import types
import typing
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args, get_origin

from engine.errors import TrainingError
from engine.training.footprint import completed
from engine.training.settings import CorpusChoice, ModelSettings, SelfPlaySettings, TrainingSettings

LONGEST_NAME = 60
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_AS_CHECKPOINT = re.compile(r"(checkpoint|ckpt)[-_.]?\d+", re.IGNORECASE)

_Settings = TypeVar("_Settings")


@dataclass(frozen=True)
class TrainingRequest:
    """One run: an optional supervised phase, then an optional self-play phase.

    Attributes:
        name: of the model that will be made, and of its folder.
        model: the shape of a new model; None to go on from `start_from`.
        start_from: a model of the library by its name, or any Llama-like folder; "" for a new model.
        corpora: the text; also self-play needs it, for its prompts and its held-out text.
        training: how it learns from the text; None to skip that.
        self_play: how it goes on from rewards for what it writes; None to skip that.
        held_out_share: part of the text set aside for validation, and as much for test; 0 … 0.4.
        notes: the person's own words, kept in the model card.
        waits: whether it waits until other trainings end; False starts at once beside them.
    """

    name: str
    model: ModelSettings | None = None
    start_from: str = ""
    corpora: tuple[CorpusChoice, ...] = ()
    training: TrainingSettings | None = None
    self_play: SelfPlaySettings | None = None
    held_out_share: float = 0.05
    notes: str = ""
    waits: bool = True

    def to_json(self) -> dict:
        """As JSON values: what run.json and the experiment keep."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_json(cls, values: dict) -> TrainingRequest:
        """The request that `to_json` wrote; what is left out takes its default.

        Raises: TrainingError for unknown names, and for values of another type.
        """
        return _built(cls, values, "request")

    def check(self) -> TrainingRequest:
        """The request itself, if it makes sense on its own. Raises TrainingError, which says what does not."""
        check_name(self.name)
        if (self.model is None) == (not self.start_from):
            raise TrainingError(
                f"{self.name} needs either the shape of a new model or a model to go on from.", "Choose one of them."
            )
        if self.training is None and self.self_play is None:
            raise TrainingError(f"{self.name} has nothing to do.", "Ask for training, self-play, or both.")
        if self.training is None and self.model is not None:
            raise TrainingError(
                f"{self.name} is a new model: it has nothing to play with before it learnt anything.",
                "Train it first, or let a model play that has learnt already.",
            )
        if not self.corpora:
            raise TrainingError(f"{self.name} has no text to learn from.", "Attach at least one corpus.")
        for choice in self.corpora:
            _check_range(f"The weight of {choice.source}", choice.weight, 0, math.inf, above=True)
        names = [f"{choice.source} {choice.split}".strip() for choice in self.corpora]  # as a corpus will be called
        if twice := [name for name in names if names.count(name) > 1]:
            raise TrainingError(f"{twice[0]} is attached twice.", "Attach it once, and raise its weight instead.")
        _check_range("The held-out share", self.held_out_share, 0, 0.4, above=True)
        if self.model is not None:
            _check_model(self.model)
        if self.training is not None:
            _check_training(self.training)
        if self.self_play is not None:
            _check_self_play(self.self_play)
        return self

    @property
    def steps(self) -> int:
        """Steps of the whole run at the most: updates from text, then iterations of self-play."""
        return (self.training.steps if self.training else 0) + (self.self_play.iterations if self.self_play else 0)


def check_name(name: str) -> str:
    """The name, if a folder can be called so on any system. Raises TrainingError otherwise."""
    hint = "Use letters, digits, dots, dashes and underscores, such as my-book-1."
    if not _NAME.fullmatch(name) or len(name) > LONGEST_NAME or name.endswith("."):
        raise TrainingError(f"{name!r} cannot be the name of a model: at most {LONGEST_NAME} plain characters.", hint)
    if _RESERVED.fullmatch(name) or _AS_CHECKPOINT.fullmatch(name):
        raise TrainingError(f"{name!r} cannot be the name of a model: it means something else.", hint)
    return name


def _check_model(model: ModelSettings) -> None:
    """The engine's own rules, and bounds beyond which nobody means it."""
    for field, least in (("vocabulary_size", 257), ("width", 2), ("layers", 1), ("heads", 1), ("context", 2)):
        _check_range(field, getattr(model, field), least, 10**7)
    _check_range("dropout", model.dropout, 0, 0.95)
    completed(model)


def _check_training(training: TrainingSettings) -> None:
    for field in ("steps", "batch_size", "accumulation", "evaluate_every", "save_every", "keep_last"):
        _check_range(field, getattr(training, field), 1, 10**9)
    for field in ("warmup_steps", "patience", "sample_every", "threads", "learning_rate", "muon_rate", "weight_decay"):
        _check_range(field, getattr(training, field), 0, 10**9)
    for field in ("final_share", "decay_share"):
        _check_range(field, getattr(training, field), 0, 1)
    _check_range("max_norm", training.max_norm, 0, math.inf, above=True)
    if training.accumulation > training.batch_size:
        raise TrainingError(
            f"A batch of {training.batch_size} cannot be computed in {training.accumulation} parts.",
            "Take less accumulation, or a larger batch.",
        )


def _check_self_play(self_play: SelfPlaySettings) -> None:
    for field in ("iterations", "prompts", "new_tokens", "prompt_tokens", "evaluate_every", "save_every", "keep_last"):
        _check_range(field, getattr(self_play, field), 1, 10**9)
    _check_range("group", self_play.group, 2, 10**6)  # an advantage compares samples of one prompt
    for field in ("temperature", "max_norm", "learning_rate"):
        _check_range(field, getattr(self_play, field), 0, math.inf, above=True)
    for field in ("kl_coefficient", "kl_target", "threads"):
        _check_range(field, getattr(self_play, field), 0, 10**9)
    for part, weight in self_play.weights:
        _check_range(f"The weight of {part}", weight, 0, 10**6)
    if not any(weight for _, weight in self_play.weights):
        raise TrainingError("No part of the reward has a weight.", "Give at least one part a weight above 0.")


def _check_range(what: str, value: float, least: float, most: float, *, above: bool = False) -> None:
    if not math.isfinite(value) or not least <= value <= most or (above and value == least):
        bound = f"more than {least:g}" if above else f"at least {least:g}"
        bound += f" and at most {most:g}" if math.isfinite(most) else ""
        raise TrainingError(f"{what} is {value:g}, expected {bound}.")


def _built(kind: type[_Settings], values: object, where: str) -> _Settings:
    """A frozen dataclass from JSON values, each of its declared type."""
    if not isinstance(values, dict):
        raise TrainingError(f"{where} is {type(values).__name__}, expected an object with names and values.")
    hints = typing.get_type_hints(kind)
    if unknown := sorted(values.keys() - hints.keys()):
        raise TrainingError(f"{where} has no setting {unknown[0]!r}.", f"Known are: {', '.join(hints)}.")
    given = {name: _of_type(hints[name], value, f"{where}.{name}") for name, value in values.items()}
    try:
        return kind(**given)
    except TypeError as error:
        missing = [f.name for f in dataclasses.fields(kind) if f.default is dataclasses.MISSING]
        raise TrainingError(f"{where} lacks {', '.join(n for n in missing if n not in given)}.") from error


def _of_type(hint: object, value: object, where: str) -> object:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (types.UnionType, typing.Union):
        wanted = next(each for each in inner if each is not types.NoneType)
        return None if value is None else _of_type(wanted, value, where)
    if dataclasses.is_dataclass(hint):
        return _built(hint, value, where)
    if origin is Literal:
        if value not in inner:
            raise TrainingError(f"{where} is {value!r}, expected one of {', '.join(map(str, inner))}.")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise TrainingError(f"{where} is {value!r}, expected a list.")
        if inner[-1] is Ellipsis:
            return tuple(_of_type(inner[0], each, f"{where}[{i}]") for i, each in enumerate(value))
        if len(value) != len(inner):
            raise TrainingError(f"{where} has {len(value)} parts, expected {len(inner)}.")
        return tuple(_of_type(one, each, where) for one, each in zip(inner, value, strict=True))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        raise TrainingError(f"{where} is {value!r}, expected {getattr(hint, '__name__', hint)}.")
    return value
