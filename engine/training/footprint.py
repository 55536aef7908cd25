"""What a model costs before it is made: parameters, and the memory of learning. Pure arithmetic, no torch."""

from __future__ import annotations

from dataclasses import replace

from engine.errors import TrainingError
from engine.training.settings import ModelSettings

SWIGLU_RATIO = 8 / 3
"""Hidden units per unit of width: three matrices then weigh as much as the two of a 4 × wide block (Shazeer 2020)."""
_MULTIPLE = 32


def completed(settings: ModelSettings) -> ModelSettings:
    """The settings with every 0 that stands for a default replaced by what it stands for.

    Raises: TrainingError if no model has this shape.
    """
    _check(settings)
    ffn_width = settings.ffn_width or -(-int(SWIGLU_RATIO * settings.width) // _MULTIPLE) * _MULTIPLE
    return replace(settings, key_value_heads=settings.key_value_heads or settings.heads, ffn_width=ffn_width)


def num_parameters(settings: ModelSettings) -> int:
    """Numbers that are learnt; an embedding that is also the output head counts once.

    vocabulary · width · (1, or 2 if untied) + layers · block + width, where a block has 2 · width² for queries and
    output, 2 · width · key-value width, 3 · width · ffn width, and 2 · width for its norms.
    """
    shape = completed(settings)
    key_value_width = shape.width // shape.heads * shape.key_value_heads
    attention = 2 * shape.width * (shape.width + key_value_width)
    block = attention + 3 * shape.width * shape.ffn_width + 2 * shape.width
    return shape.vocabulary_size * shape.width * (1 if shape.tied else 2) + shape.layers * block + shape.width


def _check(settings: ModelSettings) -> None:
    for name, least in (("vocabulary_size", 2), ("width", 2), ("layers", 1), ("heads", 1), ("context", 2)):
        value = getattr(settings, name)
        if value < least:
            raise TrainingError(f"A model needs {name} of at least {least}, got {value}.", "Choose a larger number.")
    if settings.width % (2 * settings.heads):
        raise TrainingError(
            f"A width of {settings.width} cannot be shared by {settings.heads} heads: each needs an even part of it.",
            f"Choose a multiple of {2 * settings.heads}, such as {2 * settings.heads * 16}.",
        )
    if settings.key_value_heads < 0 or (settings.key_value_heads and settings.heads % settings.key_value_heads):
        raise TrainingError(
            f"{settings.heads} query heads cannot share {settings.key_value_heads} heads of keys and values evenly.",
            "Choose a divisor of the number of heads, or 0 for as many.",
        )
    if settings.ffn_width < 0:
        raise TrainingError(f"A feed-forward block cannot have {settings.ffn_width} units.", "Choose 0 for a default.")
    if not 0 <= settings.dropout < 1:
        raise TrainingError(f"Dropout is a share from 0 to below 1, got {settings.dropout}.", "0 or 0.1 is usual.")
    for name in ("rope_theta", "norm_epsilon"):
        value = getattr(settings, name)
        if not 0 < value < float("inf"):
            raise TrainingError(f"{name} must be a positive number, got {value}.", "Leave it at its default.")
