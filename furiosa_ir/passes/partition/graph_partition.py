"""`graph-partition`: what runs on the NPU and what on the host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from xdsl.context import Context
from xdsl.dialects.builtin import (
    ArrayAttr,
    DictionaryAttr,
    IntegerAttr,
    ModuleOp,
    StringAttr,
    i64,
)
from xdsl.dialects.func import CallOp, FuncOp, ReturnOp
from xdsl.ir import Block, BlockArgument, Operation, OpResult, Region, SSAValue

from furiosa_ir import hints
from furiosa_ir.backends import Backend
from furiosa_ir.backends.target import backend_of
from furiosa_ir.dialects.graph import ONNX_OPERATORS, TFLITE_OPERATORS
from furiosa_ir.dialects.graph.base import GraphOp, quantization_of
from furiosa_ir.dialects.graph.quantization import DequantizeOp, QuantizeOp, StorageCastOp
from furiosa_ir.dialects.graph.structure import ConstantOp, OpaqueOp
from furiosa_ir.dialects.graph.variables import AssignVariableOp, ReadVariableOp
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.host_kernels import find_kernel
from furiosa_ir.ir.interface import name_boundary
from furiosa_ir.ir.location import layer_name
from furiosa_ir.ir.passes import Pass
from furiosa_ir.ir.remarks import missed
from furiosa_ir.ir.rewrite_watch import step
from furiosa_ir.ir.segments import (
    EXACT,
    HINT,
    HOST,
    NAME,
    NPU,
    PLACEMENT,
    body_of,
    main_function,
    numerics_of,
)
from furiosa_ir.ir.shaped_operation import shape_of
from furiosa_ir.ir.value_tracking import note_all_replaced
from furiosa_ir.lowering.constraints import dynamic
from furiosa_ir.passes.partition.forward_variables import forward_variables
from furiosa_ir.passes.partition.narrow_variables import narrow_variables
from furiosa_ir.passes.partition.segment_order import fewest_segments

APART = "apart"
"""Host operations that do not share a segment with others."""

PYTHON = "python"
"""Host operations whose kernels are Python's (`host_kernels`): they share one with their like."""


@dataclass(frozen=True)
class GraphPartition(Pass):
    """Splits `@main` into maximal NPU and host segments with as few crossings as possible.

    An operation runs on the NPU if the backend takes it (`Backend.refusal`, of the module's target
    or the default one); otherwise its `graph.hint` attribute says why not. There are as
    few segments as can run one after another (`segment_order`), so operations that do not depend on
    the other side share one. Constants are copied to where they are used. Variables are read in
    front of all segments and assigned behind them (`forward_variables`), in integers where they
    stand for such (`narrow_variables`).

        func.func @main(%x: tensor<1x8xf32>) -> tensor<1x8xf32> {
          %q = graph.quantize %x : tensor<1x8x!quant.uniform<i8:f32, 0.5>>
          %r = graph.relu %q : ...
          %y = graph.dequantize %r : ...
          func.return %y
        }

    becomes

        func.func private @host_0(tensor<1x8xf32>) -> tensor<1x8x!quant.uniform<i8:f32, 0.5>>
        func.func private @npu_1(...) ...        // graph.relu
        func.func private @host_2(...) ...       // graph.dequantize
        func.func @main(%x) {
          %q = func.call @host_0(%x)
          %r = func.call @npu_1(%q)
          %y = func.call @host_2(%r)
          func.return %y
        }
    """

    name = "graph-partition"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        main = main_function(op)
        for function in op.ops:
            if PLACEMENT in function.attributes:
                raise CompilationFailure(
                    f"'{self.name}' comes too late: the network is cut into segments already"
                )
        forward_variables(op, main)
        narrow_variables(op, main)
        operations = [o for o in main.body.block.ops if isinstance(o, GraphOp)]
        placements = _placements(operations, numerics_of(op), backend_of(op))
        segments = _segments(operations, placements, main)
        _outline(op, main, segments)


