"""Learning to predict the next token: from a stream of text to checkpoints, with looks at held-out text between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from engine.training.corpus import Document
from engine.training.events import OnEvent
from engine.training.settings import TrainingSettings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from engine.training.corpora.token_stream import TokenStream
    from engine.training.model import Decoder

Ending = Literal["finished", "patience", "stopped", "diverged"]


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """How a training ended.

    Attributes:
        ending: "finished" (all steps done), "patience" (held-out text no longer gained), "stopped" (asked to; resume by
            calling `train` again) or "diverged" (the loss left the numbers or rose for good).
        reason: the same in a sentence, for a person.
        step: updates that the model in memory and the latest checkpoint have behind them.
        best_step, best_bits_per_byte: of the best look at held-out text; its checkpoint is kept.
        precision: what was computed in, "fp32" or "bf16".
        elapsed_s: of this call.
    """

    ending: Ending
    reason: str
    step: int
    best_step: int
    best_bits_per_byte: float
    precision: Literal["fp32", "bf16"]
    elapsed_s: float

    @property
    def is_finished(self) -> bool:
        """Whether there is nothing left to resume."""
        return self.ending != "stopped"


def train(
    model: Decoder,
    tokenizer: PreTrainedTokenizerFast,
    stream: TokenStream,
    held_out: Sequence[Document],
    settings: TrainingSettings,
    folder: Path,
    on_event: OnEvent,
    should_stop: Callable[[], bool],
) -> TrainingResult:
    """Train the model in place; goes on from the latest checkpoint in `folder` if there is one.

    Under torchrun every process calls this with equal arguments; the global batch is shared among them, and only the
    first process evaluates, writes and reports.

    Args:
        model: as fresh (or loaded) weights in fp32; replaced by the checkpoint's when going on.
        stream: gives the batch of any step. held_out: never learnt from; at least one document that is not empty.
        folder: for `checkpoint-<step>` folders, nothing else is touched there. on_event: told of everything, in order.
        should_stop: asked before each update; True saves a checkpoint and returns.
    Raises: TrainingError if the checkpoint there belongs to other settings or cannot be read, settings are impossible,
        or a checkpoint cannot be written.
    """
    raise NotImplementedError  # written next; the signature stands
