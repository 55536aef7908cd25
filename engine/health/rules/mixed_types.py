"""One checkpoint, several precisions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from engine.health.evidence import ModelEvidence
from engine.health.findings import Finding
from engine.health.registry import rule


@rule(title="Mixed types")
def mixed_types(model: ModelEvidence) -> Iterator[Finding]:
    """Weight matrices of the same role in different types: a warning, for one of them was converted alone.

    Threshold: none. Different types of different roles (norms in F32 beside BF16 matrices, quantised matrices beside
    plain embeddings) are a habit and pass.
    """
    for group in model.by_role().values():
        types = Counter(tensor.info.dtype for tensor in group)
        if len(types) < 2 or not group[0].is_matrix or any(is_block_type(dtype) for dtype in types):
            continue
        usual, _ = types.most_common(1)[0]
        for tensor in group:
            if tensor.info.dtype != usual:
                yield Finding(
                    "mixed_types",
                    "warning",
                    tensor.name,
                    f"It is {tensor.info.dtype}; in this role {types[usual]} of {len(group)} layers have {usual}.",
                )


def is_block_type(dtype: str) -> bool:
    """Whether it is a GGUF block type: there, mixing by layer is the method ("Q4_K_M")."""
    return "_" in dtype and dtype[:1] in "QIT" and not dtype.startswith("F8")
