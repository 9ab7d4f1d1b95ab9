"""Operators of ONNX's default domain that onnxruntime has in sets in which ONNX has not.

Exporters write them. LayerNormalization means in older sets what ONNX has had it mean since 17; the
others are experiments of ONNX's first sets, which onnxruntime keeps up to set 9, and
SimplifiedLayerNormalization, which never came into a set.
"""

from __future__ import annotations

from typing import Any

BEFORE = {
    "LayerNormalization": 17,
    "SimplifiedLayerNormalization": 1 << 30,
    "Affine": 10,
    "Crop": 10,
    "DynamicSlice": 10,
    "ImageScaler": 10,
    "MeanVarianceNormalization": 9,
    "ParametricSoftplus": 10,
    "ScaledTanh": 10,
    "ThresholdedRelu": 10,
}
"""Operator -> the first set in which onnxruntime's own form of it is gone."""

MEANS_THE_SAME_SINCE = {"LayerNormalization": 17}
"""Operator -> the set of ONNX whose schema says what it means in older ones."""


def is_extra(node: Any, opset: int) -> bool:
    """Whether a node is such an operator in a set."""
    return node.domain in ("", "ai.onnx") and opset < BEFORE.get(str(node.op_type), 0)


def schema_opset(node: Any, opset: int) -> int:
    """The set whose schema a node follows: its own, but for such an operator."""
    return MEANS_THE_SAME_SINCE.get(str(node.op_type), opset) if is_extra(node, opset) else opset
