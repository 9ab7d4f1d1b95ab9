"""`graph-fold-space-to-batch`: a convolution between blocks of batches is a dilated one."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue

from furiosa_ir.dialects.graph.base import quantization_of
from furiosa_ir.dialects.graph.convolution import ConvOp
from furiosa_ir.dialects.graph.elementwise import ClipOp, ReluOp
from furiosa_ir.dialects.graph.rearrangement import BatchToSpaceOp, SpaceToBatchOp
from furiosa_ir.ir.passes import RewritePass
from furiosa_ir.ir.remarks import described, missed, passed
from furiosa_ir.ir.rewriting import Rewrite, RewriteDriver, rule
from furiosa_ir.ir.segments import is_npu
from furiosa_ir.ir.shaped_operation import element_of, ints, shape_of


@rule
def batch_to_space_of_activation(
    op: BatchToSpaceOp, x: ReluOp | ClipOp, rw: Rewrite
) -> SSAValue | None:
    """batch_to_space(relu(x)) = relu(batch_to_space(x)), if nobody else reads the activation."""
    quantization = quantization_of(x.x)
    if not x.result.has_one_use() or not op.only_moves:
        cause = "it requantises" if x.result.has_one_use() else "others read that as well"
        missed(op, "dilated", "it stays behind {x}: {cause}", x=described(x), cause=cause)
        return None
    if quantization is not None and quantization.axis is not None:
        return None
    moved = rw.emit(
        BatchToSpaceOp,
        [x.x],
        [element_of(x.x)],
        blocks=op.blocks,
        crops=op.crops,
    )
    element = element_of(op.result)
    if isinstance(x, ReluOp):
        return rw.emit(ReluOp, [moved], [element])
    low, high = x.minimum, x.maximum
    return rw.emit(ClipOp, [moved], [element], minimum=low, maximum=high)


@rule
def batch_to_space_of_conv(op: BatchToSpaceOp, x: ConvOp, rw: Rewrite) -> SSAValue | None:
    """batch_to_space(conv(space_to_batch(x))) = conv(x) dilated by the block, for conv's stride 1.

    What space_to_batch pads and batch_to_space does not crop is the convolution's padding.
    """
    split = x.x.owner
    if not isinstance(split, SpaceToBatchOp) or x.layout.data != "NHWC":
        return None
    plain = {ints(x.strides), ints(x.dilations)} == {(1, 1)} and not any(ints(x.pads))
    pads = [p - c for p, c in zip(ints(split.pads), ints(op.crops), strict=True)]
    same = element_of(split.x) == element_of(x.x)
    # Where it rounds twice, or all is cropped, there is no such convolution.
    causes = {
        "the convolution has strides, dilations or pads of its own": not plain,
        "more is cropped than padded": min(pads) < 0,
        "the blocks differ": ints(split.blocks) != ints(op.blocks),
        "the scales around space_to_batch differ": not same,
        "the scales around batch_to_space differ": not op.only_moves,
        "nothing is left of it": 0 in shape_of(op.result),
    }
    if cause := next((cause for cause, holds in causes.items() if holds), None):
        missed(
            op,
            "dilated",
            "it makes no dilated convolution of {conv}: {cause}",
            conv=described(x),
            cause=cause,
        )
        return None
    passed(op, "dilated", "it makes a dilated convolution of {conv}", conv=described(x))
    rw.fuse_locations(split)
    return rw.emit(
        ConvOp,
        [split.x, x.weight, x.bias],
        [element_of(op.result)],
        layout=x.layout,
        kernel_layout=x.kernel_layout,
        strides=x.strides,
        pads=pads,
        dilations=op.blocks,
        group=x.group,
    )


@dataclass(frozen=True)
class FoldSpaceToBatch(RewritePass):
    """Makes dilated convolutions of those that TensorFlow wrote between blocks of batches.

    It stands behind the partition: a host segment is written from its operators' origins, and a
    folded one has none. Only NPU segments are touched.

        %1 = graph.space_to_batch %x {blocks = array<i64: 2>, pads = array<i64: 2, 2>}
        %2 = graph.conv %1, %w, %b {...}
        %3 = graph.batch_to_space %2 {blocks = array<i64: 2>, crops = array<i64: 0, 0>}

    becomes

        %3 = graph.conv %x, %w, %b {dilations = array<i64: 2>, pads = array<i64: 2, 2>}
    """

    name = "graph-fold-space-to-batch"
    rules = (batch_to_space_of_activation, batch_to_space_of_conv)

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in op.ops:
            if isinstance(function, FuncOp) and is_npu(function):
                RewriteDriver(self.rules, self).run(function)
