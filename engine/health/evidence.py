"""What the rules look at: the stored readings of every tensor, and the marks of one more pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.folding import matrix_shape
from engine.health.marks import TensorMarks
from engine.measures.results import AxisProfile
from engine.naming import Place
from engine.sources.base import TensorInfo


@dataclass(frozen=True, eq=False)
class TensorEvidence:
    """One tensor.

    Attributes:
        info, place: what the header says, and where the tensor sits.
        values: measure name -> value; NaN where undefined; spectral ones only where they were taken.
        rows, columns: its profiles; None below two dimensions.
        marks: what only a pass over the bits tells; None where it was not made.
    """

    info: TensorInfo
    place: Place
    values: Mapping[str, float] = field(default_factory=dict)
    rows: AxisProfile | None = None
    columns: AxisProfile | None = None
    marks: TensorMarks | None = None

    @property
    def name(self) -> str:
        return self.info.name

    @property
    def is_matrix(self) -> bool:
        """Whether it has rows and columns worth the name: at least two dimensions and 2 × 2 entries."""
        return len(self.info.shape) >= 2 and min(matrix_shape(self.info.shape)) >= 2

    @property
    def is_embedding(self) -> bool:
        """Whether its rows stand for tokens or positions, which may be unused without harm."""
        return self.place.role.endswith("_embedding") or self.place.role == "lm_head"

    def value(self, measure: str) -> float:
        """A stored measure; NaN where it was not taken."""
        return self.values.get(measure, float("nan"))


@dataclass(frozen=True, eq=False)
class ModelEvidence:
    """A whole checkpoint: its tensors in file order, and its config.json."""

    tensors: tuple[TensorEvidence, ...]
    config: Mapping = field(default_factory=dict)

    def by_role(self) -> dict[tuple[str, str, str], list[TensorEvidence]]:
        """(stack, role, part) -> that tensor of every layer, by layer; one each, so no mixture of experts."""
        groups: dict[tuple[str, str, str], list[TensorEvidence]] = {}
        for tensor in self.tensors:
            if tensor.place.layer is not None:
                groups.setdefault((tensor.place.stack, tensor.place.role, tensor.place.part), []).append(tensor)
        alone = {key: group for key, group in groups.items() if len({t.place.layer for t in group}) == len(group)}
        return {key: sorted(group, key=lambda t: t.place.layer) for key, group in alone.items()}
