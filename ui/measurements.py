"""What was measured of one tensor, beside its picture; or the way to measure it."""

from __future__ import annotations

import math

import pandas as pd
import streamlit as st

from engine.measures.registry import MEASURES
from engine.measures.results import QUANTILE_PERCENTS
from engine.outliers import largest_weights, outlying_lines
from figures.distributions import histogram
from storage.records import Location
from ui.job_panel import job_of, job_panel, start_job
from ui.page import escape_markdown, show_late_error, store
from ui.selection import Selection
from workflows import library
from workflows.wording import bytes_text, count_text

VALUE_FORMAT = "%.6g"


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
    statistics, distribution, outliers = st.tabs(["Statistics", "Distribution", "Outliers"])
    with statistics:
        _statistics(values)
    with distribution:
        _distribution(selection, values)
    with outliers:
        _outliers(selection, values)


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


def _statistics(values: dict[str, float]) -> None:
    shown = [name for name in MEASURES if name in values and not name.startswith("q")]
    table = pd.DataFrame(
        {
            "measure": [MEASURES[name].title for name in shown],
            "value": [_text(values[name], 7) for name in shown],
            "column in SQL": shown,
        }
    )
    st.dataframe(
        table,
        hide_index=True,
        height=35 * len(table) + 38,
        column_config={"value": st.column_config.TextColumn(alignment="right")},
    )


def _distribution(selection: Selection, values: dict[str, float]) -> None:
    distribution = store().distribution(selection.location.content_hash, selection.info.name)
    if distribution is None or distribution.num_finite == 0:
        st.caption("This tensor has no finite value to draw.")
        return
    is_log = st.toggle("Logarithmic counts", key="log_counts", bind="query-params", help="Shows the tails.")
    st.altair_chart(histogram(distribution, log_counts=is_log), width="stretch")
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


def _outliers(selection: Selection, values: dict[str, float]) -> None:
    """Tables of what stands out; a click on a line moves the heatmap there."""
    content_hash, name = selection.location.content_hash, selection.info.name
    rows = store().axis_profile(content_hash, name, "row")
    columns = store().axis_profile(content_hash, name, "column")
    st.caption("Select a line to move the heatmap there.")
    weights = largest_weights(selection.source, selection.info, rows, values["std"])
    st.markdown("**Largest weights**")
    _jump_table(
        pd.DataFrame(
            [(w.row, w.column, w.value, w.sigmas) for w in weights], columns=["row", "column", "value", "× std"]
        ),
        key=f"jump-weights-{content_hash[:8]}-{name}",
    )
    for title, axis, profile in (("Rows", "row", rows), ("Columns", "column", columns)):
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
        st.session_state["jump"] = (
            int(line["row"]) if "row" in table else None,
            int(line["column"]) if "column" in table else None,
        )


def _text(value: float, digits: int = 4) -> str:
    """A number as text; "–" where it is undefined. Whole numbers keep all their digits."""
    if math.isnan(value):
        return "–"
    return f"{value:,.0f}" if value.is_integer() and abs(value) < 2**53 else f"{value:.{digits}g}"
