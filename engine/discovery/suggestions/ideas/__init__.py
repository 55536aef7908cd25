"""The ideas, in reading order: what loses nothing first."""

from engine.discovery.suggestions.ideas import (  # noqa: F401, I001 — the order is the reading order
    exponent_coding,
    stored_wide,
    sharing,
    trimming,
    delta_coding,
    sparse_zeros,
    outliers_apart,
    row_scales,
    low_rank,
)
