"""Every feature of a signature again, slow and obvious, in float64 and from the textbook."""

from __future__ import annotations

import numpy as np
from scipy import optimize, stats

from engine.spectra.noise import iid_edge, scaled_edge


def slow_features(w: np.ndarray, heads: list[np.ndarray] | None = None) -> dict[str, float]:
    """Name -> value; the fits (Student-t, α) by other means than the product's."""
    found = distribution(w) | spectrum(w) | outliers(w) | heads_of(heads or [])
    for axis, line in enumerate(("row", "column")):
        found |= {f"{line}_{name}": value for name, value in (norms(w, axis) | order(w, axis)).items()}
    r, c = (w**2).sum(1), (w**2).sum(0)
    product = np.outer(r, c)
    y = (w / np.sqrt(product))[np.ix_(r > 0, c > 0)]
    found["separability"] = (w**2 * product).sum() / np.linalg.norm(w**2) / np.linalg.norm(product)
    found["scaled_kurtosis"] = (y**4).mean() / (y**2).mean() ** 2
    return found


def distribution(w: np.ndarray) -> dict[str, float]:
    x = w.ravel()
    q = {share: np.quantile(x, share / 1000) for share in (1, 25, 100, 250, 500, 750, 900, 975, 999)}
    rms = np.sqrt((x**2).mean())
    return {
        "rms": rms,
        "mean_shift": x.mean() / x.std(),
        "skewness": stats.skew(x),
        "quantile_skewness": (q[900] + q[100] - 2 * q[500]) / (q[900] - q[100]),
        "kurtosis": stats.kurtosis(x, fisher=False),
        "tail_95": (q[975] - q[25]) / (q[750] - q[250]),
        "tail_998": (q[999] - q[1]) / (q[750] - q[250]),
        "student_t_df": student_t(x),
        "mean_magnitude": np.abs(x).mean() / rms,
        "normal_distance": stats.kstest(x, "norm", (x.mean(), x.std())).statistic,
        "zero_share": (x == 0).mean(),
        "near_zero_share": (np.abs(x) <= 0.1 * rms).mean(),
    }


def student_t(x: np.ndarray) -> float:
    def loss(theta: np.ndarray) -> float:
        return -stats.t.logpdf(x, np.exp(theta[2]), theta[0], np.exp(theta[1])).mean()

    start = [np.median(x), np.log(x.std()), 2.0]
    options = {"xatol": 1e-7, "fatol": 1e-13, "maxiter": 2000}
    return float(np.exp(optimize.minimize(loss, start, method="Nelder-Mead", options=options).x[2]))


def norms(w: np.ndarray, axis: int) -> dict[str, float]:
    lines = w if axis == 0 else w.T
    norm, squares = np.linalg.norm(lines, axis=1), (lines**2).sum(1)
    n = len(squares)
    gini = sum(abs(a - b) for a in squares for b in squares) / (2 * n * n * squares.mean())
    alive = squares[squares > 0]
    return {
        "norm_cv": norm.std() / norm.mean(),
        "energy_gini": gini,
        "norm_max": norm.max() / np.median(norm),
        "scale_bits": 0.5 * np.log2(alive.mean() / stats.gmean(alive)),
        "common": n * np.linalg.norm(lines.mean(0)) ** 2 / squares.mean(),
        "zero_lines": (squares == 0).mean(),
    }


