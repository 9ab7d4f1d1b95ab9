"""The operator being imported: what `from_tflite` of its operation sees and writes with."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import prod
from typing import Any

import numpy as np
from xdsl.dialects.builtin import LocationAttr
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import VarOperandDef

from furiosa_ir.dialects.graph import TFLITE_OPERATORS
from furiosa_ir.dialects.graph.base import (
    GraphOp,
    OriginAttr,
    constant_of,
    has_its_scales,
    quantization_of,
)
from furiosa_ir.dialects.graph.elementwise import ClipOp, ReluOp
from furiosa_ir.dialects.graph.evaluation import evaluate
from furiosa_ir.dialects.graph.movement import ConcatOp, MoveOp, PadOp, SplitOp
from furiosa_ir.dialects.graph.quantization import DequantizeOp, QuantizeOp
from furiosa_ir.dialects.graph.resize import ResizeOp
from furiosa_ir.dialects.graph.structure import ConstantOp, OpaqueOp
from furiosa_ir.errors import ImportFailure
from furiosa_ir.importers.tflite.file import SubgraphRecord, TensorRecord
from furiosa_ir.importers.tflite.operator_record import OperatorRecord
from furiosa_ir.importers.tflite.options import ReadOptions
from furiosa_ir.importers.tflite.origin import Parameter, Slot, origin_of
from furiosa_ir.ir.attribute_values import as_attribute
from furiosa_ir.ir.constants import BlobAttr
from furiosa_ir.ir.element_types import dtype_of_element, element_of_dtype
from furiosa_ir.ir.shaped_operation import AnyTensor, Shape, element_of, shape_of
from furiosa_ir.numerics.array import Array
from furiosa_ir.tflite_schema import tflite

FOLDED_ELEMENTS = 4096
"""Integer arithmetic on constants is done at import up to this many elements: it is shapes."""

_ACTIVATIONS: dict[int, tuple[type[GraphOp], dict[str, object]]] = {
    tflite.ActivationFunctionType.RELU: (ReluOp, {}),
    tflite.ActivationFunctionType.RELU6: (ClipOp, {"minimum": 0.0, "maximum": 6.0}),
    tflite.ActivationFunctionType.RELU_N1_TO_1: (ClipOp, {"minimum": -1.0, "maximum": 1.0}),
}
"""Without TANH and SIGN_BIT, which LiteRT's kernels take for no activation."""

_TAKES_ANY = (ConcatOp, DequantizeOp, MoveOp, PadOp, QuantizeOp, ResizeOp, SplitOp)
"""Operations whose kernels do not compute with scales, or get along without."""


class NotModelled(Exception):
    """The operation does not cover this form of the operator: it becomes `graph.opaque`."""