def require_segments(module: ModuleOp, what: str) -> None:
    """Refuses a step that comes before `graph-partition`.

    Raises:
        CompilationFailure: the message names an operation that stands outside of all segments.
    """
    mains = (f for f in module.ops if isinstance(f, FuncOp) and f.sym_name.data == "main")
    op = next(filter(None, map(outside_of_segments, mains)), None)
    if op is not None:
        raise CompilationFailure(
            f"{what} needs the pass '{GraphPartition.name}', which has not run: '{op.name}' stands "
            "in @main, outside of all segments",
            layer=layer_name(op),
            hint=f"run {GraphPartition.name} first",
        )


def outside_of_segments(main: FuncOp) -> GraphOp | None:
    """An operation of `@main` that belongs into a segment: what the partition would take away."""
    for op in body_of(main).ops:
        if isinstance(op, GraphOp) and not isinstance(op, StorageCastOp):
            return op
    return None


def _placements(
    operations: Sequence[GraphOp], numerics: str, backend: Backend
) -> dict[Operation, str]:
    """NPU or host for each operation that computes something; host ones get their hint."""
    placements: dict[Operation, str] = {}
    for op in operations:
        if isinstance(op, ConstantOp | StorageCastOp):
            continue
        hint = _hint(op, numerics, backend)
        placements[op] = NPU if hint is None else HOST
        if hint is not None:
            hint = hint.called(_framework_name(op, numerics), backend.title)
            cause = [StringAttr(hint.cause)] if hint.cause else []
            op.attributes[HINT] = ArrayAttr(
                [IntegerAttr(hint.number, i64), StringAttr(hint.sentence), *cause]
            )
            missed(op, "host", hint.sentence, number=hint.number)
    return placements


def _framework_name(op: GraphOp, numerics: str) -> str:
    """What the operator is called in its framework: users know that name."""
    if isinstance(op, OpaqueOp):
        return op.operator.data
    names = op.ONNX if numerics == EXACT else op.TFLITE
    if len(names) > 1 and op.origin is not None and op.origin.data[0] == "tflite":
        # It loads the package tflite, which networks from ONNX do without.
        from furiosa_ir.exporters.tflite.origin import operator_name  # noqa: PLC0415

        name = operator_name(op.origin)
        # A fused activation has the origin of what it is fused into.
        return name if name in names else names[0]
    return names[0] if names else op.name


def _hint(op: GraphOp, numerics: str, backend: Backend) -> hints.Hint | None:
    if isinstance(op, OpaqueOp):
        return _hint_of_opaque(op, numerics)
    if isinstance(op, DequantizeOp) or (
        isinstance(op, QuantizeOp) and quantization_of(op.x) is None
    ):
        return hints.boundary(op.name)
    hint = cast("object", backend.refusal(op, numerics))
    if not isinstance(hint, hints.Hint | None):  # of a plug-in's backend
        raise CompilationFailure(
            f"the backend '{backend.name}' refuses {op.name} by a value of type "
            f"{type(hint).__name__}, not a Hint or None",
            layer=layer_name(op) or None,
            hint=f"see {backend.module}",
        )
    is_float = hint is not None and hint.number == hints.not_quantized("").number
    if not is_float or numerics != EXACT:
        return hint
    from furiosa_ir.passes.partition.float_layers import float_hint  # noqa: PLC0415  # few have any

    return float_hint(op)


def _hint_of_opaque(op: OpaqueOp, numerics: str) -> hints.Hint:
    """Why an operator is carried whole: it is unknown, or known but of a form that is not."""
    name = op.operator.data
    if name not in (ONNX_OPERATORS if numerics == EXACT else TFLITE_OPERATORS):
        return hints.not_modelled(name)
    return dynamic(op) or hints.form(name, "in this form")


