"""What ONNX's Reshape family, Slice and Resize mean for the shapes at hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from furiosa_ir.dialects.graph.base import OnnxNode
from furiosa_ir.dialects.graph.onnx_arguments import axes_from_front, given, int_list, variable
from furiosa_ir.errors import VerificationFailure


def reshaped(node: OnnxNode) -> list[int]:
    """The result shape of Reshape, Flatten, Squeeze or Unsqueeze."""
    return _RESHAPES[node.op_type](node)


def _reshape(node: OnnxNode) -> list[int]:
    shape, x = int_list(node, 1, "shape") or [], node.shape(0)
    if not node.attributes.get("allowzero", 0):
        shape = [x[i] if n == 0 and i < len(x) else n for i, n in enumerate(shape)]
    known = math.prod(n for n in shape if n != -1)
    if shape.count(-1) == 1 and known and math.prod(x) % known == 0:
        shape[shape.index(-1)] = math.prod(x) // known
    if min(shape, default=0) < 0 or math.prod(shape) != math.prod(x):
        raise VerificationFailure(f"{list(x)} does not have the elements of {shape}")
    return shape


def _flatten(node: OnnxNode) -> list[int]:
    x, axis = node.shape(0), node.attributes.get("axis", 1)
    axis = axis + len(x) if axis < 0 else axis
    return [math.prod(x[:axis]), math.prod(x[axis:])]


def _squeeze(node: OnnxNode) -> list[int]:
    x = node.shape(0)
    axes = int_list(node, 1, "axes")
    if axes is None:
        return [n for n in x if n != 1]
    dropped = set(axes_from_front(axes, len(x)))
    if any(x[a] != 1 for a in dropped):
        raise VerificationFailure(
            f"the axes {sorted(dropped)} of {list(x)} are not all of extent 1"
        )
    return [n for i, n in enumerate(x) if i not in dropped]


def _unsqueeze(node: OnnxNode) -> list[int]:
    axes = int_list(node, 1, "axes") or []
    shape, rank = list(node.shape(0)), len(node.shape(0)) + len(axes)
    for axis in sorted(axes_from_front(axes, rank)):
        shape.insert(axis, 1)
    return shape


_RESHAPES: dict[str, Callable[[OnnxNode], list[int]]] = {
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
}


def sliced(node: OnnxNode) -> tuple[list[int], list[int], list[int]]:
    """Starts, ends and steps of a Slice in every dimension, resolved."""
    shape = node.shape(0)
    starts, ends = int_list(node, 1, "starts") or [], int_list(node, 2, "ends") or []
    axes = axes_from_front(int_list(node, 3, "axes") or range(len(starts)), len(shape))
    steps = int_list(node, 4, "steps") or [1] * len(starts)
    begin, end, step = [0] * len(shape), list(shape), [1] * len(shape)
    for axis, first, last, stride in zip(axes, starts, ends, steps, strict=True):
        begin[axis], end[axis], step[axis] = slice(first, last, stride).indices(shape[axis])
        if stride > 0:
            end[axis] = max(begin[axis], end[axis])
    return begin, end, step


def resized(node: OnnxNode) -> dict[str, Any] | None:
    """The properties of `graph.resize` for a Resize or Upsample; None for forms it does not model.

    Those are cubic interpolation, antialiasing, crops, kept aspect ratios, resized channels.
    """
    # Resize grew: (X, scales) in 10, (X, roi, scales, sizes) since 11; Upsample is the first form.
    at = 2 if node.op_type == "Resize" and node.opset >= 11 else 1
    if variable(node, at, at + 1):
        return None
    attributes, x = node.attributes, node.shape(0)
    rank = len(x)
    mode = attributes.get("mode", "nearest")
    mode = "linear" if mode == "bilinear" else mode
    old = at == 1
    coordinates = attributes.get("coordinate_transformation_mode", "half_pixel")
    if (
        mode not in ("nearest", "linear")
        or not 3 <= rank <= 5
        or (not old and coordinates == "tf_crop_and_resize")
        or attributes.get("antialias", 0)
        or attributes.get("keep_aspect_ratio_policy", "stretch") != "stretch"
    ):
        return None
    axes = axes_from_front(attributes.get("axes") or range(rank), rank)
    scales, sizes = [1.0] * rank, list(x)
    given_sizes = int_list(node, 3, "sizes") if not old else None
    if given_sizes:
        for axis, size in zip(axes, given_sizes, strict=True):
            sizes[axis], scales[axis] = size, size / x[axis]
    else:
        array = node.constant(at) if given(node, at) else None
        values = attributes.get("scales") if array is None else array.reshape(-1)
        if values is None:
            return None
        for axis, scale in zip(axes, values, strict=True):
            scales[axis] = float(scale)
            sizes[axis] = math.floor(x[axis] * float(scale))
    if sizes[:2] != list(x[:2]):
        return None
    nearest_mode = attributes.get("nearest_mode", "round_prefer_floor")
    if old:
        # The specification is silent; onnxruntime takes the next element where a tensor shrinks.
        nearest_mode = "ceil" if min(scales) < 1 else "floor"
        if mode == "nearest" and min(scales) < 1 < max(scales):
            return None
    return {
        "layout": "NC" + "DHW"[5 - rank :] if rank > 3 else "NCW",
        "mode": mode,
        "coordinates": "asymmetric" if old else coordinates,
        "nearest_mode": nearest_mode,
        "sizes": sizes[2:],
        "scales": scales[2:],
    }
