"""Writes ResNet50-v1.5 as an int8 TFLite file with random weights: what LiteRT is timed on.

Usage: python benchmarks/resnet50_tflite.py FILE.tflite

Weights are per channel, activations per tensor, with scales that keep values in range; nothing else
of them matters to a time.
"""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tests.oracle.litert import Operator, Tensor, build_model

STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
"""Channels, blocks, stride of the first."""

RELU = schema.ActivationFunctionType.RELU
NONE = schema.ActivationFunctionType.NONE
SAME = schema.Padding.SAME


class Network:
    """Operators in order; each method adds one and answers its result."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)
        self.operators: list[Operator] = []
        self.numbers = count()

    def tensor(self, *shape: int, scale: float = 0.05) -> Tensor:
        """An activation."""
        return Tensor(f"t{next(self.numbers)}", shape, np.int8, scale, -3)

    def constant(self, data: np.ndarray, scales: np.ndarray) -> Tensor:
        """Weights or a bias, with a scale for each output or one for all."""
        scale = list(map(float, scales)) if len(scales) > 1 else float(scales[0])
        zero_point = [0] * len(scales) if len(scales) > 1 else 0
        return Tensor.constant(f"c{next(self.numbers)}", data, scale, zero_point)

    def _product(
        self, x: Tensor, shape: tuple[int, ...], *, per_channel: bool = True
    ) -> list[Tensor]:
        outputs, terms = shape[0], int(np.prod(shape[1:]))
        weight = self.rng.integers(-127, 128, shape, np.int8)
        scales = self.rng.uniform(0.5, 1, outputs if per_channel else 1) / (73 * terms**0.5)
        scales = scales.astype(np.float32)
        bias = self.rng.integers(-1000, 1000, outputs, np.int32)
        return [x, self.constant(weight, scales), self.constant(bias, scales * np.float32(0.05))]

    def conv(self, x: Tensor, outputs: int, kernel: int, stride: int, activation: int) -> Tensor:
        """CONV_2D."""
        inputs = self._product(x, (outputs, kernel, kernel, x.shape[3]))
        y = self.tensor(1, -(-x.shape[1] // stride), -(-x.shape[2] // stride), outputs)
        options = schema.Conv2DOptionsT()
        options.padding, options.fusedActivationFunction = SAME, activation
        options.strideH = options.strideW = stride
        return self._add("CONV_2D", inputs, y, options)

    def pool(self, x: Tensor) -> Tensor:
        """MAX_POOL_2D 3 x 3."""
        y = self.tensor(1, x.shape[1] // 2, x.shape[2] // 2, x.shape[3])
        options = schema.Pool2DOptionsT()
        options.padding = SAME
        options.strideH = options.strideW = 2
        options.filterHeight = options.filterWidth = 3
        return self._add("MAX_POOL_2D", [x], y, options)

    def sum(self, a: Tensor, b: Tensor) -> Tensor:
        """ADD and its activation."""
        options = schema.AddOptionsT()
        options.fusedActivationFunction = RELU
        return self._add("ADD", [a, b], self.tensor(*a.shape), options)

    def head(self, x: Tensor) -> Tensor:
        """MEAN and FULLY_CONNECTED."""
        axes = Tensor.constant("axes", np.array([1, 2], np.int32))
        options = schema.ReducerOptionsT()
        mean = self._add("MEAN", [x, axes], self.tensor(1, x.shape[3]), options)
        inputs = self._product(mean, (1000, x.shape[3]), per_channel=False)
        y, options = self.tensor(1, 1000), schema.FullyConnectedOptionsT()
        return self._add("FULLY_CONNECTED", inputs, y, options)

    def _add(self, name: str, inputs: list[Tensor], y: Tensor, options: object) -> Tensor:
        self.operators.append(Operator(name, inputs, [y], options))
        return y


def resnet50() -> bytes:
    """The file's content."""
    net = Network()
    x = net.pool(net.conv(net.tensor(1, 224, 224, 3), 64, 7, 2, RELU))
    for channels, blocks, first in STAGES:
        for block in range(blocks):
            stride = first if block == 0 else 1
            y = net.conv(x, channels, 1, 1, RELU)
            y = net.conv(y, channels, 3, stride, RELU)
            y = net.conv(y, 4 * channels, 1, 1, NONE)
            short = net.conv(x, 4 * channels, 1, stride, NONE) if block == 0 else x
            x = net.sum(y, short)
    net.head(x)
    return build_model(net.operators)


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(resnet50())
