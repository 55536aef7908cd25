"""A new model: its name, its text, its shape, how it learns and plays, what that costs, and one button."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import streamlit as st

from engine.errors import WeightscopeError
from engine.training.presets import PRESETS, Preset
from engine.training.rewards import PARTS, RewardPart
from engine.training.settings import ModelSettings, SelfPlaySettings, TrainingSettings
from storage.records import Location
from ui.hub_token import token_environment
from ui.job_panel import jobs
from ui.page import escape_markdown, show_late_error, store, tried, user_errors
from ui.trainer.cost import advice_line, cost_panel
from ui.trainer.fields import MODEL, SELF_PLAY, TRAINING, controls, forget
from ui.trainer.looks import open_run, run_in_url
from ui.trainer.reading import all_runs, look_again
from ui.trainer.take_along import upload_model
from ui.trainer.texts import text_controls
from workflows import training
from workflows.library import locations
from workflows.training_request import TrainingRequest

_UPLOADED = "uploaded_base"
FRESH, GO_ON = "from scratch", "from a model that has learnt"
HELD_OUT_SHARE = TrainingRequest("x").held_out_share

PART_WORDS = {
    "coherence": "Surprises the model it began as about as much as real text does: neither dull nor wild.",
    "diversity": "Different pairs and triples of tokens, within a text and from one text to the next.",
    "length": "Fills at least half of the room it has.",
    "naturalness": "Tokens follow each other as they do in the text it learnt from.",
    "repetition": "Does not say the same again and again, nor run in circles.",
    "vocabulary": "Draws on as many different tokens as real text of that length.",
}
"""What each part of the reward asks for, as a person would say it; the exact rule is in the part's own words."""


@st.fragment
def new_model() -> None:
    """The whole form; it reruns alone."""
    left, right = st.columns([1.9, 1], gap="large")
    with left:
        name, notes = _naming()
        start = _beginning()
        st.subheader("Text", anchor=False)
        share = _held_out_share()
        corpora = text_controls(share, int(st.session_state.get("train_seed") or 0))
        st.subheader("Size and learning", anchor=False)
        model, learning = _learning(start)
        st.subheader("Self-play", anchor=False)
        playing = _self_play(is_needed=learning is None)
        waits = st.toggle(
            "Wait until other trainings end",
            value=True,
            key="waits",
            bind="query-params",
            help="Off, it starts at once beside them, and all are slower.",
        )
    request = TrainingRequest(
        name=name,
        model=model,
        start_from=start,
        corpora=corpora,
        training=learning,
        self_play=playing,
        held_out_share=share,
        notes=notes,
        waits=waits,
    )
    with right, st.container(border=True):
        _ending(request)


def free_name(wanted: str) -> str:
    """A name that no model and no run has."""
    taken = {run.name for run in all_runs()} | {known.name for known in locations(store())}
    number = 2
    free = wanted
    while free in taken:
        free, number = f"{wanted}-{number}", number + 1
    return free


def _naming() -> tuple[str, str]:
    name_column, notes_column = st.columns([1, 1.6])
    with name_column:
        name = st.text_input(
            "Name",
            key="name",
            bind="query-params",
            placeholder=free_name("my-model"),
            max_chars=60,
            help="Of the model and its folder: letters, digits, dots, dashes and underscores.",
        )
    with notes_column:
        notes = st.text_input(
            "Notes", key="notes", persist_state="session", max_chars=2000, placeholder="What you want to find out"
        )
    return (name or "").strip() or free_name("my-model"), (notes or "").strip()


def _beginning() -> str:
    """ "" for a new model, else the name of the model to go on from."""
    begin = st.segmented_control(
        "Begin", (FRESH, GO_ON), default=FRESH, required=True, key="begin", bind="query-params"
    )
    if begin != GO_ON:
        return ""
    able = [known.name for known in locations(store()) if is_continuable(known)]
    if _UPLOADED in st.session_state:
        st.session_state["base"] = st.session_state.pop(_UPLOADED)
    with st.container(border=True):
        if able:
            if st.session_state.get("base", able[0]) not in able:
                st.session_state["base"] = able[0]
            base = st.selectbox("Model to go on from", able, key="base", bind="query-params") or able[0]
        else:
            base = ""
            st.info("No model here can be gone on from yet: train one, or upload one.", icon=":material/search:")
        with st.popover("Upload one", icon=":material/upload:"):
            added = upload_model()
        if added:
            st.session_state[_UPLOADED] = added
            st.rerun(scope="fragment")
    return base


