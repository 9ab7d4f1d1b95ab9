"""The views that `assign-views` has decided, as the IR holds them: written, read, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Operation, SSAValue

from furiosa_ir.backends.warboy.dialect.attributes import VIEW, ViewsAttr
from furiosa_ir.backends.warboy.dialect.kernels import (
    MOVEMENT,
    CopyOp,
    DotOp,
    KernelOp,
    PoolOp,
    VectorOp,
)
from furiosa_ir.backends.warboy.dialect.plan import KernelViews
from furiosa_ir.backends.warboy.planning.kernel_views import (
    is_constant,
    kernel_views,
    table_operands,
    weight_operands,
)
from furiosa_ir.backends.warboy.planning.views import (
    is_valid,
    is_window,
    layout_key,
    through_transpose,
)
from furiosa_ir.dialects.ftensor import TensorOp, movement
from furiosa_ir.errors import VerificationFailure
from furiosa_ir.ir.shaped_operation import ints, shape_of
from furiosa_ir.ir.verifier import OperationFailure

Views = dict[SSAValue, str]
"""Each tensor's view."""


def note_views(function: FuncOp, views: Views) -> None:
    """Writes the views to the IR: kernels' `views`, and `warboy.view` of what else there is."""
    block = function.body.block
    _write_arguments(function, [views[value] for value in block.args])
    for op in block.ops:
        if isinstance(op, KernelOp):
            op.views = ViewsAttr(_stated(op, views))
        elif isinstance(op, MOVEMENT):
            op.attributes[VIEW] = StringAttr(views[op.results[0]])


def _stated(kernel: KernelOp, views: Mapping[SSAValue, str]) -> KernelViews:
    """A kernel's views as its attribute has them."""
    if isinstance(kernel, CopyOp):
        return KernelViews(tuple(views[v] for v in kernel.inputs), views[kernel.result])
    required, result = kernel_views(kernel, views)
    none = weight_operands(kernel).keys() | table_operands(kernel)
    return KernelViews(tuple(None if i in none else v for i, v in enumerate(required)), result)


def erase_views(function: FuncOp) -> None:
    """Takes the views of the arguments away again, once nothing is left that reads them."""
    _write_arguments(function, [None] * len(function.body.block.args))


def _write_arguments(function: FuncOp, views: Sequence[str | None]) -> None:
    entries: list[DictionaryAttr] = []
    for known, view in zip(_argument_attributes(function), views, strict=True):
        entry = {k: v for k, v in known.data.items() if k != VIEW}
        entries.append(DictionaryAttr(entry if view is None else {**entry, VIEW: StringAttr(view)}))
    function.arg_attrs = ArrayAttr(entries) if any(entry.data for entry in entries) else None


def _argument_attributes(function: FuncOp) -> Sequence[DictionaryAttr]:
    """One for each argument, though text may have fewer."""
    count = len(function.body.block.args)
    return [*(function.arg_attrs or ()), *[DictionaryAttr({})] * count][:count]


def read_views(function: FuncOp) -> Views:
    """The views of all arguments, kernels and movements, and of the constants that copies read.

    Raises:
        OperationFailure: one is missing; movement is not free under its views; a kernel needs
            others than it has, or than its operands have; a part of a concatenation, or a result,
            is not a kernel's own.
    """
    views: Views = {}
    block, arguments = function.body.block, function.body.block.args
    for value, known in zip(arguments, _argument_attributes(function), strict=True):
        views[value] = _view(function, known.data.get(VIEW), value)
    for op in block.ops:
        if isinstance(op, KernelOp):
            _read_kernel(op, views)
        elif isinstance(op, TensorOp) and op.operands:
            views[op.results[0]] = _view(op, op.attributes.get(VIEW), op.results[0])
            if not isinstance(op, MOVEMENT) or not (_is_whole(op, views) or is_free(op, views)):
                raise OperationFailure.of(op, "it is no view of its operand's buffer, nor a window")
    _check_buffers(block)
    return views


WRITERS = (DotOp, PoolOp, VectorOp, movement.ConcatOp)
"""What can write its result into a window of a larger buffer."""


