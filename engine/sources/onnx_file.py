"""ONNX: initializers, and the larger constants of the graph, mapped where they lie, in the file or beside it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from engine.dtypes import KNOWN_TYPES
from engine.errors import MalformedHeaderError, UnsupportedFormatError
from engine.sources.base import TensorInfo, WeightFile
from engine.sources.mapped_file import MappedFile
from engine.sources.onnx_tensors import OnnxTensor, OnnxTensors, onnx_text
from engine.sources.onnx_wire import OnnxWalk
from engine.sources.safetensors_header import REDOWNLOAD

_HEAD = re.compile(rb"\x08[\x01-\x3f]\x12([\x03-\x28])([\x20-\x7e]+)", re.DOTALL)
"""The version and the name of the program that wrote it, which nearly every exporter writes first."""


class OnnxFile(WeightFile):
    """One ONNX model.

    Its tensors are the initializers of the graph and of the subgraphs in it, and the tensors of Constant nodes with at
    least 64 elements, under the name of the node's output. Names in subgraphs begin with the node and its branch. Of a
    sparse initializer the stored values are shown. Left out are texts, function bodies and training graphs.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._data = MappedFile(path)
        self._name = name
        walk = OnnxWalk(memoryview(self._data.array(np.dtype(np.uint8), self._data.size, 0)), name)
        self._metadata = _metadata(walk.model, name)
        tensors = OnnxTensors(path, self._data, name)
        self._tensors: dict[str, OnnxTensor] = {}
        for tensor in filter(None, map(tensors.tensor, walk.tensors)):
            if tensor.info.name in self._tensors:
                raise MalformedHeaderError(f"{name}: two tensors are named {tensor.info.name[:200]!r}.", REDOWNLOAD)
            self._tensors[tensor.info.name] = tensor
        self._beside = tensors.companions

    @staticmethod
    def recognises(head: bytes) -> bool:
        """Whether these first bytes are a version and the printable name of an exporter."""
        found = _HEAD.match(head)
        return found is not None and len(found[2]) >= found[1][0]

    def infos(self) -> tuple[TensorInfo, ...]:
        return tuple(tensor.info for tensor in self._tensors.values())

    @property
    def metadata(self) -> dict[str, str]:
        return self._metadata

    @property
    def companions(self) -> tuple[str, ...]:
        return tuple(self._beside)

    def read(self, info: TensorInfo) -> np.ndarray:
        return self._elements(info, 0, info.num_elements).reshape(info.shape)

    def read_rows(self, info: TensorInfo, start: int, stop: int) -> np.ndarray:
        width = info.num_elements // info.shape[0] if info.shape[0] else 0
        return self._elements(info, start * width, stop * width).reshape((stop - start, *info.shape[1:]))

    def close(self) -> None:
        for data in (self._data, *self._beside.values()):
            data.close()

    def _elements(self, info: TensorInfo, start: int, stop: int) -> np.ndarray:
        if info.dtype not in KNOWN_TYPES:
            raise UnsupportedFormatError(
                f"{self._name}: {info.name!r} is a {info.dtype} tensor, which Weightscope cannot measure.",
                "Export the model with real numbers of at most 64 bits.",
            )
        tensor = self._tensors[info.name]
        if tensor.data is not None:
            return tensor.data.elements(info, start, stop)
        return self._decoded(tensor)[start:stop]

    def _decoded(self, tensor: OnnxTensor) -> np.ndarray:
        """All elements of a tensor whose numbers are stored one by one, decoded by the `onnx` package: 1-D."""
        import onnx.numpy_helper
        from google.protobuf.message import DecodeError

        start, stop = tensor.message
        message = self._data.array(np.dtype(np.uint8), stop - start, start).tobytes()
        try:
            values = onnx.numpy_helper.to_array(onnx.TensorProto.FromString(message))
        except (DecodeError, ValueError, TypeError, OverflowError) as error:
            raise MalformedHeaderError(
                f"{self._name}: {tensor.info.name!r} cannot be decoded: {str(error)[:200]}.", REDOWNLOAD
            ) from error
        values = np.ascontiguousarray(values, KNOWN_TYPES[tensor.info.dtype].dtype).reshape(-1)
        values.flags.writeable = False
        return values


def _metadata(model: bytes, file: str) -> dict[str, str]:
    """What the model says of itself: its own properties, who wrote it, and the operator sets it needs."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        proto = onnx.ModelProto.FromString(model)
    except (DecodeError, ValueError) as error:
        raise MalformedHeaderError(f"{file} is no valid ONNX file: {error}.", REDOWNLOAD) from error
    said = {onnx_text(entry.key, file): onnx_text(entry.value, file) for entry in proto.metadata_props}
    for name in ("producer_name", "producer_version", "domain", "doc_string"):
        if getattr(proto, name):
            said[name] = onnx_text(getattr(proto, name), file)
    for name in ("ir_version", "model_version"):
        if getattr(proto, name):
            said[name] = str(getattr(proto, name))
    if proto.opset_import:
        sets = ((onnx_text(entry.domain, file) or "ai.onnx", entry.version) for entry in proto.opset_import)
        said["opset_import"] = ", ".join(f"{domain} {version}" for domain, version in sets)
    return said
