"""Every LiteRT lowering against LiteRT's reference kernels, byte for byte."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings

from furiosa_ir.compiler import compile_model
from furiosa_ir.dialects.graph.elementwise import DivOp
from furiosa_ir.dialects.graph.movement import SliceOp
from furiosa_ir.dialects.graph.reduction import LpNormalizationOp
from furiosa_ir.runtime import session
from tests.draws import draws
from tests.lowering import litert_convolutions, litert_movement, litert_operators
from tests.lowering.network import DTYPES, Network, Refused, forms, networks
from tests.oracle.litert import build_model

CASE_MODULES = (litert_convolutions, litert_operators, litert_movement)
"""Importing them registers their cases."""

EXAMPLES = draws(10)
"""Networks of each case and dtype."""

MAY_REFUSE = {("resize_bilinear", "uint8")}
"""LiteRT computes these (partly) in a way that the NPU does not repeat: they stay on the host."""


@pytest.mark.draws
@pytest.mark.parametrize(("name", "dtype"), forms())
def test_matches_litert(name: str, dtype: str) -> None:
    checked = 0

    @settings(max_examples=EXAMPLES)
    @given(networks(name, dtype))
    def compare(net: Network) -> None:
        nonlocal checked
        try:
            net.check()
        except Refused:
            assert (name, dtype) in MAY_REFUSE
        else:
            checked += 1

    compare()
    assert checked > 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_constant_divisor_of_zero_stays_with_litert_which_refuses_it(dtype: str) -> None:
    net = Network(DTYPES[dtype])
    a = net.input(np.arange(6, dtype=np.int8).reshape(2, 3), net.quantized(0.1, 0))
    b = net.constant(np.array([1, 7, 3], np.int8), net.quantized(0.1, 7))
    y = net.graph(DivOp, [a, b], net.quantized(0.1, 0))
    net.tflite("DIV", [a, b], y, schema.DivOptionsT())
    with pytest.raises(Refused, match="by a constant 0"):
        net.lowered()
    with pytest.raises(RuntimeError, match="DIV"):
        net.reference()


@pytest.mark.parametrize(("y_scale", "lowered"), [(2.0**-21, True), (2.0**-23, False)])
def test_scales_that_are_millions_apart_leave_a_division_on_the_host(
    y_scale: float, lowered: bool
) -> None:
    net = Network(np.int8)
    a, b = (net.input(np.arange(1, 100, dtype=np.int8), net.quantized(1.0, 0)) for _ in range(2))
    y = net.graph(DivOp, [a, b], net.quantized(y_scale, 0))
    net.tflite("DIV", [a, b], y, schema.DivOptionsT())
    if lowered:
        net.check()
        return
    with pytest.raises(Refused, match="millions apart"):
        net.lowered()


@pytest.mark.parametrize(("count", "lowered"), [(33025, True), (33026, False)])
def test_squares_beyond_31_bits_stay_on_the_host(count: int, lowered: bool) -> None:
    net = Network(np.int8)
    x = net.input(np.full((1, count), 127, np.int8), net.quantized(0.1, -128))
    y = net.graph(LpNormalizationOp, [x], net.quantized(1 / 128, 0), axis=1, p=2)
    net.tflite("L2_NORMALIZATION", [x], y, schema.L2NormOptionsT())
    if lowered:
        net.check()
        return
    with pytest.raises(Refused, match="over 33026 elements"):
        net.lowered()


def test_a_tensor_without_elements_stays_on_the_host() -> None:
    net = Network(np.int8)
    element = net.quantized(0.1, 0)
    x = net.input(np.arange(6, dtype=np.int8).reshape(2, 3), element)
    y = net.graph(SliceOp, [x], element, starts=[0, 1], ends=[2, 1], steps=[1, 1])
    net.tflite("SLICE", [x, np.array([0, 1], np.int32), np.array([2, 0], np.int32)], y)
    with pytest.raises(Refused, match="without elements"):
        net.lowered()
    program = compile_model(build_model(net.operators))
    with session.create(program) as running:
        (result,) = running.run([np.zeros((2, 3), np.int8)])
    assert result.shape == (2, 0)
