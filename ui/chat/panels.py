"""The registry of panels: one for each task."""

from __future__ import annotations

from collections.abc import Callable

from engine.runners.contract import TEXT_GENERATION
from storage.records import Location
from ui.chat.text_panel import text_panel

PANELS: dict[str, Callable[[Location], None]] = {
    TEXT_GENERATION: text_panel,
}
