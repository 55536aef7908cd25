"""What a checkpoint remembers of its training, and whether a training that is asked for is the same one."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import TrainingError
from engine.training.settings import TrainingSettings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from engine.training.corpora.token_stream import TokenStream
    from engine.training.model import Decoder

MAY_CHANGE = frozenset({"accumulation", "compile", "keep_last", "save_every", "sample_every", "threads", "device"})
"""Settings that another machine may need otherwise and that change nothing but rounding, or nothing at all."""


def identity(
    model: Decoder, tokenizer: PreTrainedTokenizerFast, stream: TokenStream, settings: TrainingSettings
) -> dict[str, Any]:
    """All that decides where a training goes, besides its first weights: as JSON values."""
    ids, targets = stream.batch(0, settings.batch_size, model.settings.context, 0, 1)
    return {
        "model": dataclasses.asdict(model.settings),
        "training": {name: value for name, value in dataclasses.asdict(settings).items() if name not in MAY_CHANGE},
        "text": {
            "tokenizer": _sha256(tokenizer.backend_tokenizer.to_str().encode()),
            "num_tokens": stream.num_tokens,
            "first_batch": _sha256(ids.numpy().tobytes() + targets.numpy().tobytes()),
        },
    }


def settings_hash(identity: dict[str, Any]) -> str:
    """SHA-256 of an identity; equal hashes mean the same training."""
    return _sha256(json.dumps(identity, sort_keys=True).encode())


def check_same(folder: Path, known: dict[str, Any], asked: dict[str, Any]) -> None:
    """Raises: TrainingError that names what differs between a checkpoint's training and the one that is asked for."""
    differences = [
        f"{name} was {known.get(part, {}).get(name)!r}, is now {asked[part].get(name)!r}"
        for part in asked
        for name in sorted(known.get(part, {}).keys() | asked[part].keys())
        if known.get(part, {}).get(name) != asked[part].get(name)
    ]
    if not differences:
        return
    more = f"; and {len(differences) - 4} more" if len(differences) > 4 else ""
    raise TrainingError(
        f"{folder} belongs to another training: {'; '.join(differences[:4])}{more}.",
        "Resume with the settings and the text it was begun with, or start a new training from its weights.",
    )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
