"""Rules: what moves elements moves stored integers just as well."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from xdsl.dialects.builtin import FloatAttr, f64
from xdsl.ir import Attribute, SSAValue

from furiosa_ir.dialects.graph.base import GraphOp, quantization_of
from furiosa_ir.dialects.graph.movement import (
    ConcatOp,
    MoveOp,
    PadOp,
    ResizeOp,
    SplitOp,
)
from furiosa_ir.dialects.graph.pooling import MaxPoolOp
from furiosa_ir.dialects.graph.quantization import DequantizeOp, QuantizeOp, StorageCastOp
from furiosa_ir.dialects.graph.reduction import ArgExtremeOp, ExtremeOp
from furiosa_ir.dialects.quant import Quantization, UniformType
from furiosa_ir.dialects.quant.arithmetic import dequantize, quantize
from furiosa_ir.ir.rewriting import Rewrite, is_dead, rule
from furiosa_ir.ir.shaped_operation import element_of

MOVES = (MoveOp,)
"""One operand, one result, whose elements are some of the operand's."""

SELECTIONS = (*MOVES, PadOp, ResizeOp, MaxPoolOp, ExtremeOp)
"""Also those that choose elements by value (quantising is monotone) or put a constant in."""


def selects(op: GraphOp, quantization: Quantization) -> bool:
    """Whether each element of the result is one of the operand, or a representable constant."""
    if isinstance(op, ResizeOp):
        return op.mode.data == "nearest"
    if isinstance(op, PadOp) and op.mode.data == "constant":
        value = np.array(op.value.value.data)
        return bool(dequantize(quantize(value, quantization), quantization) == value)
    return True


def again(
    rw: Rewrite,
    op: GraphOp,
    operands: Sequence[SSAValue | Sequence[SSAValue] | None],
    element: Attribute,
) -> list[SSAValue]:
    """The operation on other operands, its results of another element type."""
    properties: dict[str, Any] = {k: v for k, v in op.properties.items() if k != "origin"}
    made = rw.emit_op(type(op), operands, [element] * len(op.results), **properties)
    return list(made.results)


@rule(SELECTIONS, x=DequantizeOp)
def select_of_dequantize(op: GraphOp, rw: Rewrite) -> SSAValue | None:
    """move(DQ(x)) = DQ(move(x)), with one scale for the whole tensor."""
    dequantized = cast("DequantizeOp", op.operands[0].owner)
    quantization = quantization_of(dequantized.x)
    if quantization is None or quantization.axis is not None or not selects(op, quantization):
        return None
    (moved,) = again(rw, op, [dequantized.x], element_of(dequantized.x))
    return rw.emit(DequantizeOp, [moved], [element_of(op.results[0])])


@rule(ArgExtremeOp, x=(DequantizeOp, StorageCastOp))
def index_of_stored(op: ArgExtremeOp, rw: Rewrite) -> SSAValue | None:
    """argmax(DQ(x)) = argmax(cast(x)) = argmax(x): stored integers have the order of the reals."""
    stored = cast("DequantizeOp | StorageCastOp", op.x.owner).x
    quantization = quantization_of(stored)
    if quantization is None or quantization.axis is not None:
        return None
    return again(rw, op, [stored], element_of(op.result))[0]


@rule(SplitOp, x=DequantizeOp)
def split_of_dequantize(op: SplitOp, rw: Rewrite) -> Sequence[SSAValue] | None:
    """split(DQ(x)) = DQ of each part of split(x)."""
    dequantized = cast("DequantizeOp", op.x.owner)
    quantization = quantization_of(dequantized.x)
    if quantization is None or quantization.axis is not None:
        return None
    parts = again(rw, op, [dequantized.x], element_of(dequantized.x))
    return [rw.emit(DequantizeOp, [part], [element_of(op.parts[0])]) for part in parts]


