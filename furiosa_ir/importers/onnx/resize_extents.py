"""Resizes by factors for which onnxruntime and ONNX do not agree on the result's extents."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from furiosa_ir.dialects.graph.base import constant_of
from furiosa_ir.dialects.graph.onnx_arguments import axes_from_front
from furiosa_ir.importers.onnx import tensors
from furiosa_ir.importers.onnx.builder import Builder
from furiosa_ir.ir.shaped_operation import DYNAMIC, shape_of
from furiosa_ir.numerics.array import Array


def settled(builder: Builder, node: Any) -> Any:
    """The node; a Resize or Upsample with scales of which both make the same extents.

    ONNX's are floor(extent * scale). onnxruntime multiplies in float32, where 10 * 2.3 is 23, and
    the float 2.3 is a little less. The file may declare either: ONNX's if it does not. To the
    coordinates a scale of one unit more or less in the last place is the same.
    """
    index = 2 if node.op_type == "Resize" and builder.opsets.get("", 1) >= 11 else 1
    if node.op_type not in ("Resize", "Upsample") or len(node.input) <= index:
        return node
    if any(builder.is_hidden(str(i)) for i in node.input):
        return node
    name = str(node.input[index])
    shape = shape_of(builder.value(str(node.input[0])))
    scales = constant_of(builder.value(name)) if name else None
    if scales is None or scales.dtype != np.float32 or DYNAMIC in shape:
        return node
    attributes = {str(a.name): tensors.attribute_value(a) for a in node.attribute}
    axes = axes_from_front(attributes.get("axes") or range(len(shape)), len(shape))
    type_ = builder.declared.get(str(node.output[0]))
    declared = type_.shape if type_ is not None and len(type_.shape) == len(shape) else shape
    extents = [(shape[axis], declared[axis]) for axis in axes]
    made = _settled_scales(extents, scales)
    if made is None:
        return node
    changed: Any = onnx.NodeProto.FromString(node.SerializeToString())
    changed.input[index] = f"{name}/settled/{node.output[0]}"
    builder.declare_tensor(changed.input[index], numpy_helper.from_array(made))
    return changed


def _settled_scales(extents: Sequence[tuple[int, int]], scales: Array) -> Array | None:
    """Scales that are changed where they have to be; None if they need not be.

    Args:
        extents: of x, and what is declared of the result.
        scales: f32.
    """
    changed = scales.copy()
    for i, ((extent, declared), scale) in enumerate(zip(extents, scales.tolist(), strict=False)):
        ours, theirs = math.floor(extent * scale), math.floor(np.float32(extent) * changed[i])
        if ours != theirs:
            towards = np.float32(np.inf if declared == theirs else 0)
            changed[i] = np.nextafter(changed[i], towards)
    return None if np.array_equal(changed, scales) else changed
