"""The rules, in the order in which their findings are read; add one with its file and one line here."""

from engine.health.rules import (  # noqa: I001 — their order is the reading order
    non_finite,
    constant_tensors,
    dead_lines,
    repeated_lines,
    repeated_tensors,
    norm_jumps,
    rank_deficiency,
    tail_exponents,
    extreme_precision,
    mixed_types,
    outlier_channels,
    super_weights,
    wasted_vocabulary,
)

__all__ = [
    "constant_tensors",
    "dead_lines",
    "extreme_precision",
    "mixed_types",
    "non_finite",
    "norm_jumps",
    "outlier_channels",
    "rank_deficiency",
    "repeated_lines",
    "repeated_tensors",
    "super_weights",
    "tail_exponents",
    "wasted_vocabulary",
]