def _check_buffers(block: Block) -> None:
    """Each part of a concatenation is a window of one buffer, each result a buffer of its own."""
    parts: set[SSAValue] = set()
    for op in block.ops:
        for value in op.operands if isinstance(op, movement.ConcatOp) else ():
            if not isinstance(value.owner, WRITERS) or value in parts:
                raise OperationFailure.of(op, "a part is not written in place by a kernel")
            parts.add(value)
    end = cast("ReturnOp", block.last_op)
    roots: set[SSAValue] = set()
    for number, value in enumerate(end.operands):
        root = own_result(value)
        if root is None or root in roots:
            raise OperationFailure.of(end, f"result {number} is no kernel's, or not all of it")
        roots.add(root)


def own_result(value: SSAValue) -> SSAValue | None:
    """The value whose buffer is all a result's; None if that is no kernel's, or a part of more."""
    root, whole = root_of(value)
    made = isinstance(root.owner, KernelOp | movement.ConcatOp)
    part = any(isinstance(use.operation, movement.ConcatOp) for use in root.uses)
    return root if made and whole and not part else None


def root_of(value: SSAValue) -> tuple[SSAValue, bool]:
    """The value whose buffer this is, and whether it is all of it."""
    whole = True
    while isinstance(value.owner, movement.ReshapeOp | movement.TransposeOp | movement.SliceOp):
        whole = whole and not isinstance(value.owner, movement.SliceOp)
        value = value.owner.x
    return value, whole


def _view(op: Operation, attribute: Attribute | None, value: SSAValue) -> str:
    shape = shape_of(value)
    if not isinstance(attribute, StringAttr):
        raise OperationFailure.of(op, f"a tensor of shape {list(shape)} has no '{VIEW}'")
    view = attribute.data
    if len(view) != len(shape) or set(view) - set("NHWC") or not is_valid(shape, view):
        raise OperationFailure.of(op, f'"{view}" is no view of {list(shape)}')
    return view


def _read_kernel(kernel: KernelOp, views: Views) -> None:
    """Notes the result's view; the operands have to come under those that the kernel has."""
    try:
        stated = kernel.kernel_views
    except VerificationFailure as error:
        raise OperationFailure.of(kernel, error.message) from None
    views[kernel.result] = stated.result
    if isinstance(kernel, CopyOp):
        for value, view in zip(kernel.inputs, stated.operands, strict=True):
            if is_constant(value) and view is not None:
                views.setdefault(value, view)
            elif view is None or views.get(value) != view:
                raise _differs(kernel, views.get(value), view)
        return
    needed = _stated(kernel, {kernel.result: stated.result})
    if needed != stated:
        raise OperationFailure.of(
            kernel, f"it has the views {stated.text}, and needs {needed.text}"
        )
    for value, view in zip(kernel.inputs, stated.operands, strict=True):
        if view is not None and not is_constant(value) and not is_same(value, views[value], view):
            raise _differs(kernel, views[value], view)


def _differs(kernel: KernelOp, have: str | None, want: str | None) -> OperationFailure:
    wanted, had = ("none" if view is None else f'"{view}"' for view in (want, have))
    return OperationFailure.of(kernel, f"it reads as {wanted} what has the view {had}")


def is_same(value: SSAValue, view: str, other: str) -> bool:
    """Whether two views of a value are one, but for what unit axes are called."""
    shape = shape_of(value)
    return layout_key(shape, view) == layout_key(shape, other)


def _is_whole(op: TensorOp, views: Mapping[SSAValue, str]) -> bool:
    """Whether the operands are windows of a concatenation's buffer."""
    if not isinstance(op, movement.ConcatOp):
        return False
    whole, view = shape_of(op.result), views[op.result]
    parts: Sequence[SSAValue] = op.inputs
    return all(
        part in views
        and is_window(whole, shape_of(part), view)
        and is_same(part, views[part], view)
        for part in parts
    )


def is_free(op: TensorOp, views: Views) -> bool:
    """Whether the result is the operand's buffer, or a window of it, under its view."""
    x, result = op.operands[0], op.results[0]
    if is_constant(x):
        return False
    match op:
        case movement.ReshapeOp():
            return layout_key(shape_of(x), views[x]) == layout_key(shape_of(result), views[result])
        case movement.TransposeOp():
            moved = through_transpose(shape_of(x), views[x], ints(op.perm))
            return moved is not None and is_same(result, moved, views[result])
        case movement.SliceOp():
            whole, part = shape_of(x), shape_of(result)
            return (
                set(ints(op.steps)) == {1}
                and layout_key(whole, views[x]) == layout_key(whole, views[result])
                and is_window(whole, part, views[x])
            )
        case _:
            return False
