"""A host segment as a TFLite sub-model.

An operation is written from its origin, which says what each input of the original was
(`importers.tflite.origin`); one that has none, or whose origin is another operator (the reshape
before a FULLY_CONNECTED), from what it is. A fused activation was imported as an operation of its
own with the origin of its operand's: the two are one operator again.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, cast

import flatbuffers
import numpy as np
from xdsl.dialects.builtin import StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import SSAValue

from furiosa_ir.backends.warboy.host.tflite_forms import form_of
from furiosa_ir.backends.warboy.host.tflite_kernels import check_kernels
from furiosa_ir.backends.warboy.host.tflite_schema import schema, tensor_record
from furiosa_ir.dialects.graph.base import GraphOp, OriginAttr
from furiosa_ir.dialects.graph.elementwise import ClipOp, ReluOp, TanhOp
from furiosa_ir.dialects.graph.structure import ConstantOp, OpaqueOp
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.ir.constants import Array
from furiosa_ir.ir.location import layer_name

_IDENTIFIER = b"TFL3"

KERNELS = "kernels: "
"""How a sub-model's description begins that does not mean the reference kernels."""


def export_tflite(function: FuncOp) -> bytes:
    """The TFLite model of a function of `graph` operations; inputs and outputs keep their order.

    Raises:
        CompilationFailure: an operation has no form in TFLite, an operator no kernel in LiteRT, or
            the package ai-edge-litert is missing.
    """
    model = _SubModel()
    block = function.body.block
    inputs = [model.tensor(argument, f"input_{argument.index}") for argument in block.args]
    results: list[int] = []
    for op in block.ops:
        if isinstance(op, ReturnOp):
            results = [model.tensor(value, "") for value in op.arguments]
        elif isinstance(op, ConstantOp):
            model.constant(op)
        else:
            try:
                model.operator(cast("GraphOp", op))
            except CompilationFailure as error:
                raise error.at(layer=layer_name(op)) from None
    module = function.parent_op()
    kernels = None if module is None else module.attributes.get("graph.kernels")
    data = model.finish(inputs, results, kernels.data if isinstance(kernels, StringAttr) else "")
    check_kernels(model.custom_operators)
    return data