class ImportedOperator:
    """A `dialects.graph.base.TFLiteNode` over a checked record.

    Operations gather in `operations`; the importer inserts them once the whole operator succeeded.

    Args:
        record: the operator.
        operands: its inputs as values; None for one left out.
        inputs: the same as tensors of the file.
        result_types: the types of its outputs.
        location: of everything it becomes.
        intermediates: tensors of the operator's inside.
    """

    def __init__(
        self,
        record: OperatorRecord,
        operands: Sequence[SSAValue | None],
        inputs: Sequence[TensorRecord | None],
        result_types: Sequence[AnyTensor],
        location: LocationAttr,
        intermediates: Sequence[TensorRecord] = (),
    ) -> None:
        self.record = record
        self.op_type = record.op_type
        self.version = record.version
        self.options: Any = None if record.options is None else ReadOptions(record.options)
        self.operands = operands
        self.result_types = result_types
        self.operations: list[Operation] = []
        self.inputs = inputs
        self._location = location
        self._intermediates = intermediates

    def constant(self, index: int) -> Array | None:
        """The elements of input `index` where it is constant, else None."""
        value = self.operands[index] if index < len(self.operands) else None
        return None if value is None else constant_of(value)

    def shape(self, index: int = 0) -> Shape:
        """The static shape of input `index`."""
        return shape_of(self._required(index))

    def _required(self, index: int) -> SSAValue:
        value = self.operands[index] if index < len(self.operands) else None
        if value is None:
            raise ImportFailure(f"the operator {self.op_type} lacks its input {index}")
        return value

    def value(self, array: Array, element: Attribute | None = None) -> SSAValue:
        """A `graph.constant` of these elements (of that element type, if it is quantised)."""
        op = ConstantOp.make(
            [],
            [element or element_of_dtype(array.dtype)],
            location=self._location,
            value=BlobAttr.of(array),
        )
        return op.results[0]

    def emit(
        self,
        op: type[GraphOp],
        operands: Sequence[SSAValue | None],
        *,
        elements: Sequence[Attribute] | None = None,
        **properties: object,
    ) -> Sequence[SSAValue]:
        """Adds an operation; without `elements` the results get the outputs' element types.

        Integer arithmetic on constants is done at once instead.
        """
        if elements is None:
            elements = [t.element_type for t in self.result_types]
        if self.options is not None and TFLITE_OPERATORS.get(self.op_type) is op:
            names = set(op.get_irdl_definition().properties) - properties.keys()
            properties = {**self.options.by_name(names), **properties}
        groups = operand_groups(op, operands)
        made = op.make(groups, elements, location=self._location, **properties)
        if not issubclass(op, _TAKES_ANY):
            self._check_quantized(made)
        if not all(map(has_its_scales, made.results)):
            # A matrix, say, of rows that have been taken apart: LiteRT does not look at the scales.
            raise NotModelled
        folded = self._fold(made)
        if folded is not None:
            return folded
        if "origin" not in properties:
            origin = self._origin(op, operands)
            if origin is not None:
                made.origin = origin
        self.operations.append(made)
        return made.results

    def _check_quantized(self, op: GraphOp) -> None:
        """Checks that an operation on quantised numbers has no 8 or 16-bit operand without scale.

        Raises:
            NotModelled: it has; LiteRT's kernels take the scale for 0, and no operation knows that.
        """
        elements = [element_of(v) for v in (*op.operands, *op.results)]
        plain = [d for e in elements if (d := dtype_of_element(e)) is not None]
        narrow = any(d.kind in "iu" and d.itemsize <= 2 for d in plain)
        if narrow and len(plain) < len(elements):
            raise NotModelled

    def activation(self, value: SSAValue, function: int) -> SSAValue:
        """The fused activation (`tflite.ActivationFunctionType`) as an operation after `value`."""
        if function == tflite.ActivationFunctionType.NONE:
            return value
        quantization = quantization_of(value)
        if function not in _ACTIVATIONS or (
            quantization is not None and quantization.axis is not None
        ):
            raise NotModelled  # LiteRT takes several scales for none, and clamps at the integer 0
        op, properties = _ACTIVATIONS[function]
        origin = value.owner.origin if isinstance(value.owner, GraphOp) else None
        (result,) = self.emit(
            op, [value], elements=[element_of(value)], origin=origin, **properties
        )
        return result

    def unread_options(self, ignored: Collection[str]) -> list[str]:
        """The options that no operation got, which change what the operator means.

        Args:
            ignored: those that change nothing.
        """
        return [] if self.options is None else self.options.unread(ignored)

    def unsupported(self) -> Sequence[SSAValue]:
        """The operator as `graph.opaque`."""
        raise NotModelled

    def opaque(
        self, subgraphs: Sequence[SubgraphRecord] = (), states: Sequence[int] = ()
    ) -> Sequence[SSAValue]:
        """Adds the operator as `graph.opaque`, with the result types of the file.

        Args:
            subgraphs: all that it may call.
            states: which of its inputs it changes in place.

        Returns:
            Its results, and behind them what these inputs have become.
        """
        self.operations.clear()
        operands = [value for value in self.operands if value is not None]
        positions = iter(range(len(operands)))
        slots = [-1 if value is None else next(positions) for value in self.operands]
        changed = [slots[i] for i in states]
        properties: dict[str, Attribute | None] = {
            "operator": as_attribute(self.op_type),
            "slots": as_attribute(slots),
            "states": as_attribute(changed) if changed else None,
            "origin": origin_of(self.record, slots, self._intermediates, subgraphs),
        }
        made = OpaqueOp.build(
            operands=[operands],
            result_types=[[*self.result_types, *(operands[i].type for i in changed)]],
            properties=properties,
        )
        made.location = self._location
        self.operations.append(made)
        return made.results

    def _fold(self, op: GraphOp) -> Sequence[SSAValue] | None:
        """The results as constants, where it is integer arithmetic on few constant elements."""
        arrays = [a for a in map(constant_of, op.operands) if a is not None]
        if not arrays or len(arrays) != len(op.operands):
            return None
        dtypes = [dtype_of_element(element_of(r)) for r in op.results]
        values = [*op.operands, *op.results]
        if any(
            dtype_of_element(element_of(v)) is None or prod(shape_of(v)) > FOLDED_ELEMENTS
            for v in values
        ) or any(a.dtype.kind not in "iub" for a in arrays):
            return None
        results = evaluate(op, arrays)
        return [
            self.value(np.asarray(array, dtype), element_of(result))
            for array, dtype, result in zip(results, dtypes, op.results, strict=True)
        ]

    def _origin(self, op: type[GraphOp], operands: Sequence[SSAValue | None]) -> OriginAttr | None:
        """The origin of an operation on `operands`, if these and constant parameters say it all.

        What an operator becomes besides its main operation (a reshape before FULLY_CONNECTED) has
        no origin: it is another operator.
        """
        if self.op_type not in op.TFLITE:
            return None
        given = [v for v in operands if v is not None]
        slots: list[Slot] = []
        taken: set[int] = set()
        for i, (value, tensor) in enumerate(zip(self.operands, self.inputs, strict=True)):
            # One value may be several inputs (x + x): each takes an operand of its own.
            same = [k for k, v in enumerate(given) if v is value and k not in taken]
            if same:
                slots.append(same[0])
                taken.add(same[0])
            elif tensor is None:
                slots.append(-1)
            elif i < len(given) and given[i] not in self.operands:
                # An operand that was made from this input (a reshape of it).
                slots.append(i)
                taken.add(i)
            else:
                elements = self.constant(i)
                if elements is None:
                    return None
                slots.append(Parameter(tensor, elements))
        return origin_of(self.record, slots) if len(taken) == len(given) else None


def operand_groups(
    op: type[GraphOp], operands: Sequence[SSAValue | None]
) -> list[SSAValue | Sequence[SSAValue] | None]:
    """The operands as `GraphOp.make` takes them: one entry for each operand definition."""
    definitions = op.get_irdl_definition().operands
    if len(definitions) == 1 and type(definitions[0][1]) is VarOperandDef:
        return [[v for v in operands if v is not None]]
    missing = len(definitions) - len(operands)
    return [*operands, *[None] * missing]
