"""A host segment as a TFLite sub-model.

An operation is written from its origin, which says what each input of the original was
(`importers.tflite.origin`), as long as the origin still means that operation (text and passes may
have changed it: `importers.tflite.reimport`). One that has been changed, has no origin, or whose
origin is another operator (the reshape before a FULLY_CONNECTED) is written from what it is. A
fused activation was imported as an operation of its own: the two are one operator again.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, cast

import flatbuffers
import numpy as np
from xdsl.dialects.builtin import StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Operation, SSAValue

from furiosa_ir.dialects.graph.base import GraphOp, OriginAttr
from furiosa_ir.dialects.graph.elementwise import ClipOp, ReluOp
from furiosa_ir.dialects.graph.structure import ConstantOp, OpaqueOp
from furiosa_ir.errors import CompilationFailure, ImportFailure
from furiosa_ir.exporters.tflite.forms import Form, form_of
from furiosa_ir.exporters.tflite.kernel_check import check_kernels
from furiosa_ir.exporters.tflite.schema import schema, tensor_record
from furiosa_ir.formats import TFLITE_IDENTIFIER
from furiosa_ir.importers.tflite.file import CORRUPTION
from furiosa_ir.importers.tflite.reimport import Imported, reimported
from furiosa_ir.ir.location import layer_name
from furiosa_ir.ir.shaped_operation import ints
from furiosa_ir.numerics.array import Array

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
        self._carried_graphs: list[Any] = []
        self._indices: dict[SSAValue, int] = {}
        self._names: set[str] = set()
        self._fused: set[GraphOp] = set()
        self._variables: set[int] = set()
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
        if op in self._fused:
            self._indices[op.results[0]] = self._indices[op.operands[0]]
            return
        origin = op.origin
        changed = ""
        if origin is not None and origin.data[0] == "tflite":
            original = _model(origin)
            code = original.operatorCodes[0]
            if isinstance(op, OpaqueOp):
                _check_opaque(op, original, code)
                self._from_origin(op, original, code)
                return
            if _operator_name(code.builtinCode) in op.TFLITE:
                changed = self._difference(op, origin, original)
                if not changed:
                    self._from_origin(op, original, code)
                    return
        try:
            form = form_of(op)
        except CompilationFailure as error:
            if not changed:
                raise
            raise CompilationFailure(
                f"{op.name} is no longer the operator of its file: {changed}, and "
                "TFLite has no form of it to run on the host",
                hint="undo the change, or change the operator in the network and import it again",
            ) from error
        self._from_form(op, form)

    def _difference(self, op: GraphOp, origin: OriginAttr, original: Any) -> str:
        """How an operation differs from its origin's operator, "" if it does not.

        Where they agree, the activation that the operator fuses is written with it, if it still
        stands behind it, and else left out of it.
        """
        try:
            made = reimported(op, origin)
        except ImportFailure as error:
            return error.message
        own = Imported.of(op)
        alike = [i for i, m in enumerate(made) if m.kind is own.kind]
        same = next((i for i in alike if made[i] == own), None)
        if same is None:
            return made[alike[0]].difference(op) if alike else "it is another operation"
        options = original.subgraphs[0].operators[0].builtinOptions
        if not getattr(options, "fusedActivationFunction", 0):
            return ""
        uses = list(op.results[0].uses)
        user = uses[0].operation if len(uses) == 1 else None
        if isinstance(user, ReluOp | ClipOp) and Imported.of(user) in made[same + 1 : same + 2]:
            self._fused.add(user)
        else:
            options.fusedActivationFunction = 0
        return ""

    def _from_origin(self, op: GraphOp, original: Any, code: Any) -> None:
        try:
            self._write_origin(op, original, code)
        except CORRUPTION:
            raise CompilationFailure("its origin is not a TFLite model of one operator") from None

    def _write_origin(self, op: GraphOp, original: Any, code: Any) -> None:
        node = original.subgraphs[0].operators[0]
        self._carry_subgraphs(original, layer_name(op))
        self._note_custom(code, layer_name(op))
        inputs: list[int] = []
        for slot in node.inputs if node.inputs is not None else ():
            if slot >= 0:
                inputs.append(self._carried(original, int(slot)))
            elif slot == -1:
                inputs.append(-1)
            else:
                inputs.append(self.tensor(op.operands[-2 - int(slot)], ""))
        if isinstance(op, OpaqueOp):
            self._bind_states(op)
        if node.intermediates is not None and len(node.intermediates):
            node.intermediates = [self._carried(original, int(i)) for i in node.intermediates]
        node.inputs = inputs
        self._write(op, node, code)

    def _bind_states(self, op: OpaqueOp) -> None:
        """Makes the states of an operator variable tensors, which are what they become as well.

        The session sets them before the sub-model runs, and takes them from it afterwards.

        Raises:
            CompilationFailure: something else makes one of them here, or reads it afterwards.
        """
        states = () if op.states is None else ints(op.states)
        for state, result in zip(states, op.outputs[len(op.outputs) - len(states) :], strict=True):
            value = op.inputs[state]
            index = self._indices[value]
            later = [u.operation for u in value.uses if u.operation is not op]
            if index not in self._variables and isinstance(value.owner, Operation):
                raise CompilationFailure(
                    f"the state of {op.operator.data} is a result of {value.owner.name}, and only "
                    "what is read from a variable can be one"
                )
            if any(not o.is_before_in_block(op) for o in later):
                raise CompilationFailure(
                    f"{later[-1].name} reads the state of {op.operator.data} behind it, as it was "
                    "before it",
                    hint="read what it has become",
                )
            self._variables.add(index)
            self._tensors[index].isVariable = True
            self._indices[result] = index

    def _carried(self, original: Any, index: int) -> int:
        record = original.subgraphs[0].tensors[index]
        self._take_elements(original, record)
        return self._add(record, _text(record.name))

    def _take_elements(self, original: Any, record: Any) -> None:
        """Moves a tensor's elements from the origin's buffers to this model's."""
        data = original.buffers[record.buffer].data if record.buffer else None
        record.buffer = 0 if data is None else self._buffer(np.asarray(data, np.uint8))

    def _note_custom(self, code: Any, layer: str) -> None:
        if _operator_name(code.builtinCode) == "CUSTOM":
            self.custom_operators.append((_text(code.customCode), layer))

    def _carry_subgraphs(self, original: Any, layer: str) -> None:
        """Adds the subgraphs that an origin's operator calls, under this model's numbers."""
        # The first of them is subgraph 1 there; here the main one and those of others precede it.
        shift = len(self._carried_graphs)
        for number, graph in enumerate(original.subgraphs):
            for node in graph.operators or ():
                _renumber_subgraphs(node, shift, range(number + 1, len(original.subgraphs)))
        for graph in original.subgraphs[1:]:
            for record in graph.tensors or ():
                self._take_elements(original, record)
            for node in graph.operators or ():
                code = original.operatorCodes[node.opcodeIndex]
                self._note_custom(code, layer)
                node.opcodeIndex = self._code(code)
            self._carried_graphs.append(graph)

    def _from_form(self, op: GraphOp, form: Form) -> None:
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

    def _code(self, code: Any) -> int:
        key = (code.builtinCode, bytes(code.customCode or b""), code.version)
        if key not in self._code_index:
            self._code_index[key] = len(self._codes)
            self._codes.append(code)
        return self._code_index[key]

    def _write(self, op: GraphOp, node: Any, code: Any) -> None:
        node.opcodeIndex = self._code(code)
        layer = layer_name(op) or op.name
        states = len(op.states) if isinstance(op, OpaqueOp) and op.states is not None else 0
        node.outputs = [
            self.tensor(r, layer if i == 0 else f"{layer}:{i}")
            for i, r in enumerate(op.results[: len(op.results) - states])
        ]
        if _operator_name(code.builtinCode) == "FULLY_CONNECTED":
            self._scale_bias(node)
        self._operators.append(node)

    def _scale_bias(self, node: Any) -> None:
        """Gives a 64-bit bias its scale: no type of ours says it, and FULLY_CONNECTED checks it."""
        tensors = [None if i < 0 else self._tensors[i] for i in node.inputs]
        x, weight, bias = [*tensors, None, None][:3]
        if bias is None or bias.type != self._schema.TensorType.INT64:
            return
        factors = [
            t.quantization.scale
            for t in (x, weight)
            if t is not None and t.quantization is not None
        ]
        if bias.quantization is None and [len(f) for f in factors] == [1, 1]:
            bias.quantization = self._schema.QuantizationParametersT()
            bias.quantization.scale = factors[0] * factors[1]
            bias.quantization.zeroPoint = np.zeros(1, np.int64)

    def finish(self, inputs: Sequence[int], outputs: Sequence[int], kernels: str) -> bytes:
        """The model's bytes; its description says which kernels the network means."""
        graph, model = self._schema.SubGraphT(), self._schema.ModelT()
        graph.name = b"main"
        graph.tensors, graph.operators = self._tensors, self._operators
        graph.inputs, graph.outputs = list(inputs), list(outputs)
        model.version = 3
        if kernels:
            model.description = f"{KERNELS}{kernels}".encode()
        model.subgraphs, model.buffers = [graph, *self._carried_graphs], self._buffers
        model.operatorCodes = self._codes
        builder = flatbuffers.Builder(sum(_size(b) for b in self._buffers) + 65536)
        builder.Finish(model.Pack(builder), file_identifier=TFLITE_IDENTIFIER)
        return bytes(builder.Output())