class _SubModel:
    """The model being written."""

    def __init__(self) -> None:
        self._schema = schema()
        self._tensors: list[Any] = []
        self._buffers: list[Any] = [self._schema.BufferT()]
        self._codes: list[Any] = []
        self._code_index: dict[tuple[int, bytes, int], int] = {}
        self._operators: list[Any] = []
        self._indices: dict[SSAValue, int] = {}
        self._names: set[str] = set()
        self.custom_operators: list[tuple[str, str]] = []
        """(name, layer) of the custom operators."""

    def tensor(self, value: SSAValue, name: str) -> int:
        """The index of the tensor that holds a value."""
        known = self._indices.get(value)
        if known is None:
            known = self._indices[value] = self._add(tensor_record(value.type), name)
        return known

    def _add(self, record: Any, name: str) -> int:
        unique, n = name, 1
        while unique in self._names:
            n += 1
            unique = f"{name}#{n}"
        self._names.add(unique)
        record.name = unique.encode()
        self._tensors.append(record)
        return len(self._tensors) - 1

    def constant(self, op: ConstantOp) -> None:
        """Adds a constant's tensor and elements."""
        index = self.tensor(op.result, layer_name(op) or "constant")
        self._tensors[index].buffer = self._buffer(op.value.array)

    def _buffer(self, elements: Array) -> int:
        buffer = self._schema.BufferT()
        buffer.data = np.ascontiguousarray(elements).reshape(-1).view(np.uint8)
        self._buffers.append(buffer)
        return len(self._buffers) - 1

    def operator(self, op: GraphOp) -> None:
        """Adds an operation."""
        if _is_fused(op):
            self._indices[op.results[0]] = self._indices[op.operands[0]]
            return
        origin = op.origin
        if origin is not None and origin.data[0] == "tflite":
            original = self._schema.ModelT.InitFromPackedBuf(origin.data[1].array.tobytes())
            code = original.operatorCodes[0]
            if isinstance(op, OpaqueOp) or _operator_name(code.builtinCode) in op.TFLITE:
                self._from_origin(op, original, code)
                return
        self._from_form(op)

    def _from_origin(self, op: GraphOp, original: Any, code: Any) -> None:
        node = original.subgraphs[0].operators[0]
        name = _operator_name(code.builtinCode)
        if name in _WITH_SUBGRAPHS:
            raise CompilationFailure(
                f"the control flow operator {name} has no form in a host segment"
            )
        if name == "CUSTOM":
            self.custom_operators.append((_text(code.customCode), layer_name(op)))
        inputs: list[int] = []
        for slot in node.inputs if node.inputs is not None else ():
            if slot >= 0:
                inputs.append(self._carried(original, int(slot)))
            elif slot == -1:
                inputs.append(-1)
            else:
                inputs.append(self.tensor(op.operands[-2 - int(slot)], ""))
        if node.intermediates is not None and len(node.intermediates):
            node.intermediates = [self._carried(original, int(i)) for i in node.intermediates]
        node.inputs = inputs
        self._write(op, node, code)

    def _carried(self, original: Any, index: int) -> int:
        record = original.subgraphs[0].tensors[index]
        data = original.buffers[record.buffer].data if record.buffer else None
        name = _text(record.name)
        record.buffer = 0 if data is None else self._buffer(np.asarray(data, np.uint8))
        return self._add(record, name)

    def _from_form(self, op: GraphOp) -> None:
        form = form_of(op)
        node, code = self._schema.OperatorT(), self._schema.OperatorCodeT()
        code.builtinCode = getattr(self._schema.BuiltinOperator, form.operator)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version = form.version
        if form.options:
            options = getattr(self._schema, f"{form.options}T")()
            for field, value in form.fields.items():
                setattr(options, field, value)
            node.builtinOptions = options
            node.builtinOptionsType = getattr(self._schema.BuiltinOptions, form.options)
        node.inputs = [self.tensor(v, "") for v in op.operands]
        for position, parameter in form.parameters:
            record = self._schema.TensorT()
            record.shape, record.hasRank = list(parameter.shape), True
            record.type = self._schema.TensorType.INT32
            record.buffer = self._buffer(parameter)
            node.inputs.insert(position, self._add(record, "parameter"))
        self._write(op, node, code)

    def _write(self, op: GraphOp, node: Any, code: Any) -> None:
        key = (code.builtinCode, bytes(code.customCode or b""), code.version)
        if key not in self._code_index:
            self._code_index[key] = len(self._codes)
            self._codes.append(code)
        node.opcodeIndex = self._code_index[key]
        layer = layer_name(op) or op.name
        node.outputs = [
            self.tensor(r, layer if i == 0 else f"{layer}:{i}") for i, r in enumerate(op.results)
        ]
        self._operators.append(node)

    def finish(self, inputs: Sequence[int], outputs: Sequence[int], kernels: str) -> bytes:
        """The model's bytes; its description says which kernels the network means."""
        graph, model = self._schema.SubGraphT(), self._schema.ModelT()
        graph.name = b"main"
        graph.tensors, graph.operators = self._tensors, self._operators
        graph.inputs, graph.outputs = list(inputs), list(outputs)
        model.version = 3
        if kernels:
            model.description = f"{KERNELS}{kernels}".encode()
        model.subgraphs, model.buffers = [graph], self._buffers
        model.operatorCodes = self._codes
        builder = flatbuffers.Builder(sum(_size(b) for b in self._buffers) + 65536)
        builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
        return bytes(builder.Output())


_WITH_SUBGRAPHS = ("IF", "WHILE", "CALL", "CALL_ONCE", "STABLEHLO_COMPOSITE")


def _is_fused(op: GraphOp) -> bool:
    """Whether the operation is the activation that its operand's operator fuses."""
    if not isinstance(op, ReluOp | ClipOp | TanhOp) or op.origin is None:
        return False
    producer = op.operands[0].owner
    return (
        isinstance(producer, GraphOp)
        and not isinstance(producer, ConstantOp)
        and _same(op.origin, producer.origin)
        and layer_name(op) == layer_name(producer)
    )


def _same(a: OriginAttr, b: OriginAttr | None) -> bool:
    return a is b or a == b


@lru_cache
def _operator_name(number: int) -> str:
    names = cast("dict[str, object]", vars(schema().BuiltinOperator))
    return next((k for k, v in names.items() if v == number and k.isupper()), str(number))


def _text(raw: bytes | str | None) -> str:
    return raw.decode(errors="replace") if isinstance(raw, bytes) else raw or ""


def _size(buffer: Any) -> int:
    return 0 if buffer.data is None else len(buffer.data)
