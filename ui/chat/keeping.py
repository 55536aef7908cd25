"""Keeping conversations and runs in the database, for those who turn that on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict

import streamlit as st

from storage.records import Metric
from storage.store import Store
from ui.chat.reply import Progress
from ui.page import store


def keeping_toggle() -> bool:
    """Whether to keep what is run from now on, with where it goes."""
    return st.toggle(
        "Keep in the database",
        key="keep",
        persist_state="session",
        help=f"Off, nothing you write is stored. On, each prompt, its settings and the answer become a row of the "
        f"table experiment (kind 'chat' or 'run') in {store().path}, and each token's probability one of metric.",
    )


def keeper(location_uri: str) -> Callable[[Progress], None]:
    """For `Task.on_end`: stores a finished answer."""
    kept_in = store()
    return lambda progress: keep_answer(kept_in, location_uri, progress)


def keep_answer(kept_in: Store, uri: str, progress: Progress) -> None:
    """One answer as an experiment of the kind "chat". Raises: StorageError."""
    task = progress.task
    settings = {
        "model": task.model,
        "uri": uri,
        "messages": list(task.messages),
        "chat_template": progress.is_template,
        **asdict(task.settings),
    }
    key = kept_in.start_experiment("chat", f"Chat with {task.model}", settings)
    kept_in.append_metrics(
        key,
        [Metric(step, "probability", token.probability) for step, token in enumerate(progress.tokens)],
    )
    speed = progress.speed
    result = {
        "answer": progress.text,
        "finish": progress.finish,
        "tokens": speed.num_tokens,
        "first_token_s": _number(speed.first_token_s),
        "tokens_per_s": _number(speed.tokens_per_s),
    }
    kept_in.finish_experiment(key, "cancelled" if progress.finish == "stopped" else "done", result)


def keep_run(task: str, model: str, uri: str, inputs: dict, result: dict) -> None:
    """One run of another task as an experiment of the kind "run". Raises: StorageError."""
    key = store().start_experiment("run", f"{task} with {model}", {"task": task, "model": model, "uri": uri, **inputs})
    store().finish_experiment(key, "done", result)


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
