"""What becomes a part of another kernel in TFLite networks: LiteRT's bytes, fewer kernels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from furiosa_ir.compiler import compile_source
from furiosa_ir.runtime import session
from tests.backends.warboy.passes.fusion_networks import kernels
from tests.oracle.litert import Operator, Tensor, build_model, run_reference

SCALE = 0.05


@dataclass
class Layers:
    """Writes layers with random parameters, of int8 (a scale a channel) or of uint8 tensors."""

    dtype: Any
    operators: list[Operator] = field(default_factory=list[Operator])
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    @property
    def zero_point(self) -> int:
        return 3 if self.dtype == np.int8 else 131

    @property
    def least(self) -> int:
        return int(np.iinfo(self.dtype).min)

    def tensor(self, *shape: int, scale: float = SCALE, zero_point: int | None = None) -> Tensor:
        zero_point = self.zero_point if zero_point is None else zero_point
        return Tensor(self._name(), shape, self.dtype, scale, zero_point)

    def _name(self) -> str:
        return f"t{self.rng.integers(1 << 60)}"

    def add(
        self,
        builtin: str,
        inputs: list[Tensor | np.ndarray],
        output: Tensor,
        options: Any = None,
        version: int = 2,
        **fields: Any,
    ) -> Tensor:
        for name, value in fields.items():
            setattr(options, name, value)
        tensors = [
            Tensor.constant(self._name(), v) if isinstance(v, np.ndarray) else v for v in inputs
        ]
        self.operators.append(Operator(builtin, tensors, [output], options, version))
        return output

    def conv(
        self, x: Tensor, outputs: int, activation: str = "NONE", zero_point: int | None = None
    ) -> Tensor:
        """3x3, SAME, with a bias."""
        n, h, w, channels = x.shape
        shape = (outputs, 3, 3, channels)
        if self.dtype == np.int8:
            scales = self.rng.uniform(0.001, 0.004, outputs).astype(np.float32)
            weight = Tensor.constant(
                self._name(), self.rng.integers(-127, 128, shape).astype(np.int8), scales, 0
            )
        else:
            scales = np.float32(0.003)
            weight = Tensor.constant(
                self._name(), self.rng.integers(0, 256, shape).astype(np.uint8), scales, 120
            )
        bias = self.rng.integers(-2000, 2000, outputs).astype(np.int32)
        units = np.float32(x.scale) * scales
        return self.add(
            "CONV_2D",
            [x, weight, Tensor.constant(self._name(), bias, units)],
            self.tensor(n, h, w, outputs, zero_point=zero_point),
            schema.Conv2DOptionsT(),
            3,
            padding=0,
            strideH=1,
            strideW=1,
            dilationHFactor=1,
            dilationWFactor=1,
            fusedActivationFunction=getattr(schema.ActivationFunctionType, activation),
        )

    def transposed(self, x: Tensor, perm: list[int]) -> Tensor:
        shape = [x.shape[p] for p in perm]
        y = self.tensor(*shape, scale=x.scale, zero_point=x.zero_point)
        return self.add("TRANSPOSE", [x, np.array(perm, np.int32)], y, schema.TransposeOptionsT())

    def padded(self, x: Tensor, pads: list[list[int]]) -> Tensor:
        shape = [n + a + b for n, (a, b) in zip(x.shape, pads, strict=True)]
        y = self.tensor(*shape, scale=x.scale, zero_point=x.zero_point)
        return self.add("PAD", [x, np.array(pads, np.int32)], y, schema.PadOptionsT())

    def check(self, expected: dict[str, int]) -> None:
        """Wholly on the NPU, these kernels, and LiteRT's bytes."""
        model = build_model(self.operators)
        result = compile_source(model)
        assert result.program is not None
        assert result.enf is not None
        assert [type(s).__name__ for s in result.program.segments] == ["NpuSegment"]
        assert kernels(result.program) == expected
        info = np.iinfo(self.dtype)
        x = self.rng.integers(info.min, info.max + 1, self.operators[0].inputs[0].shape)
        with session.create(result.enf) as running:
            (got,) = [t.numpy() for t in running.run([x.astype(self.dtype)])]
        (want,) = run_reference(model, [x.astype(self.dtype)])
        np.testing.assert_array_equal(got, want)
        assert len(np.unique(got)) > 8, "the network says nothing"


