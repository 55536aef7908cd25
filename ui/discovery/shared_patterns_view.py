"""Do models share weight patterns? Choice of models and null, what they can show, the test as a job, its answer."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from storage.findings import PatternSummary
from storage.records import Location
from ui.export_panel import chart
from ui.job_panel import job_panel, jobs, start_job
from ui.page import escape_markdown, show_late_error, store
from workflows.jobs import Job
from workflows.library import locations
from workflows.wording import duration_text

MODELS, NULL, DRAWS, TEST, SHOWN = "pattern_models", "pattern_null", "pattern_draws", "pattern_test", "pattern_show"
"""Names in the URL."""

WATCHED = "pattern_watched"
"""The job that was seen at work in this session: its answer is shown when it comes."""

MOST_AT_FIRST = 12
DRAW_CHOICES = ("3", "5", "10", "20")
PARTS = ("Verdict", "Effects", "Sharing dividend", "Subspace", "What features vary with")

BADGES = {
    "weights": ("Weights are shared", "orange", ":material/link:"),
    "form": ("Form is shared, weights are not", "green", ":material/category:"),
    "nothing": ("Nothing shared was found", "blue", ":material/link_off:"),
    "apart": ("Weights are not shared", "blue", ":material/link_off:"),
    "unanswered": ("Form: cannot be answered yet", "gray", ":material/help:"),
}


def shared_patterns_view() -> None:
    """The whole view; long work starts as a job, and what is stored is drawn."""
    st.markdown(
        "Do differently trained models share weight patterns, and would sharing compress them? Every number stands "
        "against a null, and **the model is the unit**: layers of one model are no independent witnesses."
    )
    show_late_error()
    known = {location.name: location for location in locations(store())}
    if len(known) < 2:
        st.info("A test takes at least two models. Add more in the Zoo, or train some.", icon=":material/add:")
        st.page_link("pages/1_Zoo.py", label="Open the Zoo", icon=":material/inventory_2:")
        return
    chosen = [known[name] for name in _pick_models(list(known))]
    null, draws = _pick_null()
    _power(len(chosen))
    _answers(chosen, _job(chosen, null, draws))


def _pick_models(names: list[str]) -> list[str]:
    if not set(st.session_state.get(MODELS) or []) <= set(names):
        st.session_state.pop(MODELS, None)  # a model that is gone, or a bad URL
    return st.multiselect(
        "Models",
        names,
        default=names[:MOST_AT_FIRST],
        key=MODELS,
        bind="query-params",
        help="The more models of different origin, the more can be said. Relatives (fine-tunes, models of one start) "
        "are found and count once.",
    )


def _pick_null() -> tuple[str, int]:
    from engine.discovery.nulls import NULLS

    titles = {null.title: null for null in NULLS.values()}
    if st.session_state.get(NULL) not in titles:
        st.session_state[NULL] = next(iter(titles))
    if st.session_state.get(DRAWS) not in DRAW_CHOICES:
        st.session_state[DRAWS] = DRAW_CHOICES[0]
    null_column, draws_column, words_column = st.columns([1.4, 1, 3], vertical_alignment="bottom")
    with null_column:
        title = st.selectbox("Null", list(titles), key=NULL, bind="query-params")
    with draws_column:
        draws = st.selectbox(
            "Draws of it", DRAW_CHOICES, key=DRAWS, bind="query-params", help="More take longer and narrow intervals."
        )
    with words_column:
        null = titles[title]
        st.caption(f"Keeps {null.keeps}; forgets {null.forgets}.")
    return null.name, int(draws)


def _power(num_models: int) -> None:
    """What so many models can show, before anything is measured."""
    from figures.shared_patterns import power_curve

    table, words = _power_table(num_models)
    is_enough = num_models >= int(table.loc[table["smallest_p"] <= 0.05, "models"].min())
    with st.container(border=True):
        words_column, curve_column = st.columns([1.5, 1], vertical_alignment="center", gap="large")
        with words_column:
            icon = ":material/check_circle:" if is_enough else ":material/error:"
            st.markdown(f"{icon} **Before you start** · {escape_markdown(words)}")
            st.caption(
                "If all of them are unrelated; relatives are only found on the way. Sharing dividends and the "
                "comparison of two models need no such number."
            )
        with curve_column:
            st.altair_chart(power_curve(table, num_models, height=150), width="stretch", key="pattern-power")


@st.cache_data(max_entries=64, show_spinner=False)
def _power_table(num_models: int) -> tuple[pd.DataFrame, str]:
    from workflows.pattern_power import power_before

    counts = sorted({2, 4, 6, 8, 10, 12, 16, 20, max(num_models, 1)})
    rows = [(count, found.power, found.smallest_p) for count in counts for found in [power_before(count)]]
    return pd.DataFrame(rows, columns=["models", "power", "smallest_p"]), power_before(num_models).words


def _job(chosen: list[Location], null: str, draws: int) -> Job | None:
    """The newest job on these models, drawn while it has something to say, and the button that starts one."""
    uris = sorted(location.uri for location in chosen)
    found = next((j for j in jobs().all() if j.kind == "patterns" and sorted(j.arguments["models"]) == uris), None)
    if found is not None and (found.is_active or found.state != "done"):
        job_panel(found, key="patterns")
    if found is not None and found.is_active:
        st.session_state[WATCHED] = found.id
        return found
    arguments = {
        "models": [location.uri for location in chosen],
        "names": [location.name for location in chosen],
        "null": null,
        "draws": draws,
    }
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Run the test",
            type="primary",
            icon=":material/experiment:",
            disabled=len(chosen) < 2,
            key="pattern-start",
            on_click=start_job,
            args=("patterns", arguments),
        )
        pairs = len(chosen) * (len(chosen) - 1) // 2
        st.caption(
            f"{len(chosen)} models, {pairs:,} pairs, each laid over the other {draws + 1} times; a model that was not "
            "measured yet is measured first. An answer that is stored is not sought again."
            if len(chosen) >= 2
            else "Choose at least two models."
        )
    return found


def _answers(chosen: list[Location], job: Job | None) -> None:
    """The stored tests: what was just found, else that of the chosen models, else the latest."""
    tests = store().pattern_tests()
    if not tests:
        return
    wanted = {location.content_hash for location in chosen}
    tests.sort(key=lambda test: {model.content_hash for model in test.models} != wanted)  # stable: newest first within
    labels = {_label(test): test for test in tests}
    if job is not None and job.state == "done" and st.session_state.pop(WATCHED, None) == job.id:
        st.session_state[TEST] = next((label for label, t in labels.items() if t.test == job.result.get("test")), None)
    if st.session_state.get(TEST) not in labels:
        st.session_state[TEST] = next(iter(labels))
    st.divider()
    label = st.selectbox("Answer", list(labels), key=TEST, bind="query-params")
    _answer(labels[label])


def _label(test: PatternSummary) -> str:
    names = ", ".join(model.name for model in test.models[:3])
    more = f" and {len(test.models) - 3} more" if len(test.models) > 3 else ""
    return f"Test {test.test} · {names}{more}"


def _answer(test: PatternSummary) -> None:
    from engine.discovery.nulls import NULLS

    title, colour, icon = BADGES.get(test.verdict, BADGES["unanswered"])
    with st.container(horizontal=True, vertical_alignment="center"):
        st.badge(title, color=colour, icon=icon)
        null = NULLS[test.null_name].title if test.null_name in NULLS else test.null_name
        st.caption(
            f"{len(test.models)} models, {test.num_lineages} independent · null: {null} · "
            f"{test.tested_at:%Y-%m-%d %H:%M} UTC · {duration_text(test.elapsed_s)}"
        )
    if st.session_state.get(SHOWN) not in PARTS:
        st.session_state[SHOWN] = PARTS[0]
    part = st.segmented_control(
        "Show", PARTS, key=SHOWN, bind="query-params", required=True, label_visibility="collapsed"
    )
    drawn = dict(zip(PARTS, (_verdict, _effects, _dividends, _subspace, _variances), strict=True))
    drawn[part or PARTS[0]](test)


def _verdict(test: PatternSummary) -> None:
    first, *others = test.sentences
    st.markdown(f"#### {escape_markdown(first)}")
    st.markdown("\n".join(f"- {escape_markdown(sentence)}" for sentence in others))
    if test.limits:
        st.markdown("**Limits**")
        for limit in test.limits:
            st.caption(f":material/block: {escape_markdown(limit)}")
    with st.container(horizontal=True, vertical_alignment="center"):
        lineages: dict[int, list[str]] = {}
        for model in test.models:
            lineages.setdefault(model.lineage, []).append(model.name)
        families = [", ".join(names) for names in lineages.values() if len(names) > 1]
        if families:
            st.caption(":material/account_tree: Relatives: " + escape_markdown(" · ".join(families)))
        st.space("stretch")
        if st.button(
            "Delete this answer", icon=":material/delete:", type="tertiary", key=f"pattern-delete-{test.test}"
        ):
            store().delete_pattern_test(test.test)
            st.rerun()


def _effects(test: PatternSummary) -> None:
    from figures.shared_patterns import MOST_EFFECTS, effect_forest

    effects = store().pattern_effects(test.test)
    if effects.empty:
        st.info("No features were tested.", icon=":material/info:")
        return
    for question, title, words in (
        (
            "level",
            "Do models lie on one side of their nulls?",
            "One number a model: its layers against their own nulls.",
        ),
        ("agreement", "Do models agree on which positions are high and low?", "Beyond what shapes alone bring about."),
    ):
        rows = effects[effects["question"] == question]
        if rows.empty:
            continue
        count = int((rows["q_value"] <= 0.05).sum())
        st.markdown(f"#### {title}")
        shown = f" The {MOST_EFFECTS} most certain are drawn." if len(rows) > MOST_EFFECTS else ""
        st.caption(f"{words} {count:,} of {len(rows):,} at q ≤ 0.05.{shown}")
        chart(effect_forest(effects, question=question), f"effects {question}", key=f"pattern-{question}")
    with st.expander("All effects as a table", icon=":material/table:"):
        st.dataframe(effects.drop(columns="position"), hide_index=True)


def _dividends(test: PatternSummary) -> None:
    from engine.discovery.verdict import bits_text
    from figures.shared_patterns import dividend_matrix

    pairs = store().pattern_pairs(test.test)
    if pairs.empty:
        st.info("No two of these models have matrices of one shape.", icon=":material/info:")
        return
    st.caption(
        "Bits per weight that knowing one model saves in writing the other, after heads, units and channels were put "
        "in the best order and after what the same does for nulls is taken away. Below 0.003 nothing is shared. "
        f"Written each given its nearest relative, all of them save {bits_text(test.group_bits)} bits per weight."
    )
    names = [model.name for model in test.models]
    chart(dividend_matrix(names, pairs), "sharing dividends", key="pattern-dividends")
    columns = ["model_a", "model_b", "is_related", "alignment", "aligned_correlation", "gross", "null_bits", "net"]
    columns += ["low", "high", "coded_gain", "predicted_gain", "side_bits"]
    columns += ["cka", "cka_null"] if pairs["cka"].notna().any() else []
    number = st.column_config.NumberColumn(format="%.4f")
    st.dataframe(pairs[columns], hide_index=True, column_config=dict.fromkeys((c for c in columns[4:]), number))


def _subspace(test: PatternSummary) -> None:
    from figures.shared_patterns import subspace_chart

    table = store().pattern_subspace(test.test)
    if table.empty:
        st.info("The subspace test takes at least three models of one shape.", icon=":material/info:")
        return
    if test.num_lineages < len(test.models):
        st.warning(
            "There are relatives among these models. They explain each other because of their common origin; only the "
            "line of unrelated models says something about a universal subspace.",
            icon=":material/account_tree:",
        )
    st.caption(
        "A model that is left out, explained by directions that the others draw. The dashed line, to which the model "
        "itself belongs, rises to 1 for any models whatsoever."
    )
    chart(subspace_chart(table), "subspace", key="pattern-subspace")


def _variances(test: PatternSummary) -> None:
    from figures.shared_patterns import variance_bars

    table = store().pattern_variances(test.test)
    if table.empty:
        st.info("No features were tested.", icon=":material/info:")
        return
    st.caption(
        "How much of a feature's variance lies between positions in the network, lineages, architectures, and what is "
        "known of the training; a point for each feature, the line at their median."
    )
    chart(variance_bars(table), "variance", key="pattern-variance")
