"""What contractions say of themselves, against what they compute."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xdsl.dialects.builtin import TensorType, f64
from xdsl.ir import SSAValue
from xdsl.utils.test_value import create_ssa_value

from furiosa_ir.dialects.graph.contraction import ContractionOp
from furiosa_ir.dialects.graph.convolution import ConvOp, ConvTransposeOp, GemmOp, MatMulOp
from furiosa_ir.ir.shaped_operation import DYNAMIC, shape_of

EXTENT = st.integers(1, 4)


def value(*shape: int) -> SSAValue:
    return create_ssa_value(TensorType(f64, shape))


@st.composite
def convolutions(draw: st.DrawFn) -> ContractionOp:
    letters = draw(st.sampled_from(["W", "HW", "DHW"]))
    transposed, group = draw(st.booleans()), draw(st.integers(1, 3))
    kernel = [draw(EXTENT) for _ in letters]
    extents = [k + draw(st.integers(0, 3)) for k in kernel]
    x = {"N": draw(EXTENT), "C": draw(EXTENT) * group, **dict(zip(letters, extents, strict=True))}
    outputs = draw(EXTENT)
    weight = dict(zip(letters, kernel, strict=True))
    weight |= {"I": x["C"], "O": outputs} if transposed else {"I": x["C"] // group}
    weight.setdefault("O", outputs * group)
    layout = "".join(draw(st.permutations("NC" + letters)))
    kernel_layout = "".join(draw(st.permutations("OI" + letters)))
    ones = [1] * len(letters)
    more = {"output_padding": [0] * len(letters)} if transposed else {}
    return (ConvTransposeOp if transposed else ConvOp).make(
        [value(*(x[d] for d in layout)), value(*(weight[d] for d in kernel_layout)), None],
        [f64],
        layout=layout,
        kernel_layout=kernel_layout,
        strides=[draw(st.integers(1, 2)) for _ in letters],
        pads=[0, 0] * len(letters),
        dilations=ones,
        group=group,
        **more,
    )


@st.composite
def matrix_products(draw: st.DrawFn) -> ContractionOp:
    m, k, n = draw(EXTENT), draw(EXTENT), draw(EXTENT)
    if draw(st.booleans()):
        a, b = draw(st.booleans()), draw(st.booleans())
        return GemmOp.make(
            [value(*((k, m) if a else (m, k))), value(*((n, k) if b else (k, n))), None],
            [f64],
            alpha=1.0,
            beta=1.0,
            trans_a=a,
            trans_b=b,
        )
    batch = draw(st.lists(EXTENT, max_size=2))
    return MatMulOp.make([value(*batch, m, k), value(*batch[draw(EXTENT) :], k, n)], [f64])


@given(convolutions() | matrix_products(), st.data())
def test_channels_and_products(op: ContractionOp, data: st.DataObject):
    """Of ones it computes how many products there are; a slice of the weight makes its channels."""
    shapes = [shape_of(v) for v in op.operands]
    assert op.macs() == op.evaluate(*map(np.ones, shapes))[0].sum()
    axis = op.weight_channel_axis
    channel = data.draw(st.integers(0, shapes[1][axis] - 1))
    weight = np.zeros(shapes[1])
    weight.swapaxes(0, axis)[channel] = 1
    (result,) = op.evaluate(np.ones(shapes[0]), weight)
    touched = np.unique(np.nonzero(result)[op.channel_axis])
    assert len(touched) == op.channels / shapes[1][axis]
    assert set(touched % shapes[1][axis]) == {channel}
    along = np.arange(op.channels).reshape(op.along_channels(result.ndim))
    assert np.broadcast_to(along, result.shape).shape == result.shape
    # What a channel sums: all of the weight's elements along these, once.
    assert op.terms == np.ones(shapes[1]).sum(op.summed_axes).flat[0]
    assert axis not in op.summed_axes


@given(matrix_products() | convolutions())
def test_of_open_extents_nobody_knows_the_products(op: ContractionOp):
    shape = shape_of(op.operands[0])
    op.operands[0]._type = TensorType(f64, [DYNAMIC, *shape[1:]])
    assert op.macs() == 0


@pytest.mark.parametrize("alpha", [1.0, 0.5])
def test_factors(alpha: float):
    gemm = GemmOp.make(
        [value(1, 1)] * 2 + [None], [f64], alpha=alpha, beta=2.0, trans_a=0, trans_b=0
    )
    assert gemm.factors == (alpha, 2.0)
    assert MatMulOp.make([value(1, 1)] * 2, [f64]).factors == (1.0, 1.0)
