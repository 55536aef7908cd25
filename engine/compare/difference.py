"""How two arrays of one shape differ: every metric in one pass over both."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from engine.compare.staging import Staged, staging
from engine.errors import MeasureError
from engine.folding import matrix_shape
from engine.measures.spans import in_order, num_threads, spans
from engine.sources.base import ByteCallback

TOLERANCE = 1e-5
"""|Δ| up to which an entry counts as unchanged, where nobody asks for another; chosen by us: a hundredth of the step of
bfloat16 at a usual weight of 0.1, and what `torch.allclose` and most reports of sparse updates take or come near to."""

NEAR = 0.5
"""‖Δ‖ / ‖A‖ up to which the cosine is taken from ‖Δ‖; chosen by us: both ways are good to 1e-8 there."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What became of a tensor A in B, entry by entry; Δ = B − A.

    Attributes:
        count: pairs of entries compared.
        num_changed: pairs that differ in at least one bit.
        is_bitwise: whether those are the stored bits; False if the types differ, and both were first converted without
            loss to a type that holds all their values.
        num_above: pairs with |Δ| > tolerance. num_flips: pairs of which one is above zero and the other below.
        num_nan_a, num_inf_a, num_nan_b, num_inf_b: entries that are no finite number, on either side.
        num_excluded: pairs with such an entry; they count as changed or not, and in nothing else.
        l2_a, l2_b, l2_delta: Frobenius norms of A, B and Δ over the finite pairs. product: ⟨A, B⟩ over them.
        max_abs: the largest |Δ|, NaN if there is no finite pair; row, column: where it is (the first of equals), as a
            matrix (`engine.folding`); None if all Δ are 0.
        tolerance: the one used.
    """

    count: int
    num_changed: int
    is_bitwise: bool
    num_above: int
    num_flips: int
    num_nan_a: int
    num_inf_a: int
    num_nan_b: int
    num_inf_b: int
    num_excluded: int
    l2_a: float
    l2_b: float
    l2_delta: float
    product: float
    max_abs: float
    row: int | None
    column: int | None
    tolerance: float

    @property
    def changed_fraction(self) -> float:
        """Share of entries of which any bit changed, 0 … 1; NaN of an empty tensor."""
        return _share(self.num_changed, self.count)

    @property
    def above_fraction(self) -> float:
        """Share of finite pairs with |Δ| > tolerance, 0 … 1; NaN if there is none."""
        return _share(self.num_above, self.count - self.num_excluded)

    @property
    def flip_fraction(self) -> float:
        """Share of finite pairs whose sign flipped, 0 … 1; NaN if there is none."""
        return _share(self.num_flips, self.count - self.num_excluded)

    @property
    def relative_change(self) -> float:
        """‖Δ‖ / ‖A‖, 0 …; 0 if nothing changed; NaN if A is zero and B is not, or no pair is finite."""
        if self.l2_delta == 0:
            return 0.0 if self.count > self.num_excluded else math.nan
        return self.l2_delta / self.l2_a if self.l2_a else math.nan

    @property
    def one_minus_cosine(self) -> float:
        """1 − cos(A, B), 0 (same direction) … 2; NaN if either is zero.

        (‖Δ‖² − (‖A‖ − ‖B‖)²) / (2 ‖A‖ ‖B‖), which keeps its digits where A and B are close, as 1 − ⟨A, B⟩ / (‖A‖ ‖B‖)
        does not; where they are far apart it is the other way round.
        """
        if not self.l2_a or not self.l2_b:
            return math.nan
        ratio, delta = self.l2_b / self.l2_a, self.l2_delta / self.l2_a  # so that no square overflows
        if delta > NEAR:
            found = 1 - self.product / self.l2_a / self.l2_b
        else:
            found = (delta - abs(1 - ratio)) * (delta + abs(1 - ratio)) / (2 * ratio)
        return min(max(found, 0.0), 2.0)


METRICS: dict[str, str] = {
    "changed_fraction": "Share of weights that differ in a bit",
    "above_fraction": "Share of weights changed by more than the tolerance",
    "relative_change": "‖Δ‖ / ‖A‖",
    "one_minus_cosine": "1 − cosine",
    "max_abs": "Largest |Δ|",
    "flip_fraction": "Share of weights whose sign flipped",
    "num_excluded": "Entries that are NaN or infinite on either side",
}
"""The metrics that are shown and stored, by attribute of `Difference`, with their titles."""


def difference(
    a: np.ndarray,
    b: np.ndarray,
    *,
    tolerance: float = TOLERANCE,
    threads: int | None = None,
    on_bytes: ByteCallback | None = None,
) -> Difference:
    """Every metric of two arrays of one shape, of any types that a Source gives; mapped files are not copied.

    Args:
        tolerance: |Δ| up to which an entry counts as unchanged in `num_above`.
        threads: at most so many; None for all cores. The numbers do not depend on it.
        on_bytes: called with the bytes of both that were done since the last call; may raise Cancelled.
    Raises: MeasureError if the shapes differ or the entries are complex.
    """
    if a.shape != b.shape:
        raise MeasureError(
            f"Arrays of the shapes {a.shape} and {b.shape} cannot be compared entry by entry.",
            "Match the tensors first; a resized vocabulary is compared on the rows that both have.",
        )
    sums = DifferenceSum(tolerance, threads, on_bytes)
    sums.add(a, b)
    return sums.result(matrix_shape(a.shape)[1])


def num_changed(a: np.ndarray, b: np.ndarray, *, threads: int | None = None) -> int:
    """How many entries of two arrays of one shape differ in a bit: `Difference.num_changed` alone, and faster.

    Raises: as `difference`.
    """
    if a.shape != b.shape:
        raise MeasureError(f"Arrays of the shapes {a.shape} and {b.shape} cannot be compared entry by entry.")
    staged = staging(a.dtype, b.dtype)
    flat_a, flat_b = a.reshape(-1), b.reshape(-1)

    def task(start: int, stop: int) -> int:
        return sum(staged.num_changed(p, q) for _, p, q in _pieces(staged, flat_a, flat_b, start, stop))

    cuts = spans(a.size, max(a.itemsize, b.itemsize))
    return sum(found for _, found in in_order(task, cuts, num_threads(threads)))


class DifferenceSum:
    """The metrics of a tensor whose entries come in several runs, one after the other; arguments as `difference`."""

    def __init__(
        self, tolerance: float = TOLERANCE, threads: int | None = None, on_bytes: ByteCallback | None = None
    ) -> None:
        self._tolerance, self._threads, self._on_bytes = tolerance, num_threads(threads), on_bytes
        self._count, self._is_bitwise = 0, True
        self._sums, self._counts = np.zeros(4), np.zeros(8, np.int64)
        self._largest, self._place = -1.0, -1

    def add(self, a: np.ndarray, b: np.ndarray) -> None:
        """Add the next entries: two arrays of one shape, in storage order of the tensor."""
        staged = staging(a.dtype, b.dtype)
        flat_a, flat_b = a.reshape(-1), b.reshape(-1)
        first = self._count
        self._is_bitwise = self._is_bitwise and a.dtype == b.dtype
        cuts = spans(a.size, max(a.itemsize, b.itemsize))

        def task(start: int, stop: int) -> tuple[np.ndarray, np.ndarray, int]:
            sums, counts, largest = np.zeros(5), np.zeros(8, np.int64), np.full(1, -1, np.int64)
            for at, p, q in _pieces(staged, flat_a, flat_b, start, stop):
                staged.add(p, q, at, self._tolerance, sums, counts, largest)
            return sums, counts, int(largest[0])

        for size, (sums, counts, place) in in_order(task, cuts, self._threads):
            self._sums += sums[:4]
            self._counts += counts
            self._keep_largest(flat_a, flat_b, place, first)
            if self._on_bytes is not None:
                self._on_bytes(size * (a.itemsize + b.itemsize))
        self._count += a.size

    def result(self, columns: int) -> Difference:
        """What was found so far; `columns` of the tensor seen as a matrix."""
        changed, above, flips, nan_a, inf_a, nan_b, inf_b, excluded = map(int, self._counts)
        place = divmod(self._place, columns) if self._place >= 0 and columns else (None, None)
        return Difference(
            count=self._count,
            num_changed=changed,
            is_bitwise=self._is_bitwise,
            num_above=above,
            num_flips=flips,
            num_nan_a=nan_a,
            num_inf_a=inf_a,
            num_nan_b=nan_b,
            num_inf_b=inf_b,
            num_excluded=excluded,
            l2_a=math.sqrt(self._sums[0]),
            l2_b=math.sqrt(self._sums[1]),
            l2_delta=math.sqrt(self._sums[3]),
            product=float(self._sums[2]),
            max_abs=self._largest if self._place >= 0 else 0.0 if self._count > excluded else math.nan,
            row=place[0],
            column=place[1],
            tolerance=self._tolerance,
        )

    def _keep_largest(self, a: np.ndarray, b: np.ndarray, place: int, first: int) -> None:
        """The loops find the place in float32; its Δ is taken again from the two entries, in float64."""
        if place >= 0:
            found = abs(float(b[place]) - float(a[place]))
            if found > self._largest:
                self._largest, self._place = found, first + place


def _pieces(
    staged: Staged, a: np.ndarray, b: np.ndarray, start: int, stop: int
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """(place of the first, patterns of a, patterns of b): all at once where nothing has to be converted."""
    step = stop - start if staged.is_direct(a) and staged.is_direct(b) else staged.PIECE
    for at in range(start, stop, max(step, 1)):
        end = min(at + step, stop)
        yield at, staged.patterns(a[at:end]), staged.patterns(b[at:end])


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
