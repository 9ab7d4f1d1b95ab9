"""Arithmetic that four dimensions are too few for, as several operations that they are enough for.

The machine counts along four dimensions; neighbours that every operand has in full fold into one.
"""

from __future__ import annotations

from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue

from furiosa_ir.backends.warboy.dialect.vector_operations import VECTOR
from furiosa_ir.backends.warboy.planning.kernel_views import has_view, longer_axes
from furiosa_ir.dialects.ftensor import TensorOp, contraction, movement
from furiosa_ir.ir.rewrite_watch import Step, step
from furiosa_ir.ir.shaped_operation import element_of, ints, shape_of
from furiosa_ir.ir.value_tracking import note_replaced


def split_dimensions(function: FuncOp) -> None:
    """Splits what no view of four dimensions carries out, in place.

    A reduction goes axis by axis, other operations get operands that are broadcast beforehand:

        %y = ftensor.reduce %x {axes = array<i64: 1, 3>, kind = "sum"} : tensor<2x3x4x5x6xi8>
        %z = ftensor.add %a, %b : tensor<2x3x4x5x6xi8>

    becomes

        %0 = ftensor.reduce %x {axes = array<i64: 1>, kind = "sum"} : tensor<2x3x4x5x6xi8>
        %y = ftensor.reduce %0 {axes = array<i64: 3>, kind = "sum"} : tensor<2x1x4x5x6xi32>
        %1 = ftensor.broadcast %a : tensor<2x3x4x5x6xi8>
        %z = ftensor.add %1, %b : tensor<2x3x4x5x6xi8>
    """
    for op in list(function.body.block.ops):
        if isinstance(op, VECTOR) and not has_view([op]):
            if isinstance(op, contraction.ReduceOp):
                with step("reduce_in_steps", op) as done:
                    _reduce_in_steps(op, done)
            else:
                with step("broadcast_operands", op) as done:
                    _broadcast_operands(op, done)


def _reduce_in_steps(op: contraction.ReduceOp, done: Step) -> None:
    value, x_zp = op.x, op.x_zp.value.data
    element = element_of(op.result)
    for axis in longer_axes(op, ints(op.axes)):
        reduce = contraction.ReduceOp.make(
            [value], [element], location=op.location, kind=op.kind, axes=[axis], x_zp=x_zp
        )
        value, x_zp = _in_front(op, reduce), 0
        done.made.append(reduce)
    done.values.append(value)
    note_replaced(op.result, value)
    op.result.replace_all_uses_with(value)
    op.detach()
    op.erase()


def _broadcast_operands(op: TensorOp, done: Step) -> None:
    shape = shape_of(op.results[0])
    for index, value in enumerate(op.operands):
        if shape_of(value) and shape_of(value) != shape:
            element = [element_of(value)]
            wide = movement.BroadcastOp.make([value], element, location=op.location, shape=shape)
            op.operands[index] = _in_front(op, wide)
            done.made.append(wide)


def _in_front(op: TensorOp, made: TensorOp) -> SSAValue:
    block = op.parent
    assert block is not None
    block.insert_op_before(made, op)
    return made.results[0]
