"""Let checkpoints of a run, or other models, go on from the same prompts side by side; also while it still learns."""

from __future__ import annotations

from dataclasses import dataclass, replace

import streamlit as st

import engine.sources
from engine.runners.contract import TEXT_GENERATION
from engine.runners.generation_settings import GenerationSettings
from storage.records import Location
from ui.chat.conversation import USER, Conversation, Turn
from ui.chat.models import lender
from ui.chat.reply import Reply, Task
from ui.chat.sampling import sampling_controls
from ui.chat.turn_view import Actions, draw_turn
from ui.page import escape_markdown, show_late_error, store, tried, user_errors
from ui.trainer.checkpoints_view import label
from ui.trainer.links import folder_of, model_links, model_location
from ui.trainer.reading import checkpoints_of, samples_of
from workflows.library import locations
from workflows.locations import describe
from workflows.training import TrainingRun

LATEST = "latest checkpoint"
FINISHED = "finished model"
MOST_SIDES = 4
MOST_ROUNDS = 10
"""Kept for one session; the oldest are forgotten first."""

_ROUNDS = "trainer_rounds"


@dataclass(eq=False)
class Side:
    """What one model wrote after a prompt, every attempt a branch. name: of the model or checkpoint."""

    name: str
    conversation: Conversation

    @property
    def answer(self) -> Turn:
        """The attempt that is shown."""
        return self.conversation.path[-1]


@dataclass(eq=False)
class Round:
    """One prompt, and what each side wrote after it."""

    prompt: str
    sides: list[Side]

    @property
    def is_writing(self) -> bool:
        return any(side.conversation.is_writing for side in self.sides)


def try_look(run: TrainingRun) -> None:
    """The prompt, the sides, and the rounds so far, the latest first."""
    choices = _choices(run)
    if not choices:
        st.info(
            "There is nothing to run yet: the first checkpoint is still to come.", icon=":material/hourglass_empty:"
        )
        return
    chosen = _pick(choices)
    settings, is_coloured = _settings()
    _prompt(run, {name: choices[name] for name in chosen}, settings)
    show_late_error()
    rounds: list[Round] = st.session_state.setdefault(_ROUNDS, {}).setdefault(run.id, [])
    for each in rounds[::-1]:
        _draw(each, is_coloured)
    st.divider()
    st.caption("The same model on the other pages:")
    model_links(run, key="try")


def _choices(run: TrainingRun) -> dict[str, Location | str]:
    """What can write, by the name in the URL: a model, or the folder of a checkpoint."""
    choices: dict[str, Location | str] = {}
    finished = model_location(run)
    if finished is not None:
        choices[FINISHED] = finished
    kept = {label(each): where for each in checkpoints_of(run) if (where := folder_of(run, each))}
    if kept:
        choices[LATEST] = list(kept.values())[-1]
    choices |= kept
    if not choices:
        return {}
    known = locations(store())
    if run.request.start_from:
        choices |= {known.name: known for known in known if known.name == run.request.start_from}
    return choices | {each.name: each for each in known if each is not finished and each.name not in choices}


def _pick(choices: dict[str, Location | str]) -> list[str]:
    names = list(choices)
    steps = [name for name in names if name == "before training" or name.startswith("step ")]
    default = list(dict.fromkeys([*(steps[:1] if len(steps) > 1 else []), names[0]]))
    kept = [name for name in st.session_state.get("sides") or [] if name in choices]
    if "sides" in st.session_state and kept != st.session_state["sides"]:
        st.session_state["sides"] = kept
    chosen = st.multiselect(
        "Who writes",
        names,
        default=default,
        key="sides",
        bind="query-params",
        max_selections=MOST_SIDES,
        help="Checkpoints of this run, or any other model here that writes text; all get the same prompt.",
    )
    return chosen or default


def _settings() -> tuple[GenerationSettings, bool]:
    with st.container(horizontal=True, vertical_alignment="center"):
        with st.container(width=180):
            settings = sampling_controls().generation
        is_coloured = st.toggle(
            "Colour tokens by confidence",
            value=True,
            key="confidence",
            bind="query-params",
            help="The more a token surprises the model itself, the stronger its colour. Point at one to see what else "
            "could have stood there.",
        )
    return settings, is_coloured


def _prompt(run: TrainingRun, sides: dict[str, Location | str], settings: GenerationSettings) -> None:
    known = list(dict.fromkeys(sample.prompt for sample in samples_of(run)))[:4]
    with st.form("try", border=False):
        prompt = st.text_area(
            "Prompt", key="try_prompt", persist_state="session", height=90, placeholder=known[0] if known else "Once"
        )
        is_asked = st.form_submit_button("Write", type="primary", icon=":material/edit_note:")
    if len(known) > 0:
        with st.container(horizontal=True):
            for place, words in enumerate(known):
                line = " ".join(words.split()) or "(nothing)"
                st.button(
                    escape_markdown(line if len(line) <= 40 else f"{line[:39]}…"),
                    key=f"try-{place}",
                    icon=":material/north_west:",
                    on_click=tried,
                    args=(_write, run.id, words, sides, settings),
                )
    if is_asked:
        with user_errors():
            _write(run.id, prompt or (known[0] if known else "Once"), sides, settings)


def _write(run_id: str, prompt: str, sides: dict[str, Location | str], settings: GenerationSettings) -> None:
    """Let every side go on from the prompt. Raises: SourceError if one of them is gone."""
    rounds: list[Round] = st.session_state.setdefault(_ROUNDS, {}).setdefault(run_id, [])
    rounds.append(Round(prompt, [Side(name, _begun(name, where, prompt, settings)) for name, where in sides.items()]))
    while len(rounds) > MOST_ROUNDS:
        for side in rounds.pop(0).sides:
            side.conversation.stop()


def _begun(name: str, where: Location | str, prompt: str, settings: GenerationSettings) -> Conversation:
    """The prompt, and an answer that is being written."""
    location = where if isinstance(where, Location) else _described(where, name)
    task = Task(
        model=name,
        messages=({"role": USER, "content": prompt},),
        settings=settings,
        load=lender(location, TEXT_GENERATION),
        is_plain=True,
    )
    conversation = Conversation()
    conversation.answer(conversation.say(prompt), Reply(task))
    return conversation


def _described(folder: str, name: str) -> Location:
    with engine.sources.open(folder) as source:
        return describe(source, "trained", name)


def _draw(each: Round, is_coloured: bool) -> None:
    with st.container(border=True):
        st.text(each.prompt)
        for column, side in zip(st.columns(len(each.sides), gap="medium"), each.sides, strict=True):
            with column, user_errors():
                st.markdown(f"**{escape_markdown(side.name)}**")
                actions = Actions(
                    again=lambda turn, side=side: tried(_again, side, turn),
                    edit=lambda turn, words: None,
                    show=side.conversation.show,
                )
                draw_turn(side.answer, actions, is_coloured=is_coloured, is_busy=each.is_writing)


def _again(side: Side, turn: Turn) -> None:
    """Another attempt, with the next seed."""
    task = turn.reply.progress.task
    seed = turn.variants[0].reply.progress.task.settings.seed + len(turn.variants)
    side.conversation.answer(turn.before, Reply(replace(task, settings=replace(task.settings, seed=seed))))
