"""`!quant.uniform`: the quantised element type, text-compatible with upstream MLIR.

Source: mlir/Dialect/Quant (UniformQuantizedType, UniformQuantizedPerAxisType). xDSL 0.74 has no
quant dialect.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from typing_extensions import override
from xdsl.ir import Data, Dialect, TypeAttribute
from xdsl.irdl import irdl_attr_definition
from xdsl.parser import AttrParser
from xdsl.printer import Printer

from furiosa_ir.ir.constants import (
    ELIDED,
    INLINE_ELEMENTS,
    Constant,
    TextAlias,
    elides,
    float_literal,
    listed_constant,
    prints_by_reference,
    refuse_elided,
)
from furiosa_ir.numerics.element_types import BY_NAME

_STORAGE_DTYPES = {
    f"{'u' if element.kind == 'uint' else 'i'}{element.bits}": element.dtype
    for element in map(BY_NAME.__getitem__, ("int8", "uint8", "int16", "uint16", "int32"))
}
STORAGE_OF_DTYPE = {dtype: name for name, dtype in _STORAGE_DTYPES.items()}
"""What `!quant.uniform` calls stored integers of a dtype, of those that it takes."""


@dataclass(frozen=True)
class Quantization:
    """real = scale * (stored - zero_point), per tensor or per slice of one axis.

    Attributes:
        storage: "i8", "u8", "i16", "u16" or "i32".
        scales: one positive float, or one for each index of `axis`.
        zero_points: as many as scales.
        axis: the quantised dimension, or None for per-tensor.
        expressed: the type of the real value, always "f32" here.
    """

    storage: str
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int | None = None
    expressed: str = "f32"

    @property
    def scale(self) -> float:
        """The scale of a per-tensor quantisation."""
        return self.scales[0]

    @property
    def zero_point(self) -> int:
        """The zero point of a per-tensor quantisation."""
        return self.zero_points[0]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The numpy dtype of the stored integers."""
        return _STORAGE_DTYPES[self.storage]

    @property
    def storage_range(self) -> tuple[int, int]:
        """The least and greatest stored integer."""
        info = np.iinfo(self.dtype)  # pyright: ignore[reportArgumentType, reportUnknownVariableType]
        return int(info.min), int(info.max)

    @cached_property
    def arrays(self) -> tuple[Constant, ...]:
        """The scales as float64, and the zero points as int32 unless all are 0."""
        scales = Constant(np.array(self.scales, np.float64))
        if not any(self.zero_points):
            return (scales,)
        return scales, Constant(np.array(self.zero_points, np.int32))

    @cached_property
    def _hash(self) -> int:
        return hash((self.storage, self.scales, self.zero_points, self.axis))

    def __hash__(self) -> int:
        return self._hash


