"""Operators that rearrange elements: blocks between space and depth or batch, chosen indices."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import ClassVar

import numpy as np
from xdsl.dialects.builtin import DenseArrayBase, IntegerAttr, StringAttr, TensorType, i64
from xdsl.ir import SSAValue
from xdsl.irdl import operand_def, prop_def, result_def

from furiosa_ir.dialects.graph.base import GraphOp, OnnxNode, TFLiteNode
from furiosa_ir.dialects.graph.movement import MoveOp, ReshapeOp
from furiosa_ir.dialects.graph.onnx_arguments import axes_from_front
from furiosa_ir.errors import VerificationFailure
from furiosa_ir.ir.operation_definition import irdl_op_definition
from furiosa_ir.ir.shaped_operation import Shape, ints, normal_axis, shape_of
from furiosa_ir.numerics.array import Array

_CHANNEL_ORDER = {"DCR": "yxC", "CRD": "Cyx"}
"""What one channel index counts: y and x are the position within a block."""


Steps = tuple[Shape, tuple[int, ...], Shape]
"""Reshape to the first, transpose by the second, reshape to the third."""


class BlockOp(MoveOp):
    """Blocks of `blocksize` by `blocksize` elements, as space or as channels.

    `layout` is "NCHW" (ONNX) or "NHWC" (TFLite). `mode` is the order of the deep side's channels:
    "DCR" counts a block's position before the channel, "CRD" after it.
    """

    blocksize = prop_def(IntegerAttr.constr(i64))
    mode = prop_def(StringAttr)
    layout = prop_def(StringAttr)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Sequence[SSAValue]:
        size, mode = node.attributes["blocksize"], node.attributes.get("mode", "DCR")
        return node.emit(cls, node.operands, blocksize=size, mode=mode, layout="NCHW")

    @classmethod
    def from_tflite(cls, node: TFLiteNode) -> Sequence[SSAValue]:
        size = int(node.options.BlockSize())
        return node.emit(cls, node.operands, blocksize=size, mode="DCR", layout="NHWC")

    def letters(self) -> tuple[str, str]:
        """The dimensions as they are split, and in the order in which they are joined again.

        y and x, the position within a block, stand among the channels on the deep side, behind H
        and W on the wide one: "NyxCHW" and "NCHyWx".
        """
        deep = self.layout.data.replace("C", _CHANNEL_ORDER[self.mode.data])
        wide = self.layout.data.replace("H", "Hy").replace("W", "Wx")
        return deep, wide

    def extents(self) -> dict[str, int]:
        """The extent of each letter, C being the channels of the wide side."""
        raise NotImplementedError

    def steps(self) -> Steps:
        """How x moves."""
        split, joined = self.letters()
        at = self.extents()
        perm = tuple(split.index(letter) for letter in joined)
        return tuple(at[letter] for letter in split), perm, tuple(self.result_shapes()[0])

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        split, perm, shape = self.steps()
        return [operands[0].reshape(split).transpose(perm).reshape(shape)]


@irdl_op_definition
class DepthToSpaceOp(BlockOp):
    """blocksize**2 channels become a block: [N, C * b * b, H, W] -> [N, C, H * b, W * b]."""

    name = "graph.depth_to_space"
    ONNX: ClassVar = ("DepthToSpace",)
    TFLITE: ClassVar = ("DEPTH_TO_SPACE",)

    def extents(self) -> dict[str, int]:
        size = self.blocksize.value.data
        at = dict(zip(self.layout.data, shape_of(self.x), strict=True))
        if at["C"] % (size * size):
            raise VerificationFailure(f"{self.name}: {at['C']} channels make no blocks of {size}")
        return at | {"C": at["C"] // (size * size), "y": size, "x": size}

    def result_shapes(self) -> Sequence[Shape]:
        at, size = self.extents(), self.blocksize.value.data
        at |= {"H": at["H"] * size, "W": at["W"] * size}
        return [tuple(at[d] for d in self.layout.data)]


@irdl_op_definition
class SpaceToDepthOp(BlockOp):
    """A block becomes blocksize**2 channels: [N, C, H * b, W * b] -> [N, C * b * b, H, W]."""

    name = "graph.space_to_depth"
    ONNX: ClassVar = ("SpaceToDepth",)
    TFLITE: ClassVar = ("SPACE_TO_DEPTH",)

    def letters(self) -> tuple[str, str]:
        deep, wide = super().letters()
        return wide, deep

    def extents(self) -> dict[str, int]:
        size = self.blocksize.value.data
        at = dict(zip(self.layout.data, shape_of(self.x), strict=True))
        if at["H"] % size or at["W"] % size:
            raise VerificationFailure(
                f"{self.name}: {at['H']} x {at['W']} is not made of blocks of {size}"
            )
        return at | {"H": at["H"] // size, "W": at["W"] // size, "y": size, "x": size}

    def result_shapes(self) -> Sequence[Shape]:
        at, size = self.extents(), self.blocksize.value.data
        at |= {"C": at["C"] * size * size}
        return [tuple(at[d] for d in self.layout.data)]


def batch_blocks(node: TFLiteNode) -> tuple[list[int], list[int]] | None:
    """Extents of a block, and how much stands around space (begins, then ends), if constant."""
    blocks, around = node.constant(1), node.constant(2)
    if blocks is None or around is None:
        return None
    return [int(n) for n in blocks.reshape(-1)], [int(n) for n in around.T.reshape(-1)]


@irdl_op_definition
class SpaceToBatchOp(GraphOp):
    """A block's positions become batches: [N, H * b, W * c, ...] -> [b * c * N, H, W, ...].

    `blocks` has the extents of a block in the dimensions after the first. Before that x is padded
    with zeros: `pads` elements (begins, then ends) in these dimensions. Between this and
    `graph.batch_to_space` a convolution is one dilated by the extents of the block.
    """

    name = "graph.space_to_batch"
    TFLITE: ClassVar = ("SPACE_TO_BATCH_ND",)

    x = operand_def(TensorType)
    result = result_def(TensorType)
    blocks = prop_def(DenseArrayBase.constr(i64))
    pads = prop_def(DenseArrayBase.constr(i64))

    @classmethod
    def from_tflite(cls, node: TFLiteNode) -> Sequence[SSAValue]:
        given = batch_blocks(node)
        if given is None:
            return node.unsupported()
        return node.emit(cls, node.operands[:1], blocks=given[0], pads=given[1])

    def all_pads(self) -> list[int]:
        """What stands before and behind each of x's dimensions: begins, then ends."""
        n, pads = len(ints(self.blocks)), ints(self.pads)
        rest = [0] * (len(shape_of(self.x)) - n - 1)
        return [0, *pads[:n], *rest, 0, *pads[n:], *rest]

    def steps(self) -> Steps:
        """How the padded x moves."""
        blocks, pads, shape = ints(self.blocks), self.all_pads(), shape_of(self.x)
        n = len(blocks)
        batch, *whole = (
            before + extent + after
            for before, extent, after in zip(pads, shape, pads[len(shape) :], strict=False)
        )
        if any(b < 1 or extent % b for b, extent in zip(blocks, whole, strict=False)):
            raise VerificationFailure(f"{self.name}: {whole} is not made of blocks {list(blocks)}")
        inner = [extent // b for b, extent in zip(blocks, whole, strict=False)]
        pairs = [k for pair in zip(inner, blocks, strict=True) for k in pair]
        split = (batch, *pairs, *whole[n:])
        order = [*range(2, 2 * n + 1, 2), 0, *range(1, 2 * n, 2), *range(2 * n + 1, len(split))]
        return split, tuple(order), (batch * prod(blocks), *inner, *whole[n:])

    def result_shapes(self) -> Sequence[Shape]:
        if len(ints(self.pads)) != 2 * len(ints(self.blocks)):
            raise VerificationFailure(f"{self.name}: blocks and pads do not fit together")
        return [self.steps()[2]]

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        pads, n = self.all_pads(), operands[0].ndim
        split, perm, shape = self.steps()
        padded = np.pad(operands[0], list(zip(pads[:n], pads[n:], strict=True)))
        return [padded.reshape(split).transpose(perm).reshape(shape)]


@irdl_op_definition
class BatchToSpaceOp(MoveOp):
    """Batches become a block's positions: [b * c * N, H, W, ...] -> [N, H * b, W * c, ...].

    `blocks` as in `graph.space_to_batch`; `crops` (begins, then ends) is cut off afterwards.
    """

    name = "graph.batch_to_space"
    TFLITE: ClassVar = ("BATCH_TO_SPACE_ND",)

    blocks = prop_def(DenseArrayBase.constr(i64))
    crops = prop_def(DenseArrayBase.constr(i64))

    @classmethod
    def from_tflite(cls, node: TFLiteNode) -> Sequence[SSAValue]:
        given = batch_blocks(node)
        if given is None:
            return node.unsupported()
        return node.emit(cls, node.operands[:1], blocks=given[0], crops=given[1])

    def steps(self) -> Steps:
        """How x moves before it is cropped."""
        blocks, (batches, *whole) = ints(self.blocks), shape_of(self.x)
        n = len(blocks)
        if any(b < 1 for b in blocks) or batches % prod(blocks) or n > len(whole):
            raise VerificationFailure(f"{self.name}: {batches} batches make no {list(blocks)}")
        batch, inner = batches // prod(blocks), whole[:n]
        order = [n, *(k for i in range(n) for k in (n + 1 + i, i))]
        split = (*blocks, batch, *whole)
        outer = [b * extent for b, extent in zip(blocks, inner, strict=True)]
        return split, (*order, *range(2 * n + 1, len(split))), (batch, *outer, *whole[n:])

    def bounds(self) -> tuple[list[int], list[int]]:
        """Where what crops leave starts and ends in each dimension."""
        n, crops, shape = len(ints(self.blocks)), ints(self.crops), self.steps()[2]
        rest = [0] * (len(shape) - n - 1)
        ends = [0, *crops[n:], *rest]
        return [0, *crops[:n], *rest], [e - c for e, c in zip(shape, ends, strict=True)]

    def result_shapes(self) -> Sequence[Shape]:
        crops = ints(self.crops)
        if len(crops) != 2 * len(ints(self.blocks)):
            raise VerificationFailure(f"{self.name}: blocks and crops do not fit together")
        starts, ends = self.bounds()
        if any(c < 0 for c in crops) or any(s > e for s, e in zip(starts, ends, strict=True)):
            raise VerificationFailure(f"{self.name}: crops {list(crops)} leave nothing")
        return [tuple(e - s for s, e in zip(starts, ends, strict=True))]

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        split, perm, shape = self.steps()
        whole = operands[0].reshape(split).transpose(perm).reshape(shape)
        return [whole[tuple(slice(*b) for b in zip(*self.bounds(), strict=True))]]


MOST_INDICES = 1 << 16
"""Of a gather that is modelled: it holds and prints each of them."""


def _gathered(shape: Shape, axis: int, indices: Shape) -> list[int]:
    """Indices of any rank put all their dimensions in the place of the axis."""
    return [*shape[:axis], *indices, *shape[axis + 1 :]]


@irdl_op_definition
class GatherOp(MoveOp):
    """x[..., indices[j], ...] along `axis`, the indices being known at compile time."""

    name = "graph.gather"
    ONNX: ClassVar = ("Gather",)
    TFLITE: ClassVar = ("GATHER",)

    axis = prop_def(IntegerAttr.constr(i64))
    indices = prop_def(DenseArrayBase.constr(i64))

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Sequence[SSAValue]:
        indices, shape = node.constant(1), node.shape(0)
        if indices is None or indices.size > MOST_INDICES:
            return node.unsupported()
        axis = int(node.attributes.get("axis", 0)) % len(shape)
        front = axes_from_front(indices.reshape(-1).tolist(), shape[axis])
        (result,) = node.emit(cls, node.operands[:1], axis=axis, indices=front)
        if indices.ndim == 1:
            return [result]
        return node.emit(ReshapeOp, [result], shape=_gathered(shape, axis, indices.shape))

    @classmethod
    def from_tflite(cls, node: TFLiteNode) -> Sequence[SSAValue]:
        indices, shape = node.constant(1), node.shape(0)
        if indices is None or indices.size > MOST_INDICES or node.options.BatchDims():
            return node.unsupported()
        axis, given = int(node.options.Axis()) % len(shape), indices.reshape(-1).tolist()
        if indices.ndim == 1:
            return node.emit(cls, node.operands[:1], axis=axis, indices=given)
        parts = node.emit(cls, node.operands[:1], origin=None, axis=axis, indices=given)
        return node.emit(ReshapeOp, parts, shape=_gathered(shape, axis, indices.shape))

    def result_shapes(self) -> Sequence[Shape]:
        shape, indices = shape_of(self.x), ints(self.indices)
        axis = normal_axis(self, self.axis.value.data, len(shape))
        if any(not 0 <= i < shape[axis] for i in indices):
            raise VerificationFailure(f"{self.name}: an index is out of range")
        return [(*shape[:axis], len(indices), *shape[axis + 1 :])]

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [np.take(operands[0], ints(self.indices), self.axis.value.data)]