@pytest.fixture(params=[np.int8, np.uint8], ids=["int8", "uint8"])
def layers(request: pytest.FixtureRequest) -> Layers:
    return Layers(request.param)


@pytest.mark.parametrize("activation", ["RELU", "RELU6", "RELU_N1_TO_1"])
def test_activation_is_the_output_range(layers: Layers, activation: str) -> None:
    layers.conv(layers.tensor(1, 9, 9, 6), 8, activation, layers.least + 90)
    layers.check({"Dot": 1})


def test_padding_into_windows(layers: Layers) -> None:
    x = layers.conv(layers.padded(layers.tensor(1, 9, 9, 6), [[0, 0], [1, 2], [0, 1], [0, 0]]), 8)
    x = layers.conv(x, 8, "RELU", layers.least + 9)
    x = layers.padded(x, [[0, 0], [1, 1], [1, 1], [0, 0]])
    y = layers.tensor(1, 6, 5, 8, zero_point=layers.least + 9)
    window = {"padding": 1, "strideH": 2, "strideW": 2, "filterHeight": 3, "filterWidth": 3}
    options = schema.Pool2DOptionsT()
    options.fusedActivationFunction = 0
    layers.add("MAX_POOL_2D", [x], y, options, **window)
    layers.check({"Dot": 2, "Pool": 1})


def test_requantisation_in_a_row(layers: Layers) -> None:
    x = layers.conv(layers.tensor(1, 9, 9, 6), 8)
    for scale in (0.06, 0.03, 0.11):
        y = layers.tensor(*x.shape, scale=scale)
        x = layers.add("QUANTIZE", [x], y, schema.QuantizeOptionsT())
    layers.conv(x, 4)
    layers.check({"Dot": 2})


def hard_swish(b: Layers, x: Tensor) -> Tensor:
    return b.add("HARD_SWISH", [x], b.tensor(*x.shape), schema.HardSwishOptionsT(), 1)


def silu(b: Layers, x: Tensor) -> Tensor:
    gate = b.tensor(*x.shape, scale=1 / 256, zero_point=b.least)
    b.add("LOGISTIC", [x], gate)
    return b.add("MUL", [x, gate], b.tensor(*x.shape), schema.MulOptionsT())


@pytest.mark.parametrize("activation", [hard_swish, silu])
def test_activations_are_one_table(
    layers: Layers, activation: Callable[[Layers, Tensor], Tensor]
) -> None:
    layers.conv(activation(layers, layers.conv(layers.tensor(1, 9, 9, 6), 8)), 4)
    layers.check({"Dot": 2})


def test_a_transpose_around_each_convolution(layers: Layers) -> None:
    """How converters write an NCHW network in TFLite: sums, padding and joins between them."""
    to_nhwc, to_nchw = [0, 2, 3, 1], [0, 3, 1, 2]
    first = layers.tensor(1, 8, 9, 9)
    x = layers.transposed(layers.conv(layers.transposed(first, to_nhwc), 8), to_nchw)
    y = layers.tensor(*x.shape, scale=0.07)
    x = layers.add("ADD", [x, first], y, schema.AddOptionsT())
    x = layers.padded(x, [[0, 0], [0, 0], [1, 1], [1, 1]])
    parts = [
        layers.transposed(layers.conv(layers.transposed(x, to_nhwc), n), to_nchw) for n in (8, 4)
    ]
    whole = layers.tensor(1, 12, 11, 11)
    options = schema.ConcatenationOptionsT()
    layers.add("CONCATENATION", parts, whole, options, axis=1, fusedActivationFunction=0)
    layers.transposed(layers.conv(layers.transposed(whole, to_nhwc), 8), to_nchw)
    layers.check({"Dot": 4})


def test_reshapes_in_a_row(layers: Layers) -> None:
    x = layers.conv(layers.tensor(1, 8, 8, 6), 8)
    for shape in ((1, 64, 8), (1, 8, 8, 8), (8, 8, 8), (1, 8, 8, 8)):
        y = layers.tensor(*shape)
        options = schema.ReshapeOptionsT()
        target = np.array(shape, np.int32)
        x = layers.add("RESHAPE", [x, target], y, options, 1, newShape=list(shape))
    layers.conv(x, 4)
    layers.check({"Dot": 2})
