"""The arguments of TFLite's data movement operators, as the operations' properties."""

from __future__ import annotations

from math import prod
from typing import Any

from xdsl.dialects.builtin import IntegerType, Signedness, f32, i8, i16, i32, i64
from xdsl.ir import Attribute

from furiosa_ir.dialects.graph.base import TFLiteNode, quantization_of
from furiosa_ir.dialects.graph.slicing import SliceMasks, resolve_strided_slice
from furiosa_ir.dialects.quant import UniformType
from furiosa_ir.errors import ImportFailure
from furiosa_ir.ir.shaped_operation import DYNAMIC, Shape, shape_of


def reshape_target(node: TFLiteNode) -> Shape | None:
    """The shape that RESHAPE, SQUEEZE or EXPAND_DIMS makes, as LiteRT computes it.

    None where an operand that is not constant decides it. What the file says of the result counts
    for nothing.

    Raises:
        FuriosaError: the operator cannot make one of its operand's shape.
    """
    shape = node.shape(0)
    match node.op_type:
        case "SQUEEZE":
            return _squeezed(node, shape)
        case "EXPAND_DIMS":
            axis = node.constant(1)
            if axis is None:
                return None
            front = _from_front(int(axis.reshape(-1)[0]), len(shape) + 1)
            return (*shape[:front], 1, *shape[front:])
        case _:
            return _reshaped(node, shape)


def _squeezed(node: TFLiteNode, shape: Shape) -> Shape:
    count = node.options.SqueezeDimsLength()
    if not count:
        return tuple(n for n in shape if n != 1)
    axes = {_from_front(node.options.SqueezeDims(i), len(shape)) for i in range(count)}
    wide = [i for i in axes if shape[i] not in (1, DYNAMIC)]
    if wide:
        raise ImportFailure(f"SQUEEZE drops dimension {wide[0]} of shape {list(shape)}")
    return tuple(n for i, n in enumerate(shape) if i not in axes)


def _reshaped(node: TFLiteNode, shape: Shape) -> Shape | None:
    """Of RESHAPE: the second operand, if it is a vector; else the option."""
    option: Any = node.options
    target = [int(option.NewShape(i)) for i in range(option.NewShapeLength())]
    given = node.operands[1] if len(node.operands) > 1 else None
    if given is not None and len(shape_of(given)) == 1:
        elements = node.constant(1)
        if elements is None:
            return None
        target = [int(n) for n in elements]
    elif target == [0]:
        target = []  # how older files write the shape of a number
    if DYNAMIC in shape:
        return tuple(DYNAMIC if n == -1 else n for n in target)
    known = prod(n for n in target if n != -1)
    if target.count(-1) == 1 and known:
        target = [prod(shape) // known if n == -1 else n for n in target]
    if prod(target) != prod(shape) or min(target, default=0) < 0:
        raise ImportFailure(f"RESHAPE of shape {list(shape)} to {target}")
    return tuple(target)


def split_extents(node: TFLiteNode) -> tuple[int, list[int]] | None:
    """The axis of SPLIT or SPLIT_V and the extents of the parts; None where they are computed.

    Raises:
        FuriosaError: the parts do not make the whole.
    """
    # SPLIT: axis, x; SPLIT_V: x, extents, axis.
    at, x = (0, 1) if node.op_type == "SPLIT" else (2, 0)
    axis, given = node.constant(at), None if node.op_type == "SPLIT" else node.constant(1)
    shape, count = node.shape(x), len(node.result_types)
    if axis is None or (given is None and node.op_type != "SPLIT"):
        return None
    if node.options.NumSplits() != count:
        return None  # LiteRT refuses another number
    front = _from_front(int(axis.reshape(-1)[0]), len(shape))
    extent = shape[front]
    if given is None:
        if extent % count:
            raise ImportFailure(f"SPLIT of an extent of {extent} into {count} equal parts")
        return front, [extent // count] * count
    parts = [int(n) for n in given.reshape(-1)]
    if parts.count(-1) == 1:
        rest = extent - sum(n for n in parts if n != -1)
        parts = [rest if n == -1 else n for n in parts]
    if len(parts) != count or min(parts) < 0 or sum(parts) != extent:
        raise ImportFailure(f"SPLIT_V of an extent of {extent} into {count} parts {parts}")
    return front, parts


_SPLIT_TYPES = (f32, i8, i16, i32, i64, IntegerType(8, Signedness.UNSIGNED))


def split_takes(element: Attribute) -> bool:
    """Whether LiteRT's SPLIT_V takes elements of a type: fewer than UNPACK, which it stands for."""
    return isinstance(element, UniformType) or element in _SPLIT_TYPES


def broadcast_target(node: TFLiteNode) -> Shape | None:
    """The shape that BROADCAST_TO makes; None where it is computed."""
    given = node.constant(1)
    return None if given is None else tuple(int(n) for n in given.reshape(-1))


def _from_front(axis: int, rank: int) -> int:
    front = axis + rank if axis < 0 else axis
    if not 0 <= front < rank:
        raise ImportFailure(f"axis {axis} of a tensor of {rank} dimensions")
    return front


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
    """The properties of PAD, PADV2 or MIRROR_PAD; None where only LiteRT tells what they are."""
    pads = node.constant(1)
    if pads is None:
        return None
    mode, value = "constant", 0.0
    if node.op_type == "MIRROR_PAD":
        modes = {0: "reflect", 1: "symmetric"}
        if node.options.Mode() not in modes:
            return None
        mode = modes[node.options.Mode()]
    if node.op_type == "PADV2":
        fill, operand = node.constant(2), node.operands[2]
        if fill is None or operand is None:
            return None
        value = float(fill.reshape(-1)[0])
        q, element = quantization_of(operand), node.result_types[0].element_type
        if q != (element.data if isinstance(element, UniformType) else None):
            # It pads with the stored integer, and checks that this means the same there.
            raise ImportFailure(
                "PADV2 pads with a constant of another scale or zero point than its result, which "
                "LiteRT refuses"
            )
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
