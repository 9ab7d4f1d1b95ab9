"""The fast convolutions of `--verify` are those of the interpreter."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import TensorType, f32, i8, i32
from xdsl.ir import Block

from furiosa_ir.dialects.ftensor import contraction
from furiosa_ir.dialects.graph.convolution import ConvOp
from furiosa_ir.dialects.quant import Quantization
from furiosa_ir.dialects.quant.arithmetic import dequantize
from furiosa_ir.verification.convolutions import exact_convolution, lowered_convolution
from tests.draws import draws


def values(*types: Any) -> list[Any]:
    return list(Block(arg_types=types).args)


def array(rng: np.random.Generator, low: int, high: int, shape: Any, dtype: Any) -> Any:
    return cast("Any", rng.integers(low, high, shape)).astype(dtype)


@st.composite
def convolutions(draw: st.DrawFn) -> dict[str, Any]:
    group = draw(st.sampled_from((1, 1, 2, 4)))
    inner = draw(st.sampled_from((1, 3, 5)))
    each = draw(st.sampled_from((1, 2, 7)))
    kernel = draw(st.sampled_from(((1, 1), (3, 3), (1, 3), (5, 2))))
    extent = draw(st.integers(6, 11))
    return {
        "x": (draw(st.sampled_from((1, 2))), group * inner, extent, extent + 1),
        "weight": (group * each, inner, *kernel),
        "group": group,
        "strides": draw(st.sampled_from(((1, 1), (2, 1), (2, 3)))),
        "pads": draw(st.sampled_from(((0, 0, 0, 0), (1, 0, 2, 1)))),
        "dilations": draw(st.sampled_from(((1, 1), (1, 2)))) if kernel != (5, 2) else (1, 1),
        "bias": draw(st.booleans()),
        "x_zp": draw(st.integers(-128, 127)),
        "weight_zp": draw(st.sampled_from((0, 0, -5))),
        "seed": draw(st.integers(0, 9)),
    }


@settings(max_examples=draws(60), deadline=None)
@given(convolutions(), st.sampled_from(("NCHW", "NHWC")))
def test_of_lowered_networks(drawn: dict[str, Any], layout: str):
    rng = np.random.default_rng(drawn["seed"])
    n, c, h, w = drawn["x"]
    shape = (n, c, h, w) if layout == "NCHW" else (n, h, w, c)
    o, i, kh, kw = drawn["weight"]
    x: Any = array(rng, -128, 128, shape, np.int8)
    weight: Any = array(rng, -128, 128, (o, kh, kw, i), np.int8)
    bias: Any = array(rng, -(1 << 20), 1 << 20, o, np.int32) if drawn["bias"] else None
    kinds = [TensorType(i8, x.shape), TensorType(i8, weight.shape)]
    operands = values(*kinds, *([TensorType(i32, [o])] if bias is not None else []))
    op = contraction.ConvOp.make(
        [*operands, None][:3],
        [i32],
        layout=layout,
        input_dilation=(1, 1),
        **{k: drawn[k] for k in ("strides", "pads", "dilations", "group", "x_zp", "weight_zp")},
    )
    arrays = [x, weight, *([bias] if bias is not None else [])]
    got = lowered_convolution(op, arrays)
    (want,) = op.evaluate(*arrays)
    assert got is not None
    assert got.dtype == want.dtype
    assert np.array_equal(got, want)


@settings(max_examples=draws(40), deadline=None)
@given(convolutions(), st.booleans())
def test_of_dequantised_networks(drawn: dict[str, Any], unsigned: bool):
    rng = np.random.default_rng(drawn["seed"])
    dtype = np.dtype(np.uint8 if unsigned else np.int8)
    info = np.iinfo(dtype)
    x: Any = array(rng, info.min, info.max + 1, drawn["x"], dtype)
    weight: Any = array(rng, -128, 128, drawn["weight"], np.int8)
    filters = len(weight)
    qx = Quantization(
        "u8" if unsigned else "i8", (0.037,), (drawn["x_zp"] + (128 if unsigned else 0),)
    )
    scales: tuple[float, ...] = tuple(float(s) for s in rng.uniform(0.001, 0.1, filters))
    qw = Quantization("i8", scales, (0,) * filters, 0)
    bias: Any = rng.uniform(-3, 3, filters) if drawn["bias"] else None
    operands = values(*(TensorType(f32, a.shape) for a in (x, weight)), TensorType(f32, [filters]))
    op = ConvOp.make(
        [*operands[:2], operands[2] if bias is not None else None],
        [f32],
        layout="NCHW",
        kernel_layout="OIHW",
        **{k: drawn[k] for k in ("strides", "pads", "dilations", "group")},
    )
    got = exact_convolution(op, [(x, qx), (weight, qw)], bias)
    reals = [dequantize(x, qx), dequantize(weight, qw), *([bias] if bias is not None else [])]
    (want,) = op.evaluate(*reals)
    assert got is not None
    assert np.allclose(got, want, rtol=1e-12, atol=1e-10)
