"""What an idea says about a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

State = Literal["found", "nothing", "unknown"]
Confidence = Literal["exact", "formula", "measured"]

CONFIDENCES: dict[Confidence, str] = {
    "exact": "counted, every weight looked at",
    "formula": "predicted from stored numbers; the formula is tested against real coding",
    "measured": "really coded",
}


@dataclass(frozen=True)
class TensorGain:
    """What an idea would save in one tensor.

    Attributes:
        tensor: its name. num_weights: concerned. gain_bits: expected, for each of these weights; all side information
            is counted. evidence: the numbers it rests on.
    """

    tensor: str
    num_weights: int
    gain_bits: float
    evidence: Mapping[str, float] = field(default_factory=dict)

    @property
    def gain_bytes(self) -> float:
        return self.gain_bits * self.num_weights / 8


@dataclass(frozen=True)
class Suggestion:
    """One idea, held against one checkpoint.

    Attributes:
        idea: its name. state: "found"; "nothing", if it was looked for; "unknown", if what it needs was not measured.
        words: one to three plain sentences. tensors: where it pays, the most bytes first.
        baseline: what the gain is counted against. confidence: a key of CONFIDENCES. limits: what it does not say.
        evidence: the numbers of the whole model. recipe: settings to try it with, plain JSON values.
    """

    idea: str
    state: State
    words: str
    tensors: tuple[TensorGain, ...] = ()
    baseline: str = ""
    confidence: Confidence = "formula"
    limits: str = ""
    evidence: Mapping[str, float] = field(default_factory=dict)
    recipe: Mapping[str, object] = field(default_factory=dict)

    @property
    def num_weights(self) -> int:
        return sum(tensor.num_weights for tensor in self.tensors)

    @property
    def gain_bytes(self) -> float:
        """Bytes of the whole model that it would save; 0 unless found."""
        return sum(tensor.gain_bytes for tensor in self.tensors)

    @property
    def gain_bits(self) -> float:
        """Bits saved for each weight concerned; NaN unless found."""
        return self.gain_bytes * 8 / self.num_weights if self.num_weights else float("nan")


def most_first(tensors: Sequence[TensorGain]) -> tuple[TensorGain, ...]:
    """The most bytes first."""
    return tuple(sorted(tensors, key=lambda tensor: (-tensor.gain_bytes, tensor.tensor)))
