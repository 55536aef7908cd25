"""Where the weights lie in an ONNX file, found without loading it.

An ONNX file is one protobuf message of up to 2 GB, weights included, and the `onnx` package loads it whole, twice. So
the message is walked here: lengths are checked, what is not wanted is stepped over, and only the small messages around
the weights are handed to the library.

Source: https://protobuf.dev/programming-guides/encoding; field numbers from onnx.proto.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from engine.errors import MalformedHeaderError, TruncatedFileError, UnsupportedFormatError
from engine.sources.safetensors_header import MAX_TENSORS, REDOWNLOAD

MAX_FIELDS = 2_000_000
"""Most fields looked at, which takes about a microsecond each; exported language models have some 100,000."""

MAX_FIELDS_OF_ONE = 100_000
"""Most fields of one node or tensor, or around the graph."""

MAX_SMALL_BYTES = 16 << 20
"""Most bytes of what surrounds the weights: names, shapes, metadata."""

_MAX_DEPTH = 16
_SMALLEST = 16
"""Nodes and attributes of fewer bytes, which are most, hold neither a subgraph with weights nor a large constant."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MODEL_GRAPH, _MODEL_LARGE = 7, {7, 20, 25}
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_SPARSE = 1, 5, 15
_NODE_OUTPUT, _NODE_NAME, _NODE_TYPE, _NODE_ATTRIBUTE = 2, 3, 4, 5
_ATTRIBUTE_NAME, _ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS = 1, 5, 6, 11
DATA_FIELDS = {4: "float_data", 5: "int32_data", 6: "string_data", 7: "int64_data", 9: "raw_data"} | {
    10: "double_data",
    11: "uint64_data",
}
"""The fields of a TensorProto that hold its elements."""


class Field(NamedTuple):
    """One field of a message: its number, its kind of encoding, where it begins, and where its content lies."""

    number: int
    wire_type: int
    begin: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class FoundTensor:
    """A TensorProto in the file.

    Attributes:
        start, stop: the whole message. header: the message without its elements. data: the fields with its elements.
        scope: the subgraph it is in, "If_3.then_branch." for example; "" in the main graph.
        constant: the output of the Constant node that holds it; None for an initializer.
    """

    start: int
    stop: int
    header: bytes
    data: tuple[Field, ...]
    scope: str
    constant: str | None = None


