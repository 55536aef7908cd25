"""The element types of checkpoints: their names, their bits, and the numpy type that holds one of each."""

from __future__ import annotations

from dataclasses import dataclass

import ml_dtypes
import numpy as np


@dataclass(frozen=True, slots=True)
class ElementType:
    """One element type as safetensors spells it.

    Attributes:
        name: the spelling in files, for example "BF16".
        dtype: the numpy (or `ml_dtypes`) type that holds one element in memory.
        bits: bits of one element in the file: 2, 4 and 6 for the packed types, else eight times the item size.
    """

    name: str
    dtype: np.dtype
    bits: int

    @property
    def is_packed(self) -> bool:
        return self.bits < 8


def _table(*rows: tuple[str, object, int]) -> dict[str, ElementType]:
    return {name: ElementType(name, np.dtype(dtype), bits) for name, dtype, bits in rows}


ELEMENT_TYPES: dict[str, ElementType] = _table(
    ("BOOL", np.bool_, 8),
    ("F4", ml_dtypes.float4_e2m1fn, 4),
    ("F6_E2M3", ml_dtypes.float6_e2m3fn, 6),
    ("F6_E3M2", ml_dtypes.float6_e3m2fn, 6),
    ("U8", np.uint8, 8),
    ("I8", np.int8, 8),
    ("F8_E5M2", ml_dtypes.float8_e5m2, 8),
    ("F8_E4M3", ml_dtypes.float8_e4m3fn, 8),
    ("F8_E8M0", ml_dtypes.float8_e8m0fnu, 8),
    ("F8_E4M3FNUZ", ml_dtypes.float8_e4m3fnuz, 8),
    ("F8_E5M2FNUZ", ml_dtypes.float8_e5m2fnuz, 8),
    ("I16", np.int16, 16),
    ("U16", np.uint16, 16),
    ("F16", np.float16, 16),
    ("BF16", ml_dtypes.bfloat16, 16),
    ("I32", np.int32, 32),
    ("U32", np.uint32, 32),
    ("F32", np.float32, 32),
    ("C64", np.complex64, 64),
    ("F64", np.float64, 64),
    ("I64", np.int64, 64),
    ("U64", np.uint64, 64),
)
"""Every type that safetensors 0.8 defines, by its name in files. Source: safetensors, `Dtype` in tensor.rs."""

KNOWN_TYPES: dict[str, ElementType] = ELEMENT_TYPES | _table(
    ("I2", ml_dtypes.int2, 2),
    ("U2", ml_dtypes.uint2, 2),
    ("I4", ml_dtypes.int4, 4),
    ("U4", ml_dtypes.uint4, 4),
)
"""The same, and the packed integers of ONNX. A name that is not here is a block-quantised type of GGUF, which is read
as float32, or one that cannot be measured."""


def memory_bits(name: str) -> int:
    """Bits of one element once it is read: of packed types a byte, of block-quantised types a float32."""
    return KNOWN_TYPES[name].dtype.itemsize * 8 if name in KNOWN_TYPES else 32


def unpack(packed: np.ndarray, kind: ElementType, start: int, stop: int) -> np.ndarray:
    """Elements start … stop − 1 of a packed 2-, 4- or 6-bit tensor, one byte each.

    Element i occupies bits i·b … i·b + b − 1 of the data, counted from the lowest bit of the first byte: the even
    element of a 4-bit pair is the low nibble, four 6-bit elements fill three bytes.

    Args:
        packed: (n,) uint8, the tensor's whole data; only the bytes of the wanted elements are touched.
        kind: an ElementType of 2, 4 or 6 bits.
        start, stop: element range, 0 ≤ start ≤ stop.
    Returns: (stop − start,) of `kind.dtype`.
    Source: torch.float4_e2m1fn_x2, and onnx.proto for all three; OCP Microscaling Formats 1.0 leaves the order to the
        file, and safetensors stores the bytes as given, so 6-bit data follows the same lowest-bit-first rule.
    """
    elements, num_bytes = {2: (4, 1), 4: (2, 1), 6: (4, 3)}[kind.bits]
    first, last = start // elements, -(-stop // elements)
    data = packed[first * num_bytes : last * num_bytes]
    if data.size < (last - first) * num_bytes:
        data = np.pad(data, (0, (last - first) * num_bytes - data.size))
    groups = data.reshape(-1, num_bytes).astype(np.uint32)
    word = sum(groups[:, i] << np.uint32(8 * i) for i in range(num_bytes))
    codes = np.stack([word >> np.uint32(kind.bits * i) for i in range(elements)], axis=1)
    codes = (codes & np.uint32((1 << kind.bits) - 1)).astype(np.uint8).reshape(-1)
    offset = start - first * elements
    return codes[offset : offset + stop - start].view(kind.dtype)
