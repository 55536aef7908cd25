"""An answer that a thread of its own writes, so that no click, rerun or change of page disturbs it."""

from __future__ import annotations

import atexit
import math
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.runners.generation import STOPPED, GeneratedToken, Speed, speed
from engine.runners.generation_settings import GenerationSettings

if TYPE_CHECKING:
    from engine.runners.contract import Facts
    from engine.runners.text_generation import TextGenerator

LOADING, READING, WRITING, DONE = "loading", "reading", "writing", "done"
"""The phases of a reply: the model is being loaded, it reads the prompt, it writes, nothing more will come."""

EXIT_WAIT_S = 20
"""At the end of the program a reply may finish its current token, or the loading of its model."""


@dataclass(frozen=True)
class Task:
    """What to write.

    Attributes:
        model: its name, for the page. messages: what was said. is_plain: continue them as one text, without a template.
        load: gives the loaded model, as a context in which it stays loaded; runs in the thread.
        on_end: called in the thread when all is written (or failed), with the progress.
    """

    model: str
    messages: tuple[dict[str, str], ...]
    settings: GenerationSettings
    load: Callable
    is_plain: bool = False
    on_end: Callable[[Progress], None] | None = None


@dataclass
class Progress:
    """How far the thread is; only it writes here.

    Attributes:
        tokens: so far. num_prompt: tokens the model read; num_cut: tokens at the beginning that had no room.
        is_template: whether the model's chat template was used. error: why it ended too early.
    """

    task: Task
    phase: str = LOADING
    tokens: list[GeneratedToken] = field(default_factory=list)
    facts: Facts | None = None
    is_template: bool = False
    num_prompt: int = 0
    num_cut: int = 0
    error: Exception | None = None
    started: float = field(default_factory=time.perf_counter)

    @property
    def text(self) -> str:
        return "".join(token.text for token in list(self.tokens))

    @property
    def finish(self) -> str:
        """Why it ended, as `engine.runners.generation` calls it; "" while it has not, or failed."""
        return self.tokens[-1].finish if self.tokens else STOPPED if self.phase == DONE and not self.error else ""

    @property
    def speed(self) -> Speed:
        return speed(list(self.tokens))

    @property
    def mean_surprise(self) -> float:
        """Mean of −log₂ p over the tokens, in bits; NaN without tokens. It is 0 for a model that was always sure."""
        bits = [-math.log2(token.probability) for token in list(self.tokens) if token.probability > 0]
        return sum(bits) / len(bits) if bits else math.nan


_unfinished: weakref.WeakKeyDictionary[threading.Thread, threading.Event] = weakref.WeakKeyDictionary()


@atexit.register
def _end_all() -> None:
    """At the end of the program no thread may still be inside of torch: the interpreter would abort."""
    threads = list(_unfinished.items())
    for _, asked_to_stop in threads:
        asked_to_stop.set()
    for thread, _ in threads:
        thread.join(EXIT_WAIT_S)


class Reply:
    """An answer that is being written, or was.

    The thread ends with the text, on `stop()`, and when nobody holds the reply any more (the session is gone).
    """

    def __init__(self, task: Task) -> None:
        self.progress = Progress(task)
        self._asked_to_stop = threading.Event()
        self._thread = threading.Thread(
            target=_write, args=(self.progress, self._asked_to_stop), name="weightscope-reply", daemon=True
        )
        weakref.finalize(self, self._asked_to_stop.set).atexit = False
        _unfinished[self._thread] = self._asked_to_stop
        self._thread.start()

    @property
    def is_writing(self) -> bool:
        return self.progress.phase != DONE

    @property
    def text(self) -> str:
        return self.progress.text

    def stop(self) -> None:
        """End it after the current token; what is written stays."""
        self._asked_to_stop.set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the end. Returns: whether it came in time."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()


def _write(progress: Progress, asked_to_stop: threading.Event) -> None:
    """The thread: whatever goes wrong is kept for the page, which shows it or raises it."""
    try:
        with progress.task.load() as generator:
            _fill(progress, generator, asked_to_stop)
        if progress.task.on_end is not None:
            progress.task.on_end(progress)
    except Exception as error:  # noqa: BLE001 - raised again by the page: a thread has nobody to raise to
        progress.error = error
    finally:
        progress.phase = DONE


def _fill(progress: Progress, generator: TextGenerator, asked_to_stop: threading.Event) -> None:
    task = progress.task
    progress.facts = generator.facts
    progress.is_template = generator.has_chat_template and not task.is_plain
    progress.phase = READING
    if asked_to_stop.is_set():
        return
    messages = list(task.messages)
    prompt = generator.prepare(messages if progress.is_template else plain_text(messages), task.settings)
    progress.num_prompt, progress.num_cut = len(prompt.token_ids), prompt.num_cut
    for token in generator.stream(prompt, task.settings, asked_to_stop):
        progress.tokens.append(token)
        progress.phase = WRITING


def plain_text(messages: list[dict[str, str]]) -> str:
    """A conversation as one text to continue: answers follow directly, whatever else begins on a line of its own."""
    text = ""
    for message in messages:
        text += "\n" if text and message["role"] != "assistant" else ""
        text += message["content"]
    return text
