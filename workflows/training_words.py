"""A training as it is asked for on the command line: a preset, corpora, and any setting by its name."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

from engine.errors import TrainingError
from engine.training.presets import PRESETS
from workflows.training_request import TrainingRequest

USUAL_PRESET = "quick"
"""What a command begins with that names none."""

_CHOICE = re.compile(r"(?P<rest>.*),(?P<name>weight|split|column|documents)=(?P<value>[^,]*)")


def add_arguments(command: argparse.ArgumentParser) -> None:
    """What `train` takes."""
    command.add_argument("--name", help="of the model that will be made")
    command.add_argument("--preset", choices=sorted(PRESETS), help=f"size and settings to begin with ({USUAL_PRESET})")
    command.add_argument("--start-from", default="", metavar="MODEL", help="go on from a known model or a Llama folder")
    command.add_argument(
        "--corpus",
        action="append",
        default=[],
        metavar="SOURCE[,weight=W]",
        help="bundled:NAME, library:ID, hub:OWNER/NAME[,split=S][,column=C][,documents=N], or a path; may be repeated",
    )
    command.add_argument("--held-out", type=float, metavar="SHARE", help="part of the text that is set aside (0.05)")
    command.add_argument("--self-play", action="store_true", help="let the model play after it learnt")
    command.add_argument("--no-training", action="store_true", help="only play, from the model of --start-from")
    command.add_argument(
        "--set",
        action="append",
        default=[],
        dest="settings",
        metavar="PART.NAME=VALUE",
        help="a setting of model, training or self_play, such as training.steps=200; may be repeated",
    )
    command.add_argument("--notes", default="", help="your own words for the model card")
    command.add_argument(
        "--request", metavar="FILE", help="a JSON file that says it all; what else is given goes before"
    )
    command.add_argument("--at-once", action="store_true", help="do not wait until other trainings end")
    command.add_argument("--estimate", action="store_true", help="only say what it would cost")


def request_of(arguments: argparse.Namespace) -> TrainingRequest:
    """The request that the words make. Raises TrainingError for what is unknown, missing or of another type."""
    values = _file(arguments.request) if arguments.request else {}
    if arguments.name:
        values["name"] = arguments.name
    if arguments.start_from:
        values |= {"start_from": arguments.start_from, "model": None}
    is_new = not values.get("start_from")
    if arguments.preset or not arguments.request:
        preset = PRESETS[arguments.preset or USUAL_PRESET]
        asked = TrainingRequest("", model=preset.model, training=preset.training).to_json()
        values |= {"training": asked["training"]} | ({"model": asked["model"]} if is_new else {})
    if arguments.no_training:
        values["training"] = None
    if arguments.self_play:
        values["self_play"] = values.get("self_play") or {}
    if arguments.corpus:
        values["corpora"] = [_corpus(words) for words in arguments.corpus]
    for name, given in (("held_out_share", arguments.held_out), ("notes", arguments.notes)):
        if given:
            values[name] = given
    if arguments.at_once:
        values["waits"] = False
    for words in arguments.settings:
        _set(values, words)
    if "name" not in values:
        raise TrainingError("The model needs a name.", "Give --name, such as --name my-book.")
    return TrainingRequest.from_json(values).check()


def _corpus(words: str) -> dict:
    """`hub:owner/name,split=test,weight=0.5` as JSON values; a path may hold commas of its own."""
    options: dict = {}
    while match := _CHOICE.fullmatch(words):
        words, name, value = match["rest"], match["name"], match["value"]
        options.setdefault(name, _json(value) if name in ("weight", "documents") else value)
    return {"source": words} | options


def _set(values: dict, words: str) -> None:
    match = re.fullmatch(r"(model|training|self_play)\.(\w+)=(.*)", words)
    if match is None:
        raise TrainingError(
            f"--set {words} sets nothing.", "Write model.NAME=VALUE, training.NAME=VALUE or self_play.NAME=VALUE."
        )
    part, name, value = match.groups()
    if values.get(part) is None:
        raise TrainingError(f"--set {words}: nothing of {part} is asked for.", "Ask for it first, or leave this away.")
    values[part][name] = _json(value)


def _json(text: str) -> object:
    """A JSON value; any other text is itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _file(path: str) -> dict:
    try:
        values = json.loads(Path(path).expanduser().read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path} is no request: {error}.", "Give a JSON file as run.json keeps it.") from error
    if not isinstance(values, dict):
        raise TrainingError(f"{path} is no request: expected an object with names and values.")
    return values
