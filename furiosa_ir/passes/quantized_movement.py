"""Rules: what moves elements moves stored integers just as well."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, cast

import numpy as np
from xdsl.dialects.builtin import FloatAttr, f64
from xdsl.ir import Attribute, SSAValue

from furiosa_ir.dialects.graph.base import GraphOp, quantization_of
from furiosa_ir.dialects.graph.contraction import ContractionOp
from furiosa_ir.dialects.graph.movement import ConcatOp, MoveOp, PadOp, SplitOp
from furiosa_ir.dialects.graph.pooling import MaxPoolOp
from furiosa_ir.dialects.graph.quantization import DequantizeOp, QuantizeOp, StorageCastOp
from furiosa_ir.dialects.graph.reduction import ArgExtremeOp, ExtremeOp
from furiosa_ir.dialects.graph.resize import ResizeOp
from furiosa_ir.dialects.quant import Quantization, UniformType
from furiosa_ir.dialects.quant.arithmetic import dequantize, quantize
from furiosa_ir.ir.rewriting import Rewrite, is_dead, rule
from furiosa_ir.ir.shaped_operation import element_of
from furiosa_ir.passes.clone import clone_with

Selection: TypeAlias = MoveOp | PadOp | ResizeOp | MaxPoolOp | ExtremeOp
"""One operand, one result, whose elements are some of the operand's.

