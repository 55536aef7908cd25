"""The spectra of a report: one matrix against noise, and α over the layers, from what is stored."""

from __future__ import annotations

import numpy as np
import pandas as pd

from engine.naming import role_title
from figures.report_document import Picture
from figures.spectrum import IID, SCALED, SpectrumPicture, curve_points, eigenvalue_density, measure_by_layer
from storage.spectra import StoredSpectrum
from workflows.report_pictures import Desk

HEALTHY_ALPHA = (2.0, 6.0)
"""Martin & Mahoney 2021: where the exponents of well-trained layers lie."""


def density(desk: Desk, content_hash: str | None, tensor: str) -> Picture | None:
    """The eigenvalues of a matrix with the bulk of noise and the fitted tail; None where nothing is stored."""
    found = desk.store.spectrum(content_hash, tensor) if content_hash else None
    if found is None or found.problem or len(found.singular_values) == 0 or found.singular_values[0] == 0:
        return None
    picture = _picture(desk, content_hash, tensor, found)
    note = " An estimate: the largest values only." if found.is_estimate else ""
    return desk.chart(
        f"{tensor}.spectrum",
        f"Density of the eigenvalues of {tensor} against noise",
        lambda _: eigenvalue_density(picture),
        f"{tensor}: its eigenvalues (bars), where noise would put them (lines), and what stands out (red).{note}",
    )


def _picture(desk: Desk, content_hash: str, tensor: str, found: StoredSpectrum) -> SpectrumPicture:
    from engine.spectra.noise_density import bulk_density, marchenko_pastur_density

    def count(name: str) -> int:
        return 0 if np.isnan(found.values.get(name, np.nan)) else int(found.values[name])

    values = found.values
    edges = {
        name: values[key] for name, key in ((IID, "iid_edge"), (SCALED, "scaled_edge")) if not np.isnan(values[key])
    }
    eigenvalues, curves = np.square(found.singular_values), {}
    if edges and not found.is_estimate:
        points = curve_points(eigenvalues, True)
        shape = (found.num_rows, found.num_columns)
        curves[IID] = marchenko_pastur_density(*shape, float(eigenvalues.sum()), points)
        profiles = [desk.store.axis_profile(content_hash, tensor, axis) for axis in ("row", "column")]
        if None not in profiles:
            curves[SCALED] = bulk_density(*(np.square(each.l2.astype(np.float64)) for each in profiles), points)
    tail = count("tail_count")
    return SpectrumPicture(eigenvalues, count("scaled_spikes"), edges, curves, values["alpha"], values["x_min"], tail)


def alpha_by_layer(desk: Desk, name: str, table: pd.DataFrame) -> Picture:
    """α of every matrix over the layers, the healthy range shaded."""
    shown = table.assign(role=[role_title(role) for role in table["role"]])
    return desk.chart(
        f"{name}.alpha",
        f"Power-law exponent of every matrix of {name} by layer",
        lambda _: measure_by_layer(shown, "alpha", "power-law exponent α", band=HEALTHY_ALPHA),
        "Exponent α of the tail of each matrix's eigenvalues. Shaded: 2 to 6, where well-trained layers lie.",
    )
