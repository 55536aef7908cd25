"""What a model costs before it is made: parameters, and the memory of learning. Pure arithmetic, no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace

from engine.errors import TrainingError
from engine.training.settings import ModelSettings, TrainingSettings

SWIGLU_RATIO = 8 / 3
"""Hidden units per unit of width: three matrices then weigh as much as the two of a 4 × wide block (Shazeer 2020)."""
_MULTIPLE = 32

_FP32, _BF16 = 4, 2
_HEAP = {_FP32: 1.4, _BF16: 1.2}
"""What a process holds for each byte in use: the C library keeps holes between tensors. Measured on four models."""
_CHUNK = 512
_LONGEST_PRODUCT = 1024
"""As in `cross_entropy` and `attention`, which would bring torch along."""


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


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes that a training holds at once, beside the program itself (about 400 MB with torch and a tokenizer).

    Attributes:
        weights, gradients: fp32. optimizer: what it remembers: two numbers for each one AdamW learns, one for Muon's.
        activations: at the peak of one part of an update's batch: what the backward pass needs, matrices laid side by
            side or rounded, a chunk of logits, and the gradients on their way.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.optimizer + self.activations


def num_matrix_parameters(settings: ModelSettings) -> int:
    """Of `num_parameters`, those in the blocks' matrices, which Muon learns where it is chosen."""
    shape = completed(settings)
    ends = shape.vocabulary_size * shape.width * (1 if shape.tied else 2)
    return num_parameters(shape) - ends - shape.width * (2 * shape.layers + 1)


@dataclass(frozen=True, slots=True)
class Speed:
    """What a probe found.

    Attributes:
        tokens_per_s: learnt from, updates of the weights included; looks at held-out text and checkpoints are not.
        precision: "fp32" or "bf16". device: "cpu", "cuda", …, both as computed in. probe_s: how long the probe took.
    """

    tokens_per_s: float
    precision: str
    device: str
    probe_s: float


def tokens_per_s(settings: ModelSettings, training: TrainingSettings, probe_s: float = 2.0) -> Speed:
    """How fast a training will be here: train a fresh model on random tokens for about `probe_s`.

    Only this function of the module needs torch; the process's own random numbers are left as they were.

    Raises: TrainingError for settings that no model or optimizer has; RunnerError for a device that is not there.
    """
    from engine.training.speed import probe

    return probe(settings, training, probe_s)


def training_memory(settings: ModelSettings, training: TrainingSettings) -> Footprint:
    """An estimate, within a quarter of what was measured on a processor.

    Precision "auto" is counted as the dearer of the two.
    """
    parameters, matrices = num_parameters(settings), num_matrix_parameters(settings)
    momenta = 2 * parameters - (matrices if training.optimizer == "muon" else 0)
    precisions = ("fp32", "bf16") if training.precision == "auto" else (training.precision,)
    sequences = -(-training.batch_size // max(training.accumulation, 1))
    return Footprint(
        weights=_FP32 * parameters,
        gradients=_FP32 * parameters,
        optimizer=_FP32 * momenta,
        activations=max(_activations(completed(settings), sequences, each == "bf16") for each in precisions),
    )


def _activations(shape: ModelSettings, sequences: int, is_bf16: bool) -> int:
    """Bytes while `sequences` of a whole context go forward and back."""
    size = _BF16 if is_bf16 else _FP32
    tokens = sequences * shape.context
    key_value_width = shape.width // shape.heads * shape.key_value_heads
    # kept of each block: two norms (result, and result times gain), queries and keys turned, the product they came
    # from, what was looked up (as attention lays it out, and side by side), gate, up, silu(gate) and their product
    kept = 4 * shape.width + (shape.width + key_value_width) + (shape.width + 2 * key_value_width) + 2 * shape.width
    kept += 4 * shape.ffn_width
    scores = 0
    if is_bf16:  # the probabilities of an explicit product, and its queries, keys and values laid out for it
        kept += 3 * shape.width
        scores = shape.heads * _seen(shape.context)
    if shape.dropout:
        kept += 2 * shape.width
    matrices = num_matrix_parameters(shape)
    copies = matrices if is_bf16 else matrices - shape.layers * shape.width * (shape.width + shape.ffn_width)
    on_their_way = tokens * (4 * shape.ffn_width + 2 * shape.width)
    chunk = min(tokens, _CHUNK) * shape.vocabulary_size * (2 * _FP32 + size)
    head = shape.vocabulary_size * shape.width * (_FP32 + size)
    blocks = shape.layers * (tokens * kept + sequences * scores) + copies + on_their_way
    return int(_HEAP[size] * (size * blocks + chunk + head))


def _seen(context: int) -> int:
    """Scores of one head and sequence: blocks of queries see the keys up to their own end."""
    block = 128 if context <= 512 else 256
    if context > _LONGEST_PRODUCT:
        return 0
    return sum(min(block, context - start) * min(start + block, context) for start in range(0, context, block))


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
