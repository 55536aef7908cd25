"""The look "Spectrum": one matrix's eigenvalues against noise, in a chart and in plain words, and all layers below."""

from __future__ import annotations

import numpy as np
import streamlit as st
from threadpoolctl import threadpool_limits

from engine.folding import matrix_shape
from engine.naming import role_title
from engine.sources.base import TensorInfo
from engine.spectra.reading import has_spectrum
from engine.spectra.registry import SPECTRAL_MEASURES
from figures.spectrum import IID, SCALED, SpectrumPicture, curve_points, eigenvalue_density, measure_by_layer
from figures.spectrum import singular_value_curve as scree
from storage.spectra import StoredSpectrum
from ui.job_panel import job_of, job_panel, start_job
from ui.page import escape_markdown, show_late_error, store, user_errors
from ui.selection import Selection, choose_tensor
from ui.spectrum_words import HEALTHY_ALPHA, explanations, is_defined, number_text
from ui.tensor_view import tensor_caption
from workflows import library
from workflows.deployment import is_public
from workflows.spectra import cost

AT_ONCE_MFLOP, AT_ONCE_BYTES = 3000, 16 << 20
"""A matrix up to this much work (some tenths of a second), and of so many bytes where they come over a network, is
measured when it is looked at; larger ones wait for the job. Ours."""

Squares = tuple[np.ndarray, np.ndarray]
"""Σx² of every row, and of every column."""

LAYER_MEASURES = ("alpha", "scaled_spikes", "stable_rank", "effective_rank", "spectral_norm", "condition_number")


def spectrum_look(selection: Selection) -> None:
    """Everything below the pickers: this matrix, then the whole model."""
    tensor_caption(selection)
    show_late_error()
    job = job_of("spectra", model=selection.location.uri)
    if job is not None and (job.is_active or job.state in ("failed", "interrupted", "cancelled")):
        job_panel(job, key="spectra")
    is_busy = job is not None and job.is_active
    content_hash = _current_hash(selection)
    found = store().spectrum(content_hash, selection.info.name) if content_hash else None
    squares = _stored_squares(content_hash, selection.info.name) if found is not None else None
    if not has_spectrum(selection.info):
        st.info("This tensor is no matrix: only matrices have a spectrum. Choose another one.", icon=":material/info:")
    else:
        if found is None:
            found, squares = _at_once(selection)
        if found is not None:
            with user_errors():
                _matrix(selection, found, squares)
    with user_errors():
        _whole_model(selection, content_hash, is_shown=found is not None, is_busy=is_busy)


def _current_hash(selection: Selection) -> str | None:
    """The content hash of the opened file, where it was measured and has not changed since."""
    location = selection.location
    return location.content_hash if location.fingerprint == selection.source.fingerprint else None


def _stored_squares(content_hash: str, tensor: str) -> Squares | None:
    """Σx² of the rows and of the columns from the stored profiles; None where there are none."""
    profiles = [store().axis_profile(content_hash, tensor, axis) for axis in ("row", "column")]
    return None if None in profiles else tuple(np.square(profile.l2.astype(np.float64)) for profile in profiles)


def _at_once(selection: Selection) -> tuple[StoredSpectrum | None, Squares | None]:
    """The spectrum of a matrix that is small enough to measure while the page is drawn; else None."""
    info, source = selection.info, selection.source
    if cost(info) > AT_ONCE_MFLOP or (source.is_remote and info.num_bytes > AT_ONCE_BYTES):
        return None, None
    return _measured(source.fingerprint, info.name, selection)


@st.cache_data(max_entries=64, show_spinner="Measuring the spectrum …")
def _measured(fingerprint: str, tensor: str, _selection: Selection) -> tuple[StoredSpectrum, Squares | None]:
    from engine.spectra.reading import measure_spectrum

    with threadpool_limits(1, user_api="blas"):  # more threads would only wait for each other on a busy machine
        reading = measure_spectrum(_selection.source, _selection.info)
    shape, singular = matrix_shape(_selection.info.shape), reading.singular
    if singular is None:
        return StoredSpectrum(*shape, np.zeros(0), np.zeros(0), False, reading.problem, reading.values), None
    found = StoredSpectrum(*shape, singular.values, singular.errors, singular.is_estimate, None, reading.values)
    return found, (singular.row_squares, singular.column_squares)


def _matrix(selection: Selection, found: StoredSpectrum, squares: Squares | None) -> None:
    """Numbers, words and charts of one matrix."""
    if found.problem is not None or len(found.singular_values) == 0 or found.singular_values[0] == 0:
        reason = found.problem or "All its entries are zero."
        st.warning(escape_markdown(f"There is no spectrum to draw. {reason}"), icon=":material/warning:")
        return
    if found.is_estimate:
        st.info(
            f"**Estimate.** The matrix is too large for all its singular values: these are its largest "
            f"{len(found.singular_values)}, by a randomised method. The largest is right to "
            f"{found.errors[0]:.1g} of itself, the last shown to {found.errors[-1]:.1g}. α, entropies and ranks need "
            "all values and stay open.",
            icon=":material/data_thresholding:",
        )
    _headline(found)
    is_log = st.toggle(
        "Logarithmic axes", value=True, key="spectrum_log", help="On both, a power law is a straight line."
    )
    picture = _picture(selection, found, squares, is_log)
    density, curve = st.columns([1.5, 1], gap="medium")
    with density:
        st.markdown("**Where the eigenvalues lie**, and where noise would put them")
        st.altair_chart(eigenvalue_density(picture, is_log=is_log), width="stretch", key="spectrum_density")
    with curve:
        st.markdown("**Singular values**, largest first")
        st.altair_chart(scree(picture, is_log=is_log), width="stretch", key="spectrum_scree")
    for sentence in explanations(found):
        st.markdown(f"- {sentence}")


