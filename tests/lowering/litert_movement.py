"""Cases: operators that move elements."""

from __future__ import annotations

from math import prod

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import OpResolverType

from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.dialects.graph.movement import (
    ConcatOp,
    PadOp,
    ReshapeOp,
    SliceOp,
    TileOp,
    TransposeOp,
)
from furiosa_ir.dialects.graph.rearrangement import (
    BatchToSpaceOp,
    DepthToSpaceOp,
    GatherOp,
    SpaceToBatchOp,
    SpaceToDepthOp,
)
from furiosa_ir.dialects.graph.resize import ResizeOp
from tests.lowering.network import Network, Value, case


@case
def concatenation(net: Network) -> None:
    y_type, like = net.quantized(), net.shape(1, 4)
    axis = net.integer(0, len(like) - 1)
    values: list[Value] = []
    for _ in range(net.integer(1, 4)):
        shape = list(like)
        shape[axis] = net.integer(1, 5)
        same = net.is_int8 or net.boolean()
        values.append(net.input(net.bytes(*shape), y_type if same else net.quantized()))
    y = net.graph(ConcatOp, [values], y_type, axis=axis)
    net.tflite("CONCATENATION", values, y, schema.ConcatenationOptionsT(), axis=axis)


@case
def pad(net: Network) -> None:
    element, shape = net.quantized(), net.shape(1, 4)
    x = net.input(net.bytes(*shape), element)
    widths = net.array((len(shape), 2), 0, 2, np.int32)
    y = net.graph(PadOp, [x], element, pads=widths.T.ravel().tolist(), mode="constant", value=0.0)
    net.tflite("PAD", [x, widths], y)


@case
def padv2(net: Network) -> None:
    element, shape = net.quantized(), net.shape(1, 4)
    x = net.input(net.bytes(*shape), element)
    fill = net.constant(net.bytes(1), element)
    widths = net.array((len(shape), 2), 0, 2, np.int32)
    assert fill.data is not None
    q = element.data
    y = net.graph(
        PadOp,
        [x],
        element,
        pads=widths.T.ravel().tolist(),
        mode="constant",
        value=(int(fill.data[0]) - q.zero_point) * q.scale,
    )
    net.tflite("PADV2", [x, widths, fill], y)


@case
def reshape(net: Network) -> None:
    element, (a, b, c) = net.quantized(), net.shape(3, 3)
    x = net.input(net.bytes(a, b, c), element)
    target = net.choose([a * b * c], [a, b * c], [c, a * b], [b, 1, c, a])
    y = net.graph(ReshapeOp, [x], element, shape=target)
    net.tflite("RESHAPE", [x, np.array(target, np.int32)], y, version=1)


@case
def transpose(net: Network) -> None:
    element, shape = net.quantized(), net.shape(1, 4)
    perm = net.order(len(shape))
    x = net.input(net.bytes(*shape), element)
    y = net.graph(TransposeOp, [x], element, perm=perm)
    net.tflite("TRANSPOSE", [x, np.array(perm, np.int32)], y)


def _blocks(net: Network, op: type[GraphOp], builtin: str, options: object, deep: bool) -> None:
    element, size = net.quantized(), net.choose(2, 3)
    n, h, w, c = net.integer(1, 2), net.integer(1, 3), net.integer(1, 3), net.integer(1, 3)
    shape = (n, h, w, c * size * size) if deep else (n, h * size, w * size, c)
    x = net.input(net.bytes(*shape), element)
    y = net.graph(op, [x], element, blocksize=size, mode="DCR", layout="NHWC")
    net.tflite(builtin, [x], y, options, version=1, blockSize=size)


@case
def depth_to_space(net: Network) -> None:
    _blocks(net, DepthToSpaceOp, "DEPTH_TO_SPACE", schema.DepthToSpaceOptionsT(), deep=True)


@case
def space_to_depth(net: Network) -> None:
    _blocks(net, SpaceToDepthOp, "SPACE_TO_DEPTH", schema.SpaceToDepthOptionsT(), deep=False)


@case
def space_to_batch_nd(net: Network) -> None:
    """Two spatial dimensions or one (3-D); padded up to whole blocks."""
    element, n = net.quantized(), net.integer(1, 2)
    blocks, extents, begins = net.integers(n, 1, 3), net.integers(n, 1, 6), net.integers(n, 0, 2)
    ends = [
        -(begin + extent) % block + block * net.integer(0, 1)
        for begin, extent, block in zip(begins, extents, blocks, strict=True)
    ]
    x = net.input(net.bytes(net.integer(1, 2), *extents, net.integer(1, 3)), element)
    y = net.graph(SpaceToBatchOp, [x], element, blocks=blocks, pads=[*begins, *ends])
    operands = [np.array(blocks, np.int32), np.array([begins, ends], np.int32).T.copy()]
    net.tflite("SPACE_TO_BATCH_ND", [x, *operands], y, schema.SpaceToBatchNDOptionsT())


@case
def batch_to_space_nd(net: Network) -> None:
    """Cropped to one element or more."""
    element, n = net.quantized(), net.integer(1, 2)
    blocks, extents = net.integers(n, 1, 3), net.integers(n, 1, 5)
    whole = [block * extent for block, extent in zip(blocks, extents, strict=True)]
    begins = [net.integer(0, min(2, w - 1)) for w in whole]
    ends = [net.integer(0, min(2, w - 1 - b)) for w, b in zip(whole, begins, strict=True)]
    shape = (net.integer(1, 2) * prod(blocks), *extents, net.integer(1, 3))
    x = net.input(net.bytes(*shape), element)
    y = net.graph(BatchToSpaceOp, [x], element, blocks=blocks, crops=[*begins, *ends])
    operands = [np.array(blocks, np.int32), np.array([begins, ends], np.int32).T.copy()]
    net.tflite("BATCH_TO_SPACE_ND", [x, *operands], y, schema.BatchToSpaceNDOptionsT())


