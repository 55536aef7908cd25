"""Writes the same arrays in every format, with the library that owns the format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

Arrays = dict[str, np.ndarray]


def write_safetensors(path: Path, arrays: Arrays) -> Path:
    from safetensors.numpy import save_file

    save_file({name: np.require(array, requirements="C") for name, array in arrays.items()}, path)
    return path


def write_torch(path: Path, arrays: Arrays) -> Path:
    import torch

    torch.save({name: torch.from_numpy(np.ascontiguousarray(a).reshape(a.shape)) for name, a in arrays.items()}, path)
    return path


def write_gguf(path: Path, arrays: Arrays, architecture: str = "llama", **options) -> Path:
    import gguf

    writer = gguf.GGUFWriter(path, architecture, **options)
    for name, array in arrays.items():
        writer.add_tensor(name, np.ascontiguousarray(array).reshape(array.shape))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def onnx_model(initializers: list, nodes: list | None = None):
    from onnx import TensorProto, helper

    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph(nodes or [], "g", [], [output], initializers)
    return helper.make_model(graph, producer_name="tests", opset_imports=[helper.make_opsetid("", 21)])


def write_onnx(path: Path, arrays: Arrays) -> Path:
    from onnx import numpy_helper

    path.write_bytes(onnx_model([numpy_helper.from_array(a, name) for name, a in arrays.items()]).SerializeToString())
    return path


def write_onnx_external(path: Path, arrays: Arrays) -> Path:
    import onnx
    from onnx import numpy_helper

    model = onnx_model([numpy_helper.from_array(a, name) for name, a in arrays.items()])
    onnx.save_model(model, path, save_as_external_data=True, location=f"{path.stem}.data", size_threshold=0)
    return path


def write_npz(path: Path, arrays: Arrays) -> Path:
    np.savez(path, **arrays)
    return path


def write_packed_npz(path: Path, arrays: Arrays) -> Path:
    np.savez_compressed(path, **arrays)
    return path


WRITERS: dict[str, tuple[str, str, Callable[[Path, Arrays], Path]]] = {
    # what it is -> (Source.format, suffix, writer)
    "safetensors": ("safetensors", ".safetensors", write_safetensors),
    "pytorch": ("pytorch", ".pt", write_torch),
    "gguf": ("gguf", ".gguf", write_gguf),
    "onnx": ("onnx", ".onnx", write_onnx),
    "onnx with external data": ("onnx", ".onnx", write_onnx_external),
    "npz": ("npz", ".npz", write_npz),
    "packed npz": ("npz", ".npz", write_packed_npz),
}
