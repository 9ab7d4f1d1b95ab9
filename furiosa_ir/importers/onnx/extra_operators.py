"""Operators of ONNX's default domain that onnxruntime has in sets in which ONNX has not.

Exporters write them. LayerNormalization means in older sets what ONNX has had it mean since 17, and
ThresholdedRelu what it has had it mean since 10; the others are experiments of ONNX's first sets,
which onnxruntime keeps up to set 9, SimplifiedLayerNormalization, which never came into a set, and
the first GroupNormalization, which ONNX took back for that of set 21.
"""

from __future__ import annotations

from typing import Any

EXTRA_SETS = {
    "LayerNormalization": range(1, 17),
    "SimplifiedLayerNormalization": range(1, 1 << 30),
    "GroupNormalization": range(18, 21),
    "Affine": range(1, 10),
    "Crop": range(1, 10),
    "DynamicSlice": range(1, 10),
    "ImageScaler": range(1, 10),
    "MeanVarianceNormalization": range(1, 9),
    "ParametricSoftplus": range(1, 10),
    "ScaledTanh": range(1, 10),
    "ThresholdedRelu": range(1, 10),
}
"""Operator -> the sets in which onnxruntime has a form of it and ONNX has none."""

MEANS_THE_SAME_SINCE = {"LayerNormalization": 17, "ThresholdedRelu": 10}
"""Operator -> the set of ONNX whose schema says what it means in older ones."""


def is_extra(node: Any, opset: int) -> bool:
    """Whether a node is such an operator in a set."""
    return node.domain in ("", "ai.onnx") and opset in EXTRA_SETS.get(str(node.op_type), ())


def schema_opset(node: Any, opset: int) -> int:
    """The set whose schema a node follows: its own, but for such an operator."""
    return MEANS_THE_SAME_SINCE.get(str(node.op_type), opset) if is_extra(node, opset) else opset
