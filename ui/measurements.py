"""What was measured of one tensor, beside its picture; or the way to measure it."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import streamlit as st

from engine.distribution_fits import DistributionFits, distribution_fits, verdict
from engine.measures.registry import MEASURES
from engine.measures.results import QUANTILE_PERCENTS, AxisProfile, Distribution
from engine.outliers import LargeWeight, largest_weights, outlying_lines
from figures.distributions import histogram
from figures.quantile_plot import quantile_plot
from storage.records import Location
from ui.export_panel import chart
from ui.job_panel import job_of, job_panel, start_job
from ui.page import escape_markdown, show_late_error, store, user_errors
from ui.selection import Selection
from workflows import library
from workflows.wording import bytes_text, count_text

VALUE_FORMAT = "%.6g"

STATISTICS, DISTRIBUTION, OUTLIERS = "Statistics", "Distribution", "Outliers"

READING = """
**Degrees of freedom** say how heavy the tails are: infinitely many are a normal, 10 is a little heavier, below 5 single
weights far from all others are common. Trained matrices lie mostly between 5 and 30.

A low number does not have to mean heavy tails in every row: rows and columns of different norms mix to it as well. Of
all-MiniLM-L6-v2 the median matrix has 10.3, and normal noise with the row and column norms of the same matrices 11.8.

The **±** is the standard error as if the weights were independent. **Bits a weight** are what knowing the better law
saves, on average, in coding a weight.