@case
def gather(net: Network) -> None:
    element, shape = net.quantized(), net.shape(1, 4)
    axis = net.integer(0, len(shape) - 1)
    x = net.input(net.bytes(*shape), element)
    indices = net.array((net.integer(1, 6),), 0, shape[axis] - 1, np.int32)
    y = net.graph(GatherOp, [x], element, axis=axis, indices=indices.tolist())
    net.tflite("GATHER", [x, indices], y, schema.GatherOptionsT(), axis=axis)


@case
def slice_(net: Network) -> None:
    element, shape = net.quantized(), net.shape(1, 4)
    x = net.input(net.bytes(*shape), element)
    starts = [net.integer(0, n - 1) for n in shape]
    ends = [net.integer(start + 1, n) for start, n in zip(starts, shape, strict=True)]
    y = net.graph(SliceOp, [x], element, starts=starts, ends=ends, steps=[1] * len(shape))
    sizes = np.subtract(ends, starts)
    net.tflite("SLICE", [x, np.array(starts, np.int32), sizes.astype(np.int32)], y)


@case
def strided_slice(net: Network) -> None:
    element, shape = net.quantized(), net.shape(1, 4, 7)
    x = net.input(net.bytes(*shape), element)
    starts, ends, steps = [], [], []
    for n in shape:
        step = net.choose(1, 2, -1, -2) if n > 1 else 1
        # An end of -1 would be the last element: backwards, the first one is left out.
        start = net.integer(0, n - 1) if step > 0 else net.integer(1, n - 1)
        end = net.integer(start + 1, n) if step > 0 else net.integer(0, start - 1)
        starts, ends, steps = [*starts, start], [*ends, end], [*steps, step]
    y = net.graph(SliceOp, [x], element, starts=starts, ends=ends, steps=steps)
    bounds = [np.array(b, np.int32) for b in (starts, ends, steps)]
    net.tflite("STRIDED_SLICE", [x, *bounds], y, schema.StridedSliceOptionsT())


@case
def reverse_v2(net: Network) -> None:
    element, shape = net.quantized(), net.shape(1, 4)
    axis, n = net.integer(0, len(shape) - 1), len(shape)
    x = net.input(net.bytes(*shape), element)
    starts, ends, steps = [0] * n, list(shape), [1] * n
    starts[axis], ends[axis], steps[axis] = shape[axis] - 1, -1, -1
    y = net.graph(SliceOp, [x], element, starts=starts, ends=ends, steps=steps)
    net.tflite("REVERSE_V2", [x, np.array([axis], np.int32)], y, schema.ReverseV2OptionsT())


@case
def tile(net: Network) -> None:
    element, shape = net.quantized(), net.shape(1, 4)
    repeats = net.integers(len(shape), 1, 3)
    x = net.input(net.bytes(*shape), element)
    y = net.graph(TileOp, [x], element, repeats=repeats)
    net.resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    net.tflite("TILE", [x, np.array(repeats, np.int32)], y, version=3)


@case
def mirror_pad(net: Network) -> None:
    element, mode = net.quantized(), net.choose("reflect", "symmetric")
    shape = net.shape(1, 4)
    x = net.input(net.bytes(*shape), element)
    most = [n - 1 if mode == "reflect" else n for n in shape]
    widths = np.array([net.integers(2, 0, min(n, 2)) for n in most], np.int32)
    y = net.graph(PadOp, [x], element, pads=widths.T.ravel().tolist(), mode=mode, value=0.0)
    kind = schema.MirrorPadMode.REFLECT if mode == "reflect" else schema.MirrorPadMode.SYMMETRIC
    net.tflite("MIRROR_PAD", [x, widths], y, schema.MirrorPadOptionsT(), mode=kind)


def _resize(net: Network, builtin: str, options: object, mode: str) -> None:
    coordinates = net.choose("asymmetric", "half_pixel", "align_corners")
    extents = net.integers(2, 1, 6)
    multiples = [n * net.choose(2, 3, 4) for n in extents]
    sizes = multiples if net.boolean() else net.integers(2, 1, 14)
    element = net.quantized()
    x = net.input(net.bytes(net.integer(1, 2), *extents, net.integer(1, 3)), element)
    y = net.graph(
        ResizeOp,
        [x],
        element,
        layout="NHWC",
        mode=mode,
        coordinates=coordinates,
        nearest_mode="floor",
        sizes=sizes,
        scales=[size / extent for size, extent in zip(sizes, extents, strict=True)],
    )
    net.tflite(
        builtin,
        [x, np.array(sizes, np.int32)],
        y,
        options,
        alignCorners=coordinates == "align_corners",
        halfPixelCenters=coordinates == "half_pixel",
        version=3,
    )


@case
def resize_nearest_neighbor(net: Network) -> None:
    _resize(net, "RESIZE_NEAREST_NEIGHBOR", schema.ResizeNearestNeighborOptionsT(), "nearest")


@case
def resize_bilinear(net: Network) -> None:
    _resize(net, "RESIZE_BILINEAR", schema.ResizeBilinearOptionsT(), "linear")