@rule(ConcatOp, inputs=DequantizeOp)
def concat_of_dequantize(op: ConcatOp, rw: Rewrite) -> SSAValue | None:
    """concat(DQ(x), DQ(y)) = DQ(concat(x, y)), if x and y have the same scale and zero point."""
    stored = [cast("DequantizeOp", v.owner).x for v in op.inputs]
    element = element_of(stored[0])
    quantization = quantization_of(stored[0])
    if quantization is None or quantization.axis is not None:
        return None
    if any(element_of(v) != element for v in stored):
        return None
    (joined,) = again(rw, op, [stored], element)
    return rw.emit(DequantizeOp, [joined], [element_of(op.result)])


@rule(QuantizeOp, x=SELECTIONS)
def quantize_of_select(op: QuantizeOp, rw: Rewrite) -> SSAValue | None:
    """Q(move(x)) = move(Q(x)), so that Q meets what computes x."""
    move = cast("GraphOp", op.x.owner)
    if not _stores_reals(op) or not only_quantized(op.x):
        return None
    if isinstance(move, ResizeOp) and move.mode.data != "nearest":
        return None
    element = element_of(op.result)
    if element_of(move.operands[0]) != element_of(op.x):
        return None
    return again(rw, move, [rw.emit(QuantizeOp, [move.operands[0]], [element])], element)[0]


@rule(QuantizeOp, x=ConcatOp)
def quantize_of_concat(op: QuantizeOp, rw: Rewrite) -> SSAValue | None:
    """Q(concat(x, y)) = concat(Q(x), Q(y))."""
    concat = cast("ConcatOp", op.x.owner)
    if not _stores_reals(op) or not only_quantized(op.x):
        return None
    element = element_of(op.result)
    parts = [rw.emit(QuantizeOp, [v], [element]) for v in concat.inputs]
    return again(rw, concat, [parts], element)[0]


@rule(QuantizeOp, x=SplitOp)
def quantize_of_split(op: QuantizeOp, rw: Rewrite) -> SSAValue | None:
    """Q(part of split(x)) = that part of split(Q(x)), if every part is quantised so."""
    split = cast("SplitOp", op.x.owner)
    element = element_of(op.result)
    if not _stores_reals(op) or not all(only_quantized(part) for part in split.parts):
        return None
    quantized = [u.operation for part in split.parts for u in part.uses]
    if any(isinstance(u, QuantizeOp) and element_of(u.result) != element for u in quantized):
        return None
    parts = again(rw, split, [rw.emit(QuantizeOp, [split.x], [element])], element)
    return next(new for old, new in zip(split.parts, parts, strict=True) if old is op.x)


def _stores_reals(op: QuantizeOp) -> bool:
    """Whether an operation stores real numbers (it does not requantise) with one scale."""
    quantization = quantization_of(op.result)
    return quantization_of(op.x) is None and quantization is not None and quantization.axis is None


def only_quantized(value: SSAValue) -> bool:
    """Whether every use of a float value quantises it; uses that are dead do not count."""
    users = [use.operation for use in value.uses]
    return all(isinstance(user, QuantizeOp) or is_dead(user) for user in users)


@rule(QuantizeOp, x=DequantizeOp)
def quantize_of_dequantize(op: QuantizeOp, rw: Rewrite) -> SSAValue:
    """Q(DQ(x)) = x with the same parameters; with others it requantises x."""
    stored = cast("DequantizeOp", op.x.owner).x
    element = element_of(op.result)
    return stored if element_of(stored) == element else rw.emit(QuantizeOp, [stored], [element])


@rule(QuantizeOp, x=DequantizeOp)
def quantize_again(op: QuantizeOp, _: Rewrite) -> SSAValue | None:
    """Q(DQ(x)) = x with the same parameters, in float as well."""
    stored = cast("DequantizeOp", op.x.owner).x
    return stored if element_of(stored) == element_of(op.result) else None


