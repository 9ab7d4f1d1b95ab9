"""`graph-hoist-row-functions`: softmax goes to what makes its rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import cast

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import SSAValue

from furiosa_ir.dialects.graph.base import constant_of, quantization_of
from furiosa_ir.dialects.graph.contraction import is_litert
from furiosa_ir.dialects.graph.convolution import ConvOp
from furiosa_ir.dialects.graph.movement import ConcatOp, ReshapeOp, TransposeOp
from furiosa_ir.dialects.graph.reduction import NormalizedExpOp
from furiosa_ir.dialects.graph.structure import ConstantOp
from furiosa_ir.dialects.quant import UniformType
from furiosa_ir.ir.constants import BlobAttr
from furiosa_ir.ir.passes import RewritePass
from furiosa_ir.ir.remarks import passed
from furiosa_ir.ir.rewriting import Rewrite, RewriteDriver, has_one_reader, is_dead, rule
from furiosa_ir.ir.segments import body_of, is_npu, numerics_of
from furiosa_ir.ir.shaped_operation import element_of, ints, shape_of
from furiosa_ir.lowering.registry import LITERT_DEFAULT
from furiosa_ir.passes.clone import clone_with

_MOST_PARTS = 8
"""Kernels that one convolution may become; detectors have 3 to 6 anchors a place."""


@rule
def rows_of_concat(op: NormalizedExpOp, x: ConcatOp, rw: Rewrite) -> SSAValue | None:
    """softmax(concat(x, y)) = concat(softmax(x), softmax(y)), if whole rows are concatenated.

    If nobody else reads the concatenation, and `rows_of_filters` applies to one of its parts.
    """
    axis, last = x.axis.value.data, len(shape_of(x.result)) - 1
    if axis == last or op.axis.value.data != last or not has_one_reader(x.result):
        return None
    element = element_of(x.result)
    if any(element_of(v) != element for v in x.inputs) or not _leaves(op.result):
        return None
    least = cast("HoistRowFunctions", rw.options).least_part
    if not any(isinstance(v.owner, ReshapeOp) and _filters(v.owner, least) for v in x.inputs):
        return None
    made = [clone_with(rw, op, [v], element_of(op.result))[0] for v in x.inputs]
    return rw.emit(ConcatOp, [made], [element_of(op.result)], axis=axis)


@rule
def rows_of_filters(op: NormalizedExpOp, x: ReshapeOp, rw: Rewrite) -> SSAValue | None:
    """softmax(reshape(conv(x, w))) = softmax(conv(x, w[:n])) beside softmax(conv(x, w[n:])).

    Where a row of channels holds several of softmax, as the anchors of a detector's head; if only
    the network's outputs want the result. A part of an image has `least-part` elements or more.

    Of one image the parts are a batch, stored row by row where they belong. Of several that would
    move each image by itself, and parts are put together as channels, in SRAM.
    """
    last = len(shape_of(x.result)) - 1
    least = cast("HoistRowFunctions", rw.options).least_part
    found = _filters(x, least) if op.axis.value.data == last else None
    if found is None or not _leaves(op.result):
        return None
    conv, transpose = found
    rw.fuse_locations(conv, *([transpose] if transpose is not None else []))
    row, shape = shape_of(x.result)[-1], shape_of(x.x)
    element, rank = element_of(x.x), len(shape)
    count, out = shape[-1] // row, element_of(op.result)
    passed(op, "rows", "each of its {parts} rows of channels has filters of its own", parts=count)
    parts: list[SSAValue] = []
    for first in range(0, shape[-1], row):
        weight = _part(conv.weight, conv.weight_channel_axis, first, row, rw)
        bias = None if conv.bias is None else _part(conv.bias, 0, first, row, rw)
        parts += clone_with(rw, conv, [conv.x, weight, bias], element)
    if shape[0] == 1:
        parts = [rw.emit(ConcatOp, [parts], [element], axis=0)]
    if transpose is not None:
        perm = transpose.perm
        parts = [rw.emit(TransposeOp, [part], [element], perm=perm) for part in parts]
    made = [clone_with(rw, op, [part], out, axis=rank - 1)[0] for part in parts]
    if shape[0] == 1:
        inwards = [*range(1, rank - 1), 0, rank - 1]
        whole = rw.emit(TransposeOp, made, [out], perm=inwards)
    else:
        whole = rw.emit(ConcatOp, [made], [out], axis=rank - 1)
    return rw.emit(ReshapeOp, [whole], [out], shape=x.shape)


def _filters(x: ReshapeOp, least: int) -> tuple[ConvOp, TransposeOp | None] | None:
    """The convolution whose channels are split into rows, and the transpose behind it.

    None if it is another reshape, or somebody else reads what it reshapes.
    """
    shape, row = shape_of(x.x), shape_of(x.result)[-1:]
    if len(shape) < 3 or not row or row[0] == 0 or shape[0] == 0 or not x.only_moves:
        return None
    parts, rest = divmod(shape[-1], row[0])
    if rest or not 1 < parts <= _MOST_PARTS or prod(shape[1:]) // parts < least:
        return None
    value, transpose, last = x.x, None, len(shape) - 1
    if isinstance(value.owner, TransposeOp) and value.owner.only_moves:
        transpose = value.owner
        perm = ints(transpose.perm)
        value, last = transpose.x, perm[-1]
        if perm[0] != 0 or not has_one_reader(x.x):
            return None
    conv = value.owner
    if not isinstance(conv, ConvOp) or conv.channel_axis != last or conv.group.value.data != 1:
        return None
    fixed = all(v is None or constant_of(v) is not None for v in (conv.weight, conv.bias))
    if not fixed or _has_one_factor(conv):
        return None
    return (conv, transpose) if all(map(has_one_reader, (x.result, value))) else None


def _has_one_factor(conv: ConvOp) -> bool:
    """Whether filters lose their factors apart: LiteRT scales all of uint8 data by the first's."""
    x, weight = quantization_of(conv.x), quantization_of(conv.weight)
    apart = weight is not None and weight.axis is not None
    return apart and x is not None and x.storage == "u8" and is_litert(conv)


