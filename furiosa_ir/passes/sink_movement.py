"""`graph-sink-movement`: transposes and reshapes go below what works element by element."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, BlockArgument, Operation, SSAValue

from furiosa_ir.dialects.graph.base import GraphOp, constant_of, quantization_of
from furiosa_ir.dialects.graph.elementwise import BinaryOp, UnaryOp
from furiosa_ir.dialects.graph.movement import ConcatOp, PadOp, ReshapeOp, TransposeOp
from furiosa_ir.dialects.graph.normalization import AffineOp, NaryOp
from furiosa_ir.dialects.graph.quantization import QuantizeOp, StorageCastOp
from furiosa_ir.ir.passes import RewritePass
from furiosa_ir.ir.remarks import described, missed
from furiosa_ir.ir.rewriting import Rewrite, RewriteDriver, rule
from furiosa_ir.ir.segments import body_of, is_npu, numerics_of
from furiosa_ir.ir.shaped_operation import element_of, ints, shape_of
from furiosa_ir.lowering.registry import LITERT_DEFAULT
from furiosa_ir.numerics.array import Array
from furiosa_ir.passes.clone import clone_with
from furiosa_ir.passes.compose_movement import (
    reshape_of_reshape,
    same_shape,
    transpose_in_place,
    transpose_of_transpose,
)
from furiosa_ir.passes.fold_constants import move_of_constant


@rule
def function_of_move(
    op: UnaryOp | QuantizeOp, x: TransposeOp | ReshapeOp, rw: Rewrite
) -> SSAValue | None:
    """f(move(x)) = move(f(x)), for a function of each element and a move that keeps them all."""
    if not x.only_moves:
        _requantises(op, x)
        return None
    element = element_of(op.results[0])
    return clone_with(rw, x, clone_with(rw, op, [x.operands[0]], element), element)[0]


@rule
def affine_of_transpose(op: AffineOp, x: TransposeOp, rw: Rewrite) -> SSAValue | None:
    """T(x) * c + d = T(x * T'(c) + T'(d)), T' being T backwards."""
    if not x.only_moves:
        _requantises(op, x)
        return None
    perm = ints(x.perm)
    factor, offset = (_backwards(b.array, perm) for b in (op.factor, op.offset))
    element = element_of(op.result)
    made = rw.emit(AffineOp, [x.x], [element], factor=factor, offset=offset)
    return rw.emit(TransposeOp, [made], [element], perm=perm)


def _backwards(array: Array, perm: Sequence[int]) -> Array:
    """What, transposed by `perm`, is the array with as many axes."""
    whole = array.reshape([1] * (len(perm) - array.ndim) + list(array.shape))
    return whole.transpose(np.argsort(perm))


@rule
def function_of_transposes(op: BinaryOp | NaryOp, rw: Rewrite) -> SSAValue | None:
    """f(T(x), T(y)) = T(f(x, y)); also where another operand is T(y) for nothing, as a constant."""
    perm = _permutation(op)
    if perm is None or len(perm) != len(shape_of(op.results[0])):
        return None
    operands = _operands_before(op, perm, rw)
    if operands is None:
        return None
    element = element_of(op.results[0])
    made = clone_with(rw, op, [operands] if isinstance(op, NaryOp) else operands, element)
    return rw.emit(TransposeOp, made, [element], perm=perm)


@rule
def function_of_reshapes(op: BinaryOp | NaryOp, rw: Rewrite) -> SSAValue | None:
    """f(reshape(x), reshape(y)) = reshape(f(x, y)), for x and y of one shape; or y is a number."""
    shape, before = shape_of(op.results[0]), None
    operands: list[SSAValue] = []
    for value in op.operands:
        owner = value.owner
        if isinstance(owner, ReshapeOp) and owner.only_moves and shape_of(value) == shape:
            if before not in (None, shape_of(owner.x)):
                return None
            before = shape_of(owner.x)
            operands.append(owner.x)
        elif shape_of(value) == ():
            operands.append(value)
        else:
            return None
    if before is None:
        return None
    element = element_of(op.results[0])
    made = clone_with(rw, op, [operands] if isinstance(op, NaryOp) else operands, element)
    return rw.emit(ReshapeOp, made, [element], shape=shape)


@rule
def concat_of_transposes(op: ConcatOp, rw: Rewrite) -> SSAValue | None:
    """concat(T(x), T(y), axis) = T(concat(x, y, the axis that T moves there))."""
    perm = _permutation(op)
    operands = None if perm is None else _operands_before(op, perm, rw)
    if perm is None or operands is None:
        return None
    element = element_of(op.result)
    made = rw.emit(ConcatOp, [operands], [element], axis=perm[op.axis.value.data])
    return rw.emit(TransposeOp, [made], [element], perm=perm)


@rule
def pad_of_transpose(op: PadOp, x: TransposeOp, rw: Rewrite) -> SSAValue | None:
    """pad(T(x)) = T(pad(x)), where a convolution or pool may take the padding over."""
    if not x.only_moves:
        _requantises(op, x)
        return None
    perm, pads, rank = ints(x.perm), ints(op.pads), len(shape_of(op.x))
    before = [0] * (2 * rank)
    for axis, source in enumerate(perm):
        before[source], before[source + rank] = pads[axis], pads[axis + rank]
    element = element_of(op.result)
    made = rw.emit(PadOp, [x.x], [element], pads=before, mode=op.mode, value=op.value)
    return rw.emit(TransposeOp, [made], [element], perm=perm)


