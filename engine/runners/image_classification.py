"""Image classification: a picture under the labels that the model was trained for."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from engine.errors import RunnerError
from engine.runners.classification import ranked
from engine.runners.contract import Network, Runner, Scored
from engine.runners.failures import as_runner_error
from engine.runners.text_network import output_named, softmax

MAX_PIXELS = 50_000_000
"""Largest picture that is decoded: 150 MB as RGB."""


@dataclass
class ImageClassifier(Runner):
    """Sorts pictures under labels. Attributes: labels: in the order of the network's scores."""

    network: Network = field(kw_only=True)
    processor: object = field(kw_only=True)
    labels: tuple[str, ...] = field(kw_only=True)

    def classify(self, picture: str | Path | bytes | np.ndarray, count: int = 5) -> list[Scored]:
        """The likeliest labels, likeliest first; a softmax over all labels.

        Args: picture: a file's path or bytes (any format of Pillow), or pixels (height, width, 3), uint8.
        Raises: RunnerError if it is no picture, or has more than MAX_PIXELS.
        """
        image = read_picture(picture)
        with as_runner_error("Preparing the picture"):
            arrays = dict(self.processor(images=image, return_tensors="np"))
        with self.lock:
            scores = output_named(self.network.run(arrays), "logits", dimensions=2)[0]
        return ranked(self.labels, softmax(scores))[:count]

    def close(self) -> None:
        self.network.close()
        self.network = None


def read_picture(picture: str | Path | bytes | np.ndarray):
    """A picture as RGB, upright as its camera held it. Raises: RunnerError as `ImageClassifier.classify`."""
    from PIL import Image, ImageOps

    with as_runner_error("Reading the picture"):
        if isinstance(picture, np.ndarray):
            image = Image.fromarray(picture)
        else:
            image = Image.open(io.BytesIO(picture) if isinstance(picture, bytes) else picture)
        if image.width * image.height > MAX_PIXELS:
            raise RunnerError(
                f"The picture has {image.width} × {image.height} pixels, expected at most {MAX_PIXELS:,} in all.",
                "Make it smaller first.",
            )
        return ImageOps.exif_transpose(image).convert("RGB")
