"""What the model wrote while it learnt: the same prompts again and again, the latest first."""

from __future__ import annotations

import html

import streamlit as st

from storage.training import Sample
from ui.page import user_errors
from ui.trainer.reading import samples_of, the_run
from workflows.training import TrainingRun

POLL_S = 2.0
ALL = "all prompts"
MOST_SAMPLES = 40
LABEL_LENGTH = 80


def samples_look(run: TrainingRun) -> None:
    """The samples of one prompt or of all, live while it works."""
    known = samples_of(run)
    prompts = {_label(sample.prompt): sample.prompt for sample in known}
    chosen = None
    if len(prompts) > 1:
        options = [ALL, *prompts]
        if st.session_state.get("prompt_of", ALL) not in options:
            st.session_state["prompt_of"] = ALL
        label = st.selectbox(
            "After", options, key="prompt_of", bind="query-params", help="One prompt alone shows how its text grew."
        )
        chosen = prompts.get(label)
    if run.is_active:
        _live(run.id, chosen)
    else:
        _samples(known, chosen)


@st.fragment(run_every=POLL_S)
def _live(run_id: str, prompt: str | None) -> None:
    with user_errors():
        _samples(samples_of(the_run(run_id)), prompt)


def _samples(known: list[Sample], prompt: str | None) -> None:
    shown = [sample for sample in known if prompt is None or sample.prompt == prompt][::-1][:MOST_SAMPLES]
    if not shown:
        st.info("It has not written anything yet.", icon=":material/hourglass_empty:")
    for sample in shown:
        with st.container(border=True, gap="xxsmall"):
            st.caption("before training" if sample.step == 0 else f"step {sample.step:,}")
            written_after(sample.prompt, sample.text)


def written_after(prompt: str, text: str) -> None:
    """A prompt, faint, and what was written after it; every space and line as it is."""
    st.html(
        '<div style="white-space: pre-wrap; overflow-wrap: anywhere; line-height: 1.5">'
        f'<span style="opacity: 0.55">{html.escape(prompt)}</span>{html.escape(text)}</div>'
    )


def _label(prompt: str) -> str:
    line = " ".join(prompt.split()) or "(nothing)"
    return line if len(line) <= LABEL_LENGTH else f"{line[: LABEL_LENGTH - 1]}…"
