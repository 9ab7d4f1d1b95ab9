"""Plain 8-bit integers between QuantizeLinear and DequantizeLinear get a quantised type.

Exporters write Clip, Max, MaxPool, Reshape and the like on the stored integers themselves (QCDQ
networks of Brevitas, for one). What only chooses and moves elements computes the same whatever
scale they have, so the operation runs on the NPU as soon as its values have one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from xdsl.dialects.builtin import FloatAttr, IntegerType, ModuleOp, Signedness, TensorType, f64, i8
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, SSAValue

from furiosa_ir.dialects.graph.activation import SignOp
from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.dialects.graph.elementwise import (
    ClipOp,
    MaximumOp,
    MinimumOp,
    ReluOp,
    TableOp,
    WhereOp,
)
from furiosa_ir.dialects.graph.evaluation import evaluate_table
from furiosa_ir.dialects.graph.functions import AbsOp, NegOp
from furiosa_ir.dialects.graph.movement import ConcatOp, MoveOp, PadOp, SplitOp
from furiosa_ir.dialects.graph.pooling import MaxPoolOp
from furiosa_ir.dialects.graph.quantization import QuantizeOp, StorageCastOp
from furiosa_ir.dialects.graph.reduction import ExtremeOp
from furiosa_ir.dialects.graph.resize import ResizeOp
from furiosa_ir.dialects.graph.structure import ConstantOp
from furiosa_ir.dialects.quant import Quantization, UniformType, uniform
from furiosa_ir.dialects.quant.arithmetic import dequantize
from furiosa_ir.ir.shaped_operation import element_of, shape_of
from furiosa_ir.ir.value_tracking import note_replaced

SELECTIONS = (
    *(MoveOp, SplitOp, ConcatOp, PadOp, ResizeOp, MaxPoolOp, ExtremeOp),
    *(ClipOp, ReluOp, MinimumOp, MaximumOp, WhereOp),
)
"""Each element of a result is one of an operand's, or a constant: quantising is monotone."""

FUNCTIONS = (AbsOp, NegOp, SignOp)
"""They wrap around where integers do; quantised they are a table."""

_BYTES: dict[Attribute, np.dtype[Any]] = {
    i8: np.dtype(np.int8),
    IntegerType(8, Signedness.UNSIGNED): np.dtype(np.uint8),
}


def type_integers(module: ModuleOp) -> None:
    """Gives the operations on plain 8-bit integers that meet quantised values a quantised type.

        %1 = graph.storage_cast %x : tensor<8xi8>
        %2 = graph.clip %1 {minimum = -8.0, maximum = 7.0} : tensor<8xi8>
        %3 = graph.storage_cast %2 : tensor<8x!quant.uniform<i8:f32, 0.5>>

    becomes

        %3 = graph.clip %x {minimum = -4.0, maximum = 3.5} : ...

    Operations that exchange such integers get one type: that of the one quantisation in front of
    them, or behind; where there are several, scale 1 and zero point 0, which are the integers
    themselves. Storage casts stand at the borders. What depends on constants alone is folded as it
    is, and what never meets a quantised value stays where it was.
    """
    for function in module.ops:
        if isinstance(function, FuncOp) and not function.is_declaration:
            operations = [op for block in function.body.blocks for op in block.ops]
            _type_function([op for op in operations if isinstance(op, GraphOp)])


def _type_function(operations: Sequence[GraphOp]) -> None:
    members = [op for op in operations if _selects(op)]
    if not members:
        return
    groups = _connected(members)
    types = {leader: _type_of(group) for leader, group in groups.items()}
    leader_of = {op: leader for leader, group in groups.items() for op in group}
    for op in members:
        type_ = types[leader_of[op]]
        if type_ is not None:
            _retype(op, type_)


def _selects(op: GraphOp) -> bool:
    """Whether an operation chooses among plain 8-bit integers that are not all constant."""
    if not isinstance(op, (*SELECTIONS, *FUNCTIONS)) or element_of(op.results[0]) not in _BYTES:
        return False
    if isinstance(op, ResizeOp) and op.mode.data != "nearest":
        return False
    return not all(map(_is_constant, _data(op)))


def _data(op: GraphOp) -> Iterator[SSAValue]:
    """The operands that elements are chosen from; a condition is none."""
    element = element_of(op.results[0])
    yield from (v for v in op.operands if element_of(v) == element)


def _is_constant(value: SSAValue) -> bool:
    """Whether a value follows from constants, so that folding will find it."""
    owner = value.owner
    while isinstance(owner, StorageCastOp | QuantizeOp):
        owner = owner.x.owner
    if isinstance(owner, GraphOp) and isinstance(owner, (*SELECTIONS, *FUNCTIONS)):
        return all(map(_is_constant, owner.operands))
    return isinstance(owner, ConstantOp)


