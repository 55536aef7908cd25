"""The kinds of job there are: one entry each."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engine.errors import JobError, SourceError
from engine.sources.hub_access import HubName, is_hub_uri
from workflows.training_request import TrainingRequest


@dataclass(frozen=True)
class JobKind:
    """How a kind of job is asked for.

    Attributes:
        check: arguments -> the arguments as they are kept; raises JobError if they are unfit.
        subject: arguments -> what the job works on; two jobs of one kind never work on the same subject at once.
        command: arguments -> the words after `python -m workflows <kind>`.
        title: arguments -> one line for people.
        is_public: whether a public deployment does it too (see `workflows.deployment`).
        grace_s: how long a job may take to stop at its next step before it is killed.
    """

    check: Callable[[dict], dict]
    subject: Callable[[dict], str]
    command: Callable[[dict], list[str]]
    title: Callable[[dict], str]
    is_public: bool = False
    grace_s: float = 15.0


def _check_model(arguments: dict) -> dict:
    model = str(arguments.get("model") or "")
    if not model:
        raise JobError("Measuring needs a model, got none.", "Give the path or the name of a checkpoint.")
    if is_hub_uri(model):
        name = HubName.parse(model)
        return {"model": name.uri, "name": str(arguments.get("name") or name.repository.rpartition("/")[2])}
    path = Path(model).expanduser()
    model = str(path.absolute()) if path.exists() else model
    return {"model": model, "name": str(arguments.get("name") or path.stem or model)}


def _check_signatures(arguments: dict) -> dict:
    """Beside the model `null`: the name of a null whose signatures are taken instead of the model's, or empty."""
    return _check_model(arguments) | {"null": str(arguments.get("null") or "")}


def _check_download(arguments: dict) -> dict:
    """`model` is `owner/name`, with `@revision` or with `revision` beside it; `file` is one weight file, or empty."""
    try:
        name = HubName.parse(str(arguments.get("model") or ""))
    except SourceError as error:
        raise JobError(error.message, error.hint) from error
    revision = str(arguments.get("revision") or name.revision)
    return {"model": name.repository, "revision": revision, "file": str(arguments.get("file") or "")}


def _hub_name(arguments: dict) -> str:
    return str(HubName(arguments["model"], arguments["revision"]))


def _check_compare(arguments: dict) -> dict:
    """`a` and `b` are what `_check_model` takes as `model`; `name_a` and `name_b` are for people."""
    sides = [_check_model({"model": arguments.get(s), "name": arguments.get(f"name_{s}")}) for s in ("a", "b")]
    (a, name_a), (b, name_b) = (tuple(side.values()) for side in sides)
    return {"a": a, "b": b, "name_a": name_a, "name_b": name_b}


def _check_train(arguments: dict) -> dict:
    """`request` is a `workflows.training_request.TrainingRequest` as JSON."""
    return {"request": TrainingRequest.from_json(arguments.get("request")).check().to_json()}


def _check_patterns(arguments: dict) -> dict:
    """`models` are what `_check_model` takes; `names` are for people; the rest as `PatternSettings` has it."""
    names = list(arguments.get("names") or [])
    models = [
        _check_model({"model": model, "name": names[i] if i < len(names) else ""})
        for i, model in enumerate(arguments.get("models") or [])
    ]
    if len(models) < 2:
        raise JobError(f"A test of shared patterns takes at least two models, got {len(models)}.", "Choose more.")
    without = sorted(set(arguments.get("without") or ()))
    unknown = set(without) - {"features", "coding", "subspace"}
    if unknown:
        raise JobError(f"A test of shared patterns has no part {', '.join(sorted(unknown))}.")
    return {
        "models": [model["model"] for model in models],
        "names": [model["name"] for model in models],
        "null": str(arguments.get("null") or ""),
        "draws": int(arguments.get("draws") or 0),
        "without": without,
        "cka": bool(arguments.get("cka")),
        "labels": dict(arguments.get("labels") or {}),
    }


def _patterns_command(arguments: dict) -> list[str]:
    words = [f"--null={arguments['null']}", f"--draws={arguments['draws']}"]
    words += [f"--no-{part}" for part in arguments["without"]] + (["--cka"] if arguments["cka"] else [])
    words += [f"--labels={json.dumps(arguments['labels'], ensure_ascii=False)}"] if arguments["labels"] else []
    return [*words, "--", *arguments["models"]]


