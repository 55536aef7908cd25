"""Sound as an array: WAV, FLAC, Ogg and MP3 through libsndfile, mixed to one channel and resampled."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np

from engine.errors import RunnerError
from engine.runners.failures import as_runner_error

MAX_AUDIO_S = 3600
"""Longest sound that is read, in seconds: an hour at 16 kHz takes 230 MB."""


def read_sound(sound: str | Path | bytes, rate: int) -> np.ndarray:
    """A sound file, or its bytes, as one channel at a rate.

    Args: sound: a path, or the whole file as bytes. rate: wanted samples a second.
    Returns: (samples,), float32, in [−1, 1] but for what resampling overshoots.
    Raises: RunnerError if it is no sound that libsndfile reads, is empty, or longer than MAX_AUDIO_S.
    """
    import soundfile

    with (
        as_runner_error("Reading the sound"),
        soundfile.SoundFile(io.BytesIO(sound) if isinstance(sound, bytes) else sound) as file,
    ):
        if not 0 < file.frames <= MAX_AUDIO_S * file.samplerate:
            raise RunnerError(
                f"The sound lasts {file.frames / file.samplerate:.0f} s, expected above 0 and at most {MAX_AUDIO_S} s.",
                "Record or cut a shorter piece.",
            )
        samples = file.read(dtype="float32", always_2d=True).mean(axis=1)  # (frames,)
        return resampled(samples, file.samplerate, rate)


def resampled(samples: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """The same sound at another rate, through a polyphase low-pass filter: (samples · wanted / rate,), float32."""
    if rate == wanted:
        return samples
    from scipy.signal import resample_poly

    divisor = math.gcd(rate, wanted)
    return resample_poly(samples, wanted // divisor, rate // divisor).astype(np.float32)