def _segments(
    operations: Sequence[GraphOp], placements: dict[Operation, str], main: FuncOp
) -> list[tuple[str, list[GraphOp]]]:
    """The operations of each segment in order.

    ONNX operators that keep the file's operator set, which a segment has one of, are a third kind,
    and operators that run in Python a fourth.
    """
    # A constant that the network returns or keeps is an operation of the host.
    leaving = [o for o in main.body.block.ops if isinstance(o, ReturnOp | AssignVariableOp)]
    returned = {v.owner for o in leaving for v in o.operands}
    placed = [op for op in operations if not isinstance(op, ConstantOp) or op in returned]
    apart = _keeping_their_opset(operations)
    # Storage casts compute nothing: they go where it suits.
    python = {op for op in placed if isinstance(op, OpaqueOp) and find_kernel(op.operator.data)}
    kinds = [
        PYTHON
        if op in python
        else APART
        if op in apart
        else None
        if _suits_all(op) and not python
        else placements.get(op, HOST)
        for op in placed
    ]
    if not any(kinds):
        kinds = [HOST] * len(placed)
    position: dict[object, int] = {op: i for i, op in enumerate(placed)}
    operands = [[position[v.owner] for v in op.operands if v.owner in position] for op in placed]
    stages, order = fewest_segments(kinds, operands)
    _move_casts(placed, stages, order, position)
    groups: list[list[GraphOp]] = [[] for _ in order]
    for op, stage in zip(placed, stages, strict=True):
        groups[stage].append(op)
    return [(NPU if k == NPU else HOST, ops) for k, ops in zip(order, groups, strict=True)]


def _suits_all(op: GraphOp) -> bool:
    """Whether it is of no matter where an operation runs: no machine has tensors of no elements."""
    return isinstance(op, StorageCastOp) and 0 not in shape_of(op.results[0])


def _move_casts(
    operations: Sequence[GraphOp],
    stages: list[int],
    order: Sequence[str],
    position: Mapping[object, int],
) -> None:
    """Moves storage casts to the NPU, which does them for nothing, where a segment of it fits."""
    for index in reversed(range(len(operations))):
        op = operations[index]
        if not _suits_all(op) or order[stages[index]] == NPU:
            continue
        users = [position[u.operation] for u in op.results[0].uses if u.operation in position]
        last = min((stages[user] for user in users), default=len(order) - 1)
        fits = [s for s in range(stages[index], last + 1) if order[s] == NPU]
        if fits:
            stages[index] = fits[0]


def _keeping_their_opset(operations: Sequence[GraphOp]) -> set[GraphOp]:
    opaque = [op for op in operations if isinstance(op, OpaqueOp)]
    if not opaque:
        return set()
    # It loads the package onnx, which most networks (and TFLite's) do without here.
    from furiosa_ir.exporters.onnx.opaque import kept_opset  # noqa: PLC0415

    return {op for op in opaque if kept_opset(op) is not None}