def _requantises(op: GraphOp, x: TransposeOp | ReshapeOp) -> None:
    missed(
        op,
        "movement",
        "{x} stays before it: it requantises, its operand and result have different scales",
        way_out="quantise both sides of a movement alike",
        x=described(x),
    )


def _permutation(op: GraphOp) -> tuple[int, ...] | None:
    """What the first operand that is transposed is transposed by.

    Not what `_before` transposes for nothing: nothing would be won, and the rule would not end.
    """
    for value in op.operands:
        owner = value.owner
        if isinstance(owner, TransposeOp) and owner.only_moves and not _is_free(owner.x):
            return ints(owner.perm)
    return None


def _is_free(value: SSAValue) -> bool:
    """Whether transposing a value costs nothing: a constant, or all extents but one are 1."""
    return constant_of(value) is not None or sum(n != 1 for n in shape_of(value)) <= 1


def _operands_before(op: GraphOp, perm: Sequence[int], rw: Rewrite) -> list[SSAValue] | None:
    """Values that, transposed by `perm`, are the operands; None where one would cost something."""
    operands: list[SSAValue] = []
    for value in op.operands:
        before = _before(value, tuple(perm), op, rw)
        if before is None:
            rw.undo()
            missed(
                op,
                "movement",
                "transposes stay before it: {operand} comes without one, and to transpose that "
                "would cost as much",
                operand=described(value.owner if isinstance(value.owner, Operation) else value),
            )
            return None
        operands.append(before)
    return operands


def _before(value: SSAValue, perm: tuple[int, ...], op: GraphOp, rw: Rewrite) -> SSAValue | None:
    """A value that, transposed by `perm`, is this one.

    Constants are transposed here; where all extents but one are 1, transposing is a reshape. An
    argument that is transposed like that for others (a residual around the first convolution) is
    there already, and goes with what convolutions make, never the other way round.
    """
    owner, shape = value.owner, shape_of(value)
    if isinstance(owner, TransposeOp) and owner.only_moves and ints(owner.perm) == perm:
        return owner.x
    back = tuple(int(i) for i in np.argsort(perm))
    quantization = quantization_of(value)
    if quantization is not None and quantization.axis is not None:
        return None
    if _is_argument(value) and not any(_is_moved_argument(v) for v in op.operands):
        for use in value.uses:
            user = use.operation
            if not isinstance(user, TransposeOp) or not user.only_moves:
                continue
            if ints(user.perm) == back and _precedes(user, op):
                return user.result
    aligned = [1] * (len(perm) - len(shape)) + list(shape)
    if not _is_free(value):
        return None
    if len(aligned) != len(shape):
        value = rw.emit(ReshapeOp, [value], [element_of(value)], shape=aligned)
    return rw.emit(TransposeOp, [value], [element_of(value)], perm=back)


def _is_argument(value: SSAValue) -> bool:
    if isinstance(value.owner, StorageCastOp):
        value = value.owner.x
    return isinstance(value, BlockArgument)


def _is_moved_argument(value: SSAValue) -> bool:
    return isinstance(value.owner, TransposeOp) and _is_argument(value.owner.x)


def _precedes(first: Operation, second: Operation) -> bool:
    block = cast("Block", first.parent)
    return first.parent is second.parent and block.get_operation_index(
        first
    ) < block.get_operation_index(second)


@dataclass(frozen=True)
class SinkMovement(RewritePass):
    """Moves transposes and reshapes of NPU segments below operators that work element by element.

    So what follows a convolution follows it directly, and becomes a part of its kernel; transposes
    that framework converters put around each convolution meet and vanish. A transpose by itself
    costs nothing: it is another view of the same data.

        %1 = graph.conv %x, %w {layout = "NCHW", ...}
        %2 = graph.transpose %1 {perm = array<i64: 0, 2, 3, 1>}
        %3 = graph.sigmoid %2
        %4 = graph.transpose %3 {perm = array<i64: 0, 3, 1, 2>}

    becomes

        %1 = graph.conv %x, %w {layout = "NCHW", ...}
        %3 = graph.sigmoid %1

    Where an element lies must not matter to how it is computed. It does to some of LiteRT's
    default kernels, which compute the last few elements of a tensor otherwise: networks that mean
    these stay as they are.
    """

    name = "graph-sink-movement"
    rules = (
        function_of_move,
        affine_of_transpose,
        function_of_transposes,
        function_of_reshapes,
        concat_of_transposes,
        pad_of_transpose,
        same_shape,
        reshape_of_reshape,
        transpose_of_transpose,
        transpose_in_place,
        move_of_constant,
    )

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        if numerics_of(op) == LITERT_DEFAULT:
            return
        for function in op.ops:
            if isinstance(function, FuncOp) and is_npu(function):
                block = body_of(function)
                before = set(block.ops)
                RewriteDriver(self.rules, self).run(function)
                _place([made for made in block.ops if made not in before])


def _place(made: Sequence[Operation]) -> None:
    """Puts functions of one value where that value is made.

    A requantisation before the network's last concatenation would keep the convolution whose kernel
    it joins waiting till then, and with it what that convolution reads in SRAM.
    """
    for op in made:
        owner = op.operands[0].owner if op.operands else None
        if isinstance(op, UnaryOp | QuantizeOp | AffineOp) and isinstance(owner, Operation):
            op.detach()
            cast("Block", owner.parent).insert_op_after(op, owner)
