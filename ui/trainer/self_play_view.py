"""How self-play goes: the reward beside what a reward cannot fake, its parts, and plain verdicts."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from engine.training.rewards import PARTS
from figures.self_play import PART, REWARD, honesty_chart, part_lines, radar
from storage.training import Remark
from ui.export_panel import chart
from ui.page import escape_markdown, user_errors
from ui.trainer.reading import history_of, remarks_of, the_run
from workflows.training import TrainingRun

POLL_S = 2.0
AVERAGED = 5
"""Iterations at both ends whose mean stands for before and after."""

VERDICT_WORDS = {
    "improved": (":green[:material/trending_up: **improved**]", "the reward rose, and held-out text did not suffer"),
    "unchanged": (":gray[:material/trending_flat: **unchanged**]", "nothing moved by more than chance"),
    "unstable": (":orange[:material/waves: **unstable**]", "it runs away from the model it began as"),
    "hacked": (
        ":red[:material/warning: **hacked**]",
        "the reward rose while held-out text got worse: it pleases the rules and not the reader",
    ),
}


def self_play_look(run: TrainingRun) -> None:
    """Everything about rewards, live while it works."""
    st.caption(
        "A reward can be pleased without writing better. So it stands here over two numbers that it cannot fake: how "
        "far the model went from the one it began as (KL), and how well it predicts text it never saw."
    )
    if run.is_active:
        _live(run.id)
    else:
        _charts(run)


@st.fragment(run_every=POLL_S)
def _live(run_id: str) -> None:
    with user_errors():
        _charts(the_run(run_id))


def _charts(run: TrainingRun) -> None:
    history = history_of(run)
    if not (history["name"] == REWARD).any():
        st.info("Self-play has not begun: the model learns from text first.", icon=":material/hourglass_empty:")
        return
    verdicts = [remark for remark in remarks_of(run) if remark.is_verdict]
    _latest_verdict(verdicts)
    first = history.loc[history["name"] == REWARD, "step"].min()
    played = history[history["step"] >= first]
    told = [(remark.step, remark.kind, remark.text) for remark in verdicts]
    chart(honesty_chart(played, told), f"{run.name} self-play", key="honesty")
    left, right = st.columns([1.6, 1], gap="large")
    with left:
        st.markdown("**Parts of the reward**")
        titles = {name: part.title for name, part in PARTS.items()}
        chart(part_lines(played, titles, height=320), f"{run.name} reward parts", key="parts")
    with right:
        st.markdown("**Before and after**")
        sides = reward_sides(played)
        if len(sides) == 2:
            chart(radar(sides, height=340), f"{run.name} reward radar", key="radar")
            st.caption(f"Means of the first and last {AVERAGED} iterations; the outer ring is best.")
        else:
            st.caption("The picture comes after some iterations.")


def reward_sides(history: pd.DataFrame) -> dict[str, dict[str, float]]:
    """{"before": {part: 0 … 1}, "after": …}: means of both ends, each part over its own range; {} if too short."""
    sides: dict[str, dict[str, float]] = {"before": {}, "after": {}}
    for name, part in PARTS.items():
        rows = history[history["name"] == PART + name].sort_values("step")["value"].dropna()
        if len(rows) < 2:
            return {}
        share = (rows - part.lowest) / (part.highest - part.lowest)
        count = min(AVERAGED, len(rows) // 2)
        sides["before"][part.title] = float(share.iloc[:count].mean())
        sides["after"][part.title] = float(share.iloc[-count:].mean())
    return sides


def _latest_verdict(verdicts: list[Remark]) -> None:
    if not verdicts:
        return
    latest = verdicts[-1]
    words, meaning = VERDICT_WORDS.get(latest.kind, (f"**{latest.kind}**", ""))
    with st.container(border=True, gap="xxsmall"):
        st.markdown(f"{words} at step {latest.step:,}: {meaning}.")
        st.caption(escape_markdown(latest.text))
    counts = pd.Series([remark.kind for remark in verdicts]).value_counts()
    st.caption(" · ".join(f"{counts[kind]} × {kind}" for kind in VERDICT_WORDS if kind in counts))