def _outline(module: ModuleOp, main: FuncOp, segments: list[tuple[str, list[GraphOp]]]) -> None:
    block = main.body.block
    names = _value_names(main)
    home: dict[Operation, int] = {op: i for i, (_, ops) in enumerate(segments) for op in ops}
    values: dict[SSAValue, SSAValue] = {}
    terminator = cast("ReturnOp", block.last_op)
    calls: list[CallOp] = []
    functions: list[FuncOp] = []
    placed: dict[GraphOp, GraphOp] = {}
    for index, (kind, ops) in enumerate(segments):
        inside = set(ops)
        inputs = _unique(
            operand
            for op in ops
            for operand in op.operands
            if operand.owner not in inside and not isinstance(operand.owner, ConstantOp)
        )
        outputs = [
            result
            for op in ops
            for result in op.results
            if any(home.get(use.operation, -1) != index for use in result.uses)
        ]
        symbol = f"{kind}_{index}"
        function = _function(symbol, kind, ops, inputs, outputs, names, placed)
        functions.append(function)
        call = CallOp(symbol, [values.get(v, v) for v in inputs], [v.type for v in outputs])
        values.update(zip(outputs, call.results, strict=True))
        note_all_replaced(dict(zip(outputs, call.results, strict=True)))
        calls.append(call)
    for function in functions:
        module.body.block.insert_op_before(function, main)
    for op, clone in placed.items():
        with step("place", op) as done:
            done.made.append(clone)
    new_return = ReturnOp(*[values.get(v, v) for v in terminator.arguments])
    new_block = Block(arg_types=[a.type for a in block.args])
    arguments = dict(zip(block.args, new_block.args, strict=True))
    reads = [op for op in block.ops if isinstance(op, ReadVariableOp)]
    assignments = [op for op in block.ops if isinstance(op, AssignVariableOp)]
    for access in (*reads, *assignments):
        access.detach()
        access.operands = [values.get(v, v) for v in access.operands]
    for op in (*reads, *calls, *assignments, new_return):
        op.operands = [
            arguments.get(cast("BlockArgument", v), v)  # only arguments of main are in it
            for v in op.operands
        ]
        new_block.add_op(op)
    for old, new in arguments.items():
        new.location = old.location
        new.name_hint = old.name_hint
    old_region = main.body
    main.detach_region(old_region)
    main.add_region(Region(new_block))
    old_region.drop_all_references()


def _function(
    symbol: str,
    kind: str,
    ops: Sequence[GraphOp],
    inputs: Sequence[SSAValue],
    outputs: Sequence[OpResult],
    names: dict[SSAValue, str],
    placed: dict[GraphOp, GraphOp],
) -> FuncOp:
    """A private function of clones of the operations, and of the constants they use.

    `placed` becomes each operation's clone.
    """
    body = Block(arg_types=[v.type for v in inputs])
    mapping: dict[SSAValue, SSAValue] = dict(zip(inputs, body.args, strict=True))
    for op in ops:
        for operand in op.operands:
            if operand not in mapping and isinstance(operand.owner, ConstantOp):
                _clone(operand.owner, body, mapping)
        if op.results[0] not in mapping:
            placed[op] = _clone(op, body, mapping)
    body.add_op(ReturnOp(*[mapping[v] for v in outputs]))
    function = FuncOp(
        symbol,
        ([v.type for v in inputs], [v.type for v in outputs]),
        Region(body),
        visibility="private",
        arg_attrs=_name_attributes(inputs, names),
        res_attrs=_name_attributes(outputs, names),
    )
    function.attributes[PLACEMENT] = StringAttr(kind)
    return function


def _clone(op: GraphOp, block: Block, mapping: dict[SSAValue, SSAValue]) -> GraphOp:
    clone = op.clone(value_mapper=mapping)
    clone.location = op.location
    block.add_op(clone)
    note_all_replaced(dict(zip(op.results, clone.results, strict=True)))
    return clone


def _name_attributes(
    values: Sequence[SSAValue], names: dict[SSAValue, str]
) -> ArrayAttr[DictionaryAttr] | None:
    if not values:
        return None  # text has no form of an empty list
    return ArrayAttr([DictionaryAttr({NAME: StringAttr(names[v])}) for v in values])


def _value_names(main: FuncOp) -> dict[SSAValue, str]:
    """A unique name for each value: the network's for its inputs, else the layer's."""
    name_boundary(main)
    names: dict[SSAValue, str] = {}
    taken: set[str] = set()
    for value, attributes in zip(main.body.block.args, main.arg_attrs or [], strict=True):
        names[value] = cast("StringAttr", attributes.data[NAME]).data
        taken.add(names[value])
    for op in main.body.block.ops:
        for index, result in enumerate(op.results):
            base = layer_name(op) or op.name
            name = candidate = base if index == 0 else f"{base}:{index}"
            suffix = 1
            while candidate in taken:
                candidate = f"{name}/{suffix}"
                suffix += 1
            names[result] = candidate
            taken.add(candidate)
    return names


def _unique(values: Iterable[SSAValue]) -> list[SSAValue]:
    return list(dict.fromkeys(values))
