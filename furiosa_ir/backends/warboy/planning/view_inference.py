"""Which view every tensor of a function should have.

Convolutions and pools say by their `layout` what is H, W and C; the other kernels take what comes.
So views spread from contractions: forwards along kernels and free movements, then backwards to
what comes before the first contraction. Neither ONNX's NCHW nor TFLite's NHWC needs a transpose.
"""

from __future__ import annotations

from xdsl.ir import Block

from furiosa_ir.backends.warboy.dialect.kernels import MOVEMENT, DotOp, KernelOp, PoolOp
from furiosa_ir.backends.warboy.planning.assigned_views import Views
from furiosa_ir.backends.warboy.planning.kernel_views import is_constant, kernel_views
from furiosa_ir.backends.warboy.planning.views import (
    before_transpose,
    default_view,
    is_valid,
    through_reshape,
    through_transpose,
)
from furiosa_ir.dialects.ftensor import TensorOp, movement
from furiosa_ir.ir.shaped_operation import ints, shape_of


def infer_views(block: Block) -> Views:
    """A view of every tensor outside of kernels; where uses want different ones, the first wins.

    Raises:
        CompilationFailure: a kernel needs more than four dimensions.
    """
    views: Views = {}
    operations = list(block.ops)
    for final in (False, True):
        for op in operations:
            if isinstance(op, KernelOp):
                _from_kernel(op, views, final)
            elif isinstance(op, MOVEMENT):
                _forwards(op, views, final)
        for op in reversed(operations):
            if isinstance(op, KernelOp):
                _from_kernel(op, views, final)
            elif isinstance(op, MOVEMENT):
                _backwards(op, views)
    for value in (*block.args, *(r for op in operations for r in op.results)):
        if value not in views:
            views[value] = default_view(shape_of(value))
    return views


def _from_kernel(kernel: KernelOp, views: Views, final: bool) -> None:
    if kernel.result in views and all(v in views or is_constant(v) for v in kernel.inputs):
        return
    anchored = isinstance(kernel, DotOp | PoolOp)
    known = kernel.result in views or any(v in views for v in kernel.inputs)
    if not (anchored or known or final):
        return
    operands, result = kernel_views(kernel, views)
    views.setdefault(kernel.result, result)
    for value, view in zip(kernel.inputs, operands, strict=True):
        if not is_constant(value) and is_valid(shape_of(value), view):
            views.setdefault(value, view)


def _forwards(op: TensorOp, views: Views, final: bool) -> None:
    result = op.results[0]
    if result in views:
        return
    for operand in op.operands:
        if operand not in views:
            continue
        view: str | None = views[operand]
        if isinstance(op, movement.ReshapeOp):
            view = through_reshape(shape_of(operand), views[operand], shape_of(result))
        elif isinstance(op, movement.TransposeOp):
            view = through_transpose(shape_of(operand), views[operand], ints(op.perm))
        elif len(views[operand]) != len(shape_of(result)):
            view = None  # ftensor.broadcast may add axes
        if view is not None and is_valid(shape_of(result), view):
            views[result] = view
            return
    if final:
        views[result] = default_view(shape_of(result))


def _backwards(op: TensorOp, views: Views) -> None:
    result = op.results[0]
    if result not in views:
        return
    for operand in op.operands:
        if operand in views:
            continue
        view: str | None = views[result]
        if isinstance(op, movement.ReshapeOp):
            view = through_reshape(shape_of(result), views[result], shape_of(operand))
        elif isinstance(op, movement.TransposeOp):
            view = before_transpose(views[result], ints(op.perm))
        elif len(shape_of(operand)) != len(shape_of(result)):
            view = None
        if view is not None and is_valid(shape_of(operand), view):
            views[operand] = view
