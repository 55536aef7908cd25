"""Speech to text: encoder-decoders such as Whisper, and CTC models such as wav2vec 2.0."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import RunnerError
from engine.runners.contract import Runner, Transcript
from engine.runners.failures import as_runner_error
from engine.runners.sound import read_sound

if TYPE_CHECKING:
    from transformers import PreTrainedModel

WINDOW_S = 30
"""Longer sounds are transcribed in pieces of so many seconds (what Whisper sees), unless the model states its own."""

_RATE = 16_000


@dataclass
class Transcriber(Runner):
    """Writes down speech.

    Attributes: model, features (the feature extractor), tokenizer: of transformers. is_ctc: whether each frame of sound
        gets a letter, rather than a decoder writing the text.
    """

    model: PreTrainedModel = field(kw_only=True)
    features: object = field(kw_only=True)
    tokenizer: object = field(kw_only=True)
    is_ctc: bool = field(kw_only=True)

    @property
    def rate(self) -> int:
        """Samples a second that the model expects."""
        return int(getattr(self.features, "sampling_rate", _RATE))

    def transcribe(self, sound: str | Path | bytes | np.ndarray, max_new_tokens: int = 225) -> Transcript:
        """What is said.

        Args:
            sound: a file's path or bytes (WAV, FLAC, Ogg, MP3), or samples at `rate`: (samples,), float.
            max_new_tokens: for each piece of WINDOW_S seconds; decoders only.
        Raises: RunnerError if it cannot be read, is empty, or too long.
        """
        started = time.perf_counter()
        samples = sound if isinstance(sound, np.ndarray) else read_sound(sound, self.rate)
        if samples.ndim != 1 or not len(samples):
            raise RunnerError(f"The sound has the shape {samples.shape}, expected (samples,).", "Give one channel.")
        size = int(getattr(self.features, "chunk_length", WINDOW_S)) * self.rate
        pieces = [samples[start : start + size] for start in range(0, len(samples), size)]
        texts = [self._piece(piece.astype(np.float32), max_new_tokens).strip() for piece in pieces]
        text = " ".join(filter(None, texts))
        return Transcript(text, len(samples) / self.rate, time.perf_counter() - started)

    def _piece(self, samples: np.ndarray, max_new_tokens: int) -> str:
        import torch

        with as_runner_error("Transcribing"):
            inputs = self.features(samples, sampling_rate=self.rate, return_tensors="pt")
            inputs = {name: self._placed(each) for name, each in inputs.items()}
            with torch.inference_mode(), self.lock:
                if self.is_ctc:
                    return self._letters(self.model(**inputs).logits[0].argmax(-1).tolist())
                else:
                    limit = getattr(self.model.config, "max_target_positions", None) or max_new_tokens + 8
                    ids = self.model.generate(
                        **inputs, do_sample=False, max_new_tokens=max(min(max_new_tokens, limit - 8), 1)
                    )
            return self.tokenizer.batch_decode(ids.cpu(), skip_special_tokens=True)[0]

    def _letters(self, frames: list[int]) -> str:
        """The text of the likeliest token of each frame: repetitions merged, then blanks dropped.

        The tokenizer does both, but told to skip special tokens it would drop the blanks first and merge "l_l" to "l".
        So other special tokens are made blanks here, and none is skipped.
        """
        blank, special = self.tokenizer.pad_token_id, set(self.tokenizer.all_special_ids)
        return self.tokenizer.decode([blank if token in special else token for token in frames])

    def _placed(self, tensor):
        tensor = tensor.to(self.model.device)
        return tensor.to(self.model.dtype) if tensor.is_floating_point() else tensor

    def close(self) -> None:
        self.model = None
