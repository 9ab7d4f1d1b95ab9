"""Raising a network's opset without changing what it computes."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper, version_converter

from furiosa_ir.errors import FuriosaError
from furiosa_ir.quantization.libraries import refusals

PER_CHANNEL_OPSET = 13
"""Since it QuantizeLinear and DequantizeLinear have an axis."""

RESIZE_MODES_OPSET = 11
"""Since it Resize says where it takes its values; Upsample, and Resize before, took them at
index / scale."""


def opset_of(model: onnx.ModelProto) -> int:
    """The version of ONNX's own operators that the network uses."""
    return next(int(o.version) for o in model.opset_import if o.domain in ("", "ai.onnx"))


def raise_opset(model: onnx.ModelProto, version: int, name: str) -> onnx.ModelProto:
    """The same network with at least that opset.

    Raises:
        FuriosaError: onnx cannot convert it.
    """
    before = opset_of(model)
    if before >= version:
        return model
    with refusals(f"cannot be raised to opset {version}", name):
        raised = version_converter.convert_version(model, version)
    if before < RESIZE_MODES_OPSET:
        # onnx's converter makes a Resize of an Upsample, but leaves both to the new defaults.
        for node in raised.graph.node:
            if node.op_type == "Resize":
                _set(node, "coordinate_transformation_mode", "asymmetric")
                _set(node, "nearest_mode", "floor")
    return raised


def round_up_where_shrinking(model: onnx.ModelProto, name: str) -> None:
    """Gives each Resize of an old network that takes the nearest values onnxruntime's rounding.

    The operator of opset 10 leaves it open: onnxruntime rounds down along axes that grow, up along
    those that shrink. Scales have to be constants by now, so that it can be seen which is which.

    Raises:
        FuriosaError: one Resize has axes of both kinds, for which the later operator has no word.
    """
    constants = {i.name: i for i in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type != "Resize" or any(
            a.name == "mode" and a.s != b"nearest" for a in node.attribute
        ):
            continue
        constant = constants.get(node.input[2])
        if constant is None:
            continue
        scales = numpy_helper.to_array(constant)
        if np.all(scales >= 1):
            continue
        if np.any(scales > 1):
            raise FuriosaError(
                "Resize of opset 10 shrinks one axis and stretches another",
                file=name,
                layer=node.name or node.output[0],
                hint="export the network with opset 11 or later, which say how to round",
            )
        _set(node, "nearest_mode", "ceil")


def _set(node: onnx.NodeProto, attribute: str, value: str) -> None:
    kept = [a for a in node.attribute if a.name != attribute]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute(attribute, value)])