@irdl_attr_definition
class UniformType(Data[Quantization], TypeAttribute, TextAlias):
    """`!quant.uniform<i8:f32, 0.5:3>`, or per axis `!quant.uniform<i8:f32:0, {0.5, 0.25:1}>`.

    Upstream's optional storage limits (`i8<-127:127>`) are read and must equal the full range. The
    scales of more than 16 channels are beside the text, float64 under their digest; so are their
    zero points, int32, unless all are 0: `!quant.uniform<i8:f32:0, "sha256":"sha256">`.
    """

    name = "quant.uniform"

    @property
    @override
    def needs_alias(self) -> bool:
        return len(", ".join(_pair_texts(self.data))) > _SHORT

    @override
    def text_constants(self) -> Iterable[Constant]:
        return self.data.arrays if len(self.data.scales) > INLINE_ELEMENTS else ()

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> Quantization:
        with parser.in_angle_brackets():
            storage = parser.parse_optional_identifier()
            if storage is None:
                parser.raise_error("a storage type such as i8 expected")
            if storage not in _STORAGE_DTYPES:
                parser.raise_error(f"unknown storage type '{storage}'")
            if parser.parse_optional_punctuation("<") is not None:
                low = parser.parse_integer()
                parser.parse_punctuation(":")
                high = parser.parse_integer()
                parser.parse_punctuation(">")
                info = np.iinfo(_STORAGE_DTYPES[storage])  # pyright: ignore[reportArgumentType, reportUnknownVariableType]
                if (low, high) != (int(info.min), int(info.max)):
                    parser.raise_error(f"narrowed storage range <{low}:{high}> is not supported")
            parser.parse_punctuation(":")
            expressed = parser.parse_optional_identifier()
            if expressed is None:
                parser.raise_error("the type that is quantised expected, f32")
            axis = None
            if parser.parse_optional_punctuation(":") is not None:
                axis = parser.parse_integer()
            parser.parse_punctuation(",")
            refuse_elided(parser)
            if axis is None:
                pairs = [_parse_scale(parser)]
            elif (digest := parser.parse_optional_str_literal()) is not None:
                pairs = _parse_digests(parser, digest)
            else:
                pairs = parser.parse_comma_separated_list(
                    parser.Delimiter.BRACES, lambda: _parse_scale(parser)
                )
        scales, zero_points = zip(*pairs, strict=True)
        made = Quantization(storage, scales, zero_points, axis, expressed)
        low, high = made.storage_range
        for scale, zero_point in pairs:
            if not 0 <= scale < math.inf:
                parser.raise_error(f"a scale of {scale}, which is not from 0 to the largest float")
            if not low <= zero_point <= high:
                parser.raise_error(f"a zero point of {zero_point}, which {storage} does not hold")
        if expressed != "f32":
            parser.raise_error(f"quantised '{expressed}' is not supported, only f32")
        return made

    def print_parameter(self, printer: Printer) -> None:
        q = self.data
        constants = self.text_constants() if prints_by_reference(printer) else ()
        if q.axis is None:
            numbers = _pair_texts(q)[0]
        elif constants and elides(printer):
            numbers = ELIDED
        elif constants:
            numbers = ":".join(f'"{constant.digest}"' for constant in constants)
        else:
            numbers = f"{{{', '.join(_pair_texts(q))}}}"
        axis = "" if q.axis is None else f":{q.axis}"
        with printer.in_angle_brackets():
            printer.print_string(f"{q.storage}:{q.expressed}{axis}, {numbers}")


_SHORT = 16
"""Letters of scales and zero points that stand where they are used."""


def _pair_texts(q: Quantization) -> list[str]:
    return [
        float_literal(repr(scale)) + (f":{zero_point}" if zero_point else "")
        for scale, zero_point in zip(q.scales, q.zero_points, strict=True)
    ]


def _parse_digests(parser: AttrParser, digest: str) -> list[tuple[float, int]]:
    """Scales and zero points that lie beside the text."""
    scales = listed_constant(parser, digest, np.dtype(np.float64))
    zero_points: Sequence[int] = [0] * len(scales)
    if parser.parse_optional_punctuation(":") is not None:
        zero_points = listed_constant(parser, parser.parse_str_literal(), np.dtype(np.int32))
    if not 0 < len(scales) == len(zero_points):
        parser.raise_error(f"{len(zero_points)} zero points for {len(scales)} scales")
    return list(zip(scales, zero_points, strict=True))


def _parse_scale(parser: AttrParser) -> tuple[float, int]:
    scale = float(parser.parse_number(allow_boolean=False))
    zero_point = 0
    if parser.parse_optional_punctuation(":") is not None:
        zero_point = parser.parse_integer(allow_boolean=False)
    return scale, zero_point


def uniform(
    dtype: np.dtype[Any],
    scale: float | np.ndarray,
    zero_point: int | np.ndarray = 0,
    axis: int | None = None,
) -> UniformType:
    """The quantised type of stored integers `dtype`; arrays of scales need `axis`.

    Args:
        dtype: int8, uint8, int16, uint16 or int32.
        scale: a scalar or `[n]` float array; float32 values are kept exactly.
        zero_point: a scalar or `[n]` integer array.
        axis: the quantised dimension for `[n]` scales with n > 1; size-1 arrays are per tensor.
    """
    scales = tuple(np.atleast_1d(scale).ravel().astype(np.float64).tolist())
    zero_points = tuple(np.broadcast_to(zero_point, len(scales)).astype(np.int64).tolist())
    if len(scales) == 1:
        axis = None
    return UniformType(Quantization(STORAGE_OF_DTYPE[np.dtype(dtype)], scales, zero_points, axis))


Quant = Dialect("quant", [], [UniformType])
