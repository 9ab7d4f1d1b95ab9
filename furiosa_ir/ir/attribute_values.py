"""Values of properties: as Python has them, and as operations write them (`ir.assembly_format`).

64-bit integers and floats are written without a type, any other attribute as MLIR writes it.
Lists of numbers, `array<i64: 1, 2>`, may also be read as `[1, 2]`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import isfinite
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
from xdsl.dialects.builtin import (
    AnyFloat,
    ArrayAttr,
    DenseArrayBase,
    FloatAttr,
    IndexType,
    IntegerAttr,
    IntegerType,
    StringAttr,
    f64,
    i64,
)
from xdsl.ir import Attribute
from xdsl.parser import Parser
from xdsl.printer import Printer

from furiosa_ir.ir.constants import BlobAttr, float_literal
from furiosa_ir.numerics.array import Array


def as_attribute(value: object) -> Attribute:
    """A Python value as the attribute that properties use for it.

    int, bool -> i64; float -> f64; str -> string; sequence of int -> array<i64>; of float ->
    array<f64>; of str -> an array of strings; a numpy array -> a blob.
    """
    kind = type(value)
    if kind is int:  # what most properties are, and classes of attributes are asked for slowly
        return _integer(cast("int", value))
    if kind is str:
        return _string(cast("str", value))
    match value:
        case Attribute():
            return value
        case bool() | int() | np.integer():
            return _integer(int(value))
        case float() | np.floating():
            return FloatAttr(float(value), f64)
        case str():
            return _string(value)
        case np.ndarray():
            return BlobAttr.of(cast("Array", value))
        case list() | tuple():
            items = cast("Sequence[Any]", value)
            if items and all(isinstance(i, str) for i in items):
                return ArrayAttr([StringAttr(i) for i in items])
            if any(isinstance(i, float | np.floating) for i in items):
                return DenseArrayBase.from_list(f64, [float(i) for i in items])
            return _integers(tuple([int(i) for i in items]))
        case _:
            raise TypeError(f"no attribute for a {type(value).__name__}")


@lru_cache(maxsize=1 << 10)
def _integer(value: int) -> Attribute:
    return IntegerAttr(value, i64)


@lru_cache(maxsize=1 << 10)
def _integers(values: tuple[int, ...]) -> Attribute:
    return DenseArrayBase.from_list(i64, values)


@lru_cache(maxsize=1 << 8)
def _string(value: str) -> Attribute:
    return StringAttr(value)


def print_value(printer: Printer, value: Attribute) -> None:
    """Writes a property's value."""
    text = _text(value)
    if text is None:
        printer.print_attribute(value)
    else:
        printer.print_string(text)


def _text(value: Attribute) -> str | None:
    """How a value is written where MLIR's printer says more or xDSL's is slow, else None."""
    match value:
        case IntegerAttr() if value.type == i64:
            return str(value.value.data)
        case FloatAttr() if value.type == f64 and isfinite(value.value.data):
            return _number_text(value.value.data)
        case DenseArrayBase():
            return _array_text(cast("DenseArrayBase[Any]", value))
        case _:
            return None


def _array_text(value: DenseArrayBase[Any]) -> str | None:
    numbers = cast("Sequence[float]", value.get_values())
    if not numbers:
        return None
    if value.elt_type == i64:
        return f"array<i64: {', '.join(map(str, numbers))}>"
    if value.elt_type == f64 and all(map(isfinite, numbers)):
        return f"array<f64: {', '.join(map(_number_text, numbers))}>"
    return None


def _number_text(number: float) -> str:
    return float_literal(repr(number))


@runtime_checkable
class ReadsIntegers(Protocol):
    """A parser that reads a row of integers at once (`ir.text`'s)."""

    def parse_optional_integers(self) -> list[int] | None:
        """The numbers of `[1, -2]` or `array<i64: 1, -2>`, where such a row begins."""


def parse_value(parser: Parser) -> Attribute:
    """Reads a property's value."""
    if isinstance(parser, ReadsIntegers):
        row = parser.parse_optional_integers()
        if row is not None:
            return _integer_list(parser, row)
    items = parser.parse_optional_comma_separated_list(
        parser.Delimiter.SQUARE, lambda: _parse_item(parser)
    )
    if items is None:
        return parser.parse_attribute()
    attributes = [item for item in items if isinstance(item, Attribute)]
    numbers = [item for item in items if not isinstance(item, Attribute)]
    if attributes and numbers:
        parser.raise_error("a list of numbers, some with a type and some without")
    if attributes:
        return ArrayAttr(attributes)
    if any(isinstance(number, float) for number in numbers):
        return DenseArrayBase.from_list(f64, [float(number) for number in numbers])
    return _integer_list(parser, cast("list[int]", numbers))


def _integer_list(parser: Parser, numbers: list[int]) -> Attribute:
    beyond = next((n for n in numbers if not -(1 << 63) <= n < 1 << 63), None)
    if beyond is not None:  # xDSL wraps it
        parser.raise_error(f"{beyond} is no 64-bit integer")
    return DenseArrayBase.from_list(i64, numbers)


def _parse_item(parser: Parser) -> Attribute | int | float:
    number = parser.parse_optional_number()
    if number is None:
        return parser.parse_attribute()
    if parser.parse_optional_punctuation(":") is None:
        return number
    kind = cast("Any", parser.parse_type())
    kinds = AnyFloat if isinstance(number, float) else IntegerType | IndexType
    if not isinstance(kind, kinds):
        parser.raise_error(f"{number} is no number of that type")
    return FloatAttr(number, kind) if isinstance(number, float) else IntegerAttr(number, kind)
