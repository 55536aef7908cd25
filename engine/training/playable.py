"""Whether a self-play makes sense, and whether one that is asked for is the one a checkpoint belongs to."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import TYPE_CHECKING, Any

from engine.errors import TrainingError
from engine.training.advantage import ADVANTAGES
from engine.training.settings import SelfPlaySettings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from engine.training.corpora.token_stream import TokenStream
    from engine.training.model import Decoder

MAY_CHANGE = frozenset({"iterations", "save_every", "keep_last", "threads", "device"})
"""Settings that may be others when a checkpoint is taken up: they change nothing but how long, and rounding."""


def check_playable(model: Decoder, reference: Decoder, settings: SelfPlaySettings) -> None:
    """Raises: TrainingError if the settings are out of their range, or do not fit the model or its reference."""
    shared = {parameter.data_ptr() for parameter in model.parameters()}
    if any(parameter.data_ptr() in shared for parameter in reference.parameters()):
        raise TrainingError(
            "The reference shares its weights with the model that learns.",
            "Load the reference apart, or copy the model: it must stay as it is.",
        )
    if reference.settings.vocabulary_size != model.settings.vocabulary_size:
        raise TrainingError(
            f"The reference knows {reference.settings.vocabulary_size} tokens, "
            f"the model {model.settings.vocabulary_size}.",
            "The reference is the model as it was before self-play.",
        )
    room, length = min(model.settings.context, reference.settings.context), settings.prompt_tokens + settings.new_tokens
    if length > room:
        raise TrainingError(
            f"Prompts of {settings.prompt_tokens} and texts of {settings.new_tokens} tokens need a context of "
            f"{length}, the model has {room}.",
            "Take shorter prompts or texts.",
        )
    limits = {"group": 2, "iterations": 0}
    for name in ("iterations", "prompts", "group", "new_tokens", "prompt_tokens", "evaluate_every", "save_every"):
        least = limits.get(name, 1)
        if getattr(settings, name) < least:
            raise TrainingError(f"{name} must be at least {least}, got {getattr(settings, name)}.", "Raise it.")
    for name in ("temperature", "learning_rate", "max_norm"):
        if not getattr(settings, name) > 0:
            raise TrainingError(f"{name} must be above 0, got {getattr(settings, name)}.", "Raise it.")
    for name in ("kl_coefficient", "kl_target"):
        if not getattr(settings, name) >= 0:
            raise TrainingError(f"{name} cannot be negative, got {getattr(settings, name)}.", "0 turns it off.")
    if settings.advantage not in ADVANTAGES:
        raise TrainingError(
            f"There is no advantage {settings.advantage!r}.", f"Choose one of: {', '.join(ADVANTAGES)}."
        )


def identity(
    tokenizer: PreTrainedTokenizerFast, stream: TokenStream, settings: SelfPlaySettings, reference: Decoder
) -> dict[str, Any]:
    """All that decides where a self-play goes, besides the weights it begins with: as JSON values."""
    ids, _ = stream.batch(0, settings.prompts, settings.prompt_tokens)
    asked = {name: value for name, value in dataclasses.asdict(settings).items() if name not in MAY_CHANGE}
    asked["weights"] = sorted(map(list, settings.weights))
    weights = hashlib.sha256()
    for name, tensor in reference.state_dict().items():
        weights.update(name.encode() + tensor.detach().cpu().contiguous().view(-1).numpy().tobytes())
    return {
        "self-play": asked,
        "reference": {"weights": weights.hexdigest()},
        "text": {
            "tokenizer": hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest(),
            "num_tokens": stream.num_tokens,
            "first_batch": hashlib.sha256(ids.numpy().tobytes()).hexdigest(),
        },
    }
