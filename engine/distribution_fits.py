"""A normal and a Student-t fitted to a tensor's weights by maximum likelihood, and which of them describes it better.

A trained matrix has heavier tails than a normal; the degrees of freedom of a Student-t say how heavy in one number (a
normal has infinitely many). The number is about the weights all together: rows and columns of different norms, each
normal by itself, mix to a Student-t as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from engine.dtypes import KNOWN_TYPES
from engine.sources.base import Source, TensorInfo
from engine.student_t import DF_BOUNDS, student_t_parameters

MAX_ENTRIES = 1 << 20
"""Weights a fit is made from at most; chosen by us: 10 degrees of freedom are then known to about 0.5 %."""

NUM_RUNS, NUM_REMOTE_RUNS, LEAST_RUNS = 512, 16, 16
"""Places at which a larger tensor is read; over a network each of them is a request."""

LEAST_ENTRIES = 8
"""Fewer weights say nothing about three parameters."""

LARGEST_TIE = 1 / 3
"""Share of weights that are one and the same number (zeros of a pruned matrix, ones of a norm) from which on no law
fits: the likelihood of a Student-t with half a degree of freedom, the fewest looked for, is then without bound."""

NUM_POINTS = 257
"""Quantiles of the sample kept for a Q-Q plot, a third of them in the tails; ours: a chart draws them at once."""

DECISIVE = 10.0
"""Difference of two AIC from which on the worse law has no support; Burnham & Anderson 2002, section 2.6."""


@dataclass(frozen=True, slots=True)
class Law:
    """A normal or a Student-t distribution with location and scale.

    Attributes:
        name: "normal" or "Student-t". location: its middle. scale: a normal's standard deviation; of a Student-t the
            factor of the standard one. df: degrees of freedom; Inf of a normal, also of a Student-t that turned out as
            one. df_error: their standard error from the observed information, as if weights were independent; NaN
            without one. log_likelihood: per weight, in nats.
    """

    name: str
    location: float
    scale: float
    df: float
    df_error: float
    log_likelihood: float

    @property
    def num_parameters(self) -> int:
        return 2 if self.name == "normal" else 3

    def shares_between(self, edges: np.ndarray) -> np.ndarray:
        """The probability of each bin between increasing `edges`, (n + 1,): (n,); exact far out in both tails."""
        from scipy.special import ndtr, stdtr

        z = (np.asarray(edges, np.float64) - self.location) / self.scale
        lower = ndtr(z) if math.isinf(self.df) else stdtr(self.df, z)
        upper = ndtr(-z) if math.isinf(self.df) else stdtr(self.df, -z)
        return np.where(z[:-1] > 0, upper[:-1] - upper[1:], lower[1:] - lower[:-1])

    def quantiles(self, shares: np.ndarray) -> np.ndarray:
        """The numbers below which these shares lie, in (0, 1)."""
        from scipy.special import ndtri, stdtrit

        shares = np.asarray(shares, np.float64)
        standard = ndtri(shares) if math.isinf(self.df) else stdtrit(self.df, shares)
        return self.location + self.scale * standard


@dataclass(frozen=True, eq=False)
class DistributionFits:
    """Both laws for one set of weights.

    Attributes:
        normal, student_t: the fits; None where there is none, for the `reason`.
        reason: why there is no fit, a sentence; "" where there is one.
        num_weights: finite ones that were looked at. share: of the tensor's entries.
        shares, values: (m,) float64, m ≤ `NUM_POINTS`: the sample's quantiles, dense in the tails: values[k] is an
            order statistic, shares[k] its rank less a half over the number of weights (Hazen 1914).
    """

    normal: Law | None
    student_t: Law | None
    reason: str
    num_weights: int
    share: float
    shares: np.ndarray
    values: np.ndarray

    @property
    def is_whole(self) -> bool:
        """Whether every entry was looked at, not a sample."""
        return self.share == 1.0

    @cached_property
    def bits_gained(self) -> float:
        """Bits a weight by which the Student-t describes them better than the normal; NaN without fits."""
        if self.normal is None or self.student_t is None:
            return math.nan
        return (self.student_t.log_likelihood - self.normal.log_likelihood) / math.log(2)

    @cached_property
    def aic_difference(self) -> float:
        """AIC of the normal − AIC of the Student-t: positive where the Student-t is worth its parameter."""
        if self.normal is None or self.student_t is None:
            return math.nan
        gain = 2 * self.num_weights * (self.student_t.log_likelihood - self.normal.log_likelihood)
        return gain - 2 * (self.student_t.num_parameters - self.normal.num_parameters)

    @property
    def better(self) -> Law | None:
        """The law that describes the weights better; the simpler one where the evidence is weak."""
        return self.student_t if self.aic_difference > DECISIVE else self.normal


def distribution_fits(source: Source, info: TensorInfo) -> DistributionFits:
    """Both laws fitted to a tensor: to all of it up to `MAX_ENTRIES`, else to evenly spaced parts, always the same."""
    kind = KNOWN_TYPES.get(info.dtype)
    if kind is not None and kind.dtype.kind in "biuc":
        return _without("Only real numbers are fitted, neither whole numbers nor complex ones.")
    entries = sample(source, info)
    return fits_of(entries, entries.size / max(1, info.num_elements))


def fits_of(values: np.ndarray, share: float = 1.0) -> DistributionFits:
    """Both laws fitted to numbers.

    Args:
        values: any shape, real; NaN and ±Inf are passed over. share: what part of a tensor they are.
    Returns: no fit, but the reason, for fewer than `LEAST_ENTRIES` finite numbers, and where `LARGEST_TIE` or more of
        them are equal.
    """
    values = np.asarray(values, np.float64).ravel()
    values = np.sort(values[np.isfinite(values)])
    if values.size < LEAST_ENTRIES:
        return _without(f"A fit needs at least {LEAST_ENTRIES} weights; there are {values.size}.", values, share)
    number, tie = _largest_tie(values)
    if tie >= LARGEST_TIE:
        return _without(f"{100 * tie:.3g} % of the weights are exactly {number:g}: no smooth law fits.", values, share)
    normal, student_t = fit_normal(values), fit_student_t(values)
    return DistributionFits(normal, student_t, "", values.size, share, *_points(values))


def fit_normal(values: np.ndarray) -> Law:
    """The normal of largest likelihood: mean and (population) standard deviation of finite numbers, not all equal."""
    scale = float(values.std())
    return Law("normal", float(values.mean()), scale, math.inf, math.nan, -0.5 - math.log(scale * math.sqrt(math.tau)))


def fit_student_t(values: np.ndarray) -> Law:
    """The Student-t of largest likelihood: `engine.student_t`; the normal, with df Inf, where nothing less is better.

    Args: values: (n,) float64, increasing, finite, not too many of them equal (`LARGEST_TIE`).
    """
    found, normal = student_t_parameters(values), fit_normal(values)
    if found.df >= DF_BOUNDS[1] * (1 - 1e-6) or found.log_likelihood <= normal.log_likelihood:
        return Law("Student-t", normal.location, normal.scale, math.inf, math.nan, normal.log_likelihood)
    return Law("Student-t", *found)


def verdict(fits: DistributionFits) -> str:
    """Which law describes the weights better and by how much, in one sentence; the reason where there is no fit."""
    law, normal = fits.student_t, fits.normal
    if law is None or normal is None:
        return fits.reason
    if math.isinf(law.df):
        return "A normal describes these weights; no Student-t describes them better."
    words = f"A Student-t with {_with_error(law.df, law.df_error)} degrees of freedom"
    if fits.better is normal:
        return f"A normal describes these weights as well as anything. {words} is no better."
    return f"{words} describes these weights better than a normal, by {fits.bits_gained:.2g} bits a weight."


def _with_error(value: float, error: float) -> str:
    """A number with its standard error to one or two digits: "10.3 ± 0.1", "190 ± 30"."""
    if not math.isfinite(error) or error <= 0:
        return f"{value:.3g}"
    digits = max(0, -math.floor(math.log10(error)))
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def sample(source: Source, info: TensorInfo) -> np.ndarray:
    """The entries a fit is made from, as stored: all up to `MAX_ENTRIES`; else whole rows in evenly spaced runs.

    Of rows so long that only few would fit, evenly spaced entries are taken, in every row others.
    """
    if info.num_elements <= MAX_ENTRIES or not info.shape:
        return np.asarray(source.read(info.name)).reshape(-1)
    num_rows, width = info.shape[0], info.num_elements // info.shape[0]
    most = NUM_REMOTE_RUNS if source.is_remote else NUM_RUNS
    num_runs = min(num_rows, most, max(LEAST_RUNS, MAX_ENTRIES // width))
    run = max(1, MAX_ENTRIES // num_runs // width)
    step = -(-run * width * num_runs // MAX_ENTRIES)
    pieces = []
    for k, start in enumerate(np.linspace(0, num_rows - run, num_runs).round().astype(int)):
        rows = np.asarray(source.read_rows(info.name, int(start), int(start) + run)).reshape(-1)
        pieces.append(rows[k % step :: step].astype(np.float64))
    return np.concatenate(pieces)


def _largest_tie(values: np.ndarray) -> tuple[float, float]:
    """(the number that occurs most often among increasing ones, its share)."""
    starts = np.concatenate([[0], np.flatnonzero(values[1:] != values[:-1]) + 1, [values.size]])
    lengths = np.diff(starts)
    longest = int(np.argmax(lengths))
    return float(values[starts[longest]]), float(lengths[longest] / values.size)


def _points(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(shares, values) of at most `NUM_POINTS` order statistics: every twentieth share, and ever fewer to the ends."""
    third = NUM_POINTS // 3
    tail = np.geomspace(1, max(1.0, values.size / 20), third).round().astype(np.int64)
    middle = np.linspace(tail[-1], values.size + 1 - tail[-1], NUM_POINTS - 2 * third).round().astype(np.int64)
    ranks = np.unique(np.concatenate([tail, middle, values.size + 1 - tail]))
    return (ranks - 0.5) / values.size, values[ranks - 1]


def _without(reason: str, values: np.ndarray | None = None, share: float = 0.0) -> DistributionFits:
    return DistributionFits(None, None, reason, 0 if values is None else values.size, share, np.zeros(0), np.zeros(0))
