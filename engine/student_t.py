"""The Student-t of largest likelihood for some numbers, by its exact first and second derivatives.

With z = (x − m) / s, the log-likelihood of one number is ln Γ((ν + 1) / 2) − ln Γ(ν / 2) − ½ ln(νπ) − ln s
− ½ (ν + 1) ln(1 + z² / ν). All its derivatives are sums of u = 1 / (ν + z²), u², zu and zu², since z²u = 1 − νu.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

DF_BOUNDS = (0.5, 1000.0)
"""Degrees of freedom looked for. A Cauchy distribution has 1; with 1000 no density differs by 0.1 % from a normal's
within three standard deviations."""

SEARCHED = (0.4, 1e5)
"""Further than that the coarse search never goes: beyond, tied numbers let the likelihood grow without bound."""

CHUNK = 1 << 13
"""Numbers summed at a time, so that what is computed of them stays in the nearest caches."""

NUM_GROUPS, NUM_SINGLE = 2048, 512
"""Groups of neighbours, and numbers left single at each end, for the first, coarse search."""

MOST_STEPS, CONVERGED = 12, 1e-5
"""Each step squares the error that the coarse search left; two are enough. After one smaller than the second number,
what is left is smaller than 1e-9."""


class StudentT(NamedTuple):
    """Parameters, the standard error of df (NaN at the bounds of df), and the log-likelihood a number in nats."""

    location: float
    scale: float
    df: float
    df_error: float
    log_likelihood: float


def student_t_parameters(values: np.ndarray) -> StudentT:
    """The maximum of the likelihood over location, scale > 0 and df in `DF_BOUNDS`.

    Args: values: (n,) float64, increasing, finite, less than a third of them equal.
    Source: Lange, Little & Taylor 1989, for the likelihood and its information matrix.
    """
    centre = float(np.median(values))
    unit = float(np.subtract(*np.quantile(values, [0.75, 0.25]))) or float(values.std())
    standard = (values - centre) / unit
    theta, value, hessian = _refined(standard, _coarse(standard))
    location, scale, df = centre + unit * theta[0], unit * math.exp(theta[1]), math.exp(theta[2])
    error = math.nan if _at_bound(theta) else df * math.sqrt(np.linalg.inv(-hessian * values.size)[2, 2])
    return StudentT(float(location), float(scale), df, error, value - math.log(unit))


def derivatives(
    values: np.ndarray, theta: np.ndarray, counts: np.ndarray | None = None
) -> tuple[float, np.ndarray, np.ndarray]:
    """The log-likelihood a number, and its first and second derivatives by θ = (location, ln scale, ln df).

    Args: values: (n,) float64. theta: (3,). counts: (n,), how often each number stands there; once where None.
    Returns: a float, (3,), (3, 3); in nats.
    """
    from scipy.special import digamma, gammaln, polygamma

    m, s, v = theta[0], math.exp(theta[1]), math.exp(theta[2])
    log, u1, u2, z1, z2 = _sums(values, m, s, v, counts)
    half, halves = v / 2, (v + 1) / 2
    value = gammaln(halves) - gammaln(half) - 0.5 * math.log(v * math.pi) - theta[1] - halves * log
    wz2 = (v + 1) * (1 - v * u1)
    by_df = 0.5 * (digamma(halves) - digamma(half) - 1 / v - log + wz2 / v)
    gradient = np.array([(v + 1) * z1 / s, wz2 - 1, v * by_df])
    # z²u (1 − w) with w = (ν + 1) u, and so on, each written with u and zu alone
    location_scale = -2 / s * (v + 1) * v * z2
    location_df = (z1 - (v + 1) * z2) / s
    scale_df = 1 - (2 * v + 1) * u1 + v * (v + 1) * u2
    twice_df = 0.25 * (polygamma(1, halves) - polygamma(1, half)) + 0.5 / v**2
    twice_df += 0.5 * (1 - v * u1) / v + 0.5 * (scale_df / v - wz2 / v**2)
    hessian = np.array(
        [
            [-(v + 1) / s**2 * (2 * v * u2 - u1), location_scale, v * location_df],
            [location_scale, -2 * (v + 1) * v * (u1 - v * u2), v * scale_df],
            [v * location_df, v * scale_df, v**2 * twice_df + v * by_df],
        ]
    )
    return float(value), gradient, hessian


def _sums(values: np.ndarray, m: float, s: float, v: float, counts: np.ndarray | None) -> np.ndarray:
    """Means of ln(1 + z²/ν), u, u², zu, zu²."""
    totals = np.zeros(5)
    for start in range(0, values.size, CHUNK):
        z = (values[start : start + CHUNK] - m) / s
        square = z * z
        u = 1 / (v + square)
        log = np.log1p(square / v)
        zu = z * u
        if counts is None:
            totals += log.sum(), u.sum(), (u * u).sum(), zu.sum(), (zu * u).sum()
        else:
            times = counts[start : start + CHUNK]
            totals += [(times * each).sum() for each in (log, u, u * u, zu, zu * u)]
    return totals / (values.size if counts is None else counts.sum())


def _coarse(values: np.ndarray) -> np.ndarray:
    """θ near the maximum, from groups of neighbours in place of the numbers of the middle."""
    from scipy.optimize import minimize

    centres, counts = _grouped(values)

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        if not SEARCHED[0] < math.exp(theta[2]) < SEARCHED[1]:
            return math.inf, np.zeros(3)
        value, gradient, _ = derivatives(centres, theta, counts)
        return -value, -gradient

    def curvature(theta: np.ndarray) -> np.ndarray:
        return -derivatives(centres, theta, counts)[2]

    start = np.array([0.0, math.log(0.7), math.log(8.0)])  # a quartile range of 1 is a standard deviation of 0.74
    options = {"gtol": 1e-8, "max_trust_radius": 2.0, "maxiter": 100}
    found = minimize(loss, start, jac=True, hess=curvature, method="trust-exact", options=options).x
    return _inside(found)


def _grouped(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(means of groups of neighbours, how many each has): the ends of increasing numbers are left single."""
    middle = values.size - 2 * NUM_SINGLE
    if middle <= 2 * NUM_GROUPS:
        return values, np.ones(values.size)
    edges = NUM_SINGLE + np.arange(NUM_GROUPS + 1) * middle // NUM_GROUPS
    counts = np.diff(edges)
    means = np.add.reduceat(values[: edges[-1]], edges[:-1]) / counts
    ones = np.ones(NUM_SINGLE)
    return (
        np.concatenate([values[:NUM_SINGLE], means, values[-NUM_SINGLE:]]),
        np.concatenate([ones, counts, ones]),
    )


def _refined(values: np.ndarray, theta: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
    """(θ, log-likelihood, its second derivatives) at the maximum for all the numbers, by Newton's method.

    At a bound of df only the other two move; where the likelihood is not concave, the coarse θ stays.
    """
    for _ in range(MOST_STEPS):
        value, gradient, hessian = derivatives(values, theta)
        free = 2 if _at_bound(theta) else 3
        if np.linalg.eigvalsh(hessian[:free, :free])[-1] >= 0:
            break
        step = np.zeros(3)
        step[:free] = -np.linalg.solve(hessian[:free, :free], gradient[:free])
        step *= min(1.0, 1.0 / np.abs(step).max())
        theta = _inside(theta + step)
        if np.abs(step).max() < CONVERGED:
            return theta, float(value + gradient @ step + step @ hessian @ step / 2), hessian
    return theta, value, hessian


def _inside(theta: np.ndarray) -> np.ndarray:
    return np.array([*theta[:2], np.clip(theta[2], *map(math.log, DF_BOUNDS))])


def _at_bound(theta: np.ndarray) -> bool:
    least, most = map(math.log, DF_BOUNDS)
    return not least + 1e-6 < theta[2] < most - 1e-6
