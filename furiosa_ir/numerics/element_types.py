"""Element types of tensors: one table of what each world calls them.

Each world keys its own map by what the table says: MLIR's builtin types are in `ir/element_types`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, TypeAlias

import numpy as np

Kind: TypeAlias = Literal["bool", "int", "uint", "float", "complex"]


@dataclass(frozen=True, slots=True)
class ElementType:
    """A type of plain numbers.

    Attributes:
        name: numpy's, or that of `ml_dtypes` where numpy has none.
        kind: how its bits are read; "int" is signed.
        bits: the width of an element.
        mlir: what MLIR's text calls it.
        onnx: the number in `onnx.TensorProto.DataType`; None if it has none.
        tflite: the number in `tflite.TensorType`; None if it has none.
        safetensors: the name in a safetensors file; None for what is stored there as bytes.
    """

    name: str
    kind: Kind
    bits: int
    mlir: str
    onnx: int | None
    tflite: int | None = None
    safetensors: str | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """How numpy holds elements of it; narrow ones in a byte each."""
        return _dtype(self.name)

    @property
    def size(self) -> int:
        """Bytes of an element as numpy holds it."""
        return max(self.bits, 8) // 8

    @property
    def in_numpy(self) -> bool:
        """Whether it is one of numpy's own."""
        return _is_numpys(self.name)

    @property
    def is_packed(self) -> bool:
        """Whether elements share bytes in a file."""
        return self.bits < 8 and self.kind != "bool"


def _is_numpys(name: str) -> bool:
    return name == "bool" or hasattr(np, name)


COMMON = (
    ElementType("bool", "bool", 1, "i1", 9, 6, "BOOL"),
    ElementType("int8", "int", 8, "i8", 3, 9, "I8"),
    ElementType("uint8", "uint", 8, "ui8", 2, 3, "U8"),
    ElementType("int16", "int", 16, "i16", 5, 7, "I16"),
    ElementType("uint16", "uint", 16, "ui16", 4, 16, "U16"),
    ElementType("int32", "int", 32, "i32", 6, 2, "I32"),
    ElementType("uint32", "uint", 32, "ui32", 12, 15, "U32"),
    ElementType("int64", "int", 64, "i64", 7, 4, "I64"),
    ElementType("uint64", "uint", 64, "ui64", 13, 12, "U64"),
    ElementType("float16", "float", 16, "f16", 10, 1, "F16"),
    ElementType("bfloat16", "float", 16, "bf16", 16, 18, "BF16"),
    ElementType("float32", "float", 32, "f32", 1, 0, "F32"),
    ElementType("float64", "float", 64, "f64", 11, 10, "F64"),
)
"""What networks compute with, variables hold, and text writes out."""

RARE = (
    ElementType("complex64", "complex", 64, "complex<f32>", 14, 8),
    ElementType("complex128", "complex", 128, "complex<f64>", 15, 11),
    ElementType("int4", "int", 4, "i4", 22, 17),
    ElementType("uint4", "uint", 4, "ui4", 21),
    ElementType("int2", "int", 2, "i2", 26, 19),
    ElementType("uint2", "uint", 2, "ui2", 25),
    ElementType("float8_e4m3fn", "float", 8, "f8E4M3FN", 17),
    ElementType("float8_e4m3fnuz", "float", 8, "f8E4M3FNUZ", 18),
    ElementType("float8_e5m2", "float", 8, "f8E5M2", 19),
    ElementType("float8_e5m2fnuz", "float", 8, "f8E5M2FNUZ", 20),
    ElementType("float8_e8m0fnu", "float", 8, "f8E8M0FNU", 24),
    ElementType("float4_e2m1fn", "float", 4, "f4E2M1FN", 23),
)
"""What only host operators compute with."""

ELEMENT_TYPES = (*COMMON, *RARE)
BY_NAME = {e.name: e for e in ELEMENT_TYPES}
BY_ONNX = {e.onnx: e for e in ELEMENT_TYPES if e.onnx is not None}
BY_TFLITE = {e.tflite: e for e in ELEMENT_TYPES if e.tflite is not None}


@cache
def _dtype(name: str) -> np.dtype[Any]:
    if _is_numpys(name):
        return np.dtype(name)
    import ml_dtypes  # noqa: PLC0415  # a hit of the cache needs none of it

    return np.dtype(getattr(ml_dtypes, name))


BY_NUMPY = {np.dtype(e.name): e for e in ELEMENT_TYPES if e.in_numpy}
"""The element types of numpy's own dtypes."""


@cache
def by_dtype() -> dict[np.dtype[Any], ElementType]:
    """The element type of each dtype, those of `ml_dtypes` included, which it imports."""
    return {e.dtype: e for e in ELEMENT_TYPES}