def _headline(found: StoredSpectrum) -> None:
    values = found.values
    shown = {
        "α": f"{number_text(values['alpha'])} ± {number_text(values['alpha_error'], 2)}"
        if is_defined(values["alpha"])
        else "–",
        "spikes": number_text(values["scaled_spikes"]),
        "stable rank": number_text(values["stable_rank"]),
        "effective rank": f"{number_text(values['effective_rank'])} of {min(found.num_rows, found.num_columns):,}",
        "condition": number_text(values["condition_number"]),
        "largest σ": number_text(values["spectral_norm"], 4),
    }
    names = ("alpha", "scaled_spikes", "stable_rank", "effective_rank", "condition_number", "spectral_norm")
    for column, (label, text), name in zip(st.columns(6), shown.items(), names, strict=True):
        column.metric(label, text, help=SPECTRAL_MEASURES[name].description)


def _picture(selection: Selection, found: StoredSpectrum, squares: Squares | None, is_log: bool) -> SpectrumPicture:
    values = found.values
    edges = {name: values[key] for name, key in ((IID, "iid_edge"), (SCALED, "scaled_edge")) if is_defined(values[key])}
    eigenvalues = np.square(found.singular_values)
    spikes = int(values["scaled_spikes"]) if is_defined(values["scaled_spikes"]) else 0
    curves = {} if found.is_estimate or not edges else _bulks(selection, found, squares, is_log)
    tail = int(values["tail_count"]) if is_defined(values["tail_count"]) else 0
    return SpectrumPicture(eigenvalues, spikes, edges, curves, values["alpha"], values["x_min"], tail)


def _bulks(selection: Selection, found: StoredSpectrum, squares: Squares | None, is_log: bool) -> dict[str, np.ndarray]:
    """The densities of both noises; that of row × column noise where the norms are known."""
    from engine.spectra.noise_density import marchenko_pastur_density

    points = curve_points(np.square(found.singular_values), is_log)
    energy = float(np.square(found.singular_values).sum())
    curves = {IID: marchenko_pastur_density(found.num_rows, found.num_columns, energy, points)}
    if squares is not None:
        key = (selection.source.fingerprint, selection.info.name, is_log)
        curves[SCALED] = _scaled_density(key, squares, points)
    return curves


@st.cache_data(max_entries=64, show_spinner="Drawing the noise; the first time on this machine it takes some seconds …")
def _scaled_density(key: tuple, _squares: Squares, _points: np.ndarray) -> np.ndarray:
    from engine.spectra.noise_density import bulk_density

    return bulk_density(*_squares, _points)


def _whole_model(selection: Selection, content_hash: str | None, *, is_shown: bool, is_busy: bool) -> None:
    """One measure of every matrix over the layers; before it was taken, the button that takes it."""
    table = store().spectral_stats(content_hash) if content_hash else None
    if table is None or table.empty:
        if not is_busy:
            _offer(selection, is_shown)
        return
    st.divider()
    words, choice = st.columns([2.2, 1], vertical_alignment="bottom")
    words.markdown("**All matrices of the model**, by layer and role. Click a point to look at that matrix.")
    name = choice.selectbox(
        "Measure",
        LAYER_MEASURES,
        key="spectral_measure",
        bind="query-params",
        format_func=lambda each: SPECTRAL_MEASURES[each].title,
    )
    table["role"] = [role_title(role) for role in table["role"]]
    known = dict(zip(table["tensor"], table.index, strict=True))
    band = HEALTHY_ALPHA if name == "alpha" else None
    chart = measure_by_layer(table, name, SPECTRAL_MEASURES[name].title, band=band)
    st.altair_chart(chart, width="stretch", key="by_layer", on_select=lambda: _go_to(known), selection_mode=["matrix"])
    if band:
        st.caption("Shaded: 2 to 6, where the α of well-trained layers lies.")


def _go_to(known: dict[str, int]) -> None:
    """A point was clicked: its matrix becomes the selected tensor of every page."""
    picked = st.session_state["by_layer"]["selection"].get("matrix") or []
    if picked and picked[0].get("tensor") in known:
        choose_tensor(picked[0]["tensor"])


def _offer(selection: Selection, is_shown: bool) -> None:
    """Why there is nothing (more) to see, and the button that changes it."""
    matrices = [info for info in selection.source.infos() if has_spectrum(info)]
    if not matrices or library.status(selection.location) == "missing":
        return
    if is_public():
        st.caption("Spectra of whole models are measured on your own machine, not in this public deployment.")
        return
    reason = "This is one matrix, measured just now." if is_shown else "The spectra have not been measured yet."
    with st.container(border=True):
        st.markdown(f"**{reason}**")
        st.caption(
            f"Measuring takes the singular values of all {len(matrices):,} matrices, stores them, and shows α and the "
            f"other numbers over the layers: {_duration(matrices)}. It runs as a job: you may leave this page."
        )
        st.button(
            "Measure spectra",
            key="measure_spectra",
            icon=":material/ssid_chart:",
            type="primary",
            on_click=start_job,
            args=("spectra", {"model": selection.location.uri, "name": selection.location.name}),
        )


MFLOP_PER_S = 20_000
"""Of one core, measured; only for words such as "some seconds"."""


def _duration(infos: list[TensorInfo]) -> str:
    seconds = sum(map(cost, infos)) / MFLOP_PER_S
    for limit, words in ((20, "some seconds"), (120, "about a minute or two"), (1800, "some minutes")):
        if seconds < limit:
            return words
    return "an hour or more, depending on the cores" if seconds > 7200 else "up to an hour"
