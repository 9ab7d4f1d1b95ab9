"""The lowerings to LiteRT's default kernels, byte for byte, and what they leave to the host.

The cases are those of the reference kernels. Half of the networks have scales that are powers of
two, so that many results are exact ties: there the two kinds of kernels differ.
"""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import OpResolverType
from hypothesis import Phase, find, given, settings

from furiosa_ir.dialects.graph.convolution import ConvTransposeOp
from furiosa_ir.dialects.graph.elementwise import AddOp
from furiosa_ir.dialects.graph.quantization import QuantizeOp
from furiosa_ir.lowering.registry import LITERT, LITERT_DEFAULT
from tests.draws import draws
from tests.lowering import litert_convolutions, litert_movement, litert_operators
from tests.lowering.network import Network, Refused, forms, networks

CASE_MODULES = (litert_convolutions, litert_operators, litert_movement)
"""Importing them registers their cases."""

EXAMPLES = draws(10)

NEVER_LOWERED = {"reduce_sum", "softmax", "log_softmax"}
"""Float32 arithmetic: they run on the host."""

MAY_REFUSE = {
    ("resize_bilinear", "uint8"),
    ("transpose_conv", "uint8"),
    *((name, dtype) for name in ("add", "mul") for dtype in ("int8", "uint8")),
}
"""Some of their forms are not lowered, see the constraints."""


@pytest.mark.draws
@pytest.mark.parametrize(("name", "dtype"), forms())
def test_matches_the_default_kernels(name: str, dtype: str) -> None:
    checked = 0
    refusals: list[str] = []

    @settings(max_examples=EXAMPLES)
    @given(networks(name, dtype, numerics=LITERT_DEFAULT))
    def compare(net: Network) -> None:
        nonlocal checked
        try:
            net.check()
        except Refused as refused:
            assert name in NEVER_LOWERED or (name, dtype) in MAY_REFUSE
            refusals.append(str(refused))
        else:
            checked += 1

    compare()
    assert name not in NEVER_LOWERED or "float32" in refusals[0]
    assert (checked > 0) == (name not in NEVER_LOWERED)


@pytest.mark.parametrize(
    "name", ["conv_2d", "depthwise_conv_2d", "transpose_conv", "fully_connected", "quantize"]
)
def test_ties_tell_the_kernels_apart(name: str) -> None:
    """Otherwise the comparison above would show nothing."""

    def differ(net: Network) -> bool:
        expected = net.reference()
        net.resolver = OpResolverType.BUILTIN_REF
        return not np.array_equal(net.reference(), expected)

    with_ties = networks(name, "int8", numerics=LITERT_DEFAULT, ties=True)
    find(with_ties, differ, settings=settings(phases=[Phase.generate], max_examples=1000))


def quantize(net: Network, count: int, y_scale: float) -> None:
    x = net.input(np.full(count, -2, np.int8), net.quantized(1.0, 0))
    y = net.graph(QuantizeOp, [x], net.quantized(y_scale, 0))
    net.tflite("QUANTIZE", [x], y, schema.QuantizeOptionsT())


@pytest.mark.parametrize(
    ("count", "y_scale", "lowered"),
    [(112, 4.0, True), (113, 4.0, False), (113, 1.0, True), (113, 0.5, True)],
)
def test_quantize_leaves_left_over_elements_to_the_host(
    count: int, y_scale: float, lowered: bool
) -> None:
    net = Network(np.int8, numerics=LITERT_DEFAULT)
    quantize(net, count, y_scale)
    if lowered:
        net.check()
        return
    with pytest.raises(Refused, match="16 does not divide"):
        net.lowered()
    # The reason: -2 / 4 is rounded in two ways.
    assert net.reference().tolist() == [0] * 112 + [-1]


def transpose_conv(net: Network, extent: int) -> None:
    data = np.random.default_rng(0).integers(-128, 128, (1, extent, extent, 1)).astype(np.int8)
    x = net.input(data, net.quantized(1.0, -128))
    weight = net.constant(np.full((1, 1, 1, 1), 77, np.int8), net.quantized(0.25, 0))
    y = net.graph(
        ConvTransposeOp,
        [x, weight, None],
        net.quantized(16.0, 0),
        layout="NHWC",
        kernel_layout="OHWI",
        strides=[1, 1],
        pads=[0] * 4,
        output_padding=[0, 0],
        dilations=[1, 1],
        group=1,
    )
    options = schema.TransposeConvOptionsT()
    sizes = np.array([1, extent, extent, 1], np.int32)
    net.tflite("TRANSPOSE_CONV", [sizes, weight, x], y, options, 3, padding=1, strideH=1, strideW=1)


@pytest.mark.parametrize(("extent", "lowered"), [(8, True), (9, False)])
def test_uint8_transpose_conv_leaves_left_over_elements_to_the_host(
    extent: int, lowered: bool
) -> None:
    net = Network(np.uint8, numerics=LITERT_DEFAULT)
    transpose_conv(net, extent)
    if lowered:
        net.check()
        return
    with pytest.raises(Refused, match="16 does not divide"):
        net.lowered()


@pytest.mark.parametrize("numerics", [LITERT, LITERT_DEFAULT])
def test_a_sum_beyond_sixteen_bits_wraps_round_in_the_default_kernel(numerics: str) -> None:
    net = Network(np.int8, numerics=numerics)
    full = np.full((1, 64), 127, np.int8)
    a, b = (net.input(full, net.quantized(1.0, -128)) for _ in range(2))
    y = net.graph(AddOp, [a, b], net.quantized(0.01, 0))
    net.tflite("ADD", [a, b], y, schema.AddOptionsT())
    if numerics == LITERT:
        net.check()
        return
    with pytest.raises(Refused, match="far below"):
        net.lowered()
    assert (net.reference()[0, :32] != 127).all()
