"""A conversation as a file to keep: Markdown to read, JSON with every branch, token and probability."""

from __future__ import annotations

import json
import math
from dataclasses import asdict

from ui.chat.conversation import ASSISTANT, USER, Conversation, Turn


def as_markdown(conversation: Conversation, model: str) -> str:
    """The shown path. Texts stand as they are, under a heading for each turn."""
    parts = [f"# Conversation with {model}"]
    for turn in conversation.path:
        who = {USER: "You", ASSISTANT: model}[turn.role]
        parts.append(f"## {who}\n\n{turn.content.strip()}")
    return "\n\n".join(parts) + "\n"


def as_json(conversation: Conversation, model: str) -> str:
    """All branches: turns by number, each with the number of the turn it follows (null for the first).

    An answer has its settings, why it ended, and its tokens with their probabilities (null where undefined).
    """
    shown = {turn.number for turn in conversation.path}
    turns = [_turn(turn) | {"is_shown": turn.number in shown} for turn in conversation.turns()]
    return json.dumps({"model": model, "turns": turns}, ensure_ascii=False, indent=1, allow_nan=False)


def _turn(turn: Turn) -> dict:
    record = {
        "number": turn.number,
        "follows": turn.before.number if turn.before.role else None,
        "role": turn.role,
        "content": turn.content,
    }
    if turn.reply is None:
        return record
    progress = turn.reply.progress
    return record | {
        "settings": asdict(progress.task.settings),
        "finish": progress.finish,
        "tokens": [
            {
                "text": token.text,
                "id": token.token_id,
                "probability": token.probability if math.isfinite(token.probability) else None,
            }
            for token in list(progress.tokens)
        ],
    }
