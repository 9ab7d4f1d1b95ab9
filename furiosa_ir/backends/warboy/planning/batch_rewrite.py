"""The images of a segment in several passes: its operations once more for each of them."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import FunctionType, IntegerAttr, i64
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Operation, Region, SSAValue, Use

from furiosa_ir.backends.warboy.dialect.attributes import GROUP, PART
from furiosa_ir.backends.warboy.dialect.kernels import KernelOp
from furiosa_ir.backends.warboy.dialect.segment import kernels_of
from furiosa_ir.backends.warboy.planning.images import ImageWork, emit_images
from furiosa_ir.backends.warboy.planning.remade import number_parts
from furiosa_ir.dialects.ftensor import movement
from furiosa_ir.dialects.ftensor.arithmetic import ConstantOp
from furiosa_ir.ir.attribute_values import as_attribute
from furiosa_ir.ir.rewrite_watch import step
from furiosa_ir.ir.shaped_operation import AnyTensor, element_of, ints, shape_of, tensor_type
from furiosa_ir.ir.value_tracking import note_replaced


def split_batch(function: FuncOp, work: ImageWork, parts: int, *, groups: int = 1) -> None:
    """Lets the images of a segment go through it in so many passes, in place.

    Args:
        function: the segment.
        work: what of it works image by image.
        parts: how many passes.
        groups: they are planned in so many groups of as many, each as if there were no others.
    """
    block, images = function.body.block, work.images
    before = _first_behind(block, work)
    number_parts(kernels_of(function))
    readers = {value: _reader(value) for value in block.args}
    with step("split_batch", work.operations[0]) as done:
        pieces: list[list[SSAValue]] = []
        for part in range(parts):
            values: dict[SSAValue, SSAValue] = {}
            for value in block.args:
                if shape_of(value)[:1] == (images,) and value.uses:
                    taken = _take(value, part * images // parts, images // parts)
                    reader = readers[value]
                    if reader is not None:
                        taken.attributes[PART] = reader.attributes[PART]
                    block.insert_op_before(taken, before)
                    done.made.append(taken)
                    values[value] = taken.result
            emitted = emit_images(work.operations, values, block, before, parts)
            done.made += emitted
            for op in emitted if groups > 1 else ():
                if isinstance(op, KernelOp):
                    op.attributes[GROUP] = IntegerAttr(part * groups // parts, i64)
            pieces.append([values[value] for value in work.outputs])
        for old, made in zip(work.outputs, zip(*pieces, strict=True), strict=True):
            whole = _join(old, made, work, before)
            if whole is not None:
                done.made.append(whole)
        for op in (*_dead_slices(work), *reversed(work.operations)):
            op.detach()
            op.erase()


def _first_behind(block: Block, work: ImageWork) -> Operation:
    """The first operation that mixes images; constants that stand behind it go in front of it."""
    inside, outputs = set(work.operations), set(work.outputs)
    operations = list(block.ops)
    before = next(
        op for op in operations if op not in inside and not outputs.isdisjoint(op.operands)
    )
    behind = operations[operations.index(before) :]
    for op in behind:
        if isinstance(op, ConstantOp) and any(use.operation in inside for use in op.result.uses):
            op.detach()
            block.insert_op_before(op, before)
    return before


def _join(
    old: SSAValue, pieces: Sequence[SSAValue], work: ImageWork, before: Operation
) -> movement.ConcatOp | None:
    """All images of an output for whoever mixes them; who takes some of one piece reads that.

    Returns:
        What puts them together; None where everybody reads a piece.
    """
    left: list[Use] = []
    for use in list(old.uses):
        user = use.operation
        if user not in work.operations and not _reads_piece(user, pieces):
            left.append(use)
    if not left:
        return None
    owner = old.owner
    assert isinstance(owner, Operation)
    whole = movement.ConcatOp.make(
        [list(pieces)], [element_of(old)], location=owner.location, axis=0
    )
    block = before.parent
    assert block is not None
    block.insert_op_before(whole, before)
    note_replaced(old, whole.result)
    for use in left:
        use.operation.operands[use.index] = whole.result
    return whole


def _dead_slices(work: ImageWork) -> list[Operation]:
    """Those of which a piece has taken the place."""
    users = (use.operation for value in work.outputs for use in value.uses)
    return [op for op in users if isinstance(op, movement.SliceOp) and not op.result.uses]


def _reads_piece(user: Operation, pieces: Sequence[SSAValue]) -> bool:
    """Has a slice of an output read the piece that it takes images of, if it is one such."""
    if not isinstance(user, movement.SliceOp) or set(ints(user.steps)) != {1}:
        return False
    shape = shape_of(pieces[0])
    starts, ends = [*ints(user.starts)], [*ints(user.ends)]
    number, starts[0] = divmod(starts[0], shape[0])
    ends[0] -= number * shape[0]
    if ends[0] > shape[0]:
        return False
    if tuple(ends) == shape and not any(starts):
        # The slice itself, which reads nothing new, goes with the operations that pieces replace.
        note_replaced(user.result, pieces[number])
        user.result.replace_all_uses_with(pieces[number])
    else:
        user.operands[0] = pieces[number]
        user.properties["starts"] = as_attribute(starts)
        user.properties["ends"] = as_attribute(ends)
    return True


def _reader(value: SSAValue) -> KernelOp | None:
    """A kernel that reads a value, or what movement makes of it."""
    for use in value.uses:
        user = use.operation
        if isinstance(user, KernelOp):
            return user
        for result in user.results:
            if (reader := _reader(result)) is not None:
                return reader
    return None


def _take(value: SSAValue, first: int, count: int) -> movement.SliceOp:
    """Some of the images."""
    shape = shape_of(value)
    starts, ends = [0] * len(shape), [*shape]
    starts[0], ends[0] = first, first + count
    return movement.SliceOp.make([value], [element_of(value)], starts=starts, ends=ends)


def part_of(function: FuncOp, work: ImageWork, parts: int) -> FuncOp:
    """A segment for one of so many parts of the images, which says nothing of its surroundings."""
    old = function.body.block
    types = [_part_type(v, work.images, parts) for v in old.args]
    block = Block(arg_types=types)
    values: dict[SSAValue, SSAValue] = dict(zip(old.args, block.args, strict=True))
    for op in old.ops:
        if isinstance(op, ConstantOp):
            copy = op.clone()
            block.add_op(copy)
            values[op.result] = copy.result
    emit_images(work.operations, values, block, None, parts)
    results = [values[value] for value in work.outputs]
    block.add_op(ReturnOp(*results))
    kinds = FunctionType.from_lists(types, [value.type for value in results])
    return FuncOp(function.sym_name.data, kinds, Region(block))


def _part_type(value: SSAValue, images: int, parts: int) -> AnyTensor:
    shape = shape_of(value)
    if shape[:1] == (images,):
        shape = (images // parts, *shape[1:])
    return tensor_type(element_of(value), shape)
