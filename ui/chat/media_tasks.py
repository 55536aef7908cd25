"""Panels of the tasks that hear and see."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from engine.runners.contract import IMAGE_CLASSIFICATION, SPEECH_TO_TEXT
from figures.labels import label_bars
from storage.records import Location
from ui.chat.keeping import keeping_toggle
from ui.chat.outcome import Run, before_the_first, outcome, outcome_words
from workflows.wording import duration_text

EXAMPLE_PICTURE = Path(__file__).resolve().parent.parent.parent / "docs" / "heatmap.png"
RECORD, UPLOAD, CAMERA, EXAMPLE = "Record", "Upload", "Camera", "Example"


def speech_panel(location: Location) -> None:
    """Speech, recorded or uploaded, and what is said in it."""
    way = _way([RECORD, UPLOAD], "sound_from")
    if way == RECORD:
        given = st.audio_input("Say something, then press stop", key="recorded")
    else:
        given = st.file_uploader("A sound file", ["wav", "flac", "ogg", "mp3"], key="sound_file")
    is_kept = keeping_toggle()
    if given is not None and way == UPLOAD:
        st.audio(given)
    is_asked = st.button("Write down", type="primary", icon=":material/subtitles:", disabled=given is None)
    run = Run(
        location,
        SPEECH_TO_TEXT,
        {"sound": given.name if given else ""},
        lambda runner: runner.transcribe(given.getvalue()),
        lambda heard: {"text": heard.text, "audio_s": heard.audio_s, "elapsed_s": heard.elapsed_s},
    )
    result = outcome(run, is_asked=is_asked, is_kept=is_kept)
    if result is None:
        before_the_first("Record a sentence or upload a sound file, then press **Write down**.")
        return
    heard = result.value
    st.code(heard.text or "(nothing was heard)", language=None, wrap_lines=True)
    st.caption(
        f"{duration_text(heard.audio_s)} of sound in {duration_text(heard.elapsed_s)}: "
        f"**{heard.audio_s / heard.elapsed_s:.1f}×** real time"
    )
    outcome_words(result)


def image_panel(location: Location) -> None:
    """A picture under the model's own labels."""
    left, right = st.columns([1, 1.4], gap="large")
    with left:
        way = _way([EXAMPLE, UPLOAD, CAMERA], "picture_from")
        name, picture = _picture(way)
        if picture is not None and way != CAMERA:
            st.image(picture, width=360, caption=None if way == UPLOAD else "A screenshot of Weightscope")
        is_asked = st.button("Classify", type="primary", icon=":material/label:", disabled=picture is None)
        is_kept = keeping_toggle()
    run = Run(
        location,
        IMAGE_CLASSIFICATION,
        {"picture": name},
        lambda runner: runner.classify(picture, count=10),
        lambda scored: {"labels": [{"label": each.label, "probability": each.probability} for each in scored]},
    )
    with right:
        result = outcome(run, is_asked=is_asked, is_kept=is_kept)
        if result is None:
            before_the_first("Press **Classify**, or choose a picture of your own first.")
            return
        labels = [each.label for each in result.value]
        st.altair_chart(label_bars(labels, [each.probability for each in result.value]), width="stretch")
        outcome_words(result)


def _picture(way: str) -> tuple[str, bytes | None]:
    """The chosen picture's name and bytes; None while there is none."""
    if way == EXAMPLE:
        return EXAMPLE_PICTURE.name, EXAMPLE_PICTURE.read_bytes()
    if way == CAMERA:
        given = st.camera_input("A photograph", key="photograph")
    else:
        given = st.file_uploader("A picture", ["png", "jpg", "jpeg", "webp", "bmp", "gif"], key="picture_file")
    return (given.name, given.getvalue()) if given is not None else ("", None)


def _way(ways: list[str], key: str) -> str:
    return st.segmented_control(
        "From", ways, default=ways[0], required=True, key=key, label_visibility="collapsed", persist_state="session"
    )
