"""What an origin means: its operator imported once more, on the operands that it has now.

A host segment is written from origins (`importers.tflite.origin`). IR text and passes may have
changed an operation and left its origin; this tells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from typing_extensions import override
from xdsl.ir import Attribute, SSAValue

from furiosa_ir.dialects.graph import TFLITE_OPERATORS
from furiosa_ir.dialects.graph.base import GraphOp, OriginAttr
from furiosa_ir.dialects.graph.structure import ConstantOp
from furiosa_ir.errors import FuriosaError, ImportFailure
from furiosa_ir.importers.tflite.elements import element_of_tensor
from furiosa_ir.importers.tflite.file import CORRUPTION, read_buffers, read_tensor
from furiosa_ir.importers.tflite.operator import ImportedOperator, NotModelled
from furiosa_ir.importers.tflite.operator_record import OperatorRecord, read_code
from furiosa_ir.importers.tflite.option_tables import read_options
from furiosa_ir.importers.tflite.vectors import Vectors
from furiosa_ir.ir.constants import BlobAttr
from furiosa_ir.plugins import raise_plugin_failure
from furiosa_ir.tflite_schema import tflite


@dataclass(frozen=True, slots=True)
class Imported:
    """An operation that an origin's operator becomes.

    Attributes:
        kind: its class.
        properties: its own, without an origin.
        result_types: the types of its results.
    """

    kind: type[GraphOp]
    properties: Mapping[str, Attribute]
    result_types: tuple[Attribute, ...]

    @staticmethod
    def of(op: GraphOp) -> Imported:
        """An operation as it stands."""
        properties = op.semantic_properties()
        return Imported(type(op), properties, tuple(r.type for r in op.results))

    def difference(self, op: GraphOp) -> str:
        """What an operation of the same kind has otherwise than this, for people."""
        now = Imported.of(op)
        for name in sorted({*self.properties, *now.properties}):
            if self.properties.get(name) != now.properties.get(name):
                return (
                    f"{name} is {_text(now.properties.get(name))}, not "
                    f"{_text(self.properties.get(name))}"
                )
        return "its result types are others"


def _text(attribute: Attribute | None) -> str:
    return "left out" if attribute is None else str(attribute)


class _Again(ImportedOperator):
    """The operator as an origin has it: nothing folds, and nothing gets an origin."""

    @override
    def _fold(self, op: GraphOp) -> None:
        return None

    @override
    def _origin(self, op: type[GraphOp], operands: Sequence[SSAValue | None]) -> None:
        return None


def reimported(op: GraphOp, origin: OriginAttr) -> list[Imported]:
    """The operations that the origin's operator becomes on the operation's operands.

    Args:
        op: an operation of a TFLite network; its results' types are the operator's.
        origin: its origin.

    Returns:
        Them in order; none where no operation is declared for the operator.

    Raises:
        ImportFailure: the operator does not take these operands, or the origin is none.
    """
    data = origin.data[1].array.tobytes()
    try:
        return _imported(op, data)
    except NotModelled:
        return []
    except FuriosaError:
        raise
    except CORRUPTION as error:
        raise_plugin_failure(error)
        raise ImportFailure("the operator of its origin makes no sense of its operands") from error


def _imported(op: GraphOp, data: bytes) -> list[Imported]:
    model: Any = tflite.Model.GetRootAs(data, 0)
    graph = model.Subgraphs(0)
    reader, vectors = graph.Operators(0), Vectors(len(data))
    code = read_code(model.OperatorCodes(0), vectors)
    kind = TFLITE_OPERATORS.get(code.op_type)
    if kind is None or code.is_custom:
        return []
    buffers = read_buffers(model, data)

    def value(slot: int) -> SSAValue | None:
        if slot == -1:
            return None
        if slot < 0:
            return op.operands[-2 - slot]
        tensor = read_tensor(graph.Tensors(slot), slot, buffers, vectors, [])
        elements = tensor.data
        if elements is None and 0 in tensor.shape:
            elements = np.zeros(tensor.shape, tensor.dtype)
        if elements is None:
            return None
        blob = BlobAttr.of(elements)
        return ConstantOp.make([], [element_of_tensor(tensor)], value=blob).results[0]

    slots = vectors.numbers(reader.InputsAsNumpy())
    if len({s for s in slots if s < -1}) != len(op.operands):
        raise ImportFailure(f"{code.op_type} has not {len(op.operands)} operands there")
    record = OperatorRecord(code, (), (), (), read_options(reader, code.op_type), b"", reader)
    types: list[Any] = [r.type for r in op.results]
    node = _Again(record, [value(s) for s in slots], [None] * len(slots), types, op.location)
    try:
        kind.from_tflite(node)
        return [Imported.of(made) for made in node.operations if isinstance(made, GraphOp)]
    finally:
        for made in reversed(node.operations):
            made.drop_all_references()
