"""The checkpoints of a run: which there are, two of them in numbers, and the way to the pages that compare weights."""

from __future__ import annotations

import math

import pandas as pd
import streamlit as st

from engine.naming import role_title
from storage.training import TrainingCheckpoint
from ui.page import escape_markdown, user_errors
from ui.trainer.links import COMPARE, folder_of, go, known_checkpoint, model_links
from ui.trainer.reading import checkpoints_of, history_of, stats_of
from workflows.training import TrainingRun

METRICS = {
    "held_out/bits_per_byte": "held-out bits a byte",
    "held_out/perplexity": "held-out perplexity",
    "held_out/loss": "held-out loss, nats a token",
    "loss": "training loss, nats a token",
    "reward": "reward",
    "kl": "KL from the start of self-play, nats a token",
}
"""What is told of a checkpoint, in the order of the table; what a run does not have is left out."""


def checkpoints_look(run: TrainingRun) -> None:
    """The list, and the comparison of two."""
    found = checkpoints_of(run)
    if not found:
        st.info("No checkpoint has been saved yet.", icon=":material/save:")
        return
    if any(folder_of(run, each) for each in found):
        model_links(run, key="checkpoints")
    _table(run, found)
    if len(found) > 1:
        _two(run, found)


def _table(run: TrainingRun, found: list[TrainingCheckpoint]) -> None:
    rows = [
        {
            "checkpoint": label(checkpoint),
            "phase": checkpoint.phase,
            "bits a byte": checkpoint.bits_per_byte,
            "best": checkpoint.is_best,
            "on disk": bool(folder_of(run, checkpoint)),
            "saved": checkpoint.saved_at,
        }
        for checkpoint in found[::-1]
    ]
    st.dataframe(
        rows,
        hide_index=True,
        height=min(38 + 35 * len(rows), 320),
        column_config={
            "bits a byte": st.column_config.NumberColumn(format="%.4f", help="Of held-out text, at the last look."),
            "best": st.column_config.CheckboxColumn(help="The best one when it was saved."),
            "on disk": st.column_config.CheckboxColumn(
                help="Old ones are deleted; their numbers and small pictures stay in the database."
            ),
            "saved": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm:ss", help="UTC"),
        },
    )


def label(checkpoint: TrainingCheckpoint) -> str:
    """A checkpoint as it is called everywhere on this page."""
    return "before training" if checkpoint.step == 0 else f"step {checkpoint.step}"


def _two(run: TrainingRun, found: list[TrainingCheckpoint]) -> None:
    st.markdown("**Two of them side by side**")
    by_label = {label(checkpoint): checkpoint for checkpoint in found}
    here = [checkpoint for checkpoint in found if folder_of(run, checkpoint)]
    first, last = (here[0], here[-1]) if len(here) > 1 else (found[0], found[-1])
    with st.container(horizontal=True, vertical_alignment="bottom"):
        a = by_label[_bound("A", list(by_label), "a", label(first))]
        b = by_label[_bound("B", list(by_label), "b", label(last))]
        is_able = bool(folder_of(run, a) and folder_of(run, b)) and a.step != b.step
        is_asked = st.button(
            "Every weight of both, in Compare",
            key="to-compare",
            icon=":material/compare_arrows:",
            disabled=not is_able,
            help="What changed, where and by how much." if is_able else "Both must differ and be on the disk.",
        )
    if is_asked:
        with user_errors():
            go(COMPARE, model=known_checkpoint(run, a).name, other=known_checkpoint(run, b).name)
    numbers, weights = st.columns(2, gap="medium")
    with numbers:
        _shown(metrics_table(history_of(run), a.step, b.step))
    with weights:
        _shown(weights_table(stats_of(run, "std"), a.step, b.step))
    st.caption(
        f"A is {escape_markdown(label(a))}, B is {escape_markdown(label(b))}. Left, what the run measured last at or "
        "before each; right, the mean size of the weights of each role, as standard deviation."
    )


def _shown(table: pd.DataFrame) -> None:
    """Four digits each; what is undefined is a dash."""
    spelt = table.copy()
    for name in table.columns[1:]:
        spelt[name] = [f"{value:,.4g}" if math.isfinite(value) else "–" for value in table[name]]
    st.dataframe(spelt, hide_index=True)


def _bound(words: str, options: list[str], key: str, default: str) -> str:
    if st.session_state.get(key, default) not in options:
        st.session_state[key] = default
    place = options.index(default)
    return st.selectbox(words, options, index=place, key=key, bind="query-params", width=220) or default


def metrics_table(history: pd.DataFrame, a: int, b: int) -> pd.DataFrame:
    """The last numbers at or before two steps: columns number, A, B, change; without those that neither has."""
    rows = []
    for name, title in METRICS.items():
        values = history[history["name"] == name].dropna(subset=["value"]).sort_values("step")
        sides = [_last(values, step) for step in (a, b)]
        if not all(map(math.isnan, sides)):
            rows.append({"number": title, "A": sides[0], "B": sides[1], "change": sides[1] - sides[0]})
    return pd.DataFrame(rows, columns=["number", "A", "B", "change"])


def _last(values: pd.DataFrame, step: int) -> float:
    before = values[values["step"] <= step]
    return float(before["value"].iloc[-1]) if len(before) else math.nan


def weights_table(stats: pd.DataFrame, a: int, b: int) -> pd.DataFrame:
    """The mean of one statistic over each role's tensors at two steps: columns role, A, B, B ÷ A.

    Args: stats: columns step, role, value.
    """
    rows = stats[stats["step"].isin((a, b))]
    table = rows.pivot_table(index="role", columns="step", values="value", aggfunc="mean", sort=False)
    sides = [table[step] if step in table else pd.Series(math.nan, table.index) for step in (a, b)]
    return pd.DataFrame(
        {
            "role": [role_title(str(role)) for role in table.index],
            "A": sides[0].to_numpy(),
            "B": sides[1].to_numpy(),
            "B ÷ A": (sides[1] / sides[0].where(sides[0] != 0)).to_numpy(),
        }
    )
