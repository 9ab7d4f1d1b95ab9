"""Rounded sums of two products, for all pairs of bytes: in float64 where that is exact."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.func import FuncOp

from furiosa_ir.ir.text import parse_module
from furiosa_ir.numerics.fixed_point import ROUNDINGS
from tests.backends.mlir.native_functions import NativeFunctions
from tests.draws import draws

pytest.importorskip("iree.compiler", reason="the extra `iree` is not installed")

PAIRS = [a.astype(np.int8) for a in np.meshgrid(np.arange(-128, 128), np.arange(-128, 128))]
LIMITS = {"i32": (-(1 << 31), (1 << 31) - 1), "i48": (-(1 << 47), (1 << 47) - 1)}


def function(
    element: str,
    multipliers: tuple[int, int, int],
    shift: int,
    zero_points: tuple[int, int, int],
    rounding: str,
) -> FuncOp:
    """What ONNX's addition becomes: two whole multiples, their sum, a rescale to bytes."""
    a, b, m = multipliers
    low, high = LIMITS[element]
    wide = f"minimum = {low}, maximum = {high}"
    text = f"""
    func.func @npu_0(%x: tensor<256x256xi8>, %y: tensor<256x256xi8>) -> tensor<256x256xi8> {{
      %none = ftensor.constant #graph.blob<i8 [] (0)> : tensor<i8>
      %a = ftensor.constant #graph.blob<i32 [] ({a})> : tensor<i32>
      %b = ftensor.constant #graph.blob<i32 [] ({b})> : tensor<i32>
      %m = ftensor.constant #graph.blob<i32 [] ({m})> : tensor<i32>
      %s = ftensor.constant #graph.blob<i8 [] ({shift})> : tensor<i8>
      %p = ftensor.rescale %x, %a, %none {{input_zp = {zero_points[0]}, {wide}, rounding = "even"}}
        : tensor<256x256x{element}>
      %q = ftensor.rescale %y, %b, %none {{input_zp = {zero_points[1]}, {wide}, rounding = "even"}}
        : tensor<256x256x{element}>
      %r = ftensor.add %p, %q : tensor<256x256x{element}>
      %z = ftensor.rescale %r, %m, %s {{output_zp = {zero_points[2]}, rounding = "{rounding}"}}
        : tensor<256x256xi8>
      func.return %z : tensor<256x256xi8>
    }}"""
    (made,) = parse_module(text).ops
    assert isinstance(made, FuncOp)
    made.detach()
    return made


def forms(made: NativeFunctions) -> tuple[int, int]:
    """(functions that multiply in float64, functions)."""
    functions = [op for op in made.module.ops if isinstance(op, FuncOp)]
    real = [f for f in functions if any(op.name == "arith.mulf" for op in f.walk())]
    return len(real), len(functions)


@pytest.mark.draws
def test_all_pairs_of_random_sums() -> None:
    rng = np.random.default_rng(8)
    native = NativeFunctions()
    for number in range(draws(60)):
        shift = int(rng.integers(20, 34))
        largest = 1 << min(shift + 1, 30)
        factors = rng.integers(1, largest, 2) * rng.choice([1, 1, -1], 2)
        if number % 4 == 0:  # many ties
            shift = min(shift, 29)
            factors = (1 << rng.integers(shift - 4, shift, 2)) * rng.integers(1, 4, 2)
        zero_points = tuple(int(v) for v in rng.integers(-128, 128, 3))
        rounding = "near_even" if number % 2 else ROUNDINGS[number // 2 % len(ROUNDINGS)]
        if rounding == "double":
            rounding = "even"
        one = function("i48", (int(factors[0]), int(factors[1]), 1), shift, zero_points, rounding)
        native.add(one, PAIRS)
    assert native.differing() == []
    in_float64, count = forms(native)
    assert in_float64 > count // 2


def test_a_sum_that_wraps_does_so() -> None:
    """Each product fits 32 bits, and some sums do not."""
    native = NativeFunctions()
    most = ((1 << 31) - 1) // 255
    native.add(function("i32", (most, most, 1), 24, (-128, -128, 0), "near_even"), PAIRS)
    native.add(function("i32", (most // 2, most // 2, 1), 24, (-128, -128, 0), "near_even"), PAIRS)
    assert native.differing() == []
    assert forms(native)[0] <= 1
