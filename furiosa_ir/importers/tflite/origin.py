"""A TFLite operator by itself: what an operation that stays on the host is written from.

The origin of an operation is a TFLite model whose subgraph 0 has one operator, with its code,
version and options. Its inputs say what becomes of each input of the original:

    -1             it was left out
    -2 - k         operand k of the operation
    i >= 0         tensor i of this model: a parameter that became a property of the operation
                   (the axes of MEAN, the paddings of PAD)

Its intermediates are tensors of this model, too. Subgraphs that it calls, and those that they call,
follow as subgraphs 1 and up, callers before what they call; options name them by these numbers.

Tables are copied field by field through the accessors of the `tflite` package (it has no object
interface), so no options table is named here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import flatbuffers
import numpy as np

from furiosa_ir.dialects.graph.base import OriginAttr
from furiosa_ir.errors import ImportFailure
from furiosa_ir.formats import TFLITE_IDENTIFIER
from furiosa_ir.importers.tflite.file import (
    CORRUPTION,
    SubgraphRecord,
    TensorRecord,
)
from furiosa_ir.importers.tflite.operator_record import (
    OperatorCode,
    OperatorRecord,
    subgraph_options,
)
from furiosa_ir.importers.tflite.option_tables import UNIONS, given_options
from furiosa_ir.importers.tflite.vectors import enum_names
from furiosa_ir.ir.constants import BlobAttr, Constant
from furiosa_ir.numerics.array import Array
from furiosa_ir.tflite_schema import tflite, writers


@dataclass(frozen=True, slots=True, eq=False)
class Parameter:
    """An input that the origin carries: its tensor, and its elements."""

    tensor: TensorRecord
    elements: Array


Slot = int | Parameter
"""-1: the input was left out; k >= 0: it is operand k; a parameter: the origin carries it."""


class SerializedOperator(Constant):
    """The bytes of an origin, made when somebody asks for them or for their number."""

    def __init__(self, make: Callable[[], bytes]) -> None:
        super().__init__(lambda: np.frombuffer(make(), np.uint8), (0,), np.dtype(np.uint8))
        # The length is known when the bytes are; until then the attribute is missing on purpose.
        del self.shape

    def __getattr__(self, name: str) -> Any:
        if name != "shape":
            raise AttributeError(name)
        self.shape = self.array.shape
        return self.shape

    def __hash__(self) -> int:
        return hash((self.shape, self.dtype.name))

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other)


def origin_of(
    operator: OperatorRecord,
    slots: Sequence[Slot],
    intermediates: Sequence[TensorRecord] = (),
    subgraphs: Sequence[SubgraphRecord] = (),
) -> OriginAttr:
    """The operator's origin; the bytes are made on demand.

    Args:
        operator: the operator.
        slots: what became of its inputs.
        intermediates: the tensors of its inside.
        subgraphs: all that it may call.
    """

    def make() -> bytes:
        try:
            return _Serializer(subgraphs).serialize(operator, slots, intermediates)
        except CORRUPTION as error:
            raise ImportFailure(f"the options of {operator.op_type} are corrupt") from error

    return OriginAttr(("tflite", BlobAttr(SerializedOperator(make))))


class _Serializer:
    """Writes one origin.

    Args:
        subgraphs: they follow the operator's own.
    """

    def __init__(self, subgraphs: Sequence[SubgraphRecord]) -> None:
        self._subgraphs = subgraphs
        self._builder: Any = flatbuffers.Builder(256)
        self._buffers = [_buffer(self._builder, None)]
        self._codes: dict[OperatorCode, int] = {}
        self._numbers = {graph.index: 1 + i for i, graph in enumerate(subgraphs)}

    def serialize(
        self,
        operator: OperatorRecord,
        slots: Sequence[Slot],
        intermediates: Sequence[TensorRecord],
    ) -> bytes:
        """The origin's bytes; arguments as in `origin_of`."""
        builder = self._builder
        tensors: list[int] = []
        inputs: list[int] = []
        for slot in slots:
            if isinstance(slot, int):
                inputs.append(-1 if slot < 0 else -2 - slot)
                continue
            inputs.append(len(tensors))
            tensors.append(self._parameter(slot.tensor, slot.elements))
        first = len(tensors)
        tensors += [self._parameter(t, None) for t in intermediates]
        node = self._operator(operator, inputs, [], range(first, len(tensors)))
        graphs = [
            _table(
                builder,
                tflite.SubGraph,
                {"Tensors": _offsets(builder, tensors), "Operators": _offsets(builder, [node])},
            ),
            *map(self._subgraph, self._subgraphs),
        ]
        codes = _offsets(builder, [self._code(code) for code in self._codes])
        model = _table(
            builder,
            tflite.Model,
            {
                "Version": 3,
                "OperatorCodes": codes,
                "Subgraphs": _offsets(builder, graphs),
                "Buffers": _offsets(builder, self._buffers),
            },
        )
        builder.Finish(model, file_identifier=TFLITE_IDENTIFIER)
        return bytes(builder.Output())

    def _subgraph(self, graph: SubgraphRecord) -> int:
        builder = self._builder
        tensors = [self._tensor(t) for t in graph.tensors]
        nodes = [self._operator(o, o.inputs, o.outputs, o.intermediates) for o in graph.operators]
        fields = {
            "Tensors": _offsets(builder, tensors),
            "Inputs": _integers(builder, graph.inputs),
            "Outputs": _integers(builder, graph.outputs),
            "Operators": _offsets(builder, nodes),
        }
        return _table(builder, tflite.SubGraph, fields)

    def _parameter(self, tensor: TensorRecord, elements: Array | None) -> int:
        """A tensor of these elements, each of which has its bytes, in C order."""
        replace: dict[str, int | None] = {"Buffer": self._buffer(elements), "Sparsity": None}
        if elements is not None and elements.dtype == np.int8:
            replace["Type"] = tflite.TensorType.INT8
        return _copy(self._builder, tensor.reader, replace=replace)

    def _tensor(self, tensor: TensorRecord) -> int:
        """A tensor as the file holds it."""
        return _copy(self._builder, tensor.reader, replace={"Buffer": self._buffer(tensor.stored)})

    def _buffer(self, elements: Array | None) -> int:
        if elements is None:
            return 0
        self._buffers.append(_buffer(self._builder, elements))
        return len(self._buffers) - 1

    def _operator(
        self,
        operator: OperatorRecord,
        inputs: Sequence[int],
        outputs: Sequence[int],
        intermediates: Sequence[int],
    ) -> int:
        builder = self._builder
        custom = operator.custom_options
        replace: dict[str, int | None] = {
            "OpcodeIndex": self._codes.setdefault(operator.code, len(self._codes)),
            "Inputs": _integers(builder, inputs),
            "Outputs": _integers(builder, outputs),
            "Intermediates": _integers(builder, intermediates) if intermediates else None,
            "CustomOptions": builder.CreateByteVector(custom) if custom else None,
            "LargeCustomOptionsOffset": 0,
            "LargeCustomOptionsSize": 0,
            "DebugMetadataIndex": -1,
        }
        given = None if operator.is_custom else given_options(operator.reader, operator.op_type)
        for union in UNIONS:
            if given is None or given[0] != union:
                # Another operator's table: nobody reads it.
                replace |= {union: None, f"{union}Type": 0}
                continue
            names = subgraph_options(operator)
            numbers = {n: self._numbers[getattr(operator.options, n)()] for n in names}
            replace[union] = _copy(builder, operator.options, replace=numbers)
        return _copy(builder, operator.reader, replace=replace)

    def _code(self, code: OperatorCode) -> int:
        numbers: dict[str, int | None] = {
            "BuiltinCode": code.number,
            "DeprecatedBuiltinCode": min(code.number, 127),
        }
        return _copy(self._builder, code.reader, replace=numbers)


