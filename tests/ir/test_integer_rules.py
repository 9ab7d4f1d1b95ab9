"""What the machine cannot do with integers is refused at the level where they are spelled out."""

from __future__ import annotations

import re

import pytest

from furiosa_ir.errors import VerificationFailure
from furiosa_ir.ir.text import parse_module

GOOD = """
func.func @main(%x: tensor<1x2x4x4xi8>, %w: tensor<3x1x1x2xi8>, %a: tensor<2x3xi8>,
                %b: tensor<3x2xi8>) -> tensor<1x3x4x4xi8> {
  %m = "ftensor.constant"() <{value = #graph.blob<i32 [] (1073741824)>}> : () -> tensor<i32>
  %s = "ftensor.constant"() <{value = #graph.blob<i8 [] (31)>}> : () -> tensor<i8>
  %0 = "ftensor.conv"(%x, %w) <{layout = "NCHW", strides = array<i64: 1, 1>,
    pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>, input_dilation = array<i64: 1, 1>,
    group = 1 : i64, x_zp = -3 : i64, weight_zp = 5 : i64}>
    : (tensor<1x2x4x4xi8>, tensor<3x1x1x2xi8>) -> tensor<1x3x4x4xi32>
  %1 = "ftensor.rescale"(%0, %m, %s) <{input_zp = 0 : i64, output_zp = 1 : i64,
    minimum = -127 : i64, maximum = 126 : i64, rounding = "even"}>
    : (tensor<1x3x4x4xi32>, tensor<i32>, tensor<i8>) -> tensor<1x3x4x4xi8>
  %2 = "ftensor.matmul"(%a, %b) <{a_zp = 7 : i64, b_zp = -9 : i64, transpose_b = 0 : i64}>
    : (tensor<2x3xi8>, tensor<3x2xi8>) -> tensor<2x2xi32>
  func.return %1 : tensor<1x3x4x4xi8>
}
"""


def test_the_text_verifies():
    parse_module(GOOD)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("x_zp = -3", "x_zp = -129", "ftensor.conv: x_zp is -129, which is no i8"),
        ("weight_zp = 5", "weight_zp = 128", "ftensor.conv: weight_zp is 128, which is no i8"),
        ("a_zp = 7", "a_zp = 300", "ftensor.matmul: a_zp is 300, which is no i8"),
        ("b_zp = -9", "b_zp = -200", "ftensor.matmul: b_zp is -200, which is no i8"),
        ("minimum = -127", "minimum = -129", "ftensor.rescale: -129 to 126 are no limits of i8"),
        ("maximum = 126", "maximum = 254", "ftensor.rescale: -127 to 254 are no limits of i8"),
        ("maximum = 126", "maximum = -128", "ftensor.rescale: -127 to -128 are no limits of i8"),
        (r"\(31\)", "(63)", "ftensor.rescale: a shift of 63, not of 0 to 62"),
        (r"\(31\)", "(-1)", "ftensor.rescale: a shift of -1, not of 0 to 62"),
    ],
)
def test_it_does_not(old: str, new: str, message: str):
    text, count = re.subn(old, new, GOOD)
    assert count == 1
    with pytest.raises(VerificationFailure, match=re.escape(message)):
        parse_module(text)