def _check_batch(arguments: dict) -> dict:
    """`what`, `tier`, `steps` and `is_local` as `workflows.batch.BatchRequest` has them."""
    from workflows.batch import USUAL, BatchRequest  # here: it brings all that a batch does

    what = [str(one) for one in arguments.get("what") or ()]
    what = [str(Path(one).expanduser().absolute()) if Path(one).expanduser().exists() else one for one in what]
    steps = tuple(arguments.get("steps") or USUAL)
    request = BatchRequest(tuple(what), int(arguments.get("tier") or 0), steps, bool(arguments.get("is_local")))
    asked = request.check()
    told = {"what": list(asked.what), "tier": asked.tier, "steps": list(asked.steps), "is_local": asked.is_local}
    return told | {"title": asked.title}


def _batch_command(arguments: dict) -> list[str]:
    words = [f"--tier={arguments['tier']}", f"--steps={','.join(arguments['steps'])}"]
    words += ["--local"] if arguments["is_local"] else []
    return [*words, "--", *arguments["what"]]


KINDS: dict[str, JobKind] = {
    "extract": JobKind(
        check=_check_model,
        subject=lambda arguments: arguments["model"],
        command=lambda arguments: ["--", arguments["model"]],
        title=lambda arguments: f"Measure {arguments['name']}",
        is_public=True,
    ),
    "spectra": JobKind(
        check=_check_model,
        subject=lambda arguments: arguments["model"],
        command=lambda arguments: ["--", arguments["model"]],
        title=lambda arguments: f"Measure spectra of {arguments['name']}",
    ),
    "signatures": JobKind(
        check=_check_signatures,
        subject=lambda arguments: f"{arguments['model']} {arguments['null']}",
        command=lambda arguments: [f"--null={arguments['null']}", "--", arguments["model"]],
        title=lambda arguments: f"Take signatures of {'nulls of ' if arguments['null'] else ''}{arguments['name']}",
    ),
    "health": JobKind(
        check=_check_model,
        subject=lambda arguments: arguments["model"],
        command=lambda arguments: ["--", arguments["model"]],
        title=lambda arguments: f"Examine {arguments['name']}",
    ),
    "forensics": JobKind(
        check=_check_model,
        subject=lambda arguments: arguments["model"],
        command=lambda arguments: ["--", arguments["model"]],
        title=lambda arguments: f"Read the mantissas of {arguments['name']}",
    ),
    "suggest": JobKind(
        check=_check_model,
        subject=lambda arguments: arguments["model"],
        command=lambda arguments: ["--", arguments["model"]],
        title=lambda arguments: f"Suggest compression for {arguments['name']}",
    ),
    "batch": JobKind(
        check=_check_batch,
        subject=lambda arguments: " ".join([*sorted(arguments["what"]), str(arguments["tier"])]),
        command=_batch_command,
        title=lambda arguments: f"Measure {arguments['title']}",
    ),
    "compare": JobKind(
        check=_check_compare,
        subject=lambda arguments: f"{arguments['a']} {arguments['b']}",
        command=lambda arguments: ["--", arguments["a"], arguments["b"]],
        title=lambda arguments: f"Compare {arguments['name_a']} with {arguments['name_b']}",
    ),
    "patterns": JobKind(
        check=_check_patterns,
        subject=lambda arguments: " ".join(sorted(arguments["models"])),
        command=_patterns_command,
        title=lambda arguments: f"Shared patterns of {len(arguments['models'])} models",
    ),
    "download": JobKind(
        check=_check_download,
        subject=lambda arguments: f"{_hub_name(arguments)} {arguments['file']}",
        command=lambda arguments: [f"--file={arguments['file']}", "--", _hub_name(arguments)],
        title=lambda arguments: f"Download {_hub_name(arguments)}",
    ),
    "train": JobKind(
        check=_check_train,
        subject=lambda arguments: arguments["request"]["name"],
        command=lambda _arguments: [],  # the run's folder says it all
        title=lambda arguments: f"Train {arguments['request']['name']}",
        grace_s=600.0,  # a step of the largest preset on a slow processor and a checkpoint; ours
    ),
}