def _buffer(builder: Any, elements: Array | None) -> int:
    fields: dict[str, int | None] = {}
    if elements is not None:
        flat = np.ascontiguousarray(elements).reshape(-1).view(np.uint8)
        fields["Data"] = builder.CreateNumpyVector(flat)
    return _table(builder, tflite.Buffer, fields)


def _integers(builder: Any, numbers: Sequence[int]) -> int:
    return int(builder.CreateNumpyVector(np.array(numbers, np.int32)))


def _offsets(builder: Any, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


@lru_cache
def _fields(kind: type) -> tuple[tuple[str, Callable[..., None]], ...]:
    """The fields of a table and the functions that write them."""
    prefix = f"{kind.__name__}Add"
    return tuple(
        (name.removeprefix(prefix), function)
        for name, function in writers(kind.__name__).items()
        if name.startswith(prefix)
    )


def _table(builder: Any, kind: type, fields: Mapping[str, int | None]) -> int:
    module = writers(kind.__name__)
    module[f"{kind.__name__}Start"](builder)
    for name, write in _fields(kind):
        value = fields.get(name)
        if value is not None:
            write(builder, value)
    return module[f"{kind.__name__}End"](builder)


def _copy(builder: Any, reader: Any, *, replace: Mapping[str, int | None] | None = None) -> int:
    """Writes a copy of a table; `replace` has what to write instead for some of its fields."""
    given = replace or {}
    kind = cast("type[object]", type(reader))
    fields = {
        name: given[name] if name in given else _copy_field(builder, reader, name)
        for name, _ in _fields(kind)
    }
    return _table(builder, kind, fields)


def _copy_field(builder: Any, reader: Any, name: str) -> int | None:
    """Writes what a field refers to; what to put into the table, None to leave the field out."""
    as_numpy = getattr(reader, f"{name}AsNumpy", None)
    if as_numpy is not None:
        array = as_numpy()
        return None if isinstance(array, int) else int(builder.CreateNumpyVector(array))
    length = getattr(reader, f"{name}Length", None)
    if length is not None:
        items = [getattr(reader, name)(i) for i in range(length())]
        return _offsets(builder, [_copy_value(builder, item) for item in items]) if items else None
    value = getattr(reader, name)()
    if isinstance(value, flatbuffers.table.Table):
        if getattr(reader, f"{name}Type")() == 0:
            return None
        union = _union(reader, name)
        union.Init(value.Bytes, value.Pos)
        value = union
    return _copy_value(builder, value)


def _copy_value(builder: Any, value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, bytes):
        return int(builder.CreateString(value))
    return _copy(builder, value)


def _union(reader: Any, name: str) -> Any:
    """An empty reader of the table that a union field holds; `<name>Type` says which it is."""
    number = getattr(reader, f"{name}Type")()
    # The enumeration is named as the field, but for Details (QuantizationDetails).
    kinds = enum_names(getattr(tflite, name, tflite.QuantizationDetails))
    return getattr(tflite, kinds[number])()
