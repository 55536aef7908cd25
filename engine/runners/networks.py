"""Networks that take named arrays and give named arrays: by transformers, and by ONNX Runtime."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import RunnerError
from engine.runners.failures import as_runner_error
from engine.runners.transformers_loading import num_weight_bytes

if TYPE_CHECKING:
    import onnxruntime
    from transformers import PreTrainedModel


class TransformersNetwork:
    """A model of transformers, in evaluation mode."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        self.inputs = frozenset(inspect.signature(model.forward).parameters)
        self.device = model.device.type
        self.dtype = str(model.dtype).removeprefix("torch.")
        self.num_bytes = num_weight_bytes(model)

    def run(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        import torch

        tensors = {name: torch.from_numpy(each).to(self._model.device) for name, each in arrays.items()}
        floats = {name: each.to(self._model.dtype) for name, each in tensors.items() if each.is_floating_point()}
        with torch.inference_mode(), as_runner_error("Running the network"):
            output = self._model(**{name: each for name, each in (tensors | floats).items() if name in self.inputs})
            return {name: each.float().cpu().numpy() for name, each in output.items() if isinstance(each, torch.Tensor)}

    def close(self) -> None:
        self._model = None


class OnnxNetwork:
    """An ONNX graph run by ONNX Runtime on the CPU."""

    def __init__(self, path: Path) -> None:
        self._session = onnx_session(path)
        self.signature = {each.name: _described(each) for each in self._session.get_inputs()}
        self.outputs = {each.name: _described(each) for each in self._session.get_outputs()}
        self.inputs = frozenset(self.signature)
        self.device = "cpu"
        self.dtype = "as exported"
        self.num_bytes = sum(each.stat().st_size for each in onnx_files(path))

    def run(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        given = {name: each for name, each in arrays.items() if name in self.inputs}
        missing = sorted(self.inputs - given.keys())
        if "position_ids" in missing and "input_ids" in given:
            rows, columns = given["input_ids"].shape
            given["position_ids"] = np.broadcast_to(np.arange(columns, dtype=np.int64), (rows, columns)).copy()
            missing.remove("position_ids")
        if "token_type_ids" in missing and "input_ids" in given:
            given["token_type_ids"] = np.zeros_like(given["input_ids"])
            missing.remove("token_type_ids")
        if missing:
            wanted = ", ".join(f"{name} {shape}" for name, shape in self.signature.items())
            raise RunnerError(f"The graph also needs {', '.join(missing)}.", f"It takes: {wanted}.")
        with as_runner_error("Running the graph"):
            values = self._session.run(None, given)
        return dict(zip(self.outputs, values, strict=True))

    def close(self) -> None:
        self._session = None


def onnx_session(path: Path) -> onnxruntime.InferenceSession:
    """The graph, optimised, on as many threads as there are cores. Raises: RunnerError if it cannot be loaded."""
    with as_runner_error(f"Loading {path.name}"):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def onnx_files(path: Path) -> list[Path]:
    """The graph and the files of external data that exporters put beside it."""
    beside = (path.with_name(path.name + suffix) for suffix in ("_data", ".data"))
    return [path, *(each for each in beside if each.is_file())]


def _described(value: onnxruntime.NodeArg) -> str:
    """ "(?, 512) float" """
    shape = ", ".join(str(each) if isinstance(each, int) else "?" for each in value.shape)
    return f"({shape}) {value.type.removeprefix('tensor(').removesuffix(')')}"
