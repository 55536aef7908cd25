"""The registry of panels: one for each task."""

from __future__ import annotations

from collections.abc import Callable

from engine.runners.contract import (
    ARRAYS,
    CLASSIFICATION,
    EMBEDDINGS,
    FILL_MASK,
    IMAGE_CLASSIFICATION,
    QUESTION_ANSWERING,
    SPEECH_TO_TEXT,
    TEXT_GENERATION,
    ZERO_SHOT,
)
from storage.records import Location
from ui.chat.arrays_panel import arrays_panel
from ui.chat.media_tasks import image_panel, speech_panel
from ui.chat.text_panel import text_panel
from ui.chat.text_tasks import (
    classification_panel,
    embeddings_panel,
    fill_mask_panel,
    question_answering_panel,
    zero_shot_panel,
)

PANELS: dict[str, Callable[[Location], None]] = {
    TEXT_GENERATION: text_panel,
    EMBEDDINGS: embeddings_panel,
    CLASSIFICATION: classification_panel,
    ZERO_SHOT: zero_shot_panel,
    FILL_MASK: fill_mask_panel,
    QUESTION_ANSWERING: question_answering_panel,
    SPEECH_TO_TEXT: speech_panel,
    IMAGE_CLASSIFICATION: image_panel,
    ARRAYS: arrays_panel,
}
