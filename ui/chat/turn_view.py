"""One turn of a conversation on the page: its text, and what can be done with it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from engine.runners.generation import CONTEXT, END, LENGTH, STOP_TEXT, STOPPED
from ui.chat.conversation import USER, Turn
from ui.chat.models import facts_words, seconds_text
from ui.chat.reply import LOADING, READING, Progress
from ui.chat.sampling import settings_words
from ui.chat.token_text import token_text
from ui.page import escape_markdown

POLL_S = 0.2
"""How often a growing text is drawn, in seconds. The writing thread waits for some 30 to 40 ms each time, in which
Streamlit reruns the fragment and sends it; five times a second still reads as a stream."""

_FINISHES = {
    END: "ended by itself",
    STOP_TEXT: "ended at a stop text",
    LENGTH: "reached the most new tokens (Settings)",
    CONTEXT: "the context is full",
    STOPPED: "stopped",
}


@dataclass(frozen=True)
class Actions:
    """What the buttons of a turn call: `again(answer)`, `edit(question, words)`, `show(turn)`."""

    again: Callable[[Turn], None]
    edit: Callable[[Turn, str], None]
    show: Callable[[Turn], None]


def draw_turn(turn: Turn, actions: Actions, *, is_coloured: bool, is_busy: bool) -> None:
    """A question or an answer; one that is being written draws itself anew until it is done."""
    if turn.role == USER:
        with st.chat_message("user", avatar=":material/person:"):
            _question(turn, actions, is_busy=is_busy)
        return
    with st.chat_message("assistant", avatar=":material/neurology:"):
        if turn.reply.is_writing:
            _live(turn, is_coloured)
            return
        _text(turn, is_coloured=is_coloured)
        _answer_footer(turn, actions, is_busy=is_busy)
        error = turn.reply.progress.error
    if error is not None:
        raise error


@st.fragment(run_every=POLL_S)
def _live(turn: Turn, is_coloured: bool) -> None:
    progress = turn.reply.progress
    if not turn.reply.is_writing:
        st.rerun()
    if progress.phase == LOADING:
        st.markdown(f":shimmer[Loading {escape_markdown(progress.task.model)} …]")
    elif progress.phase == READING:
        st.markdown(":shimmer[Reading the prompt …]")
    else:
        _text(turn, is_coloured=is_coloured, is_live=True)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Stop", key=f"stop-{turn.number}", icon=":material/stop_circle:", on_click=turn.reply.stop)
        st.caption(_speed_words(progress))


def _text(turn: Turn, *, is_coloured: bool, is_live: bool = False) -> None:
    progress = turn.reply.progress
    if is_coloured:
        token_text(list(progress.tokens), key=f"tokens-{turn.number}", is_live=is_live)
    elif progress.is_template:
        st.markdown(_without_pictures(progress.text))
    else:
        st.text(progress.text)


def _question(turn: Turn, actions: Actions, *, is_busy: bool) -> None:
    if st.session_state.get("editing") == turn.number:
        _editor(turn, actions)
        return
    st.text(turn.content)
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        _variants(turn, actions, is_busy=is_busy)
        _small("Edit", f"edit-{turn.number}", ":material/edit:", _begin_edit, turn, is_busy=is_busy)


def _editor(turn: Turn, actions: Actions) -> None:
    key = f"edited-{turn.number}"
    st.text_area("Your words", turn.content, key=key, label_visibility="collapsed")
    with st.container(horizontal=True):
        st.button(
            "Send", key=f"send-{turn.number}", icon=":material/send:", type="primary", on_click=_end_edit,
            args=(turn, actions), help="Answered on a branch of its own; the old one stays.",
        )  # fmt: skip
        st.button("Cancel", key=f"cancel-{turn.number}", on_click=_end_edit, args=(turn, None))


def _begin_edit(turn: Turn) -> None:
    st.session_state["editing"] = turn.number


def _end_edit(turn: Turn, actions: Actions | None) -> None:
    st.session_state["editing"] = None
    words = st.session_state.get(f"edited-{turn.number}", "")
    if actions is not None and words.strip():
        actions.edit(turn, words)


def _answer_footer(turn: Turn, actions: Actions, *, is_busy: bool) -> None:
    progress = turn.reply.progress
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        _variants(turn, actions, is_busy=is_busy)
        _small("Again", f"again-{turn.number}", ":material/refresh:", actions.again, turn, is_busy=is_busy)
        with st.popover("Copy", icon=":material/content_copy:", type="tertiary"):
            st.code(progress.text, language=None, wrap_lines=True)
        with st.popover("About", icon=":material/info:", type="tertiary"):
            _about(progress)
        st.caption(_speed_words(progress))


def _variants(turn: Turn, actions: Actions, *, is_busy: bool) -> None:
    """‹ 2/3 › where there are several."""
    variants, place = turn.variants, turn.place
    if len(variants) < 2:
        return
    for sign, words, step in (("‹", "earlier", -1), ("›", "later", 1)):
        if step == 1:
            st.caption(f"{place + 1}/{len(variants)}", width="content")
        is_there = 0 <= place + step < len(variants)
        st.button(
            sign,
            key=f"{words}-{turn.number}",
            type="tertiary",
            disabled=is_busy or not is_there,
            help=f"Show the {words} one",
            on_click=actions.show,
            args=(variants[place + step] if is_there else turn,),
        )


def _small(label: str, key: str, icon: str, action: Callable, turn: Turn, *, is_busy: bool) -> None:
    st.button(label, key=key, icon=icon, type="tertiary", on_click=action, args=(turn,), disabled=is_busy)


def _about(progress: Progress) -> None:
    """What made this answer: settings, prompt, context, and the loaded model."""
    speed, facts = progress.speed, progress.facts
    lines = [f"**{escape_markdown(progress.task.model)}**", settings_words(progress.task.settings)]
    lines.append("chat template" if progress.is_template else "plain continuation, no chat template")
    lines.append(_FINISHES.get(progress.finish, "failed"))
    if facts is not None and facts.context:
        used = progress.num_prompt + speed.num_tokens
        lines.append(
            f"{progress.num_prompt:,} + {speed.num_tokens:,} = {used:,} of {facts.context:,} tokens of context"
        )
    if progress.num_cut:
        lines.append(f"the first {progress.num_cut:,} tokens had no room and were not read")
    if math.isfinite(progress.mean_surprise):
        lines.append(f"{progress.mean_surprise:.2f} bits of surprise a token")
    if facts is not None:
        lines += [facts_words(facts), *map(escape_markdown, facts.notes)]
    st.markdown("  \n".join(lines))


def _speed_words(progress: Progress) -> str:
    speed = progress.speed
    if not speed.num_tokens:
        return ""
    words = [f"{speed.num_tokens:,} tokens"]
    if math.isfinite(speed.tokens_per_s):
        words.append(f"**{speed.tokens_per_s:,.{0 if speed.tokens_per_s >= 10 else 1}f}** tokens/s")
    words.append(f"first after {seconds_text(speed.first_token_s)}")
    facts = progress.facts
    if facts is not None and facts.context:
        words.append(f"context {progress.num_prompt + speed.num_tokens:,} of {facts.context:,}")
    if progress.num_cut:
        words.append(f":orange[{progress.num_cut:,} tokens of the beginning had no room]")
    if progress.finish in (CONTEXT, STOPPED, LENGTH):
        words.append(_FINISHES[progress.finish])
    return " · ".join(words)


def _without_pictures(text: str) -> str:
    """Markdown of a model's, in which no picture is fetched from anywhere."""
    return text.replace("![", "!\\[")
