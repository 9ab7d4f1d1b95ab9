"""`assign-views`: which axes of every tensor are N, H, W and C, and copies where uses disagree."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import cast

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Operation, SSAValue

from furiosa_ir.backends.warboy.dialect.attributes import PART
from furiosa_ir.backends.warboy.dialect.kernels import (
    MOVEMENT,
    CopyOp,
    DotOp,
    KernelOp,
    PoolOp,
    VectorOp,
    YieldOp,
    make_kernel,
)
from furiosa_ir.backends.warboy.planning.assigned_views import (
    WRITERS,
    Views,
    is_free,
    is_same,
    note_views,
    own_result,
    root_of,
)
from furiosa_ir.backends.warboy.planning.geometry import tensor_bytes
from furiosa_ir.backends.warboy.planning.kernel_views import (
    is_batched,
    is_constant,
    kernel_views,
    weight_operands,
)
from furiosa_ir.backends.warboy.planning.view_inference import infer_views
from furiosa_ir.backends.warboy.planning.views import is_window
from furiosa_ir.backends.warboy.stages import require
from furiosa_ir.dialects.ftensor import NUMPY_DTYPE, arithmetic, contraction, movement
from furiosa_ir.dialects.ftensor.base import TensorOp
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.ir.constants import BlobAttr
from furiosa_ir.ir.passes import Pass
from furiosa_ir.ir.remarks import described, heard, missed, passed
from furiosa_ir.ir.rewrite_watch import Step, step
from furiosa_ir.ir.segments import is_npu
from furiosa_ir.ir.shaped_operation import element_of, ints, shape_of
from furiosa_ir.ir.value_tracking import note_replaced


@dataclass(frozen=True)
class AssignViews(Pass):
    """Gives every tensor of every `@npu_K` its view: which of its axes are N, H, W and C.

    A kernel's `views` are those of its operands and its result; arguments and movements outside of
    kernels have theirs in `warboy.view`. What is left of movement outside of kernels is then free,
    a window or another view of a buffer. All else becomes kernels: `ftensor.pad` a concatenation
    with constants, other movement, and operands that two uses want under different views, a
    `warboy.copy` in DRAM.

        func.func private @npu_0(%x: tensor<1x4x6x2xi8>) -> tensor<1x2x3x8xi8> {
          %t = ftensor.transpose %x {perm = array<i64: 0, 3, 1, 2>} : tensor<1x2x4x6xi8>
          %p = warboy.pool %x_ = %t : tensor<1x2x4x6xi8> { ... }
          %r = ftensor.reshape %p : tensor<1x2x3x8xi8>
          func.return %r

    becomes

        func.func private @npu_0(%x: tensor<1x4x6x2xi8> {warboy.view = "NHWC"}) -> ... {
          %t = ftensor.transpose %x {perm = ...} attributes {warboy.view = "NCHW"} : ...
          %p = warboy.pool %x_ = %t {views = #warboy.views<("NCHW") -> "NCHW">} : ... { ... }
          %r = warboy.copy %p_ = %p {views = #warboy.views<("NCHW") -> "NHWC">} : ... {
            %r_ = ftensor.reshape %p_ : tensor<1x2x3x8xi8>
            warboy.yield %r_
          }
          func.return %r
    """

    name = "assign-views"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        require(op, self.name)
        for function in op.ops:
            if isinstance(function, FuncOp) and is_npu(function):
                assign_views(function)


def assign_views(function: FuncOp) -> None:
    """Decides all views of one segment; makes kernels of the movements that are not free.

    Raises:
        CompilationFailure: a kernel needs more than four dimensions, or this has been done before.
    """
    block = function.body.block
    if any(isinstance(op, CopyOp) for op in block.ops):
        raise CompilationFailure(
            f"'{AssignViews.name}' comes too late: @{function.sym_name.data} has copies in DRAM "
            f"already, which it makes"
        )
    for op in list(block.ops):
        if isinstance(op, movement.PadOp):
            with step("pad_by_concat", op) as done:
                _pad_by_concat(op, done)
    _broadcast_batches(block)
    views = infer_views(block)
    for op in list(block.ops):
        if isinstance(op, KernelOp):
            _match_operands(op, views)
        elif isinstance(op, movement.ConcatOp):
            _match_parts(op, views)
        elif isinstance(op, MOVEMENT):
            if _takes_images(op):
                # No copy: they lie in DRAM, and come from there by themselves.
                part, copy = op.attributes.pop(PART, None), _wrap(op, views)
                if part is not None:
                    copy.attributes[PART] = part
            elif is_free(op, views):
                passed(op, "view", "it is a view of its operand, and moves nothing")
            else:
                if heard():
                    _tell_copy(op, _why_not_free(op, views))
                _wrap(op, views)
    _fill_parts(block, views)
    _separate_results(block, views)
    note_views(function, views)


def _takes_images(op: TensorOp) -> bool:
    """Whether it takes some of the images of an argument, which lie side by side in DRAM."""
    if not isinstance(op, movement.SliceOp) or isinstance(op.x.owner, Operation):
        return False
    starts, ends, steps = ints(op.starts), ints(op.ends), ints(op.steps)
    shape = shape_of(op.x)
    return starts[1:] == (0,) * (len(shape) - 1) and ends[1:] == shape[1:] and set(steps) == {1}


def _tell_copy(op: TensorOp, cause: str) -> None:
    missed(
        op,
        "copy",
        "it is a copy of {bytes:,} {bytes:byte|bytes} by way of DRAM, no view: {cause}",
        bytes=tensor_bytes(op.results[0]),
        cause=cause,
    )


def _why_not_free(op: TensorOp, views: Views) -> str:
    """What keeps a movement from being a view of its operand, as `is_free` has it."""
    x, result = op.operands[0], op.results[0]
    have, want = (
        f"{list(shape_of(v))} with the axes {views.get(v, 'of a constant')}" for v in (x, result)
    )
    if is_constant(x):
        return "its operand is a constant, which lies in DRAM"
    if isinstance(op, movement.SliceOp) and set(ints(op.steps)) != {1}:
        return f"steps of {list(ints(op.steps))} leave gaps"
    if isinstance(op, movement.BroadcastOp):
        return "elements are repeated"
    return f"{want} is no renaming of {have}, in which its operand lies"


def _pad_by_concat(op: movement.PadOp, done: Step) -> None:
    """Padding that no window takes over: constants before and behind, one axis after the other."""
    missed(
        op,
        "pad",
        "it is a concatenation with constants: no window that reads it takes the padding over",
        way_out="pad in the convolution or pool, with its zero point",
    )
    block, pads = cast("Block", op.parent), ints(op.pads)
    element = element_of(op.x)
    dtype = NUMPY_DTYPE[element]
    value = op.x
    rank = len(shape_of(value))
    for axis in range(rank):
        parts: list[SSAValue] = []
        for extent in (pads[axis], -1, pads[axis + rank]):
            if extent < 0:
                parts.append(value)
            elif extent > 0:
                shape = [*shape_of(value)]
                shape[axis] = extent
                # One element, repeated by strides of 0: DMA can do that too.
                border = np.broadcast_to(np.array(op.value.value.data, dtype), shape)
                constant = arithmetic.ConstantOp.make([], [element], value=BlobAttr.of(border))
                block.insert_op_before(constant, op)
                done.made.append(constant)
                parts.append(constant.result)
        if len(parts) > 1:
            concat = movement.ConcatOp.make([parts], [element], location=op.location, axis=axis)
            block.insert_op_before(concat, op)
            done.made.append(concat)
            value = concat.result
    done.values.append(value)
    note_replaced(op.result, value)
    op.result.replace_all_uses_with(value)
    op.detach()
    op.erase()


def _broadcast_batches(block: Block) -> None:
    """The leading axes of a batched product's operands in full: its engine does not broadcast."""
    for kernel in list(block.ops):
        if not isinstance(kernel, DotOp) or not is_batched(kernel):
            continue
        with step("broadcast_batches", kernel) as done:
            _broadcast_operands(kernel, done)


def _broadcast_operands(kernel: DotOp, done: Step) -> None:
    block, head = cast("Block", kernel.parent), cast("contraction.MatMulOp", kernel.head)
    leading = shape_of(head.result)[:-2]
    for argument in (head.a, head.b):
        shape = shape_of(argument)
        if shape[:-2] == leading:
            continue
        missed(
            kernel,
            "broadcast",
            "an operand of {have} is copied out to {want}: the product's engine does not broadcast",
            have=str(list(shape)),
            want=str([*leading, *shape[-2:]]),
        )
        index = kernel.body.block.args.index(argument)  # pyright: ignore[reportArgumentType]
        wide = movement.BroadcastOp.make(
            [kernel.inputs[index]],
            [element_of(argument)],
            location=kernel.location,
            shape=(*leading, *shape[-2:]),
        )
        block.insert_op_before(wide, kernel)
        kernel.operands[index] = wide.result
        argument._type = wide.result.type  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001
        done.made.append(wide)


def _match_operands(kernel: KernelOp, views: Views) -> None:
    """Operands that come under another view go through DRAM, where strides make any view."""
    if isinstance(kernel, CopyOp):
        return
    required, result = kernel_views(kernel, views)
    views[kernel.result] = result
    skip = weight_operands(kernel)
    for index, (value, view) in enumerate(zip(kernel.inputs, required, strict=True)):
        if is_constant(value) or index in skip:
            continue
        if not is_same(value, views[value], view):
            kernel.operands[index] = _relaid(value, view, kernel, views)


def _relaid(value: SSAValue, view: str, before: Operation, views: Views) -> SSAValue:
    if heard():
        missed(
            before,
            "relayout",
            "its operand of {source} is copied, {bytes:,} {bytes:byte|bytes} by way of DRAM: it "
            "comes with the axes {have} of {shape}, and is read with {want}",
            way_out="use one order of axes around it",
            source=described(value.owner if isinstance(value.owner, Operation) else value),
            bytes=tensor_bytes(value),
            have=views[value],
            want=view,
            shape=str(list(shape_of(value))),
        )
    with step("copy_operand", before) as done:
        copy = make_kernel(CopyOp, [value], value, before.location)
        cast("Block", before.parent).insert_op_before(copy, before)
        done.made.append(copy)
    views[copy.result] = view
    return copy.result


def _wrap(op: TensorOp, views: Views) -> CopyOp:
    """The movement as a copy in DRAM."""
    with step("copy_in_dram", op) as done:
        copy = _wrapped(op, views)
        done.made.append(copy)
        done.values.append(copy.result)
    return copy


def _wrapped(op: TensorOp, views: Views) -> CopyOp:
    block = cast("Block", op.parent)
    inputs = list(op.operands)  # one entry a part, even if two parts are one tensor
    result = op.results[0]
    copy = cast("CopyOp", make_kernel(CopyOp, inputs, result, op.location))
    block.insert_op_after(copy, op)
    views[copy.result] = views[result]
    note_replaced(result, copy.result)
    result.replace_all_uses_with(copy.result)
    op.detach()
    body = copy.body.block
    body.insert_op_before(op, cast("Operation", body.last_op))
    for index in range(len(inputs)):
        op.operands[index] = body.args[index]
    cast("YieldOp", body.last_op).operands[0] = result
    return copy


def _match_parts(op: movement.ConcatOp, views: Views) -> None:
    """Parts become windows of the result's buffer; where folding forbids that, copies in DRAM."""
    whole, view = shape_of(op.result), views[op.result]
    if not all(is_window(whole, shape_of(v), view) for v in op.operands):
        if heard():
            _tell_copy(op, f"its parts are no windows of {list(whole)} with the axes {view}")
        _wrap(op, views)
        return
    for index, value in enumerate(op.operands):
        if not is_same(value, views[value], view):
            op.operands[index] = _relaid(value, view, op, views)


def _fill_parts(block: Block, views: Views) -> None:
    """Every part of a concatenation gets a kernel that can write it in place.

    A part that is no kernel's own result (an argument, a window, a part of two wholes) is copied
    by the vector engine. If only DRAM wants the whole, it is put together there.
    """
    claimed: set[SSAValue] = set()
    for op in reversed(list(block.ops)):
        if not isinstance(op, movement.ConcatOp):
            continue
        mine: set[SSAValue] = set()
        foreign: list[int] = []
        for index, value in enumerate(op.operands):
            if isinstance(value.owner, WRITERS) and value not in claimed | mine:
                mine.add(value)
            else:
                foreign.append(index)
        images = op.axis.value.data == 0
        # A part of a larger one, which came before, is written in place like that.
        kept = op.result in claimed or _read_in_sram(op.result)
        if (foreign or images) and not kept:
            if heard() and foreign:
                parts = described(*(op.operands[index].owner for index in foreign))
                _tell_copy(op, f"only DRAM wants it, and no kernel of its own makes {parts}")
            _wrap(op, views)
            continue
        if not foreign:
            passed(op, "view", "its parts are written in place by the kernels that make them")
        claimed |= mine
        for index in foreign:
            value = op.operands[index]
            if heard():
                _tell_part(op, value, is_shared=value in claimed)
            with step("fill_part", op) as done:
                kernel = make_kernel(VectorOp, [value], value, op.location)
                block.insert_op_before(kernel, op)
                done.made.append(kernel)
            views[kernel.result] = views[value]
            op.operands[index] = kernel.result
            claimed.add(kernel.result)


def _tell_part(op: movement.ConcatOp, value: SSAValue, *, is_shared: bool) -> None:
    """Says of a part why the kernel that makes it does not write it in place."""
    owner = value.owner
    missed(
        op,
        "part",
        "its part of {source}, {bytes:,} {bytes:byte|bytes}, is copied in SRAM: {cause}",
        source=described(owner if isinstance(owner, Operation) else value),
        bytes=tensor_bytes(value),
        cause="it is a part of two concatenations"
        if is_shared
        else "no kernel has it for its own result",
    )


def _read_in_sram(value: SSAValue) -> bool:
    return any(
        isinstance(use.operation, DotOp | PoolOp | VectorOp)
        or (isinstance(use.operation, MOVEMENT) and _read_in_sram(use.operation.results[0]))
        for use in value.uses
    )


def _separate_results(block: Block, views: Views) -> None:
    """Every result of the function is a buffer of its own, made by a kernel."""
    end = cast("ReturnOp", block.last_op)
    seen: set[SSAValue] = set()
    for index, value in enumerate(end.operands):
        root = own_result(value)
        if root is None or root in seen or _is_reordered_twice(value, root):
            if heard():
                _tell_result(index, value, root, seen)
            with step("copy_result", end) as done:
                copy = make_kernel(CopyOp, [value], value, end.location)
                block.insert_op_before(copy, end)
                done.made.append(copy)
            views[copy.result] = views[value]
            end.operands[index] = copy.result
            root = copy.result
        seen.add(root)


def _tell_result(
    number: int, value: SSAValue, root: SSAValue | None, seen: Container[SSAValue]
) -> None:
    """Says of a result of the segment why it is a copy."""
    cause = "it is no kernel's result, or not all of it"
    if root is not None:
        cause = "it is another result, too" if root in seen else "it is reordered twice"
    owner = value.owner if isinstance(value.owner, Operation) else value.owner.last_op
    assert owner is not None
    missed(
        owner,
        "result-copy",
        "result {result} is a copy of {bytes:,} {bytes:byte|bytes} by way of DRAM: {cause}",
        result=number,
        bytes=tensor_bytes(value),
        cause=cause,
    )


def _is_reordered_twice(value: SSAValue, root: SSAValue) -> bool:
    """Whether a result is a transposed view of a reshape of a transposed argument.

    Both orders are given then, and no strides lead from one to the other: it takes two copies.
    """
    reshape = root.owner
    if value is root or not isinstance(reshape, CopyOp):
        return False
    if not any(isinstance(inner, movement.ReshapeOp) for inner in reshape.operations):
        return False
    return _is_reordered(reshape.inputs[0])


def _is_reordered(value: SSAValue) -> bool:
    """Whether a value is a transposed view of an argument, or of a copy of one."""
    root, _ = root_of(value)
    if value is root:
        return False
    if isinstance(root.owner, CopyOp):
        source = root.owner.inputs[0]
        return root_of(source)[0] is not source
    return not isinstance(root.owner, KernelOp)
