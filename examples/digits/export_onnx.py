"""Writes the trained network as a float ONNX model and quantises it (QDQ, int8, per channel)."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import quantization

OPSET = 13
INPUT = "image"
OUTPUT = "probabilities"


def float_model(parameters: dict[str, np.ndarray]) -> onnx.ModelProto:
    """The network in float32, NCHW, batch 1."""

    def node(op_type: str, inputs: list[str], output: str, **attributes: object) -> onnx.NodeProto:
        return helper.make_node(op_type, inputs, [output], name=output, **attributes)

    def convolution(layer: str, source: str, **attributes: object) -> onnx.NodeProto:
        inputs = [source, f"{layer}.weight", f"{layer}.bias"]
        return node("Conv", inputs, f"{layer}_conv", **attributes)

    stem_channels = len(parameters["stem.bias"])
    classes = len(parameters["classifier.bias"])
    nodes = [
        convolution("stem", INPUT, kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("Relu", ["stem_conv"], "stem"),
        convolution(
            "depthwise", "stem", kernel_shape=[3, 3], pads=[1, 1, 1, 1], group=stem_channels
        ),
        node("Relu", ["depthwise_conv"], "depthwise"),
        convolution("pointwise", "depthwise", kernel_shape=[1, 1]),
        node("Add", ["stem", "pointwise_conv"], "residual_sum"),
        node("Relu", ["residual_sum"], "residual"),
        node("MaxPool", ["residual"], "pooled", kernel_shape=[2, 2], strides=[2, 2]),
        convolution("body", "pooled", kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1]),
        node("Relu", ["body_conv"], "body"),
        node("GlobalAveragePool", ["body"], "averaged"),
        node("Flatten", ["averaged"], "features"),
        node("Gemm", ["features", "classifier.weight", "classifier.bias"], "logits", transB=1),
        node("Softmax", ["logits"], OUTPUT, axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [1, 1, 8, 8])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [1, classes])],
        [numpy_helper.from_array(value, name) for name, value in parameters.items()],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="furiosa-ir digits"
    )
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    return model


class _Images(quantization.CalibrationDataReader):
    """Feeds calibration images [N, 1, 8, 8] one by one."""

    def __init__(self, images: np.ndarray) -> None:
        self._feeds = iter([{INPUT: image[None]} for image in images])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._feeds, None)


def write_onnx(parameters: dict[str, np.ndarray], calibration: np.ndarray) -> bytes:
    """The quantised file's bytes."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "quantized.onnx"
        quantization.quantize_static(
            float_model(parameters),
            target,
            _Images(calibration),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=quantization.QuantType.QInt8,
            weight_type=quantization.QuantType.QInt8,
        )
        return target.read_bytes()