def _connected(members: Sequence[GraphOp]) -> dict[GraphOp, list[GraphOp]]:
    """The operations that exchange plain integers or share them, by the first of each group."""
    leader = {op: op for op in members}

    def find(op: GraphOp) -> GraphOp:
        while leader[op] is not op:
            leader[op] = leader[leader[op]]
            op = leader[op]
        return op

    for op in members:
        shared = [v for v in _data(op) if not _is_constant(v)]
        for value in (*shared, *op.results):
            for other in (value.owner, *(use.operation for use in value.uses)):
                if isinstance(other, GraphOp) and other in leader:
                    a, b = find(op), find(other)
                    leader[b] = a
    groups: dict[GraphOp, list[GraphOp]] = {}
    for op in members:
        groups.setdefault(find(op), []).append(op)
    return groups


def _type_of(group: Sequence[GraphOp]) -> UniformType | None:
    """The type of a group; None if it meets no quantised value."""
    inside = set(group)
    before = _quantized(
        v.owner.x
        for op in group
        for v in _data(op)
        if isinstance(v.owner, StorageCastOp) and not _is_constant(v)
    )
    after = _quantized(
        use.operation.result
        for op in group
        for value in (*_data(op), *op.results)
        for use in value.uses
        if use.operation not in inside and isinstance(use.operation, StorageCastOp)
    )
    if len(before) == 1 and _is_movement(group):
        return None  # `quantized_movement` moves the casts, from operand to result
    for found in (before, after):
        if len(found) == 1:
            return found[0]
        if found:
            break
    if not before and not after:
        return None
    return uniform(_BYTES[element_of(group[0].results[0])], 1.0)


def _is_movement(group: Sequence[GraphOp]) -> bool:
    """Whether a group moves stored integers of quantised values and nothing else.

    A constant that is cast will be one that is not.
    """
    inside = set(group)
    leaves = [v for op in group for v in _data(op) if v.owner not in inside]
    casts = (isinstance(v.owner, StorageCastOp) and not _is_constant(v) for v in leaves)
    return all(casts) and not any(
        isinstance(op, (ClipOp, ReluOp, MinimumOp, MaximumOp, WhereOp, *FUNCTIONS)) for op in group
    )


def _quantized(values: Iterable[SSAValue]) -> list[UniformType]:
    """The types with one scale among those of values, each once."""
    types = (element_of(v) for v in values)
    return list(dict.fromkeys(t for t in types if isinstance(t, UniformType) and _is_whole(t)))


def _is_whole(type_: UniformType) -> bool:
    return type_.data.axis is None and type_.data.storage in ("i8", "u8")


def _retype(op: GraphOp, type_: UniformType) -> None:
    """Replaces an operation by itself on stored integers of a type, between storage casts."""
    block = op.parent
    assert block is not None
    plain = element_of(op.results[0])
    operands = [_stored(v, type_, op) if element_of(v) == plain else v for v in op.operands]
    made = _typed(op, operands, type_)
    block.insert_op_before(made, op)
    for old, new in zip(op.results, made.results, strict=True):
        cast_back = StorageCastOp.make([new], [plain], location=op.location)
        block.insert_op_before(cast_back, op)
        note_replaced(old, cast_back.result)
        old.replace_all_uses_with(cast_back.result)
    op.detach()
    op.erase()


def _stored(value: SSAValue, type_: UniformType, before: GraphOp) -> SSAValue:
    """A plain value under a quantised type."""
    if isinstance(value.owner, StorageCastOp) and element_of(value.owner.x) == type_:
        return value.owner.x
    made = StorageCastOp.make([value], [type_], location=before.location)
    block = before.parent
    assert block is not None
    block.insert_op_before(made, before)
    return made.result


def _typed(op: GraphOp, operands: Sequence[SSAValue], type_: UniformType) -> GraphOp:
    """The operation on quantised operands; its bounds are the real numbers that they stand for."""
    if isinstance(op, ReluOp):
        least = _real(0.0, type_.data)
        return ClipOp.make(operands, [type_], location=op.location, minimum=least)
    if isinstance(op, FUNCTIONS):
        limits = np.iinfo(type_.data.dtype)
        stored = np.arange(limits.min, limits.max + 1).astype(type_.data.dtype)
        table = evaluate_table(op, [stored], stored.size)
        text = f"{op.name.removeprefix('graph.')}(x)"
        location = op.location
        return TableOp.make(operands, [type_], location=location, table=table, function=text)
    made = op.clone()
    made.location = op.location
    made.operands = operands
    for result in made.results:
        result._type = TensorType(type_, shape_of(result))  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    for name in ("minimum", "maximum", "value"):
        bound = made.properties.get(name)
        if isinstance(bound, FloatAttr):
            made.properties[name] = FloatAttr(_real(bound.value.data, type_.data), f64)
    return made


def _real(stored: float, quantization: Quantization) -> float:
    """The real number that a stored one stands for."""
    return float(dequantize(np.array(stored), quantization))