def is_continuable(location: Location) -> bool:
    """Whether it is the folder of a Llama model with its tokenizer; its own shape is checked when it is started."""
    folder = Path(location.uri)
    if not (folder / "tokenizer.json").is_file():
        return False
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("model_type") == "llama"


def _held_out_share() -> float:
    percent = st.session_state.get("held_out", round(100 * HELD_OUT_SHARE))
    return float(percent) / 100 if isinstance(percent, int | float) else HELD_OUT_SHARE


def _learning(start: str) -> tuple[ModelSettings | None, TrainingSettings | None]:
    """The preset, every dimension, and how it learns."""
    is_learning = True
    if start:
        is_learning = st.toggle("Learn from the text", value=True, key="learn", bind="query-params")
    preset = _preset()
    model = None
    if not start:
        with st.expander("Every dimension", icon=":material/straighten:", key="dimensions"):
            model = replace(preset.model, **controls(MODEL, preset.model))
    if not is_learning:
        return model, None
    with st.expander("How it learns", icon=":material/school:", key="learning"):
        settings = replace(preset.training, **controls(TRAINING, preset.training, "train_"))
        st.slider(
            "Held-out text, %",
            1,
            50,
            round(100 * HELD_OUT_SHARE),
            1,
            key="held_out",
            bind="query-params",
            help="Set aside in whole passages before anything is learnt, so that what judges the model was never seen.",
        )
    return model, settings


def _preset() -> Preset:
    names = list(PRESETS)
    if st.session_state.get("preset", names[0]) not in names:
        st.session_state["preset"] = names[0]
    name = st.segmented_control(
        "Preset",
        names,
        default=names[0],
        required=True,
        key="preset",
        bind="query-params",
        on_change=_take_preset,
        width="stretch",
    )
    preset = PRESETS[name or names[0]]
    st.caption(escape_markdown(preset.summary))
    advice_line(preset.name)
    return preset


def _take_preset() -> None:
    preset = PRESETS.get(st.session_state.get("preset") or "", next(iter(PRESETS.values())))
    forget(MODEL, preset.model)
    forget(TRAINING, preset.training, "train_")


def _self_play(*, is_needed: bool) -> SelfPlaySettings | None:
    st.caption(
        "The model writes, six rules judge what it wrote, and it is nudged towards the better texts. How well it "
        "predicts text it never saw is shown beside the reward, so you see when it only learns to please the rules."
    )
    is_playing = st.toggle("Let it play after it learnt", value=is_needed, key="play", bind="query-params")
    if not is_playing:
        return None
    defaults = SelfPlaySettings()
    usual = dict(defaults.weights)
    weights = []
    for first in range(0, len(PARTS), 3):
        for column, part in zip(st.columns(3, gap="medium"), list(PARTS.values())[first : first + 3], strict=False):
            with column:
                weights.append((part.name, _weight(part, usual.get(part.name, 0.0))))
    with st.expander("How it plays", icon=":material/sports_esports:", key="playing"):
        chosen = controls(SELF_PLAY, defaults, "play_")
    return replace(defaults, weights=tuple(weights), **chosen)


def _weight(part: RewardPart, usual: float) -> float:
    """The slider of one part, with what it asks for."""
    weight = st.slider(
        part.title,
        0.0,
        3.0,
        usual,
        0.1,
        key=f"reward_{part.name}",
        bind="query-params",
        help=escape_markdown(part.description),
    )
    st.caption(PART_WORDS.get(part.name) or escape_markdown(part.description.splitlines()[0]))
    return float(weight)


def _ending(request: TrainingRequest) -> None:
    """What it costs, what is wrong with it, and the button."""
    st.markdown(f"#### {escape_markdown(request.name)}")
    problem = None
    try:
        request.check()
    except WeightscopeError as error:
        problem = error
    if problem is None:
        with user_errors():
            cost_panel(request)
    else:
        st.warning(escape_markdown(problem.message), icon=":material/edit:")
        if problem.hint:
            st.caption(f":material/lightbulb: {escape_markdown(problem.hint)}")
    is_asked = st.button(
        "Train",
        key="train",
        type="primary",
        icon=":material/play_arrow:",
        width="stretch",
        disabled=problem is not None,
        on_click=tried,
        args=(start_run, request),
    )
    if is_asked and run_in_url():
        st.rerun()  # the whole page: it shows the run now
    show_late_error()


def start_run(request: TrainingRequest) -> None:
    """From a callback: check it, start its job and show its page. Raises: WeightscopeError if it cannot be done."""
    job = training.start(store(), jobs(), request, token_environment())
    look_again()
    open_run(job.id)
