"""Text generation: a conversation with one model, or the same prompts to two side by side."""

from __future__ import annotations

from dataclasses import dataclass, replace

import streamlit as st

from engine.runners.contract import TEXT_GENERATION
from storage.records import Location
from ui.chat.conversation import Conversation, Turn, messages_until
from ui.chat.export import as_json, as_markdown
from ui.chat.keeping import keeper, keeping_toggle
from ui.chat.models import lender, pick_other
from ui.chat.reply import Reply, Task
from ui.chat.sampling import ChatSettings, sampling_controls
from ui.chat.turn_view import Actions, draw_turn
from ui.page import escape_markdown, show_late_error, tried, user_errors

MOST_CONVERSATIONS = 20
"""Kept for one session; the longest unused is forgotten first."""

STARTER_PROMPTS = ('The "with" statement', "A class definition", "The import system\n*****************\n\n")
CHAT_PROMPTS = (
    "Explain what a matrix is to a ten-year-old.",
    "Write a haiku about microscopes.",
    "Count from 1 to 10.",
)
PLAIN_PROMPTS = ("Once upon a time", "The most important thing about science is", "def fibonacci(n):")


@dataclass
class Side:
    """One model and its conversation."""

    location: Location
    conversation: Conversation


def text_panel(location: Location) -> None:
    """The whole panel; the prompt box is at the foot of the page."""
    sides, settings, is_coloured, is_kept = _controls(location)
    is_writing = any(side.conversation.is_writing for side in sides)
    words = st.chat_input("Text to continue, or a question", key="prompt", submit_mode="submit", disabled=is_writing)
    if words:
        with user_errors():
            _ask(sides, words, settings, is_kept)
            st.rerun()  # the box above was drawn before anything was being written
    show_late_error()
    columns = st.columns(len(sides), gap="medium") if len(sides) > 1 else [st.container()]
    for column, side in zip(columns, sides, strict=True):
        with column, user_errors():
            if len(sides) > 1:
                st.markdown(f"##### {escape_markdown(side.location.name)}")
            _draw_side(side, settings, is_coloured=is_coloured, is_kept=is_kept)
    if not any(side.conversation.path for side in sides):
        _empty(sides, settings, is_kept)


def _controls(location: Location) -> tuple[list[Side], ChatSettings, bool, bool]:
    other_column, settings_column, more_column = st.columns([2, 1, 1], vertical_alignment="bottom")
    with other_column:
        other = pick_other(location)
    with settings_column:
        settings = sampling_controls()
    chosen = [location] if other is None else [location, other]
    sides = [Side(each, _conversation(each.name, other and (location.name, other.name))) for each in chosen]
    with more_column, st.popover("Conversation", icon=":material/forum:", width="stretch"):
        is_coloured = st.toggle(
            "Colour tokens by confidence",
            value=True,
            key="confidence",
            bind="query-params",
            help="The more a token surprises the model itself, the stronger its colour. Point at one to see what else "
            "could have stood there.",
        )
        is_kept = keeping_toggle()
        _export(sides)
        st.button("Clear", key="clear", icon=":material/delete_sweep:", on_click=_clear, args=(sides,), width="stretch")
    return sides, settings, is_coloured, is_kept


def _conversation(name: str, pair: tuple[str, str] | None) -> Conversation:
    """The conversation with a model alone, or in a pair: of its own, so that both have heard the same."""
    known = st.session_state.setdefault("conversations", {})
    conversation = known.pop((name, pair), None) or Conversation()
    known[name, pair] = conversation
    while len(known) > MOST_CONVERSATIONS:
        known.pop(next(iter(known))).stop()
    return conversation


def _draw_side(side: Side, settings: ChatSettings, *, is_coloured: bool, is_kept: bool) -> None:
    path = side.conversation.path
    actions = Actions(
        again=lambda turn: tried(_answer, side, turn.before, settings, is_kept),
        edit=lambda turn, words: tried(_edit, side, turn, words, settings, is_kept),
        show=side.conversation.show,
    )
    for turn in path:
        with user_errors():
            draw_turn(turn, actions, is_coloured=is_coloured, is_busy=side.conversation.is_writing)
    if path and path[-1].reply is None:
        st.button(
            "Answer", key=f"answer-{path[-1].number}", icon=":material/play_arrow:", type="primary",
            on_click=tried, args=(_answer, side, path[-1], settings, is_kept),
        )  # fmt: skip


def _ask(sides: list[Side], words: str, settings: ChatSettings, is_kept: bool) -> None:
    """A prompt to every side at once."""
    for side in sides:
        _answer(side, side.conversation.say(words), settings, is_kept)


def _edit(side: Side, turn: Turn, words: str, settings: ChatSettings, is_kept: bool) -> None:
    _answer(side, side.conversation.edit(turn, words), settings, is_kept)


def _answer(side: Side, question: Turn, settings: ChatSettings, is_kept: bool) -> None:
    """Let the model answer; every further answer to the same question takes the next seed."""
    seed = settings.generation.seed + len(question.after)
    task = Task(
        model=side.location.name,
        messages=tuple(messages_until(question, settings.system)),
        settings=replace(settings.generation, seed=seed),
        load=lender(side.location, TEXT_GENERATION),
        is_plain=settings.is_plain,
        on_end=keeper(side.location.uri) if is_kept else None,
    )
    side.conversation.answer(question, Reply(task))


def _clear(sides: list[Side]) -> None:
    for side in sides:
        side.conversation.stop()
        known = st.session_state["conversations"]
        for key in [key for key, conversation in known.items() if conversation is side.conversation]:
            del known[key]


def _export(sides: list[Side]) -> None:
    for side in sides:
        if not side.conversation.path:
            continue
        name = side.location.name
        label = f" of {name}" if len(sides) > 1 else ""
        safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in name)
        st.download_button(
            f"Markdown{label}", lambda side=side: as_markdown(side.conversation, side.location.name),
            f"chat-{safe}.md", "text/markdown", key=f"markdown-{name}", icon=":material/download:",
            on_click="ignore", width="stretch", help="The conversation as shown.",
        )  # fmt: skip
        st.download_button(
            f"JSON{label}", lambda side=side: as_json(side.conversation, side.location.name),
            f"chat-{safe}.json", "application/json", key=f"json-{name}", icon=":material/data_object:",
            on_click="ignore", width="stretch", help="Every branch, with settings, tokens and probabilities.",
        )  # fmt: skip


def _empty(sides: list[Side], settings: ChatSettings, is_kept: bool) -> None:
    """What to do first: prompts that show something at one click."""
    is_starter = any(side.location.origin == "bundled" for side in sides)
    with st.container(horizontal_alignment="center", gap="small"):
        st.space("medium")
        if is_starter:
            words = (
                "The bundled starter read nothing but the reference of the Python language. It answers no questions: "
                "it continues a text in the look of that reference."
            )
        else:
            words = "Models made for conversation answer; others continue your text. Nothing leaves this machine."
        st.markdown("**Write something below, or begin with one of these**", text_alignment="center")
        st.caption(words, text_alignment="center")
        prompts = STARTER_PROMPTS if is_starter else (CHAT_PROMPTS[0], PLAIN_PROMPTS[0], PLAIN_PROMPTS[2])
        with st.container(horizontal=True, horizontal_alignment="center"):
            for place, prompt in enumerate(prompts):
                st.button(
                    escape_markdown(prompt.splitlines()[0]), key=f"suggestion-{place}", icon=":material/north_west:",
                    on_click=tried, args=(_ask, sides, prompt, settings, is_kept),
                )  # fmt: skip