def _renumber_subgraphs(node: Any, shift: int, allowed: range) -> None:
    """Adds to the numbers of the subgraphs that an operator calls.

    Raises:
        CompilationFailure: they are not among those that are allowed.
    """
    for options in (node.builtinOptions, node.builtinOptions2):
        fields = {} if options is None else cast("dict[str, int]", vars(options))
        for name in fields:
            if name == "subgraph" or name.endswith("SubgraphIndex"):
                if fields[name] not in allowed:
                    raise CompilationFailure("its origin calls a subgraph that does not follow it")
                setattr(options, name, fields[name] + shift)


def _model(origin: OriginAttr) -> Any:
    """An origin, which need not be the importer's: IR text may say anything.

    Raises:
        CompilationFailure: it is no TFLite model of one operator.
    """
    try:
        model = schema().ModelT.InitFromPackedBuf(origin.data[1].array.tobytes())
        (_,) = model.subgraphs[0].operators
        # The operator's own code comes first; those of the subgraphs that it calls follow.
        _ = model.operatorCodes[0]
    except CORRUPTION:
        raise CompilationFailure("its origin is not a TFLite model of one operator") from None
    return model


def _check_opaque(op: OpaqueOp, original: Any, code: Any) -> None:
    """Compares what the text says of an operator that is carried whole with the operator.

    Raises:
        CompilationFailure: they differ.
    """
    name = _operator_name(code.builtinCode)
    name = _text(code.customCode) if name == "CUSTOM" else name
    if op.operator.data != name:
        raise CompilationFailure(
            f"graph.opaque says operator '{op.operator.data}', its origin is '{name}'",
            hint="undo the change: an operator that is carried whole is its origin",
        )
    slots = original.subgraphs[0].operators[0].inputs
    slots = [] if slots is None else [-2 - int(s) if s < -1 else -1 for s in slots]
    if list(ints(op.slots)) != slots or max(slots, default=-1) + 1 != len(op.inputs):
        raise CompilationFailure(
            f"graph.opaque says slots {list(ints(op.slots))} of {len(op.inputs)} operands, its "
            f"origin has {slots}",
            hint="undo the change: an operator that is carried whole is its origin",
        )


@lru_cache
def _operator_name(number: int) -> str:
    names = cast("dict[str, object]", vars(schema().BuiltinOperator))
    return next((k for k, v in names.items() if v == number and k.isupper()), str(number))


def _text(raw: bytes | str | None) -> str:
    return raw.decode(errors="replace") if isinstance(raw, bytes) else raw or ""


def _size(buffer: Any) -> int:
    return 0 if buffer.data is None else len(buffer.data)
