"""The health of the selected model: what the rules found, and the way to each place."""

from __future__ import annotations

from collections import Counter

import pandas as pd
import streamlit as st

from engine.health.findings import SEVERITIES, Finding
from engine.health.registry import all_rules, rules_version
from engine.naming import place
from figures.health import findings_map
from ui.job_panel import job_of, job_panel, start_job
from ui.page import escape_markdown, show_late_error, store
from ui.selection import Selection, choose_tensor
from workflows import library
from workflows.wording import bytes_text

ICONS = {"error": ":material/error:", "warning": ":material/warning:", "note": ":material/info:"}
MOST_CARDS = 6
"""Findings of a rule that are written out; the rest are lines of a table. Ours."""

COLOURS = {"error": "red", "warning": "orange", "note": "blue"}


def health_look(selection: Selection) -> None:
    """Findings of the whole model, worst first; or the button that examines it."""
    location = selection.location
    job = job_of("health", model=location.uri)
    show_late_error()
    is_busy = job is not None and job.is_active
    if job is not None and (is_busy or job.state in ("failed", "interrupted", "cancelled")):
        job_panel(job, key="health")
    is_measured = library.status(location) == "measured"
    check = store().health_check(location.content_hash) if is_measured else None
    if check is None:
        if not is_busy:
            _offer(selection)
        return
    rules, has_spectra = check
    found = store().findings(location.content_hash)
    _summary(found)
    if not is_busy:
        _stale(selection, rules, has_spectra)
    if not found:
        return
    layers = [place(info.name, info.shape).layer for info in selection.source.infos()]
    num_layers = 1 + max((layer for layer in layers if layer is not None), default=-1)
    st.altair_chart(findings_map(found, {name: rule.title for name, rule in all_rules().items()}, num_layers))
    wanted = _severity()
    for rule in all_rules().values():
        shown = [f for f in found if f.rule == rule.name and wanted in ("all", f.severity)]
        if shown:
            _rule_findings(rule, shown)


def _severity() -> str:
    options = ["all", *SEVERITIES]
    if st.session_state.get("severity") not in options:
        st.session_state["severity"] = "all"  # at first, and from a bad URL
    return st.segmented_control(
        "Severity", options, required=True, key="severity", bind="query-params", label_visibility="collapsed"
    )


def _offer(selection: Selection) -> None:
    with st.container(border=True):
        st.markdown("**Nobody has looked at the health of this model yet.**")
        st.caption(
            f"{len(all_rules())} rules look for broken numbers, dead and repeated units, odd layers, super weights, "
            "wasted vocabulary and more. It is a job that reads all "
            f"{bytes_text(selection.location.num_bytes)} once or twice: you may leave this page."
        )
        _examine_button(selection, "Examine", "primary")


def _examine_button(selection: Selection, label: str, kind: str = "secondary") -> None:
    location = selection.location
    st.button(
        label,
        key="examine",
        icon=":material/stethoscope:",
        type=kind,
        on_click=start_job,
        args=("health", {"model": location.uri, "name": location.name}),
    )


def _summary(found: list[Finding]) -> None:
    counts = Counter(finding.severity for finding in found)
    if not found:
        st.success("No rule found anything odd.", icon=":material/check_circle:")
        return
    verdict = {
        "error": "Some weights are **broken**: look at the errors before you use this model.",
        "warning": "Nothing is broken, but some things are **probably not meant**.",
        "note": "**Healthy.** The notes tell what is worth knowing before you compress or train it.",
    }
    st.markdown(verdict[min(counts, key=SEVERITIES.index)])
    for severity, column in zip(SEVERITIES, st.columns(len(SEVERITIES)), strict=True):
        column.metric(f"{severity}s", f"{counts[severity]:,}", border=True)


def _stale(selection: Selection, rules: str, has_spectra: bool) -> None:
    """Say so where newer rules, or spectra measured since, would find more."""
    if rules != rules_version():
        words = "The rules have changed since this model was examined."
    elif not has_spectra and store().has_spectra(selection.location.content_hash):
        words = "Spectra were measured since; two more rules can use them."
    elif not has_spectra:
        st.caption("Rank and tail exponents are judged once the spectra are measured (look at **Spectrum**).")
        return
    else:
        return
    st.caption(words)
    _examine_button(selection, "Examine again")


def _rule_findings(rule, found: list[Finding]) -> None:
    worst = min((finding.severity for finding in found), key=SEVERITIES.index)
    title = f":{COLOURS[worst]}[{ICONS[worst]}] **{rule.title}** · {len(found):,}"
    with st.expander(title, expanded=worst != "note" or len(found) <= MOST_CARDS):
        st.caption(rule.description.splitlines()[0], help=escape_markdown(rule.description))
        for number, finding in enumerate(found[:MOST_CARDS]):
            _card(finding, f"{rule.name}-{number}")
        if len(found) > MOST_CARDS:
            _table(found[MOST_CARDS:], f"findings-{rule.name}")


def _card(finding: Finding, key: str) -> None:
    """One finding: its words, its place, and the button that goes there."""
    words, place_column, button = st.columns([3.2, 2, 0.8], vertical_alignment="center")
    words.markdown(f":{COLOURS[finding.severity]}[{ICONS[finding.severity]}] {escape_markdown(finding.words)}")
    if finding.tensor:
        place_column.markdown(f":gray[{escape_markdown(finding.tensor)}]")
        button.button("Show", key=f"show-{key}", icon=":material/grid_on:", on_click=_show, args=(finding,))


def _table(found: list[Finding], key: str) -> None:
    """Many findings in little room; a click on a line goes to its place."""
    st.caption(f"{len(found):,} more. Select a line to see the place.")
    table = pd.DataFrame({"what was found": [f.words for f in found], "tensor": [f.tensor for f in found]})

    def chosen() -> None:
        rows = st.session_state[key]["selection"]["rows"]
        if rows:
            _show(found[rows[0]])

    st.dataframe(
        table,
        hide_index=True,
        key=key,
        height=min(35 * len(table) + 38, 320),
        column_config={"what was found": st.column_config.TextColumn(width="large")},
        selection_mode="single-row",
        on_select=chosen,
    )


def _show(finding: Finding) -> None:
    """Open the tensor at the place of the finding."""
    if not finding.tensor:
        return
    choose_tensor(finding.tensor)
    st.session_state["look"] = "Tensor"
    if finding.weight is not None:
        st.session_state["jump"] = finding.weight
    elif finding.lines:
        st.session_state["jump"] = (finding.lines[0], None) if finding.axis == "row" else (None, finding.lines[0])
