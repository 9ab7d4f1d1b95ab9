"""`ftensor-hoist-functions`: functions of single elements go to what computes these elements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, i8
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Operation, SSAValue

from furiosa_ir.dialects.ftensor.arithmetic import ClampOp, ConstantOp, LookupOp, RescaleOp
from furiosa_ir.dialects.ftensor.base import TensorOp
from furiosa_ir.dialects.ftensor.movement import (
    BroadcastOp,
    ConcatOp,
    PadOp,
    ReshapeOp,
    SliceOp,
    TransposeOp,
)
from furiosa_ir.ir.constants import BlobAttr
from furiosa_ir.ir.passes import RewritePass
from furiosa_ir.ir.remarks import described, missed, readers
from furiosa_ir.ir.rewriting import Rewrite, RewriteDriver, has_one_reader, is_dead, rule
from furiosa_ir.ir.segments import body_of, is_npu
from furiosa_ir.ir.shaped_operation import element_of, shape_of
from furiosa_ir.passes.ftensor_fold_clamps import clamp_of_clamp, clamp_of_rescale
from furiosa_ir.passes.ftensor_fuse_tables import function_of_one_byte

Function: TypeAlias = ClampOp | LookupOp | RescaleOp
"""What computes each element of one other element, and of constants."""


@rule
def function_of_movement(op: Function, x: ReshapeOp | TransposeOp, rw: Rewrite) -> SSAValue | None:
    """f(move(x)) = move(f(x)) for a function from i8 to i8, if nothing else reads what is moved.

    So it comes to what computes x: a 1-D convolution is a 2-D one between reshapes.
    """
    if not _is_of_bytes(op) or not _is_read_by_one(op, x):
        return None
    made = _applied(op, x.x, rw)
    if isinstance(x, ReshapeOp):
        return rw.emit(ReshapeOp, [made], [i8], shape=x.shape)
    return rw.emit(TransposeOp, [made], [i8], perm=x.perm)


@rule
def function_of_pad(op: Function, x: PadOp, rw: Rewrite) -> SSAValue | None:
    """f(pad(x, v)) = pad(f(x), f(v)) for a function from i8 to i8, if nothing else reads that."""
    if not _is_of_bytes(op) or not _is_read_by_one(op, x):
        return None
    value = _of_number(op, x.value.value.data)
    if value is None:
        return None
    made = _applied(op, x.x, rw)
    return rw.emit(PadOp, [made], [i8], pads=x.pads, value=value)


@rule
def function_of_concat(op: Function, x: ConcatOp, rw: Rewrite) -> SSAValue | None:
    """f(concat(x, y)) = concat(f(x), f(y)) for a function from i8 to i8.

    If nothing else reads the concatenation, and at most one part is read by others, too: of such a
    part f is a kernel by itself, as it was of the whole.
    """
    if not _is_of_bytes(op) or not _is_read_by_one(op, x):
        return None
    shared = [v for v in dict.fromkeys(x.inputs) if _is_shared(v, x)]
    if len(shared) > 1:
        missed(
            op,
            "concat",
            "it stays behind a concatenation: {shared} are read by others as well, so it would be "
            "a kernel for each of them",
            shared=described(*(cast("Operation", v.owner) for v in shared)),
        )
        return None
    made = {v: _applied(op, v, rw) for v in dict.fromkeys(x.inputs)}
    return rw.emit(ConcatOp, [[made[v] for v in x.inputs]], [i8], axis=x.axis)


def _is_of_bytes(op: Function) -> bool:
    """Whether it makes i8 of i8, of every element alike."""
    if element_of(op.result) != i8 or element_of(op.x) != i8:
        return False
    return not isinstance(op, RescaleOp) or all(shape_of(v) == () for v in op.operands[1:])


def _is_read_by_one(op: Function, x: TensorOp) -> bool:
    """Whether such functions alone read what is moved, or else it is only given out.

    What is reshaped is stored for that straight from where it is made, and not read again.
    """
    value = x.results[0]
    if has_one_reader(value):
        return True
    reshaped = any(isinstance(v.owner, ReshapeOp) for v in (value, *x.operands))
    if reshaped and all(_goes_along(use.operation) for use in value.uses):
        return True
    missed(
        op,
        "movement",
        "it stays behind {movement}, whose result is read by {others} as well",
        way_out="let all of them read what the function makes",
        movement=described(x),
        others=described(*readers(value, op)),
    )
    return False


def _goes_along(reader: Operation) -> bool:
    """Whether something that reads what is moved does not keep a function behind it."""
    of_bytes = isinstance(reader, Function) and _is_of_bytes(reader)
    return of_bytes or isinstance(reader, ReturnOp) or is_dead(reader)


def _is_shared(value: SSAValue, concat: Operation) -> bool:
    """Whether arithmetic makes a part of a concatenation, and something else reads it, too."""
    reader = concat
    while isinstance(value.owner, _ONE_OPERAND) and has_one_reader(value):
        reader, value = value.owner, value.owner.x
    if isinstance(value.owner, ReshapeOp):
        return not all(use.operation is reader or _goes_along(use.operation) for use in value.uses)
    made = isinstance(value.owner, TensorOp) and not isinstance(value.owner, _NO_ARITHMETIC)
    return made and not has_one_reader(value)


_ONE_OPERAND = (ReshapeOp, TransposeOp, PadOp)
_NO_ARITHMETIC = (ConstantOp, SliceOp, BroadcastOp)
"""What no kernel has for its own result: as a part of a concatenation it is copied in any case."""


def _applied(op: Function, x: SSAValue, rw: Rewrite) -> SSAValue:
    """The function of another value; of a constant, a constant."""
    constants = [v.owner for v in (x, *op.operands[1:]) if isinstance(v.owner, ConstantOp)]
    if len(constants) == len(op.operands):
        (result,) = op.evaluate(*(c.value.array for c in constants))
        return rw.emit(ConstantOp, [], [i8], value=BlobAttr.of(result))
    properties: dict[str, Any] = {**op.properties}
    return rw.emit(type(op), [x, *op.operands[1:]], [i8], **properties)


def _of_number(op: Function, number: int) -> int | None:
    """The function of one i8; None where its tables are not known."""
    constants = [v.owner for v in op.operands[1:] if isinstance(v.owner, ConstantOp)]
    if len(constants) != len(op.operands) - 1:
        return None
    (result,) = op.evaluate(np.array(number, np.int8), *(c.value.array for c in constants))
    return int(result)


@dataclass(frozen=True)
class HoistFunctions(RewritePass):
    """Moves functions of single bytes above reshapes, transposes, padding and concatenations.

    There they meet the arithmetic that makes the bytes, and join its kernel or become one table
    with it. Behind a movement that is no view they would need it back from DRAM: the heads of
    detectors end so, in sigmoids of concatenated maps. Now the kernels store into the result.

        %1 = ftensor.rescale %a, %m1, %s1 {...} : tensor<1x19x19x273xi8>
        %2 = ftensor.reshape %1 : tensor<1x1083x91xi8>
        %3 = ftensor.rescale %b, %m2, %s2 {...} : tensor<1x10x10x546xi8>
        %4 = ftensor.reshape %3 : tensor<1x600x91xi8>
        %5 = ftensor.concat %2, %4 {axis = 1} : tensor<1x1683x91xi8>
        %6 = ftensor.lookup %5, %sigmoid

    becomes

        %1 = ftensor.rescale %a, %m1, %s1 {...} : tensor<1x19x19x273xi8>
        %2 = ftensor.lookup %1, %sigmoid
        %3 = ftensor.rescale %b, %m2, %s2 {...} : tensor<1x10x10x546xi8>
        %4 = ftensor.lookup %3, %sigmoid
        %5 = ftensor.reshape %2 : tensor<1x1083x91xi8>
        %6 = ftensor.reshape %4 : tensor<1x600x91xi8>
        %7 = ftensor.concat %5, %6 {axis = 1} : tensor<1x1683x91xi8>

    A slice stays in front: behind it there is less to compute.
    """

    name = "ftensor-hoist-functions"
    rules = (
        clamp_of_rescale,
        clamp_of_clamp,
        function_of_one_byte,
        function_of_movement,
        function_of_pad,
        function_of_concat,
    )

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in op.ops:
            if isinstance(function, FuncOp) and is_npu(function):
                block = body_of(function)
                before = set(block.ops)
                # What has lost a reader is not looked at again by itself.
                while RewriteDriver(self.rules, self).run(function):
                    pass
                _place([made for made in block.ops if made not in before])


def _place(made: Sequence[Operation]) -> None:
    """Puts functions where their operand is made, and not where the last part of a whole is.

    A kernel stands where its last operation does, and keeps what it reads in SRAM till then. Tables
    that several of them share come first of all.
    """
    for op in made:
        if not isinstance(op, Function) or not isinstance(op.x.owner, Operation):
            continue
        block = cast("Block", op.parent)
        op.detach()
        block.insert_op_after(op, op.x.owner)
        for value in op.operands[1:]:
            if isinstance(value.owner, ConstantOp) and value.owner is not block.first_op:
                value.owner.detach()
                block.insert_op_before(value.owner, cast("Operation", block.first_op))
