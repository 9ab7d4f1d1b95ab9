"""Cases: operators that move elements."""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import OpResolverType

from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.dialects.graph.movement import (
    ConcatOp,
    PadOp,
    ReshapeOp,
    ResizeOp,
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
from tests.lowering.network import Network, Value, case


@case
def concatenation(net: Network) -> None:
    y_type, axis = net.quantized(), int(net.rng.integers(1, 4))
    values: list[Value] = []
    for _ in range(3):
        shape = [2, 3, 4, 5]
        shape[axis] = int(net.rng.integers(1, 6))
        same = net.is_int8 or net.rng.random() < 0.4
        values.append(net.input(net.bytes(*shape), y_type if same else net.quantized()))
    y = net.graph(ConcatOp, [values], y_type, axis=axis)
    net.tflite("CONCATENATION", values, y, schema.ConcatenationOptionsT(), axis=axis)


@case
def pad(net: Network) -> None:
    element = net.quantized()
    x = net.input(net.bytes(2, 3, 4, 5), element)
    widths = net.rng.integers(0, 3, (4, 2)).astype(np.int32)
    y = net.graph(PadOp, [x], element, pads=widths.T.ravel().tolist(), mode="constant", value=0.0)
    net.tflite("PAD", [x, widths], y)


@case
def padv2(net: Network) -> None:
    element = net.quantized()
    x = net.input(net.bytes(2, 3, 4, 5), element)
    fill = net.constant(net.bytes(1), element)
    widths = net.rng.integers(0, 3, (4, 2)).astype(np.int32)
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
    element = net.quantized()
    x = net.input(net.bytes(2, 3, 4), element)
    y = net.graph(ReshapeOp, [x], element, shape=[4, 6])
    net.tflite("RESHAPE", [x, np.array([4, 6], np.int32)], y, version=1)


@case
def transpose(net: Network) -> None:
    element = net.quantized()
    x = net.input(net.bytes(2, 3, 4), element)
    y = net.graph(TransposeOp, [x], element, perm=[2, 0, 1])
    net.tflite("TRANSPOSE", [x, np.array([2, 0, 1], np.int32)], y)


def _blocks(net: Network, op: type[GraphOp], builtin: str, options: object, deep: bool) -> None:
    element, size = net.quantized(), net.choose(2, 3)
    shape = (2, 2, 3, 2 * size * size) if deep else (2, 2 * size, 3 * size, 2)
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
    element, n = net.quantized(), int(net.choose(1, 2))
    blocks = net.rng.integers(1, 4, n).astype(np.int32)
    extents = net.rng.integers(1, 7, n)
    begins = net.rng.integers(0, 3, n)
    ends = -(begins + extents) % blocks + blocks * net.rng.integers(0, 2, n)
    x = net.input(net.bytes(2, *extents, 3), element)
    y = net.graph(
        SpaceToBatchOp,
        [x],
        element,
        blocks=blocks.tolist(),
        pads=[*begins.tolist(), *ends.tolist()],
    )
    pads = np.stack([begins, ends], 1).astype(np.int32)
    net.tflite("SPACE_TO_BATCH_ND", [x, blocks, pads], y, schema.SpaceToBatchNDOptionsT())


@case
def batch_to_space_nd(net: Network) -> None:
    element, n = net.quantized(), int(net.choose(1, 2))
    blocks = net.rng.integers(1, 4, n).astype(np.int32)
    extents = net.rng.integers(3, 6, n)
    crops = net.rng.integers(0, 2, (n, 2)).astype(np.int32)
    x = net.input(net.bytes(2 * int(blocks.prod()), *extents, 3), element)
    y = net.graph(
        BatchToSpaceOp, [x], element, blocks=blocks.tolist(), crops=crops.T.ravel().tolist()
    )
    net.tflite("BATCH_TO_SPACE_ND", [x, blocks, crops], y, schema.BatchToSpaceNDOptionsT())


@case
def gather(net: Network) -> None:
    element = net.quantized()
    axis: int = net.choose(0, 1, 3)
    shape = (2, 3, 4, 5)
    x = net.input(net.bytes(*shape), element)
    indices = net.rng.integers(0, shape[axis], 6).astype(np.int32)
    y = net.graph(GatherOp, [x], element, axis=axis, indices=indices.tolist())
    net.tflite("GATHER", [x, indices], y, schema.GatherOptionsT(), axis=axis)


@case
def slice_(net: Network) -> None:
    element = net.quantized()
    x = net.input(net.bytes(2, 5, 4), element)
    y = net.graph(SliceOp, [x], element, starts=[1, 2, 0], ends=[2, 5, 3], steps=[1, 1, 1])
    begin, size = np.array([1, 2, 0], np.int32), np.array([1, 3, 3], np.int32)
    net.tflite("SLICE", [x, begin, size], y)


@case
def strided_slice(net: Network) -> None:
    element = net.quantized()
    x = net.input(net.bytes(2, 7, 4), element)
    y = net.graph(SliceOp, [x], element, starts=[0, 6, 1], ends=[2, 0, 4], steps=[1, -2, 1])
    bounds = [np.array(b, np.int32) for b in ([0, 6, 1], [2, 0, 4], [1, -2, 1])]
    net.tflite("STRIDED_SLICE", [x, *bounds], y, schema.StridedSliceOptionsT())


@case
def reverse_v2(net: Network) -> None:
    element, axis = net.quantized(), int(net.rng.integers(3))
    shape = (2, 5, 4)
    x = net.input(net.bytes(*shape), element)
    starts, ends, steps = [0] * 3, list(shape), [1] * 3
    starts[axis], ends[axis], steps[axis] = shape[axis] - 1, -1, -1
    y = net.graph(SliceOp, [x], element, starts=starts, ends=ends, steps=steps)
    net.tflite("REVERSE_V2", [x, np.array([axis], np.int32)], y, schema.ReverseV2OptionsT())


@case
def tile(net: Network) -> None:
    element = net.quantized()
    x = net.input(net.bytes(2, 1, 4), element)
    y = net.graph(TileOp, [x], element, repeats=[1, 3, 2])
    net.resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    net.tflite("TILE", [x, np.array([1, 3, 2], np.int32)], y, version=3)


@case
def mirror_pad(net: Network) -> None:
    element = net.quantized()
    x = net.input(net.bytes(2, 3, 4, 5), element)
    widths = net.rng.integers(0, 2, (4, 2)).astype(np.int32)
    mode = net.choose("reflect", "symmetric")
    y = net.graph(PadOp, [x], element, pads=widths.T.ravel().tolist(), mode=mode, value=0.0)
    kind = schema.MirrorPadMode.REFLECT if mode == "reflect" else schema.MirrorPadMode.SYMMETRIC
    net.tflite("MIRROR_PAD", [x, widths], y, schema.MirrorPadOptionsT(), mode=kind)


def _resize(net: Network, builtin: str, options: object, mode: str) -> None:
    coordinates = net.choose("asymmetric", "half_pixel", "align_corners")
    extents = [int(n) for n in net.rng.integers(1, 7, 2)]
    if net.rng.random() < 0.5:
        sizes = [n * int(net.choose(2, 3, 4)) for n in extents]
    else:
        sizes = [int(n) for n in net.rng.integers(1, 15, 2)]
    element = net.quantized()
    x = net.input(net.bytes(2, *extents, 3), element)
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
