"""Writes the trained network as int8 TFLite: weights per channel, activations per tensor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tests.oracle.litert import Operator, Tensor, build_model

RELU = schema.ActivationFunctionType.RELU


@dataclass(frozen=True)
class Quantization:
    """An int8 activation's scale and zero point."""

    scale: float
    zero_point: int

    @classmethod
    def of_range(cls, values: np.ndarray) -> Quantization:
        """The quantisation that covers the values seen in calibration, and zero exactly."""
        low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
        scale = float(np.float32((high - low) / 255.0))
        return cls(scale, round(-128 - low / scale))

    def quantize(self, values: np.ndarray) -> np.ndarray:
        """``values`` as int8."""
        return np.clip(np.round(values / self.scale) + self.zero_point, -128, 127).astype(np.int8)


class NetworkWriter:
    """Builds the operators of one network from its float parameters and calibrated ranges."""

    def __init__(
        self, parameters: dict[str, np.ndarray], quantizations: dict[str, Quantization]
    ) -> None:
        self.parameters = parameters
        self.quantizations = quantizations
        self.operators: list[Operator] = []

    def activation(self, name: str, shape: list[int], quantized_as: str | None = None) -> Tensor:
        """An int8 activation; pooling and reshaping keep the quantisation of their input."""
        quantization = self.quantizations[quantized_as or name]
        return Tensor(name, shape, np.int8, quantization.scale, quantization.zero_point)

    def weights(self, layer: str, source: Tensor, channel_axis: int) -> tuple[Tensor, Tensor]:
        """Weights in TFLite's order, symmetric per output channel, and their int32 bias."""
        weight = self.parameters[f"{layer}.weight"]
        if weight.ndim == 4:  # OIHW -> OHWI; a depthwise O1HW -> 1HWO
            weight = weight.transpose((0, 2, 3, 1) if channel_axis == 0 else (1, 2, 3, 0))
        others = tuple(axis for axis in range(weight.ndim) if axis != channel_axis)
        scales = (np.abs(weight).max(axis=others) / 127.0).astype(np.float32)
        broadcast = scales.reshape([-1 if a == channel_axis else 1 for a in range(weight.ndim)])
        data = np.clip(np.round(weight / broadcast), -127, 127).astype(np.int8)
        zeros = [0] * len(scales)
        assert isinstance(source.scale, float)
        bias_scales = np.float32(source.scale) * scales
        bias = np.round(self.parameters[f"{layer}.bias"] / bias_scales).astype(np.int32)
        return (
            Tensor.constant(f"{layer}/weight", data, scales.tolist(), zeros, channel_axis),
            Tensor.constant(f"{layer}/bias", bias, bias_scales.tolist(), zeros),
        )

    def append(
        self, builtin: str, inputs: list[Tensor], output: Tensor, options: object, version: int
    ) -> Tensor:
        """Adds an operator and returns its output."""
        self.operators.append(Operator(builtin, inputs, [output], options, version))
        return output

    def convolution(
        self, layer: str, source: Tensor, shape: list[int], stride: int = 1, activation: int = 0
    ) -> Tensor:
        """A CONV_2D with SAME padding."""
        options = schema.Conv2DOptionsT()
        options.strideH = options.strideW = stride
        options.fusedActivationFunction = activation
        weight, bias = self.weights(layer, source, channel_axis=0)
        output = self.activation(layer, shape)
        return self.append("CONV_2D", [source, weight, bias], output, options, 3)

    def depthwise(self, layer: str, source: Tensor) -> Tensor:
        """A DEPTHWISE_CONV_2D with SAME padding, stride 1 and RELU."""
        options = schema.DepthwiseConv2DOptionsT()
        options.strideH = options.strideW = options.depthMultiplier = 1
        options.fusedActivationFunction = RELU
        weight, bias = self.weights(layer, source, channel_axis=3)
        output = self.activation(layer, list(source.shape))
        return self.append("DEPTHWISE_CONV_2D", [source, weight, bias], output, options, 3)

    def pool(self, builtin: str, name: str, source: Tensor, quantized_as: str) -> Tensor:
        """A 2x2 pooling of stride 2."""
        options = schema.Pool2DOptionsT()
        options.filterHeight = options.filterWidth = options.strideH = options.strideW = 2
        options.padding = schema.Padding.VALID
        n, h, w, c = source.shape
        output = self.activation(name, [n, h // 2, w // 2, c], quantized_as)
        return self.append(builtin, [source], output, options, 2)


def write_tflite(
    parameters: dict[str, np.ndarray], calibration: dict[str, np.ndarray]
) -> tuple[bytes, Quantization]:
    """The file's bytes and the quantisation of its input; activations are NHWC, batch 1."""
    quantizations = {name: Quantization.of_range(v) for name, v in calibration.items()}
    # LiteRT fixes the softmax's output.
    quantizations["probabilities"] = Quantization(1.0 / 256.0, -128)
    network = NetworkWriter(parameters, quantizations)
    stem_channels = len(parameters["stem.bias"])
    body_channels = len(parameters["body.bias"])
    classes = len(parameters["classifier.bias"])

    image = network.activation("image", [1, 8, 8, 1])
    stem = network.convolution("stem", image, [1, 8, 8, stem_channels], activation=RELU)
    depthwise = network.depthwise("depthwise", stem)
    pointwise = network.convolution("pointwise", depthwise, [1, 8, 8, stem_channels])
    add = schema.AddOptionsT()
    add.fusedActivationFunction = RELU
    residual = network.activation("residual", list(stem.shape))
    network.append("ADD", [stem, pointwise], residual, add, 2)
    pooled = network.pool("MAX_POOL_2D", "pooled", residual, "residual")
    body = network.convolution("body", pooled, [1, 2, 2, body_channels], 2, RELU)
    averaged = network.pool("AVERAGE_POOL_2D", "averaged", body, "body")

    reshape = schema.ReshapeOptionsT()
    reshape.newShape = np.array([1, body_channels], np.int32)
    shape = Tensor.constant("features/shape", reshape.newShape)
    features = network.activation("features", [1, body_channels], "body")
    network.append("RESHAPE", [averaged, shape], features, reshape, 1)

    weight, bias = network.weights("classifier", features, channel_axis=0)
    logits = network.activation("logits", [1, classes])
    fully_connected = schema.FullyConnectedOptionsT()
    # Per-channel weights of FULLY_CONNECTED need operator version 12 and keepNumDims unset.
    network.append("FULLY_CONNECTED", [features, weight, bias], logits, fully_connected, 12)

    softmax = schema.SoftmaxOptionsT()
    softmax.beta = 1.0
    probabilities = network.activation("probabilities", [1, classes])
    network.append("SOFTMAX", [logits], probabilities, softmax, 2)
    return build_model(network.operators), quantizations["image"]
