"""Operations as rules build them: what text leaves out may be left out, arrays are constants."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import i32

import furiosa_ir as fi

INPUT = """
func.func @main(%x: tensor<1x4x4x8xi8>) -> tensor<1x4x4x8xi32> {
  %weight = ftensor.constant #graph.blob<i8 [8, 1, 1, 8] (1)> : tensor<8x1x1x8xi8>
  %y = ftensor.conv %x, %weight {layout = "NHWC"} : tensor<1x4x4x8xi32>
  func.return %y : tensor<1x4x4x8xi32>
}
"""


def test_what_text_leaves_out_may_be_left_out():
    """Numbers, and lists that an operand's rank makes; an optional operand is None."""
    (read,) = (op for op in fi.parse(INPUT).walk() if isinstance(op, fi.ftensor.ConvOp))
    made = fi.ftensor.ConvOp.make([read.x, read.weight, None], [i32], layout="NHWC")
    assert made.properties == read.properties
    assert fi.shape_of(made.result) == (1, 4, 4, 8)


@pytest.mark.parametrize("number", [np.int32(7), np.array(7, np.int32)])
def test_a_number_of_numpy_is_a_constant(number: np.int32):
    held = fi.ftensor.ConstantOp.make([], [i32], value=fi.BlobAttr.of(number))
    held.verify()
    found = fi.constant_of(held.result)
    assert found is not None
    assert (found.dtype, found.shape, int(found)) == (np.int32, (), 7)


def test_a_constant_of_another_type_is_refused_by_a_sentence():
    with pytest.raises(TypeError, match="a numpy array, not of type 'list'"):
        fi.BlobAttr.of([1, 2])  # pyright: ignore[reportArgumentType]


def test_constants_of_both_levels_have_elements():
    for text in ("graph", "ftensor"):
        source = f"""func.func @main() -> tensor<2xi32> {{
  %c = {text}.constant #graph.blob<i32 [2] (3, 4)> : tensor<2xi32>
  func.return %c : tensor<2xi32>
}}"""
        held = [v for op in fi.parse(source).walk() for v in op.results]
        assert [fi.constant_of(v).tolist() for v in held] == [[3, 4]]  # pyright: ignore[reportOptionalMemberAccess]
