"""A training as the database remembers it, without having trained."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from engine.naming import place
from engine.training.settings import CorpusChoice, ModelSettings, SelfPlaySettings, TrainingSettings
from storage.records import Metric
from storage.store import Store
from storage.training import CheckpointTensor, Remark, Sample, TrainingCheckpoint, TrainingRows
from workflows.training_request import TrainingRequest

NOW = datetime(2026, 1, 2, tzinfo=UTC)
STEPS = 6
HOSTILE = "<b>bold</b> *star* $x$ [link](http://x)"
TENSOR = "model.layers.0.self_attn.q_proj.weight"
PARTS = ("coherence", "diversity", "length", "naturalness", "vocabulary", "repetition")


def remember(
    run_id: str = "20260102T000000Z-train-00000001",
    name: str = "my-book",
    *,
    status: str = "done",
    message: str = "",
    is_playing: bool = True,
    folders: tuple[Path, ...] = (),
    model: str = "",
) -> str:
    """Keep a run of six steps and, if asked for, four iterations of self-play; returns its id.

    Args: folders: of its checkpoints at steps 0 and 6. model: where the finished model lies.
    """
    playing = SelfPlaySettings(iterations=4) if is_playing else None
    text = (CorpusChoice("bundled:language-reference"),)
    training = TrainingSettings(steps=STEPS)
    request = TrainingRequest(name, ModelSettings(), corpora=text, training=training, self_play=playing, notes=HOSTILE)
    store = Store()
    store.begin_training(run_id, name, request.to_json())
    store.save_training_rows(run_id, _rows(is_playing, [str(folder) for folder in folders]))
    store.finish_experiment(run_id, status, {"uri": model, "bits_per_byte": 2.125}, message)
    return run_id


def _rows(is_playing: bool, folders: list[str]) -> TrainingRows:
    rows = TrainingRows()
    for step in range(1, STEPS + 1):
        numbers = {"loss": 8 - step, "tokens_per_s": 1000.0, "learning_rate": 1e-3, "memory_bytes": 5e8}
        rows.metrics += [Metric(step, name, float(value)) for name, value in numbers.items()]
    for step, loss in ((3, 5.5), (6, 2.5)):
        numbers = {"held_out/loss": loss, "held_out/perplexity": np.exp(loss), "held_out/bits_per_byte": loss / 2}
        rows.metrics += [Metric(step, name, float(value)) for name, value in numbers.items()]
        rows.samples.append(Sample(step, HOSTILE, f"<script>alert({step})</script>", NOW))
    rows.remarks.append(Remark(3, "notice", f"Half of it. {HOSTILE}", NOW))
    for step, folder in zip((0, 3, 6), [*folders, "", "", ""][:3], strict=True):
        checkpoint = TrainingCheckpoint(step, "supervised" if step else "start", folder, step == 6, 3.0 - step / 3, NOW)
        rows.checkpoints.append((checkpoint, (_tensor(step),)))
    if is_playing:
        for step in range(STEPS + 1, STEPS + 5):
            numbers = {"reward": 0.1 * step, "kl": 0.01 * step, "held_out/bits_per_byte": 1.25}
            numbers |= {f"reward/{part}": -0.5 if part == "repetition" else 0.1 * step for part in PARTS}
            rows.metrics += [Metric(step, name, float(value)) for name, value in numbers.items()]
        rows.remarks.append(Remark(STEPS + 4, "hacked", f"Text it never saw got worse. {HOSTILE}", NOW))
    return rows


def _tensor(step: int) -> CheckpointTensor:
    picture = np.full((4, 4), 0.01 * (step + 1), np.float32)
    values = {("std", 1): 0.02 + step, ("l2_norm", 1): 1.0 + step, ("change_since_start", 1): step / 6}
    where = place(TENSOR, (4, 4))
    return CheckpointTensor(TENSOR, where.layer, where.role, (4, 4), values, picture)
