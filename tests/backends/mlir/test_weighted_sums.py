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
    first: str = "even",
) -> FuncOp:
    """What ONNX's addition becomes: two whole multiples, their sum, a rescale to bytes."""
    a, b, m = multipliers
    p, q, z = zero_points
    low, high = LIMITS[element]
    wide = f"minimum = {low}, maximum = {high}"
    text = f"""
    func.func @npu_0(%x: tensor<256x256xi8>, %y: tensor<256x256xi8>) -> tensor<256x256xi8> {{
      %none = ftensor.constant #graph.blob<i8 [] (0)> : tensor<i8>
      %a = ftensor.constant #graph.blob<i32 [] ({a})> : tensor<i32>
      %b = ftensor.constant #graph.blob<i32 [] ({b})> : tensor<i32>
      %m = ftensor.constant #graph.blob<i32 [] ({m})> : tensor<i32>
      %s = ftensor.constant #graph.blob<i8 [] ({shift})> : tensor<i8>
      %p = ftensor.rescale %x, %a, %none {{input_zp = {p}, {wide}, rounding = "{first}"}}
        : tensor<256x256x{element}>
      %q = ftensor.rescale %y, %b, %none {{input_zp = {q}, {wide}, rounding = "even"}}
        : tensor<256x256x{element}>
      %r = ftensor.add %p, %q : tensor<256x256x{element}>
      %z = ftensor.rescale %r, %m, %s {{output_zp = {z}, rounding = "{rounding}"}}
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


def test_a_term_that_shifts_to_the_left() -> None:
    """LiteRT's rounding does, of a shift below 31."""
    native = NativeFunctions()
    native.add(function("i48", (3, 5, 1), 4, (0, 0, 0), "near_even", "double"), PAIRS)
    assert native.differing() == []


def test_zero_points_of_more_than_8_bits() -> None:
    native = NativeFunctions()
    for zero_point in (129, (1 << 31) - 200, 1 << 40):
        zero_points = zero_point, 0, 0
        native.add(function("i48", (3, 5, 1), 4, zero_points, "near_even"), PAIRS)
    assert native.differing() == []


@pytest.mark.parametrize(
    ("element", "result", "properties"),
    [
        ("i8", "i48", f"minimum = {1 << 40}, maximum = {1 << 41}"),
        ("i8", "i48", f"output_zp = {1 << 40}, minimum = {-(1 << 47)}, maximum = {1 << 46}"),
        ("i8", "i32", f"output_zp = {1 << 40}, minimum = {-(1 << 31)}, maximum = 9"),
        ("i8", "i32", f"input_zp = {1 << 40}, minimum = {-(1 << 31)}, maximum = 9"),
        ("i8", "i32", f"output_zp = -128, minimum = {(1 << 31) - 1}, maximum = {(1 << 31) - 1}"),
    ],
)
def test_numbers_of_more_than_32_bits(element: str, result: str, properties: str) -> None:
    """What a rescale in text may have, and 32 bits do not hold."""
    text = f"""
    func.func @npu_0(%x: tensor<256x256x{element}>) -> tensor<256x256x{result}> {{
      %m = ftensor.constant #graph.blob<i32 [] (1073741824)> : tensor<i32>
      %s = ftensor.constant #graph.blob<i8 [] (31)> : tensor<i8>
      %z = ftensor.rescale %x, %m, %s {{{properties}, rounding = "even"}}
        : tensor<256x256x{result}>
      func.return %z : tensor<256x256x{result}>
    }}"""
    (made,) = parse_module(text).ops
    assert isinstance(made, FuncOp)
    made.detach()
    native = NativeFunctions()
    native.add(made, PAIRS[:1])
    assert native.differing() == []


def test_long_chains_between_rescales() -> None:
    lines = [f"%c{i + 1} = ftensor.maximum %c{i}, %y : tensor<4xi8>" for i in range(2000)]
    text = "\n".join(
        [
            "func.func @npu_0(%c0: tensor<4xi8>, %y: tensor<4xi8>) -> tensor<4xi8> {",
            "%m = ftensor.constant #graph.blob<i32 [] (3)> : tensor<i32>",
            "%s = ftensor.constant #graph.blob<i8 [] (4)> : tensor<i8>",
            *lines,
            '%z = ftensor.rescale %c2000, %m, %s {rounding = "near_even"} : tensor<4xi8>',
            "func.return %z : tensor<4xi8>",
            "}",
        ]
    )
    (made,) = parse_module(text).ops
    assert isinstance(made, FuncOp)
    made.detach()
    NativeFunctions().add(made, [np.zeros(4, np.int8)] * 2)


def test_a_sum_that_wraps_does_so() -> None:
    """Each product fits 32 bits, and some sums do not."""
    native = NativeFunctions()
    most = ((1 << 31) - 1) // 255
    native.add(function("i32", (most, most, 1), 24, (-128, -128, 0), "near_even"), PAIRS)
    native.add(function("i32", (most // 2, most // 2, 1), 24, (-128, -128, 0), "near_even"), PAIRS)
    assert native.differing() == []
    assert forms(native)[0] <= 1