@rule(StorageCastOp, x=StorageCastOp)
def cast_of_cast(op: StorageCastOp, rw: Rewrite) -> SSAValue:
    """cast(cast(x)) = cast(x), or x where that is the type it had."""
    stored = cast("StorageCastOp", op.x.owner).x
    element = element_of(op.result)
    return stored if element_of(stored) == element else rw.emit(StorageCastOp, [stored], [element])


def on_storage(
    rw: Rewrite,
    op: GraphOp,
    operands: Sequence[SSAValue | Sequence[SSAValue] | None],
    element: Attribute,
) -> list[SSAValue] | None:
    """The operation on the same stored integers under another type; None if it computes others."""
    quantization = _of_element(element)
    if quantization is None or quantization.axis is not None:
        return None
    if isinstance(op, ResizeOp) and op.mode.data != "nearest":
        return None
    results = again(rw, op, operands, element)
    if isinstance(op, PadOp):
        before, value = quantization_of(op.result), np.array(op.value.value.data)
        stored = value if before is None else quantize(value, before)
        real = float(dequantize(stored, quantization))
        cast("PadOp", results[0].owner).value = FloatAttr(real, f64)
    return results


def _of_element(element: Attribute) -> Quantization | None:
    return element.data if isinstance(element, UniformType) else None


@rule((*SELECTIONS, SplitOp), x=StorageCastOp)
def move_of_cast(op: GraphOp, rw: Rewrite) -> Sequence[SSAValue] | None:
    """move(cast(x)) = cast(move(x)): casts sink until they meet, or a network output."""
    stored = cast("StorageCastOp", op.operands[0].owner).x
    moved = on_storage(rw, op, [stored], element_of(stored))
    if moved is None:
        return None
    return [rw.emit(StorageCastOp, [v], [element_of(op.results[0])]) for v in moved]


@rule(ConcatOp, inputs=StorageCastOp)
def concat_of_cast(op: ConcatOp, rw: Rewrite) -> SSAValue | None:
    """concat(cast(x), cast(y)) = cast(concat(x, y)), if x and y have one quantised type."""
    stored = [cast("StorageCastOp", v.owner).x for v in op.inputs]
    element = element_of(stored[0])
    quantization = quantization_of(stored[0])
    if quantization is None or quantization.axis is not None:
        return None
    if any(element_of(v) != element for v in stored):
        return None
    (joined,) = again(rw, op, [stored], element)
    return rw.emit(StorageCastOp, [joined], [element_of(op.result)])


@rule(StorageCastOp, x=(*SELECTIONS, ConcatOp, SplitOp))
def cast_of_move(op: StorageCastOp, rw: Rewrite) -> SSAValue | None:
    """cast(move(x)) = move(cast(x)) for plain integers x, so that the NPU moves them."""
    move = cast("GraphOp", op.x.owner)
    element = element_of(op.result)
    if quantization_of(op.result) is None or quantization_of(op.x) is not None:
        return None
    for result in move.results:
        users = [use.operation for use in result.uses if not is_dead(use.operation)]
        if any(not isinstance(u, StorageCastOp) or element_of(u.result) != element for u in users):
            return None
        if len(users) > 1 or (not users and len(move.results) == 1):
            return None
    operands = [rw.emit(StorageCastOp, [v], [element]) for v in move.operands]
    made = on_storage(rw, move, [operands] if isinstance(move, ConcatOp) else operands, element)
    if made is None:
        return None
    return next(new for old, new in zip(move.results, made, strict=True) if old is op.x)


MOVEMENT_RULES = (
    select_of_dequantize,
    index_of_stored,
    split_of_dequantize,
    concat_of_dequantize,
    quantize_of_dequantize,
    quantize_of_select,
    quantize_of_concat,
    quantize_of_split,
    cast_of_cast,
    move_of_cast,
    concat_of_cast,
    cast_of_move,
)

TFLITE_MOVEMENT_RULES = (
    quantize_again,
    *(rule for rule in MOVEMENT_RULES if rule is not quantize_of_dequantize),
)
"""What moves elements of a TFLite network; it requantises as its kernels do."""
