"""A training so small that a test can run it, by itself too: `python small_training.py FOLDER '{"steps": 9}'`."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from engine.training.corpora.token_stream import TokenStream
from engine.training.corpus import Corpus, Document
from engine.training.events import Event
from engine.training.model import Decoder
from engine.training.settings import ModelSettings, TrainingSettings
from engine.training.supervised import TrainingResult, train
from engine.training.tokenizer import train_tokenizer

CONTEXT = 16
TEXT = "the cat sat on the mat, and the dog sat by the door; " * 40
HELD_OUT = (Document("one", "the dog sat on the mat; " * 8), Document("two", "a cat"), Document("empty", ""))
SHAPE = ModelSettings(vocabulary_size=270, width=16, layers=2, heads=2, ffn_width=32, context=CONTEXT)
SETTINGS = TrainingSettings(
    steps=20,
    batch_size=4,
    learning_rate=1e-2,
    warmup_steps=5,
    precision="fp32",
    evaluate_every=10,
    save_every=10,
    sample_every=0,
    threads=1,
    device="cpu",
)


def tokenizer():
    """Fourteen merges above the bytes."""
    return train_tokenizer([TEXT], SHAPE.vocabulary_size, CONTEXT)


def decoder(dropout: float = 0.0, seed: int = 1) -> Decoder:
    """The same weights for the same seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Decoder(dataclasses.replace(SHAPE, dropout=dropout))


def run(
    folder: Path,
    on_event: Callable[[Event], None] = lambda event: None,
    should_stop: Callable[[], bool] = lambda: False,
    model: Decoder | None = None,
    dropout: float = 0.0,
    **changes,
) -> TrainingResult:
    """A training on the cat and the dog, with some settings changed."""
    settings = dataclasses.replace(SETTINGS, **changes)
    known = tokenizer()
    stream = TokenStream.of([Corpus("text", (Document("", TEXT),))], known, settings.seed)
    return train(model or decoder(dropout), known, stream, HELD_OUT, settings, folder, on_event, should_stop)


def main() -> None:
    """Prints each event as "<kind> <step> <loss or folder>"; a failure asked for by `fails_at` ends the process."""
    changes = json.loads(sys.argv[2])
    fails_at, fails_in = changes.pop("fails_at", None), changes.pop("fails_in", 0)

    def should_stop() -> bool:
        should_stop.asked += 1
        if should_stop.asked == fails_at and torch.distributed.get_rank() == fails_in:
            raise RuntimeError("asked to fail")
        return False

    should_stop.asked = 0

    def tell(event: Event) -> None:
        print(type(event).__name__, event.step, repr(getattr(event, "loss", "")), flush=True)

    run(Path(sys.argv[1]), tell, should_stop, **changes)


if __name__ == "__main__":
    main()
