"""What works image by image: a function of N images whose parts are functions of fewer.

Images stand along the first axis. A tensor of N images has an extent there that is a multiple of N
(a reshape may have folded an image's first axis into it), and image i is the i-th part of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import DenseArrayBase
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Block, Operation, SSAValue

from furiosa_ir.backends.warboy.dialect.kernels import MOVEMENT, KernelOp
from furiosa_ir.backends.warboy.dialect.vector_operations import VECTOR, axes_of, tables_of
from furiosa_ir.backends.warboy.planning.remade import remade_kernel, remade_tensor_op
from furiosa_ir.dialects.ftensor import TensorOp, contraction, movement
from furiosa_ir.dialects.ftensor.arithmetic import ConstantOp
from furiosa_ir.ir.attribute_values import as_attribute
from furiosa_ir.ir.shaped_operation import ints, shape_of

Images = set[SSAValue]
"""The tensors that have an image's part for each of all images."""


@dataclass(frozen=True)
class ImageWork:
    """What of a function works image by image.

    Attributes:
        images: how many there are; 1: that cannot be seen.
        operations: those that do, in order; the others come behind them.
        outputs: what of theirs others read, or the function returns.
    """

    images: int
    operations: tuple[Operation, ...] = ()
    outputs: tuple[SSAValue, ...] = ()


def image_work(function: FuncOp) -> ImageWork:
    """What of a function works image by image: all that images are not mixed in front of.

    Args:
        function: kernels, and movement between them.
    """
    block = function.body.block
    extents = [shape_of(value)[:1] for value in block.args]
    count = max((extent[0] for extent in extents if extent), default=1)
    if count < 2:
        return ImageWork(1)
    known: Images = {v for v, e in zip(block.args, extents, strict=True) if e == (count,)}
    whole: Images = {v for v in block.args if v not in known}
    inside: dict[Operation, None] = {}
    for op in block.ops:
        if isinstance(op, ConstantOp):
            whole.add(op.result)
        elif all(v in known or v in whole for v in op.operands) and _keeps_images(op, known, count):
            known.add(op.results[0])
            inside[op] = None
    outputs = tuple(
        op.results[0]
        for op in inside
        if any(use.operation not in inside for use in op.results[0].uses)
    )
    if not outputs or not any(isinstance(op, KernelOp) for op in inside):
        return ImageWork(1)
    return ImageWork(count, tuple(inside), outputs)


def _keeps_images(op: Operation, known: Images, count: int) -> bool:
    """Whether an image of the result is made of the same image of each of the operands."""
    if isinstance(op, KernelOp):
        args, tables = op.body.block.args, tables_of(op.operations)
        inside: Images = {a for a, v in zip(args, op.inputs, strict=True) if v in known}
        if not inside or inside & tables:
            return False
        for inner in op.operations:
            if not any(value in inside for value in inner.operands):
                continue  # of constants alone: the same for all images
            if not _keeps_images(inner, inside, count):
                return False
            inside.add(inner.results[0])
        last = op.body.block.last_op
        return last is not None and last.operands[0] in inside
    if not isinstance(op, TensorOp) or not any(value in known for value in op.operands):
        return False
    if isinstance(op, MOVEMENT):
        return all(value in known for value in op.operands) and _moves_within(op, count)
    return _works_within(op, known)


def _moves_within(op: TensorOp, count: int) -> bool:
    """Whether a movement leaves what belongs to an image with it."""
    whole = shape_of(op.operands[0])
    match op:
        case movement.ReshapeOp():
            result = shape_of(op.result)
            return bool(result) and result[0] % count == 0
        case movement.TransposeOp():
            return ints(op.perm)[0] == 0
        case movement.ConcatOp():
            return op.axis.value.data != 0
        case movement.SliceOp():
            return (ints(op.starts)[0], ints(op.ends)[0], ints(op.steps)[0]) == (0, whole[0], 1)
        case movement.PadOp():
            return ints(op.pads)[0] == 0 == ints(op.pads)[len(whole)]
        case movement.BroadcastOp():
            result = shape_of(op.result)
            return len(result) == len(whole) and result[0] == whole[0]
        case _:
            return False


def _works_within(op: TensorOp, known: Images) -> bool:
    """Whether an operation's arithmetic does not mix images."""
    result = shape_of(op.results[0])
    match op:
        case contraction.ConvOp() | contraction.ReduceWindowOp():
            return op.layout.data[0] == "N" and known.isdisjoint(op.operands[1:])
        case contraction.MatMulOp():
            rank = len(result)
            matrices = (op.a, op.b) if rank > 2 else (op.a,)
            others = {*op.operands} - {*matrices}
            return known.isdisjoint(others) and all(_fits(v, result, known) for v in matrices)
        case _ if isinstance(op, VECTOR):
            along = axes_of(op)
            if along is not None and 0 in along[1]:
                return False
            tables = tables_of([op])
            return all(_fits(v, result, known) for v in op.operands if v not in tables)
        case _:
            return False


def _fits(value: SSAValue, result: Sequence[int], known: Images) -> bool:
    """Whether an operand has what each image of the result needs: its own part, or all of it."""
    shape = shape_of(value)
    if value in known:
        return len(shape) == len(result) and shape[0] == result[0]
    return len(shape) < len(result) or shape[0] == 1


def emit_images(
    operations: Sequence[Operation],
    values: dict[SSAValue, SSAValue],
    block: Block,
    before: Operation | None,
    part: int,
) -> list[Operation]:
    """Makes operations once more for one of so many equal parts of the images: those made.

    Args:
        operations: in order; constants among them stay what they are.
        values: what each value has become so far: of arguments, this part of the images. Values
            that are not in it are read as they are.
        block: where the operations go.
        before: in front of this one; None: at the end.
        part: a part has one of so many of the images.
    """

    def changes(op: TensorOp) -> dict[str, Attribute]:
        found: dict[str, Attribute] = {}
        match op:
            case movement.ReshapeOp() | movement.BroadcastOp():
                found["shape"] = _with_first(op.shape, part)
            case movement.SliceOp():
                found["ends"] = _with_first(op.ends, part)
            case _:
                pass
        return found

    emitted: list[Operation] = []
    for op in operations:
        operands = [values.get(value, value) for value in op.operands]
        if isinstance(op, KernelOp):
            made = remade_kernel(op, operands, changes)
        else:
            assert isinstance(op, TensorOp)
            made = remade_tensor_op(op, operands, changes)
        if before is None:
            block.add_op(made)
        else:
            block.insert_op_before(made, before)
        emitted.append(made)
        values[op.results[0]] = made.results[0]
    return emitted


def _with_first(extents: DenseArrayBase, part: int) -> Attribute:
    first, *others = ints(extents)
    return as_attribute([first // part, *others])
