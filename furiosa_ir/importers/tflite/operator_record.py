"""The operators of a TFLite file as checked records."""

from __future__ import annotations

import mmap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from flatbuffers.number_types import Int32Flags

from furiosa_ir.errors import ImportFailure
from furiosa_ir.importers.tflite.custom import checked_options
from furiosa_ir.importers.tflite.option_tables import read_options
from furiosa_ir.importers.tflite.vectors import Vectors, enum_names
from furiosa_ir.tflite_schema import tflite

_NAMES = enum_names(tflite.BuiltinOperator)


@dataclass(frozen=True, slots=True, eq=False)
class OperatorCode:
    """What operators can be: an entry of the file's table of operator codes.

    Attributes:
        number: in the enumeration BuiltinOperator.
        op_type: upper-case builtin name, or the custom operator's name.
        is_custom: which of the two.
        version: of the builtin operator.
        reader: the flatbuffers reader.
    """

    number: int
    op_type: str
    is_custom: bool
    version: int
    reader: Any


@dataclass(frozen=True, slots=True, eq=False)
class OperatorRecord:
    """An operator of the subgraph.

    Attributes:
        code: what it is.
        inputs: tensor indices; -1 for one left out.
        outputs: tensor indices.
        intermediates: indices of tensors that describe what happens inside (LSTM).
        options: the reader of the options table that LiteRT reads of such an operator, or of one
            that says what it means without; None if it reads none.
        custom_options: a custom operator's.
        reader: the flatbuffers reader.
    """

    code: OperatorCode
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    intermediates: tuple[int, ...]
    options: Any
    custom_options: bytes
    reader: Any

    @property
    def op_type(self) -> str:
        """Upper-case builtin name, or the custom operator's name."""
        return self.code.op_type

    @property
    def is_custom(self) -> bool:
        """Whether it is none of TFLite's own."""
        return self.code.is_custom

    @property
    def version(self) -> int:
        """The operator's version."""
        return self.code.version


def _builtin_code(reader: Any) -> int:
    """The number of an operator code: the greater of its two fields, as LiteRT has it.

    Numbers below 127 may be in the old field only, later ones are in the new field only. The
    reader's accessor of the new field gives the old one for small numbers, whatever the new says.
    """
    table = reader._tab  # noqa: SLF001
    offset = table.Offset(10)
    new = table.Get(Int32Flags, offset + table.Pos) if offset else 0
    return max(int(new), int(reader.DeprecatedBuiltinCode()))


def read_code(reader: Any, vectors: Vectors) -> OperatorCode:
    """An operator code of the file, of a kind known or not."""
    number, version = _builtin_code(reader), int(reader.Version())
    is_custom = number == tflite.BuiltinOperator.CUSTOM
    name = vectors.text(reader.CustomCode()) if is_custom else _NAMES.get(number)
    return OperatorCode(number, name or f"builtin {number}", is_custom, version, reader)


def read_operator(
    reader: Any,
    codes: Sequence[OperatorCode],
    tensors: int,
    data: bytes | mmap.mmap,
    vectors: Vectors,
) -> OperatorRecord:
    """An operator of the subgraph, which has that many tensors.

    Raises:
        ImportFailure: it names a code, a tensor or options that are not there.
    """
    index: int = reader.OpcodeIndex()
    if index >= len(codes):
        raise ImportFailure(f"corrupt: operator code {index} does not exist")
    code = codes[index]
    op_type = code.op_type
    if not code.is_custom and code.number not in _NAMES:
        raise ImportFailure(f"an operator of the unknown kind '{op_type}'")
    what = f"an operator {op_type}"
    custom = vectors.copied(reader.CustomOptionsAsNumpy())
    offset, size = reader.LargeCustomOptionsOffset(), reader.LargeCustomOptionsSize()
    if offset > 1:
        if offset + size > len(data):
            raise ImportFailure(f"truncated: the options of {what} end behind the file")
        custom = vectors.copied(np.frombuffer(data, np.uint8, size, offset))
    if code.is_custom:
        custom = checked_options(op_type, custom)
    return OperatorRecord(
        code,
        vectors.indices(reader.InputsAsNumpy(), tensors, what, optional=True),
        vectors.indices(reader.OutputsAsNumpy(), tensors, what),
        vectors.indices(reader.IntermediatesAsNumpy(), tensors, what),
        None if code.is_custom else read_options(reader, op_type),
        custom,
        reader,
    )


_SUBGRAPH_OPTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "CALL": ("Subgraph",),
        "CALL_ONCE": ("InitSubgraphIndex",),
        "IF": ("ThenSubgraphIndex", "ElseSubgraphIndex"),
        "STABLEHLO_COMPOSITE": ("DecompositionSubgraphIndex",),
        "STABLEHLO_REDUCE": ("BodySubgraphIndex",),
        "STABLEHLO_REDUCE_WINDOW": ("BodySubgraphIndex",),
        "STABLEHLO_SCATTER": ("UpdateComputationSubgraphIndex",),
        "STABLEHLO_SORT": ("ComparatorSubgraphIndex",),
        "STABLEHLO_WHILE": ("CondSubgraphIndex", "BodySubgraphIndex"),
        "WHILE": ("CondSubgraphIndex", "BodySubgraphIndex"),
    }
)
"""Operator -> its options that are indices of subgraphs."""


def subgraph_options(operator: OperatorRecord) -> Sequence[str]:
    """The options of an operator that are indices of subgraphs, as their reader calls them."""
    return () if operator.is_custom else _SUBGRAPH_OPTIONS.get(operator.op_type, ())
