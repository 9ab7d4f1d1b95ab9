"""From the records of a file to `func.func @main`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, FunctionType, StringAttr, TensorType
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Operation, Region, SSAValue

from furiosa_ir.dialects.graph import TFLITE_OPERATORS
from furiosa_ir.dialects.graph.base import constant_of
from furiosa_ir.dialects.graph.structure import ConstantOp
from furiosa_ir.errors import FuriosaError, ImportFailure
from furiosa_ir.importers.tflite.custom import custom_result_shapes
from furiosa_ir.importers.tflite.elements import element_of_tensor
from furiosa_ir.importers.tflite.file import (
    CORRUPTION,
    FileRecord,
    TensorRecord,
)
from furiosa_ir.importers.tflite.folding import fold
from furiosa_ir.importers.tflite.operator import ImportedOperator, NotModelled
from furiosa_ir.importers.tflite.operator_record import OperatorRecord
from furiosa_ir.importers.tflite.shapes import result_shapes
from furiosa_ir.ir.constants import BlobAttr, Constant
from furiosa_ir.ir.location import name_loc
from furiosa_ir.ir.shaped_operation import DYNAMIC, AnyTensor, Shape, shape_of, shape_text
from furiosa_ir.ir.value_tracking import note_tensor
from furiosa_ir.plugins import raise_plugin_failure


class NetworkImporter:
    """Imports subgraph 0 of a checked file.

    Args:
        file: the records.
    """

    def __init__(self, file: FileRecord) -> None:
        self._file = file
        # A dynamic batch shows as -1 in every tensor's signature; it is 1 unless asked otherwise.
        self._dynamic_batch = any(file.tensors[i].signature[:1] == (-1,) for i in file.inputs)
        self._values: list[SSAValue | None] = [None] * len(file.tensors)
        self._written: set[int] = set(file.inputs)
        self._names: Counter[str] = Counter()
        self._block = Block()

    def run(self) -> FuncOp:
        """The function; inputs, operators and outputs in the order of the file."""
        tensors, file = self._file.tensors, self._file
        if len(set(file.inputs)) != len(file.inputs):
            raise ImportFailure("an input of the network is listed twice")
        for index in file.inputs:
            self._values[index] = self._block.insert_arg(
                self._type(tensors[index], tensors[index].shape), len(self._block.args)
            )
        for operator in file.operators:
            self._operator(operator)
        results = [self._output(tensors[i]) for i in file.outputs]
        for value in results:
            self._insert_constant(value)
        self._block.add_op(ReturnOp(*results))
        return FuncOp(
            "main",
            FunctionType.from_lists(self._block.arg_types, [v.type for v in results]),
            Region(self._block),
            arg_attrs=_names([tensors[i] for i in file.inputs]),
            res_attrs=_names([tensors[i] for i in file.outputs]),
        )

    def _operator(self, record: OperatorRecord) -> None:
        layer = self._layer(record)
        try:
            self._import_operator(record, layer)
        except ImportFailure as error:
            raise error.at(layer=layer) from None
        except FuriosaError as error:
            raise ImportFailure(
                error.message, file=error.file, layer=error.layer or layer
            ) from None
        except CORRUPTION as error:
            raise_plugin_failure(error, layer)
            raise ImportFailure(
                f"the arguments of {record.op_type} make no sense", layer=layer
            ) from error

    def _import_operator(self, record: OperatorRecord, layer: str) -> None:
        tensors = self._file.tensors
        inputs = [None if i < 0 else tensors[i] for i in record.inputs]
        operands = [None if t is None else self._operand(t) for t in inputs]
        outputs = [tensors[i] for i in record.outputs]
        for tensor in outputs:
            if tensor.index in self._written or tensor.data is not None:
                raise ImportFailure(f"the tensor '{tensor.name}' is written twice")
            self._written.add(tensor.index)
        node = ImportedOperator(
            record,
            operands,
            inputs,
            [self._type(t, t.shape) for t in outputs],
            name_loc(layer),
            [tensors[i] for i in record.intermediates],
        )
        results = self._results(node, outputs)
        if len(results) != len(outputs):
            raise ImportFailure(f"{record.op_type} has {len(results)} outputs, not {len(outputs)}")
        for op in node.operations:
            for operand in op.operands:
                self._insert_constant(operand)
            self._block.add_op(op)
        for tensor, value in zip(outputs, results, strict=True):
            self._values[tensor.index] = value
            note_tensor(value, tensor.index)

    def _results(
        self, node: ImportedOperator, outputs: Sequence[TensorRecord]
    ) -> Sequence[SSAValue]:
        """The operator's results: folded, modelled or opaque."""
        static = all(v is None or DYNAMIC not in shape_of(v) for v in node.operands)
        has_variables = any(
            i >= 0 and self._file.tensors[i].is_variable for i in node.record.inputs
        )
        if not node.record.is_custom and static and not has_variables:
            elements = fold(node)
            if elements is not None and not node.unread_options(()):
                return [node.value(elements)]
            operation = TFLITE_OPERATORS.get(node.op_type)
            if operation is not None:
                try:
                    results = operation.from_tflite(node)
                except NotModelled:
                    pass
                else:
                    # What the operation would not know of, LiteRT does: the operator stays whole.
                    if not node.unread_options(operation.IGNORED):
                        self._check(node, results, outputs)
                        return results
        return self._opaque(node, outputs)

    def _opaque(
        self, node: ImportedOperator, outputs: Sequence[TensorRecord]
    ) -> Sequence[SSAValue]:
        record = node.record
        shapes = None
        if record.is_custom:
            shapes = custom_result_shapes(record.op_type, record.custom_options)
        elif all(
            v is not None or t is None for v, t in zip(node.operands, node.inputs, strict=True)
        ):
            shapes = result_shapes(node)
        if shapes is None or len(shapes) != len(outputs):
            shapes = [self._opaque_shape(t) for t in outputs]
        else:
            pairs = zip(outputs, shapes, strict=True)
            shapes = [self._settled(node.op_type, t, shape) for t, shape in pairs]
        node.result_types = [self._type(t, s) for t, s in zip(outputs, shapes, strict=True)]
        return node.opaque()

    def _settled(self, operator: str, tensor: TensorRecord, shape: Shape) -> Shape:
        """A result's shape as the operator makes it; what its operands do not tell, from the file.

        Raises:
            ImportFailure: the file says otherwise.
        """
        declared = self._opaque_shape(tensor) if tensor.shape else (DYNAMIC,) * len(shape)
        made = tuple(DYNAMIC if n < 0 else n for n in shape)
        _check_declared(operator, tensor, made)
        return tuple(d if n == -1 else n for n, d in zip(shape, declared, strict=True))

    def _opaque_shape(self, tensor: TensorRecord) -> Shape:
        return tuple(
            DYNAMIC if s < 0 and not (i == 0 and self._dynamic_batch) else n
            for i, (n, s) in enumerate(zip(tensor.shape, tensor.signature, strict=True))
        )

    def _check(
        self,
        node: ImportedOperator,
        results: Sequence[SSAValue],
        outputs: Sequence[TensorRecord],
    ) -> None:
        """The results have the shapes that the file gives them.

        Raises:
            ImportFailure: they have not.
        """
        if all(constant_of(v) is not None for v in results):
            return
        for value, tensor in zip(results, outputs, strict=False):
            _check_declared(node.op_type, tensor, shape_of(value))

    def _operand(self, tensor: TensorRecord) -> SSAValue | None:
        """The tensor's value; None for a variable, which belongs to its operator."""
        value = self._values[tensor.index]
        if value is not None or tensor.is_variable:
            return value
        return self._constant(tensor)

    def _output(self, tensor: TensorRecord) -> SSAValue:
        value = self._values[tensor.index]
        return self._constant(tensor) if value is None else value

    def _constant(self, tensor: TensorRecord) -> SSAValue:
        data = tensor.data
        if data is None and 0 in tensor.shape and tensor.index not in self._written:
            data = np.zeros(tensor.shape, tensor.dtype)
        if data is None:
            raise ImportFailure(f"nothing before it writes the tensor '{tensor.name}'")
        op = ConstantOp.make(
            [],
            [element_of_tensor(tensor)],
            location=name_loc(tensor.name),
            value=BlobAttr(Constant(data)),
        )
        self._values[tensor.index] = op.results[0]
        return op.results[0]

    def _insert_constant(self, value: SSAValue) -> None:
        owner = value.owner
        if isinstance(owner, Operation) and owner.parent is None:
            self._block.add_op(owner)

    @staticmethod
    def _type(tensor: TensorRecord, shape: Shape) -> AnyTensor:
        return TensorType(element_of_tensor(tensor), shape)

    def _layer(self, record: OperatorRecord) -> str:
        """The name of the operator's first output, as LiteRT names layers; made unique."""
        name = self._file.tensors[record.outputs[0]].name if record.outputs else ""
        name = name or record.op_type
        unique = name
        while self._names[unique]:
            self._names[name] += 1
            unique = f"{name}#{self._names[name]}"
        self._names[unique] += 1
        return unique


def _check_declared(operator: str, tensor: TensorRecord, shape: Shape) -> None:
    """Compares the shape that an operator makes with that of the file.

    Extents that the file leaves open hold 1, shapes that it leaves open are [].

    Raises:
        ImportFailure: they contradict each other.
    """
    declared = tensor.shape
    fits = not declared or (
        len(shape) == len(declared)
        and all(
            n in (e, DYNAMIC) or s < 0
            for n, e, s in zip(shape, declared, tensor.signature, strict=True)
        )
    )
    if not fits:
        raise ImportFailure(
            f"contradictory shapes: {operator} makes {shape_text(shape)}, "
            f"the file says {list(declared)}"
        )


def _names(tensors: Sequence[TensorRecord]) -> ArrayAttr[DictionaryAttr]:
    return ArrayAttr([DictionaryAttr({"graph.name": StringAttr(t.name)}) for t in tensors])
