"""The look "Fourier": waves in one matrix beside those of a null made from it, in pictures and in plain words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from engine.discovery.fourier import FourierReading, FourierSettings, Peak, fourier_reading, middle_strip
from engine.discovery.fourier_power import power_picture
from engine.discovery.nulls import NULLS
from engine.folding import matrix_shape
from engine.spectra.reading import has_spectrum
from figures.fourier import autocorrelation_chart, axis_power_chart, power_chart, shared_limits
from ui.page import user_errors
from ui.selection import Selection
from ui.tensor_view import tensor_caption

AT_ONCE = 1 << 19
"""Weights looked at while the page is drawn; of larger matrices, a strip of neighbouring rows. Ours: about a second."""

REMOTE_BYTES = 32 << 20
"""Most that is fetched over a network for a look; a strip of a tall matrix stays below."""

BY_TITLE = {null.title: name for name, null in NULLS.items()}
DEFAULT = NULLS[FourierSettings().null].title


def fourier_look(selection: Selection) -> None:
    """Everything below the pickers."""
    tensor_caption(selection)
    if not has_spectrum(selection.info):
        st.info("This tensor is no matrix: only matrices have waves. Choose another one.", icon=":material/info:")
        return
    if _num_bytes(selection) > REMOTE_BYTES:
        st.info(
            "This matrix lies on a network and its columns cannot be fetched apart. Download the model to look at it.",
            icon=":material/cloud_download:",
        )
        return
    null = _null_choice()
    with user_errors():
        _draw(_reading(selection.source.fingerprint, selection.info.name, null, selection), null)


def _num_bytes(selection: Selection) -> int:
    """What the look reads over a network; 0 of a local file."""
    info = selection.info
    if not selection.source.is_remote:
        return 0
    rows, _ = middle_strip(matrix_shape(info.shape), AT_ONCE)
    return info.num_bytes * (rows.stop - rows.start) // info.shape[0]


def _null_choice() -> str:
    words, choice = st.columns([2.2, 1], vertical_alignment="bottom")
    words.markdown(
        "**Does the order of rows and columns mean anything?** A network of linear layers does not care, so its "
        "weights should look like their null. Positions, time and pixels show as waves."
    )
    if st.session_state.get("fourier_null", DEFAULT) not in BY_TITLE:
        st.session_state["fourier_null"] = DEFAULT  # from a bad URL
    title = choice.selectbox(
        "Null beside it",
        list(BY_TITLE),
        index=list(BY_TITLE).index(DEFAULT),
        key="fourier_null",
        bind="query-params",
        help="Permuted rows and columns is the fair one: it forgets the order and nothing else.",
    )
    return BY_TITLE[title]


@st.cache_data(max_entries=32, show_spinner="Looking for waves …")
def _reading(fingerprint: str, tensor: str, null: str, _selection: Selection) -> FourierReading:
    info, source = _selection.info, _selection.source
    shape = matrix_shape(info.shape)
    rows, columns = middle_strip(shape, AT_ONCE)
    strip = source.read_rows(info.name, rows.start, rows.stop).reshape(-1, shape[1])[:, columns]
    return fourier_reading(strip, FourierSettings(null=null, max_elements=AT_ONCE))


def _draw(reading: FourierReading, null: str) -> None:
    if not reading.peaks:
        st.info("All entries are equal: there are no waves.", icon=":material/info:")
        return
    icon = ":material/waves:" if reading.found else ":material/blur_on:"
    st.markdown(f"{icon} {verdict(reading)}")
    pictures = [power_picture(spectrum, 240, 160) for spectrum in (reading.spectrum, reading.null_spectrum)]
    limits = shared_limits(pictures)
    ours, theirs = st.columns(2, gap="medium")
    with ours:
        st.markdown("**This matrix**, energy by period")
        chart = power_chart(pictures[0], limits, reading.found)
        st.altair_chart(chart, width="stretch", key="fourier_power")
    with theirs:
        st.markdown(f"**Its null**: {NULLS[null].title.lower()}")
        st.altair_chart(power_chart(pictures[1], limits), width="stretch", key="fourier_null_power")
    if reading.found:
        st.dataframe(_table(reading.found), hide_index=True, width="stretch", key="fourier_peaks")
    for line, axis in (("row", reading.rows), ("column", reading.columns)):
        power, correlation = st.columns(2, gap="medium")
        with power:
            st.markdown(f"**Along the {line}s**, {_p_words(axis.peak_p_value, 'strongest wave')}")
            st.altair_chart(axis_power_chart(axis, line), width="stretch", key=f"fourier_{line}_power")
        with correlation:
            st.markdown(f"**Neighbouring {line}s**, {_p_words(axis.autocorrelation_p_value, 'largest correlation')}")
            st.altair_chart(autocorrelation_chart(axis, line), width="stretch", key=f"fourier_{line}_lags")
    st.caption(
        "Grey: where 95 of 100 nulls stay at a single frequency or distance. p: share of the nulls, this matrix among "
        "them, that show as much anywhere. The pictures hold the highest frequency of every cell, each over the mean "
        "of its kind: waves down the rows alone (left edge), along the columns alone (middle line), and all others. "
        f"{_part(reading)}"
    )


def verdict(reading: FourierReading) -> str:
    """What was found, in one sentence."""
    number = len(reading.null_heights)
    if reading.found:
        strongest = max(reading.found, key=lambda peak: peak.share)
        more = f" {len(reading.found) - 1} more are listed below." if len(reading.found) > 1 else ""
        return (
            f"**Waves stand out of all {number} nulls.** The largest repeats {_places(strongest)} and holds "
            f"{strongest.share:.2%} of the energy.{more}"
        )
    axes = [
        line
        for line, axis in (("rows", reading.rows), ("columns", reading.columns))
        if min(axis.autocorrelation_p_value, axis.peak_p_value) <= 1 / (number + 1)
    ]
    if axes:
        return (
            f"**No single wave stands out, but neighbouring {' and '.join(axes)} have something to do with each "
            f"other**, more than in all {number} nulls. One matrix in ten shows that by chance for each axis."
        )
    return f"**No wave stands out**: the order of rows and columns looks like chance, as in {number} nulls."


def _places(peak: Peak) -> str:
    words = [
        f"every {period:.4g} {line}"
        for period, line in ((peak.row_period, "rows"), (peak.column_period, "columns"))
        if np.isfinite(period)
    ]
    return " and ".join(words)


def _p_words(p_value: float, what: str) -> str:
    return "nothing to compare" if np.isnan(p_value) else f"{what}: p = {p_value:.2g}"


def _part(reading: FourierReading) -> str:
    rows, columns = reading.spectrum.num_rows, reading.spectrum.num_columns
    return f"Looked at: {rows:,} rows × {columns:,} columns on their own axes, nothing resized."


def _table(peaks: tuple[Peak, ...]) -> pd.DataFrame:
    def period(value: float) -> str:
        return "does not change" if np.isinf(value) else f"{value:.4g}"

    return pd.DataFrame(
        {
            "period, rows": [period(peak.row_period) for peak in peaks],
            "period, columns": [period(peak.column_period) for peak in peaks],
            "energy / mean of its kind": [f"{peak.height:.4g}" for peak in peaks],
            "of all energy": [f"{peak.share:.2%}" for peak in peaks],
            "p": [f"{peak.p_value:.2g}" for peak in peaks],
        }
    )
