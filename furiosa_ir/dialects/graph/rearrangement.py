"""Operators that rearrange elements: blocks between space and depth, chosen indices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from xdsl.dialects.builtin import DenseArrayBase, IntegerAttr, StringAttr, i64
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition, prop_def

from furiosa_ir.dialects.graph.base import OnnxNode, TFLiteNode
from furiosa_ir.dialects.graph.movement import MoveOp, ReshapeOp
from furiosa_ir.dialects.graph.onnx_arguments import axes_from_front
from furiosa_ir.errors import VerificationFailure
from furiosa_ir.ir.constants import Array
from furiosa_ir.ir.shaped_operation import Shape, ints, normal_axis, shape_of

_CHANNEL_ORDER = {"DCR": "yxC", "CRD": "Cyx"}
"""What one channel index counts: y and x are the position within a block."""


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

    def steps(self) -> tuple[Shape, tuple[int, ...], Shape]:
        """Reshape to the first, transpose by the second, reshape to the third."""
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


MOST_INDICES = 1 << 16
"""Of a gather that is modelled: it holds and prints each of them."""


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
        # Indices of another rank put all their dimensions in the place of the axis.
        target = [*shape[:axis], *indices.shape, *shape[axis + 1 :]]
        return node.emit(ReshapeOp, [result], shape=target)

    @classmethod
    def from_tflite(cls, node: TFLiteNode) -> Sequence[SSAValue]:
        indices, shape = node.constant(1), node.shape(0)
        if indices is None or indices.ndim != 1 or node.options.BatchDims():
            return node.unsupported()
        if indices.size > MOST_INDICES:
            return node.unsupported()
        axis = int(node.options.Axis()) % len(shape)
        return node.emit(cls, node.operands[:1], axis=axis, indices=indices.tolist())

    def result_shapes(self) -> Sequence[Shape]:
        shape, indices = shape_of(self.x), ints(self.indices)
        axis = normal_axis(self, self.axis.value.data, len(shape))
        if any(not 0 <= i < shape[axis] for i in indices):
            raise VerificationFailure(f"{self.name}: an index is out of range")
        return [(*shape[:axis], len(indices), *shape[axis + 1 :])]

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [np.take(operands[0], ints(self.indices), self.axis.value.data)]
