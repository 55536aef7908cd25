"""The sampling controls: presets, and every knob; all but the system prompt are in the URL."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from engine.runners.generation_settings import PRESETS, GenerationSettings

NUM_ALTERNATIVES = 6
_DEFAULT = PRESETS["Balanced"]
_KNOBS = ("temperature", "top_k", "top_p", "repetition_penalty")

_PRESET_WORDS = {
    "Exact": "always the likeliest token; the same text each time",
    "Careful": "close to the likeliest text",
    "Balanced": "varied, rarely odd",
    "Creative": "varied, often odd",
    "As trained": "draws from the model's own distribution, nothing cut",
}


@dataclass(frozen=True)
class ChatSettings:
    """What the person chose. Attributes: generation. system: the system prompt; "" for none.
    is_plain: continue the conversation as one text even if the model has a chat template.
    """

    generation: GenerationSettings
    system: str
    is_plain: bool


def sampling_controls() -> ChatSettings:
    """The popover of settings."""
    with st.popover("Settings", icon=":material/tune:", width="stretch"):
        above = st.container()
        left, right = st.columns(2, gap="medium")
        with left:
            temperature = _number("Temperature", "temperature", 0.0, 2.0, 0.05, "0 always takes the likeliest token.")
            top_k = _number("Top-k", "top_k", 0, 200, 1, "Draw only from so many of the likeliest; 0 for all.")
            top_p = _number("Top-p", "top_p", 0.0, 1.0, 0.01, "Draw only from the likeliest that hold this share.")
        with right:
            penalty = _number(
                "Repetition penalty", "repetition_penalty", 0.5, 2.0, 0.01, "Above 1, words that occurred get rarer."
            )
            most = st.number_input(
                "Most new tokens", 1, 4096, _DEFAULT.max_new_tokens, 50, key="max_new_tokens", bind="query-params"
            )
            seed = st.number_input(
                "Seed",
                0,
                2**31 - 1,
                0,
                1,
                key="seed",
                bind="query-params",
                help="The same seed, prompt and settings give the same text. Another answer takes the next seed.",
            )
        with above:
            _presets()
        system, is_plain = _framing()
    generation = GenerationSettings(
        max_new_tokens=int(most),
        temperature=temperature,
        top_k=int(top_k),
        top_p=top_p,
        repetition_penalty=penalty,
        seed=int(seed),
        alternatives=NUM_ALTERNATIVES,
    )
    return ChatSettings(generation, system, is_plain)


def settings_words(settings: GenerationSettings) -> str:
    """The settings in one line: the preset's name if it is one, and what makes the text what it is."""
    name = _preset_of({knob: getattr(settings, knob) for knob in _KNOBS})
    words = name or f"temperature {settings.temperature:g}, top-k {settings.top_k}, top-p {settings.top_p:g}"
    return words if settings.temperature == 0 else f"{words}, seed {settings.seed}"


def _presets() -> None:
    """The buttons; the one that fits the knobs is pressed, none if they were turned. Drawn when the knobs are known."""
    st.session_state["preset"] = _preset_of({knob: st.session_state[knob] for knob in _KNOBS})
    st.segmented_control("Presets", list(PRESETS), key="preset", on_change=_take_preset, width="stretch")
    name = st.session_state["preset"]
    st.caption(_PRESET_WORDS[name] if name else "your own mixture")


def _take_preset() -> None:
    name = st.session_state["preset"]
    if name:
        for knob in _KNOBS:
            st.session_state[knob] = getattr(PRESETS[name], knob)


def _preset_of(knobs: dict[str, float]) -> str | None:
    for name, preset in PRESETS.items():
        if all(abs(getattr(preset, knob) - value) < 1e-9 for knob, value in knobs.items()):
            return name
    return None


def _number(label: str, knob: str, least: float, most: float, step: float, words: str) -> float:
    default = getattr(_DEFAULT, knob)
    return st.slider(label, least, most, default, step, key=knob, bind="query-params", help=words)


def _framing() -> tuple[str, bool]:
    system = st.text_area(
        "System prompt",
        key="system_prompt",
        persist_state="session",
        height=68,
        placeholder="You are a helpful assistant.",
        help="Said to the model before everything else.",
    )
    is_plain = st.toggle(
        "Continue as plain text",
        key="plain",
        bind="query-params",
        help="Leave out the model's chat template, if it has one: it then continues the text, as a base model does.",
    )
    return system or "", is_plain
