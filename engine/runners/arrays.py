"""Any ONNX graph: arrays in, arrays out; for what is no text, such as a detector of speech in sound."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from engine.runners.contract import Runner
from engine.runners.networks import OnnxNetwork


@dataclass
class ArrayRunner(Runner):
    """Runs a graph on arrays."""

    network: OnnxNetwork = field(kw_only=True)

    @property
    def inputs(self) -> dict[str, str]:
        """What it takes: name -> shape and type, "(?, 512) float"; ? stands for any size."""
        return dict(self.network.signature)

    @property
    def outputs(self) -> dict[str, str]:
        """What it gives, likewise."""
        return dict(self.network.outputs)

    def run(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """One pass. Raises: RunnerError if an input is missing or of another shape or type than `inputs` says."""
        with self.lock:
            return self.network.run(arrays)

    def close(self) -> None:
        self.network.close()
        self.network = None