In the **Q-Q plot** each point is a quantile of the weights against that of the law: points on the dashed line follow
it. Points above it at the right, or below it at the left, are weights larger than the law expects.
"""
"""What the fits mean; the numbers of MiniLM are medians over its 36 matrices."""


def measurements(selection: Selection) -> None:
    """Statistics, histogram and outliers of the selected tensor; of an unmeasured model, its Measure button."""
    location = selection.location
    job = job_of("extract", model=location.uri)
    show_late_error()
    if job is not None and (job.is_active or job.state in ("failed", "interrupted", "cancelled")):
        job_panel(job, key="heatmap")
    status = library.status(location)
    if status != "measured":
        _offer_measuring(location, status, is_busy=job is not None and job.is_active)
        return
    values = store().tensor_values(location.content_hash, selection.info.name)
    if not values:
        reasons = {failure.tensor: failure.reason for failure in store().failures(location.content_hash)}
        reason = reasons.get(selection.info.name, "No reason was stored; measure the model again.")
        st.error(escape_markdown(f"This tensor could not be measured. {reason}"), icon=":material/warning:")
        return
    _headline(values)
    _numbers(selection, values)


@st.fragment
def _numbers(selection: Selection, values: dict[str, float]) -> None:
    """The tabs; only the open one is computed, and opening one reruns nothing else."""
    tabs = {STATISTICS: _statistics, DISTRIBUTION: _distribution, OUTLIERS: _outliers}
    for name, tab in zip(tabs, st.tabs(list(tabs), key="numbers", bind="query-params"), strict=True):
        if tab.open:
            with tab, user_errors():
                tabs[name](selection, values)
    if st.session_state.pop("must_jump", False):
        st.rerun()  # the heatmap that moves there is outside this fragment


def _offer_measuring(location: Location, status: str, *, is_busy: bool) -> None:
    if status == "missing":
        st.warning("The file is gone or can no longer be opened.", icon=":material/error:")
        return
    if is_busy:
        return
    reason = {
        "new": "This model has not been measured yet.",
        "changed": "The file was replaced after it was measured; the stored numbers belong to the old one.",
    }[status]
    with st.container(border=True):
        st.markdown(f"**{reason}**")
        st.caption(
            f"Measuring reads all {bytes_text(location.num_bytes)} once and stores exact statistics, quantiles and a "
            "histogram of every tensor. It runs as a job: you may leave this page, or close the tab."
        )
        st.button(
            "Measure",
            key="measure",
            icon=":material/straighten:",
            type="primary",
            on_click=start_job,
            args=("extract", {"model": location.uri, "name": location.name}),
        )


def _headline(values: dict[str, float]) -> None:
    """The four numbers an engineer looks at first."""
    broken = values["nan"] + values["posinf"] + values["neginf"]
    columns = [column for _ in range(2) for column in st.columns(2)]
    columns[0].metric("std", _text(values["std"]), help=MEASURES["std"].description)
    columns[1].metric("largest |w|", _text(values["abs_max"]), help=MEASURES["abs_max"].description)
    share = values["zeros"] / values["count"] if values["count"] else math.nan
    columns[2].metric("zeros", "–" if math.isnan(share) else f"{share:.2%}", help=MEASURES["zeros"].description)
    columns[3].metric(
        "NaN, ±Inf", count_text(broken), help="Elements that are no finite number; they enter no statistic."
    )


def _statistics(selection: Selection, values: dict[str, float]) -> None:
    shown = [name for name in MEASURES if name in values and not name.startswith("q")]
    table = pd.DataFrame(
        {
            "measure": [MEASURES[name].title for name in shown],
            "value": [_text(values[name], 7) for name in shown],
            "column in SQL": shown,
        }
    )
    right = st.column_config.TextColumn(alignment="right")
    st.dataframe(table, hide_index=True, height=35 * len(table) + 38, column_config={"value": right})
    profiles = {axis: _profile(selection, axis) for axis in ("row", "column")}
    lines = pd.DataFrame({f"{axis}s": line_summary(each) for axis, each in profiles.items() if each is not None})
    if not lines.empty:
        st.markdown("**Row by row, column by column**")
        st.dataframe(lines.map(_text), column_config=dict.fromkeys(lines, right))


def line_summary(profile: AxisProfile) -> dict[str, float]:
    """How the rows, or the columns, of a tensor differ among each other."""
    l2, count = profile.l2.astype(np.float64), profile.l2.size
    if not count:
        return {"number": 0.0}
    median = float(np.median(l2))
    return {
        "number": float(count),
        "median norm": median,
        "largest norm": float(l2.max()),
        "… over the median": float(l2.max()) / median if median else math.nan,
        "smallest norm": float(l2.min()),
        "all zeros": float(((l2 == 0) & (profile.num_nonfinite == 0)).sum()),
        "with NaN or ±Inf": float((profile.num_nonfinite > 0).sum()),
        "most zeros in one": float(profile.num_zero.max()),
    }


def _distribution(selection: Selection, values: dict[str, float]) -> None:
    distribution = store().distribution(selection.location.content_hash, selection.info.name)
    if distribution is None or distribution.num_finite == 0:
        st.caption("This tensor has no finite value to draw.")
        return
    fits = _fits(selection.source.fingerprint, selection.info.name, selection)
    with st.container(horizontal=True):
        is_log = st.toggle("Log counts", key="log_counts", bind="query-params", help="Shows the tails.")
        laws = [
            law
            for law in (fits.normal, fits.student_t)
            if law is not None and st.toggle(law.name, value=True, key=f"fit_{law.name.lower()}", bind="query-params")
        ]
    stem = f"{selection.location.name}.{selection.info.name}"
    chart(histogram(distribution, laws=laws, log_counts=is_log), f"{stem}.histogram", key="histogram")
    st.markdown(verdict(fits))
    if fits.better is not None:
        _fitted(distribution, fits, stem)
    st.markdown("**Quantiles**, of all weights")
    quantiles = pd.DataFrame(
        {"percent of the weights": QUANTILE_PERCENTS, "are at most": [float(value) for value in distribution.quantiles]}
    )
    st.dataframe(
        quantiles,
        hide_index=True,
        column_config={
            "percent of the weights": st.column_config.NumberColumn(format="%g %%"),
            "are at most": st.column_config.NumberColumn(format=VALUE_FORMAT),
        },
    )


def _fitted(distribution: Distribution, fits: DistributionFits, stem: str) -> None:
    """What the laws were fitted to, how to read them, and the Q-Q plot; `stem` names its files."""
    part = (
        "all weights"
        if fits.is_whole
        else f"{fits.num_weights:,} evenly spaced weights, {100 * fits.share:.2g} % of all"
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"Fitted to {part}.", width="content")
        with st.popover("How to read this", icon=":material/help:", type="tertiary"):
            st.markdown(READING)
    laws = {law.name: law for law in (fits.student_t, fits.normal)}
    chosen = st.segmented_control(
        "Q-Q plot against a", list(laws), default=fits.student_t.name, key="against", bind="query-params"
    )
    drawing = quantile_plot(distribution, fits, laws.get(chosen, fits.student_t))
    chart(drawing, f"{stem}.quantiles", key="quantile_plot")


@st.cache_data(max_entries=64, show_spinner="Fitting …")
def _fits(fingerprint: str, tensor: str, _selection: Selection) -> DistributionFits:
    return distribution_fits(_selection.source, _selection.info)


def _profile(selection: Selection, axis: str) -> AxisProfile | None:
    return store().axis_profile(selection.location.content_hash, selection.info.name, axis)


@st.cache_data(max_entries=64, show_spinner="Looking for the largest weights …")
def _largest(fingerprint: str, tensor: str, std: float, _selection: Selection) -> list[LargeWeight]:
    return largest_weights(_selection.source, _selection.info, _profile(_selection, "row"), std)


def _outliers(selection: Selection, values: dict[str, float]) -> None:
    """Tables of what stands out; a click on a line moves the heatmap there."""
    content_hash, name = selection.location.content_hash, selection.info.name
    weights = _largest(selection.source.fingerprint, name, values["std"], selection)
    if not weights:
        st.caption("No weight of this tensor differs from zero.")
        return
    st.caption("Select a line to move the heatmap there.")
    st.markdown("**Largest weights**")
    _jump_table(
        pd.DataFrame(
            [(w.row, w.column, w.value, w.sigmas) for w in weights], columns=["row", "column", "value", "× std"]
        ),
        key=f"jump-weights-{content_hash[:8]}-{name}",
    )
    for title, axis in (("Rows", "row"), ("Columns", "column")):
        profile = _profile(selection, axis)
        lines = [] if profile is None else outlying_lines(profile)
        if not lines:
            continue
        st.markdown(
            f"**{title} whose norm stands out**", help="Score: robust standard deviations from the median norm."
        )
        _jump_table(
            pd.DataFrame(
                [(x.index, x.l2, x.abs_max, x.score) for x in lines], columns=[axis, "L2 norm", "largest |w|", "score"]
            ),
            key=f"jump-{axis}-{content_hash[:8]}-{name}",
        )


def _jump_table(table: pd.DataFrame, *, key: str) -> None:
    formats = {
        name: st.column_config.NumberColumn(format="%d" if name in ("row", "column") else VALUE_FORMAT)
        for name in table
    }
    st.dataframe(
        table,
        hide_index=True,
        key=key,
        column_config=formats,
        height=min(35 * len(table) + 38, 248),
        selection_mode="single-row",
        on_select=lambda: _jump(table, st.session_state[key]["selection"]["rows"]),
    )


def _jump(table: pd.DataFrame, selected: list[int]) -> None:
    """Ask the heatmap to show the place of the selected line (its page turns the request into a view)."""
    if selected:
        line = table.iloc[selected[0]]
        st.session_state["must_jump"] = True
        st.session_state["jump"] = (
            int(line["row"]) if "row" in table else None,
            int(line["column"]) if "column" in table else None,
        )


def _text(value: float, digits: int = 4) -> str:
    """A number as text; "–" where it is undefined. Whole numbers keep all their digits."""
    if math.isnan(value):
        return "–"
    return f"{value:,.0f}" if value.is_integer() and abs(value) < 2**53 else f"{value:.{digits}g}"
