"""What the tests of training share: a small original text, and the smallest request that trains on it."""

from __future__ import annotations

import random
from pathlib import Path

from engine.training.settings import CorpusChoice, ModelSettings, SelfPlaySettings, TrainingSettings
from workflows.training_request import TrainingRequest

_TEXT = (
    "river stone lamp garden window letter morning market bridge kettle shadow ladder orchard thunder pocket mirror "
    "walks finds keeps leaves opens carries forgets draws follows answers quietly slowly again never under beside"
)


def write_text(path: Path, paragraphs: int = 120) -> Path:
    """A text in paragraphs, no two alike."""
    draw, words = random.Random(5), _TEXT.split()
    lines = [" ".join(draw.choices(words, k=30)).capitalize() + "." for _ in range(paragraphs)]
    path.write_text("\n\n".join(lines), encoding="utf-8")
    return path


def small_request(text: Path, name: str = "tiny", steps: int = 6, *, self_play: bool = False) -> TrainingRequest:
    """A model of width 32 and two layers that learns for some steps, with a checkpoint every two."""
    return TrainingRequest(
        name=name,
        model=ModelSettings(vocabulary_size=280, width=32, layers=2, heads=2, context=32),
        corpora=(CorpusChoice(str(text)),),
        training=TrainingSettings(
            steps=steps,
            batch_size=4,
            warmup_steps=2,
            evaluate_every=2,
            save_every=2,
            keep_last=1,
            sample_every=3,
            threads=1,
            precision="fp32",
            device="cpu",
        ),
        self_play=SelfPlaySettings(
            iterations=2, prompts=2, group=2, new_tokens=6, prompt_tokens=4, evaluate_every=1, save_every=1, threads=1
        )
        if self_play
        else None,
        held_out_share=0.1,
        notes="A | small\n# test",
    )
