"""Which views a kernel's operands and its result need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from xdsl.ir import BlockArgument, SSAValue

from furiosa_ir.backends.warboy.dialect.kernels import DotOp, KernelOp, PoolOp
from furiosa_ir.backends.warboy.dialect.vector_operations import axes_of, tables_of
from furiosa_ir.backends.warboy.planning.views import (
    LETTERS,
    default_view,
    is_valid,
    layout_key,
    name_unit_axes,
)
from furiosa_ir.dialects.ftensor import TensorOp, arithmetic, contraction
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.ir.location import layer_name
from furiosa_ir.ir.shaped_operation import AnyTensor, Shape, shape_of

Touched = list[tuple[bool, frozenset[int]]]
"""Axes that an operation runs along, and whether these may be folded."""

_BATCHED = ("", "C", "WC", "HWC", "NHWC")


def is_constant(value: SSAValue) -> bool:
    """Whether a value is a constant of the function."""
    return isinstance(value.owner, arithmetic.ConstantOp)


def is_batched(kernel: KernelOp) -> bool:
    """Whether a dot kernel multiplies two activations (or by a constant with leading axes)."""
    head = kernel.head if isinstance(kernel, DotOp) else None
    if not isinstance(head, contraction.MatMulOp):
        return False
    b = kernel.operand_of(head.b)
    shape = shape_of(b)
    return not (is_constant(b) and len(shape) == 2 and head.transpose_b.value.data)


def weight_operands(kernel: KernelOp) -> dict[int, str]:
    """Operand numbers of what the dot-product engine reads besides x: "weight", "bias"."""
    if not isinstance(kernel, DotOp):
        return {}
    head, args = kernel.head, list(kernel.body.block.args)
    roles: dict[int, str] = {}
    if not is_batched(kernel):
        roles[args.index(head.operands[1])] = "weight"  # pyright: ignore[reportArgumentType]
    if len(head.operands) > 2:
        roles[args.index(head.operands[2])] = "bias"  # pyright: ignore[reportArgumentType]
    return roles


def table_operands(kernel: KernelOp) -> set[int]:
    """The numbers of the operands that are tables."""
    tables = tables_of(kernel.operations)
    return {table.index for table in tables if isinstance(table, BlockArgument)}


def kernel_views(kernel: KernelOp, known: Mapping[SSAValue, str]) -> tuple[list[str], str]:
    """The views of the operands (of constants too) and of the result.

    Args:
        kernel: a dot, pool or vector kernel.
        known: views that are decided or wished for; they count only where the kernel leaves a
            choice.

    Raises:
        CompilationFailure: the kernel needs more than four dimensions.
    """
    head = kernel.head if isinstance(kernel, DotOp | PoolOp) else None
    fixed: dict[SSAValue, str] = {}
    if isinstance(head, contraction.ConvOp | contraction.ReduceWindowOp):
        base = fixed[head.x] = head.layout.data
    elif isinstance(head, contraction.MatMulOp):
        if is_batched(kernel):
            base = _batched_view(len(shape_of(head.result)))
            fixed[head.a] = base[len(base) - len(shape_of(head.a)) :]
            b = base[len(base) - len(shape_of(head.b)) :]
            fixed[head.b] = b if head.transpose_b.value.data else b[:-2] + b[:-3:-1]
        else:
            base = fixed[head.a] = _matmul_view(kernel, head, known)
    else:
        base = _vector_view(kernel, known)
    views = [
        fixed.get(argument) or base[len(base) - len(shape_of(argument)) :]
        if len(shape_of(argument)) <= len(base)
        else default_view(shape_of(argument))
        for argument in kernel.body.block.args
    ]
    return views, base


def _batched_view(rank: int) -> str:
    return _BATCHED[rank] if rank <= 4 else "N" * (rank - 3) + "HWC"


def _matmul_view(
    kernel: KernelOp, head: contraction.MatMulOp, known: Mapping[SSAValue, str]
) -> str:
    """The last axis is C; the others keep what they are, if they can."""
    a, shape = kernel.operand_of(head.a), shape_of(head.result)
    wish = known.get(a) or known.get(kernel.result)
    if wish is not None and len(wish) == len(shape):
        leading = [d if n != 1 else "" for d, n in zip(wish[:-1], shape[:-1], strict=True)]
        if "C" not in leading:
            view = name_unit_axes([*leading, "C"])
            if is_valid(shape, view):
                return view
    return default_view(shape)


def vector_shapes(
    operations: Sequence[TensorOp], inputs: Sequence[SSAValue]
) -> tuple[Shape, list[Shape]]:
    """(the greatest extents, all shapes) of the values of a vector program, as one rank."""
    values = [*inputs, *(op.results[0] for op in operations)]
    tables = tables_of(operations)
    shapes = [shape_of(v) for v in values if v not in tables]
    rank = max((len(s) for s in shapes), default=0)
    aligned = [(1,) * (rank - len(s)) + s for s in shapes]
    return tuple(max(extents) for extents in zip(*aligned, strict=True)), aligned


def longer_axes(op: TensorOp, axes: Sequence[int]) -> tuple[int, ...]:
    """The axes of more than one element among those that an operation runs along; one if none has.

    An axis of extent 1 may share its letter with a neighbour, which is not to be reduced with it.
    """
    shape, axes = shape_of(op.operands[0]), tuple(axes)
    return tuple(axis for axis in axes if shape[axis] != 1) or axes[:1]


def touched_axes(
    operations: Sequence[TensorOp], rank: int
) -> Iterator[tuple[bool, frozenset[int]]]:
    """(may be folded, axes counted at that rank) of each reduction, gather and interpolation."""
    for op in operations:
        missing = rank - len(shape_of(op.results[0]))
        along = axes_of(op)
        if along is None:
            continue
        may_fold, axes = along
        if may_fold:
            axes = longer_axes(op, axes)
            may_fold = any(shape_of(op.operands[0])[axis] != 1 for axis in axes)
        yield may_fold, frozenset(axis + missing for axis in axes)


def has_view(operations: Sequence[TensorOp]) -> bool:
    """Whether one vector kernel can carry these operations out: four dimensions are enough."""
    if all(cast("AnyTensor", op.results[0].type).get_num_dims() <= 4 for op in operations):
        return True
    inputs = [v for op in operations for v in op.operands]
    return _fold(*_constraints(operations, inputs)) is not None


def _constraints(
    operations: Sequence[TensorOp], inputs: Sequence[SSAValue]
) -> tuple[Shape, list[Shape], Touched]:
    """What a view has to respect: the greatest extents, all shapes, the touched axes."""
    full, shapes = vector_shapes(operations, inputs)
    touched = list(touched_axes(operations, len(full)))
    # What runs along a single element must not run along a neighbour that shares its letter: such
    # an axis counts as one of more elements.
    alone = {axis for may_fold, axes in touched if not may_fold for axis in axes}
    return tuple(2 if n == 1 and i in alone else n for i, n in enumerate(full)), shapes, touched


def _vector_view(kernel: KernelOp, known: Mapping[SSAValue, str]) -> str:
    full, shapes, touched = _constraints(kernel.operations, kernel.body.block.args)
    by_size = sorted(kernel.inputs, key=lambda v: -_size(shape_of(v)))
    for value in (kernel.result, *by_size):
        view = known.get(value)
        if view is not None and len(view) == len(full) and _fits(view, full, shapes, touched):
            return view
    view = default_view(full)
    if _fits(view, full, shapes, touched):
        return view
    view = _fold(full, shapes, touched)
    if view is None:
        raise CompilationFailure(
            f"a kernel over {len(full)} dimensions that do not fold into four",
            layer=layer_name(kernel) or None,
        )
    return view


def _size(shape: Shape) -> int:
    product = 1
    for extent in shape:
        product *= extent
    return product


def _fits(
    view: str,
    full: Shape,
    shapes: Sequence[Shape],
    touched: Touched,
) -> bool:
    """Whether no broadcast, reduction or gather runs along a part of folded axes."""
    if not is_valid(full, view):
        return False
    for letter in LETTERS:
        axes = [i for i, d in enumerate(view) if d == letter and full[i] != 1]
        if len(axes) < 2:
            continue
        for shape in shapes:
            if len({shape[i] == full[i] for i in axes}) > 1:
                return False
        for may_fold, mine in touched:
            hit = [i for i in axes if i in mine]
            if hit and (not may_fold or len(hit) != len(axes)):
                return False
    return len(layout_key(full, view)) <= 4


def _fold(
    full: Shape,
    shapes: Sequence[Shape],
    touched: Touched,
) -> str | None:
    """A view that folds exactly the neighbours that may be folded; None: four are too few."""
    groups: list[list[int]] = []
    for axis, extent in enumerate(full):
        if extent == 1 and groups:
            groups[-1].append(axis)
            continue
        if groups:
            before = groups[-1][-1]
            together = _fits_pair(before, axis, full, shapes, touched)
            if together or all(full[i] == 1 for i in groups[-1]):
                groups[-1].append(axis)
                continue
        groups.append([axis])
    if len(groups) > 4:
        return None
    letters = LETTERS[4 - len(groups) :]
    return "".join(letter * len(group) for letter, group in zip(letters, groups, strict=True))


def _fits_pair(
    before: int,
    axis: int,
    full: Shape,
    shapes: Sequence[Shape],
    touched: Touched,
) -> bool:
    for shape in shapes:
        if (shape[before] == full[before]) != (shape[axis] == full[axis]):
            return False
    return all(
        (before in mine) == (axis in mine) and (may_fold or axis not in mine)
        for may_fold, mine in touched
    )
