"""The arguments of TFLite's data movement operators, as the operations' properties."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from furiosa_ir.dialects.graph.base import TFLiteNode, quantization_of
from furiosa_ir.dialects.graph.slicing import SliceMasks, resolve_strided_slice
from furiosa_ir.ir.shaped_operation import Shape


def reshape_target(node: TFLiteNode) -> Shape:
    """The shape that RESHAPE, SQUEEZE or EXPAND_DIMS makes."""
    target = node.result_types[0].get_shape()
    shape, options = node.shape(0), node.options
    count = prod(shape)
    if node.op_type == "SQUEEZE":
        dims = [options.SqueezeDims(i) % len(shape) for i in range(options.SqueezeDimsLength())]
        dims = dims or [i for i, n in enumerate(shape) if n == 1]
        return tuple(n for i, n in enumerate(shape) if i not in dims)
    if node.op_type != "RESHAPE":
        return target
    option = [options.NewShape(i) for i in range(options.NewShapeLength())]
    given = node.constant(1)
    if len(node.operands) < 2 and option:
        given = np.array(option)  # the older form; LiteRT prefers the input
    elif given is None or prod(target) == count:
        return target
    # The file may leave the result's shape open; an extent of -1 follows from the others.
    target = tuple(int(n) for n in given.reshape(-1))
    known = prod(n for n in target if n != -1)
    if target.count(-1) == 1 and known:
        target = tuple(count // known if n == -1 else n for n in target)
    return target


def slice_bounds(node: TFLiteNode) -> tuple[list[int], list[int], list[int], Shape | None] | None:
    """starts, ends and steps of SLICE, STRIDED_SLICE, REVERSE_V2; None where they are not constant.

    The last entry is the result's shape where dimensions of 1 are dropped or added besides.
    """
    shape, arrays = node.shape(0), [node.constant(i) for i in range(1, len(node.operands))]
    given = [[int(n) for n in a.reshape(-1)] for a in arrays if a is not None]
    if len(given) != len(arrays):
        return None
    if node.op_type == "SLICE":
        # begin, extents; an extent of -1 reaches to the end.
        begins, sizes = given
        ends = [
            n if size == -1 else begin + size
            for begin, size, n in zip(begins, sizes, shape, strict=True)
        ]
        return begins, ends, [1] * len(shape), None
    if node.op_type == "REVERSE_V2":
        back = {axis % len(shape) for axis in given[0]}
        starts, ends, steps = zip(
            *((n - 1, -1, -1) if i in back else (0, n, 1) for i, n in enumerate(shape)), strict=True
        )
        return list(starts), list(ends), list(steps), None
    options = node.options
    masks = SliceMasks(
        options.BeginMask(),
        options.EndMask(),
        options.EllipsisMask(),
        options.NewAxisMask(),
        options.ShrinkAxisMask(),
        options.Offset(),
    )
    resolved = resolve_strided_slice(shape, given[0], given[1], given[2], masks)
    if resolved is None:
        return None
    starts, ends, steps, extents = resolved
    changes_rank = bool(masks.shrink_axis or masks.new_axis)
    return starts, ends, steps, tuple(extents) if changes_rank else None


def pad_arguments(node: TFLiteNode) -> dict[str, Any] | None:
    """The properties of PAD, PADV2 or MIRROR_PAD; None where the paddings are not constant."""
    pads = node.constant(1)
    if pads is None:
        return None
    mode, value = "constant", 0.0
    if node.op_type == "MIRROR_PAD":
        mode = ("reflect", "symmetric")[int(node.options.Mode())]
    if node.op_type == "PADV2":
        fill, operand = node.constant(2), node.operands[2]
        if fill is None or operand is None:
            return None
        value = float(fill.reshape(-1)[0])
        q = quantization_of(operand)
        if q is not None:
            value = q.scale * (value - q.zero_point)
    return {"pads": [int(n) for n in pads.T.reshape(-1)], "mode": mode, "value": value}


def resize_arguments(node: TFLiteNode) -> dict[str, Any] | None:
    """The properties of RESIZE_*; None for a size that is not constant or a form without name."""
    sizes = node.constant(1)
    align, half_pixel = node.options.AlignCorners(), node.options.HalfPixelCenters()
    if sizes is None or (align and half_pixel):
        return None
    target = [int(n) for n in sizes.reshape(-1)]
    coordinates, nearest_mode = "asymmetric", "floor"
    if align:
        coordinates, nearest_mode = "align_corners", "round_prefer_ceil"
    elif half_pixel:
        # floor((i + 0.5) * s) is the coordinate (i + 0.5) * s - 0.5 with halves rounded up.
        coordinates, nearest_mode = "half_pixel", "round_prefer_ceil"
    return {
        "layout": "NHWC",
        "mode": "linear" if node.op_type == "RESIZE_BILINEAR" else "nearest",
        "coordinates": coordinates,
        "nearest_mode": nearest_mode,
        "sizes": target,
        "scales": [n / e for n, e in zip(target, node.shape(0)[1:3], strict=True)],
    }