class OnnxWalk:
    """One walk over a file.

    Args: message: the file's bytes, mapped. file: its name in messages.
    Attributes: model: the ModelProto without its graphs and functions. tensors: every initializer and every tensor of a
        Constant node, of the main graph and of the subgraphs in its nodes.
    Raises: MalformedHeaderError, TruncatedFileError; UnsupportedFormatError if there is no graph.
    """

    def __init__(self, message: memoryview, file: str) -> None:
        self._message, self._file = message, file
        self._num_fields = 0
        self.tensors: list[FoundTensor] = []
        fields = self._few(0, len(message))
        graphs = [field for field in fields if field.number == _MODEL_GRAPH and field.wire_type == _BYTES]
        if not graphs:
            raise UnsupportedFormatError(
                f"{file} holds no ONNX graph.", "Open the file that holds the model's weights."
            )
        self.model = self._joined([field for field in fields if field.number not in _MODEL_LARGE])
        for graph in graphs:
            self._walk_graph(graph, "", 0)

    def _walk_graph(self, graph: Field, scope: str, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise self._error(graph.begin, f"subgraphs more than {_MAX_DEPTH} deep")
        number = 0
        for field in self._fields(graph.start, graph.stop):
            if field.wire_type != _BYTES:
                continue
            if field.number == _GRAPH_INITIALIZER:
                self._add(field, scope)
            elif field.number == _GRAPH_SPARSE:
                for part in self._few(field.start, field.stop):
                    if part.number == 1 and part.wire_type == _BYTES:  # its stored values
                        self._add(part, scope)
            elif field.number == _GRAPH_NODE:
                if field.stop - field.start >= _SMALLEST:
                    self._walk_node(field, scope, depth, number)
                number += 1

    def _walk_node(self, node: Field, scope: str, depth: int, number: int) -> None:
        """Tensors of a Constant node, and subgraphs of any."""
        fields = [field for field in self._few(node.start, node.stop) if field.wire_type == _BYTES]
        attributes = [f for f in fields if f.number == _NODE_ATTRIBUTE and f.stop - f.start >= _SMALLEST]
        if not attributes:
            return
        texts = {field.number: self._text(field) for field in reversed(fields) if field.number in (2, 3, 4)}
        is_constant = texts.get(_NODE_TYPE) == "Constant"
        name = texts.get(_NODE_NAME) or f"{texts.get(_NODE_TYPE, 'node')}_{number}"
        for attribute in attributes:
            parts = [part for part in self._few(attribute.start, attribute.stop) if part.wire_type == _BYTES]
            said = next((self._text(part) for part in parts if part.number == _ATTRIBUTE_NAME), "")
            for part in parts:
                if part.number == _ATTRIBUTE_TENSOR and is_constant:
                    self._add(part, scope, texts.get(_NODE_OUTPUT, name))
                elif part.number in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS):
                    self._walk_graph(part, f"{scope}{name}.{said}.", depth + 1)

    def _add(self, tensor: Field, scope: str, constant: str | None = None) -> None:
        fields = self._few(tensor.start, tensor.stop)
        data = tuple(field for field in fields if field.number in DATA_FIELDS)
        header = self._joined([field for field in fields if field.number not in DATA_FIELDS])
        if len(self.tensors) == MAX_TENSORS:
            raise self._error(tensor.begin, f"more than {MAX_TENSORS} tensors")
        self.tensors.append(FoundTensor(tensor.start, tensor.stop, header, data, scope, constant))

    def _few(self, start: int, stop: int) -> list[Field]:
        """All fields of a message that should have few."""
        fields = list(itertools.islice(self._fields(start, stop), MAX_FIELDS_OF_ONE + 1))
        if len(fields) > MAX_FIELDS_OF_ONE:
            raise self._error(start, f"a message of more than {MAX_FIELDS_OF_ONE} fields")
        return fields

    def _fields(self, start: int, stop: int) -> Iterator[Field]:
        """The fields of the message in these bytes, in order."""
        message, at = self._message, start
        while at < stop:
            self._num_fields += 1
            if self._num_fields > MAX_FIELDS:
                raise self._error(at, f"more than {MAX_FIELDS} fields")
            begin, key = at, message[at]
            key, at = (key, at + 1) if key < 0x80 else self._varint(at, stop)
            number, wire_type = key >> 3, key & 7
            if number == 0 or number >= 1 << 29:
                raise self._error(begin, f"a field of the impossible number {number}")
            if wire_type == _BYTES:
                length, at = self._varint(at, stop)
                end = at + length
            elif wire_type == _VARINT:
                end = self._varint(at, stop)[1]
            elif wire_type in (_FIXED32, _FIXED64):
                end = at + (4 if wire_type == _FIXED32 else 8)
            else:
                raise self._error(begin, f"a field of the unknown encoding {wire_type}")
            if end > stop:
                raise self._cut(end, stop)
            yield Field(number, wire_type, begin, at, end)
            at = end

    def _varint(self, at: int, stop: int) -> tuple[int, int]:
        """A number of up to ten bytes, and where it ends."""
        value = shift = 0
        for position in range(at, min(at + 10, stop)):
            byte = self._message[position]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, position + 1
            shift += 7
        if at + 10 > stop:
            raise self._cut(at + 1, stop)
        raise self._error(at, "a number of more than ten bytes")

    def _text(self, field: Field) -> str:
        try:
            return bytes(self._message[field.start : min(field.stop, field.start + 4096)]).decode("utf-8")
        except UnicodeDecodeError as error:
            raise self._error(field.begin, f"a name is not valid UTF-8 ({error.reason})") from error

    def _joined(self, fields: list[Field]) -> bytes:
        if sum(field.stop - field.begin for field in fields) > MAX_SMALL_BYTES:
            raise self._error(fields[0].begin, f"more than {MAX_SMALL_BYTES} bytes around the weights")
        return b"".join(self._message[field.begin : field.stop] for field in fields)

    def _error(self, at: int, problem: str) -> MalformedHeaderError:
        return MalformedHeaderError(f"{self._file} is no valid ONNX file: near byte {at}: {problem}.", REDOWNLOAD)

    def _cut(self, end: int, stop: int) -> TruncatedFileError:
        is_file = stop == len(self._message)
        inside = "the file ends at" if is_file else "the message around it ends at"
        return TruncatedFileError(
            f"{self._file} is no valid ONNX file: it promises content up to byte {end}, but {inside} {stop}.",
            "The download or copy was cut short: fetch the file again.",
        )