They may be chosen by value (quantising is monotone), and a constant may be put in.
"""


def selects(op: GraphOp, quantization: Quantization) -> bool:
    """Whether each element of the result is one of the operand, or a representable constant."""
    if isinstance(op, ResizeOp):
        return op.mode.data == "nearest"
    if isinstance(op, PadOp) and op.mode.data == "constant":
        value = np.array(op.value.value.data)
        return bool(dequantize(quantize(value, quantization), quantization) == value)
    return True


@rule
def select_of_dequantize(op: Selection, x: DequantizeOp, rw: Rewrite) -> SSAValue | None:
    """move(DQ(x)) = DQ(move(x)), with one scale for the whole tensor.

    Not an accumulator's: what follows is applied to it where it is (`quantize_of_accumulator`).
    """
    quantization = quantization_of(x.x)
    if quantization is None or quantization.axis is not None or not selects(op, quantization):
        return None
    if quantization.storage == "i32" and isinstance(x.x.owner, ContractionOp):
        return None
    (moved,) = clone_with(rw, op, [x.x], element_of(x.x))
    return rw.emit(DequantizeOp, [moved], [element_of(op.results[0])])


@rule
def index_of_stored(
    op: ArgExtremeOp, x: DequantizeOp | StorageCastOp, rw: Rewrite
) -> SSAValue | None:
    """argmax(DQ(x)) = argmax(cast(x)) = argmax(x): stored integers have the order of the reals."""
    stored = x.x
    quantization = quantization_of(stored)
    if quantization is None or quantization.axis is not None:
        return None
    return clone_with(rw, op, [stored], element_of(op.result))[0]


@rule
def split_of_dequantize(op: SplitOp, x: DequantizeOp, rw: Rewrite) -> Sequence[SSAValue] | None:
    """split(DQ(x)) = DQ of each part of split(x)."""
    quantization = quantization_of(x.x)
    if quantization is None or quantization.axis is not None:
        return None
    parts = clone_with(rw, op, [x.x], element_of(x.x))
    return [rw.emit(DequantizeOp, [part], [element_of(op.parts[0])]) for part in parts]


@rule
def concat_of_dequantize(
    op: ConcatOp, inputs: Sequence[DequantizeOp], rw: Rewrite
) -> SSAValue | None:
    """concat(DQ(x), DQ(y)) = DQ(concat(x, y)), if x and y have the same scale and zero point."""
    stored = [v.x for v in inputs]
    element = element_of(stored[0])
    quantization = quantization_of(stored[0])
    if quantization is None or quantization.axis is not None:
        return None
    if any(element_of(v) != element for v in stored):
        return None
    (joined,) = clone_with(rw, op, [stored], element)
    return rw.emit(DequantizeOp, [joined], [element_of(op.result)])


@rule
def quantize_of_select(op: QuantizeOp, x: Selection, rw: Rewrite) -> SSAValue | None:
    """Q(move(x)) = move(Q(x)), so that Q meets what computes x."""
    if not _stores_reals(op) or not only_quantized(op.x):
        return None
    if isinstance(x, ResizeOp) and x.mode.data != "nearest":
        return None
    element = element_of(op.result)
    if element_of(x.operands[0]) != element_of(op.x):
        return None
    return clone_with(rw, x, [rw.emit(QuantizeOp, [x.operands[0]], [element])], element)[0]


@rule
def quantize_of_concat(op: QuantizeOp, x: ConcatOp, rw: Rewrite) -> SSAValue | None:
    """Q(concat(x, y)) = concat(Q(x), Q(y))."""
    if not _stores_reals(op) or not only_quantized(op.x):
        return None
    element = element_of(op.result)
    parts = [rw.emit(QuantizeOp, [v], [element]) for v in x.inputs]
    return clone_with(rw, x, [parts], element)[0]


@rule
def quantize_of_split(op: QuantizeOp, x: SplitOp, rw: Rewrite) -> SSAValue | None:
    """Q(part of split(x)) = that part of split(Q(x)), if every part is quantised so."""
    element = element_of(op.result)
    if not _stores_reals(op) or not all(only_quantized(part) for part in x.parts):
        return None
    quantized = [u.operation for part in x.parts for u in part.uses]
    if any(isinstance(u, QuantizeOp) and element_of(u.result) != element for u in quantized):
        return None
    parts = clone_with(rw, x, [rw.emit(QuantizeOp, [x.x], [element])], element)
    return next(new for old, new in zip(x.parts, parts, strict=True) if old is op.x)


def _stores_reals(op: QuantizeOp) -> bool:
    """Whether an operation stores real numbers (it does not requantise) with one scale."""
    quantization = quantization_of(op.result)
    return quantization_of(op.x) is None and quantization is not None and quantization.axis is None


def only_quantized(value: SSAValue) -> bool:
    """Whether every use of a float value quantises it; uses that are dead do not count."""
    users = [use.operation for use in value.uses]
    return all(isinstance(user, QuantizeOp) or is_dead(user) for user in users)


def rounds_once(op: QuantizeOp) -> bool:
    """Whether what an operation stores has been rounded by nothing, and is only stored."""
    return quantization_of(op.x) is None and only_quantized(op.x)


@rule
def quantize_of_dequantize(op: QuantizeOp, x: DequantizeOp, rw: Rewrite) -> SSAValue:
    """Q(DQ(x)) = x with the same parameters; with others it requantises x."""
    stored = x.x
    element = element_of(op.result)
    return stored if element_of(stored) == element else rw.emit(QuantizeOp, [stored], [element])


@rule
def quantize_again(op: QuantizeOp, x: DequantizeOp, _: Rewrite) -> SSAValue | None:
    """Q(DQ(x)) = x with the same parameters, in float as well."""
    stored = x.x
    return stored if element_of(stored) == element_of(op.result) else None


@rule
def cast_of_cast(op: StorageCastOp, x: StorageCastOp, rw: Rewrite) -> SSAValue:
    """cast(cast(x)) = cast(x), or x where that is the type it had."""
    stored = x.x
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
    results = clone_with(rw, op, operands, element)
    if isinstance(op, PadOp):
        before, value = quantization_of(op.result), np.array(op.value.value.data)
        stored = value if before is None else quantize(value, before)
        real = float(dequantize(stored, quantization))
        cast("PadOp", results[0].owner).value = FloatAttr(real, f64)
    return results


def _of_element(element: Attribute) -> Quantization | None:
    return element.data if isinstance(element, UniformType) else None


@rule
def move_of_cast(
    op: Selection | SplitOp, x: StorageCastOp, rw: Rewrite
) -> Sequence[SSAValue] | None:
    """move(cast(x)) = cast(move(x)): casts sink until they meet, or a network output."""
    stored = x.x
    if element_of(op.results[0]) != element_of(op.x):
        return None  # it requantises
    moved = on_storage(rw, op, [stored], element_of(stored))
    if moved is None:
        return None
    return [rw.emit(StorageCastOp, [v], [element_of(op.results[0])]) for v in moved]


@rule
def concat_of_cast(op: ConcatOp, inputs: Sequence[StorageCastOp], rw: Rewrite) -> SSAValue | None:
    """concat(cast(x), cast(y)) = cast(concat(x, y)), if x and y have one quantised type."""
    stored = [v.x for v in inputs]
    element = element_of(stored[0])
    quantization = quantization_of(stored[0])
    if quantization is None or quantization.axis is not None:
        return None
    if any(element_of(v) != element for v in stored):
        return None
    if any(element_of(v) != element_of(op.result) for v in op.inputs):
        return None  # it requantises
    (joined,) = clone_with(rw, op, [stored], element)
    return rw.emit(StorageCastOp, [joined], [element_of(op.result)])


@rule
def cast_of_move(
    op: StorageCastOp, x: Selection | ConcatOp | SplitOp, rw: Rewrite
) -> SSAValue | None:
    """cast(move(x)) = move(cast(x)) for plain integers x, so that the NPU moves them."""
    element = element_of(op.result)
    if quantization_of(op.result) is None or quantization_of(op.x) is not None:
        return None
    for result in x.results:
        users = [use.operation for use in result.uses if not is_dead(use.operation)]
        if any(not isinstance(u, StorageCastOp) or element_of(u.result) != element for u in users):
            return None
        if len(users) > 1 or (not users and len(x.results) == 1):
            return None
    operands = [rw.emit(StorageCastOp, [v], [element]) for v in x.operands]
    made = on_storage(rw, x, [operands] if isinstance(x, ConcatOp) else operands, element)
    if made is None:
        return None
    return next(new for old, new in zip(x.results, made, strict=True) if old is op.x)


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