def _part(value: SSAValue, axis: int, first: int, count: int, rw: Rewrite) -> SSAValue:
    """Some channels of a constant."""
    array, element = constant_of(value), element_of(value)
    assert array is not None
    taken = (slice(None),) * axis + (slice(first, first + count),)
    if isinstance(element, UniformType) and element.data.axis == axis:
        channels = slice(first, first + count)
        known = element.data
        element = UniformType(
            replace(
                known,
                scales=known.scales[channels],
                zero_points=known.zero_points[channels],
            )
        )
    return rw.emit(ConstantOp, [], [element], value=BlobAttr.of(array[taken]))


def _leaves(value: SSAValue) -> bool:
    """Whether a value is only moved on its way to the segment's results."""
    return all(
        isinstance(use.operation, ReturnOp)
        or is_dead(use.operation)
        or (
            isinstance(use.operation, ConcatOp | ReshapeOp | TransposeOp)
            and _leaves(use.operation.results[0])
        )
        for use in value.uses
    )


@dataclass(frozen=True)
class HoistRowFunctions(RewritePass):
    """Moves softmax above reshapes and concatenations that keep its rows whole.

    The heads of detectors end so: maps of several sizes are reshaped to rows of class scores,
    concatenated, and softmax is taken of all. These reshapes are no views, so softmax would read
    from DRAM what convolutions have just stored there; now it reads it in SRAM, and stores into the
    result.

        %1 = graph.reshape %a : tensor<1x5120x81>       // of tensor<1x32x32x405>
        %2 = graph.reshape %b : tensor<1x1280x81>
        %3 = graph.concat %1, %2 {axis = 1} : tensor<1x6400x81>
        %4 = graph.softmax %3 {axis = 2}

    becomes, of %a = graph.conv %x, %w,

        %1 = graph.conv %x, %w_0 : tensor<1x32x32x81>     // the first 81 filters
        ...
        %5 = graph.conv %x, %w_4 : tensor<1x32x32x81>
        %6 = graph.concat %1, %2, %3, %4, %5 {axis = 0} : tensor<5x32x32x81>
        %7 = graph.softmax %6 {axis = 3}
        %8 = graph.transpose %7 {perm = array<i64: 1, 2, 0, 3>} : tensor<32x32x5x81>
        %9 = graph.reshape %8 : tensor<1x5120x81>
        ...
        %20 = graph.concat %9, %19 {axis = 1} : tensor<1x6400x81>

    and of two images each convolution has a softmax of its own, and %9 is a reshape of

        %8 = graph.concat %3, %4, %5, %6, %7 {axis = 3} : tensor<2x32x32x405>

    Where a row lies must not matter to how it is computed, so LiteRT's default kernels stay out of
    it, as in `graph-sink-movement`.

    Attributes:
        least_part: elements of one part, of a map of the smallest size that is worth it: to start
            one more kernel takes about as long as to write out so many bytes and to read them.
    """

    least_part: int = 4096

    name = "graph-hoist-row-functions"
    rules = (rows_of_concat, rows_of_filters)

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        if numerics_of(op) == LITERT_DEFAULT:
            return
        for function in op.ops:
            if isinstance(function, FuncOp) and is_npu(function):
                body_of(function)  # refuses a declaration
                RewriteDriver(self.rules, self).run(function)