def spectrum(w: np.ndarray) -> dict[str, float]:
    s = np.linalg.svd(w, compute_uv=False)
    k, lam, total = len(s), s**2, (s**2).sum()
    p, p2 = s / s.sum(), s**2 / total
    alpha, distance, tail = power_law(lam)
    iid = iid_edge(*w.shape, total)
    scaled = scaled_edge((w**2).sum(1), (w**2).sum(0))
    running = np.concatenate([[0], np.cumsum(lam)]) / total
    q25, q75 = np.quantile(s, [0.25, 0.75])
    return {
        "stable_rank_share": total / lam[0] / k,
        "effective_rank_share": np.exp(stats.entropy(p)) / k,
        "energy_entropy": stats.entropy(p2) / np.log(k),
        "alpha": alpha,
        "alpha_distance": distance,
        "tail_share": tail / k,
        "iid_spike_share": (lam > iid.threshold).mean(),
        "scaled_spike_share": (lam > scaled.threshold).mean(),
        "iid_spike_energy": lam[lam > iid.threshold].sum() / total,
        "scaled_spike_energy": lam[lam > scaled.threshold].sum() / total,
        "top_over_iid_edge": s[0] / np.sqrt(iid.edge),
        "top_over_scaled_edge": s[0] / np.sqrt(scaled.edge),
        "top_gap": s[0] / s[1],
        "half_energy_rank": np.interp(0.5, running, np.arange(k + 1)) / k,
        "most_energy_rank": np.interp(0.9, running, np.arange(k + 1)) / k,
        "bulk_spread": (q75 - q25) / np.sqrt(total / k),
        "quiet_share": (s < 0.01 * np.sqrt(total / k)).mean(),
    }


def power_law(lam: np.ndarray) -> tuple[float, float, int]:
    x = np.sort(lam)
    best = (np.inf, np.nan, 0)
    for first in range(len(x) - 1):
        tail = x[first:]
        alpha = 1 + len(tail) / np.log(tail / tail[0]).sum()
        distance = np.abs(1 - (tail / tail[0]) ** (1 - alpha) - np.arange(len(tail)) / len(tail)).max()
        if distance < best[0]:
            best = (distance, alpha, len(tail))
    return best[1], best[0], best[2]


def order(w: np.ndarray, axis: int) -> dict[str, float]:
    """By the two-dimensional transform, all frequencies of it one by one."""
    power = np.abs(np.fft.fft2(w)) ** 2
    density = power.sum(1 - axis)
    n = len(density)
    periods = {2: [], 4: [], 8: [], 16: [], 32: []}
    for u in range(1, n):
        period = n / min(u, n - u)
        periods[max(least for least in periods if least <= period)].append(density[u])
    mean = density[1:].mean()
    names = {2: "band_2_4", 4: "band_4_8", 8: "band_8_16", 16: "band_16_32", 32: "band_32"}
    centred = w - w.mean(axis, keepdims=True)
    found = {names[least]: np.mean(each) / mean if each else np.nan for least, each in periods.items()}
    found["flatness"] = stats.gmean(density[1:]) / mean
    found["peak"] = density[1:].max() / mean
    for lag in (1, 2, 4, 8):
        found[f"lag_{lag}"] = (centred * np.roll(centred, -lag, axis)).sum() / (centred**2).sum()
    return found


def outliers(w: np.ndarray) -> dict[str, float]:
    middle, low, high = np.quantile(w, [0.5, 0.25, 0.75])
    z = np.abs(w - middle) / ((high - low) / (2 * stats.norm.ppf(0.75)))
    found = {
        "max_sigmas": z.max(),
        "far_weights": 1e6 * (z > 4).mean(),
        "very_far_weights": 1e6 * (z > 8).mean(),
    }
    for axis, line in enumerate(("row", "column")):
        counts = np.sort((z > 4).sum(1 - axis))[::-1]
        top = counts[: int(np.ceil(len(counts) / 100))].sum()
        found[f"{line}_outlier_concentration"] = top / counts.sum() if counts.sum() >= 20 else np.nan
    return found


def heads_of(heads: list[np.ndarray]) -> dict[str, float]:
    names = ("norm_cv", "norm_max", "effective_rank", "effective_rank_cv", "stable_rank")
    if not heads:
        return {f"head_{name}": np.nan for name in names}
    norm = np.array([np.linalg.norm(head) for head in heads])
    singular = [np.linalg.svd(head, compute_uv=False) for head in heads]
    rank = np.array([np.exp(stats.entropy(s / s.sum())) / len(s) for s in singular])
    stable = [(s**2).sum() / s[0] ** 2 / len(s) for s in singular]
    values = (norm.std() / norm.mean(), norm.max() / np.median(norm), np.median(rank), rank.std() / rank.mean())
    return {f"head_{name}": value for name, value in zip(names, (*values, np.median(stable)), strict=True)}
