"""Numerics of single operations, and what the interpreter says when it cannot."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xdsl.dialects.builtin import (
    ArrayAttr,
    DictionaryAttr,
    ModuleOp,
    StringAttr,
    TensorType,
    f32,
    i8,
)
from xdsl.dialects.func import CallOp, FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Region

from furiosa_ir.dialects.ftensor.arithmetic import ClampOp
from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.dialects.graph.convolution import ConvOp, ConvTransposeOp
from furiosa_ir.dialects.graph.elementwise import AddOp, ReluOp, TableOp
from furiosa_ir.dialects.graph.pooling import AveragePoolOp, MaxPoolOp
from furiosa_ir.dialects.graph.quantization import DequantizeOp, QuantizeOp, StorageCastOp
from furiosa_ir.dialects.graph.reduction import ReduceMeanOp
from furiosa_ir.dialects.graph.structure import ConstantOp
from furiosa_ir.dialects.quant import uniform
from furiosa_ir.errors import ExecutionFailure
from furiosa_ir.interpreter import run_function, run_module
from furiosa_ir.ir.constants import BlobAttr

U8 = uniform(np.dtype(np.uint8), 0.5, 128)
I8 = uniform(np.dtype(np.int8), 0.25, 0)


def function_of(
    op: type[GraphOp],
    inputs: list[tuple[Attribute, tuple[int, ...]]],
    element: Attribute,
    **properties: object,
) -> FuncOp:
    block = Block(arg_types=[TensorType(e, s) for e, s in inputs])
    made = op.make(list(block.args), [element], **properties)
    block.add_ops([made, ReturnOp(made.results[0])])
    return FuncOp("main", (block.arg_types, made.result_types), Region(block))


def test_float32_input_is_quantised_in_float32():
    scale = float(np.float32(0.1))
    q = uniform(np.dtype(np.int8), scale, 3)
    x = np.float32([0.25, -0.15, 0.05, 1e30, np.nan, -1e30])
    (got,) = run_function(function_of(QuantizeOp, [(f32, (6,))], q), [x])
    want = np.clip(np.rint(x / np.float32(scale)).astype(np.float64) + 3, -128, 127)
    np.testing.assert_array_equal(got[[0, 1, 2, 3, 5]], want[[0, 1, 2, 3, 5]].astype(np.int8))


def test_litert_quantises_halves_away_from_zero():
    q = uniform(np.dtype(np.int8), 1.0, 0)
    x = np.float32([0.5, 1.5, -0.5, -2.5, 0.49999997])
    function = function_of(QuantizeOp, [(f32, (5,))], q)
    (got,) = run_function(function, [x], source="tflite")
    np.testing.assert_array_equal(got, [1, 2, -1, -3, 0])


def test_ties_go_to_even():
    q = uniform(np.dtype(np.int8), 1.0, 0)
    function = function_of(AddOp, [(I8, (4,)), (I8, (4,))], q)
    a = np.int8([2, 6, -2, -6])
    (got,) = run_function(function, [a, np.zeros(4, np.int8)])
    np.testing.assert_array_equal(got, [0, 2, 0, -2])


def test_storage_cast_flips_the_top_bit():
    x = np.arange(256, dtype=np.uint8)
    (got,) = run_function(function_of(StorageCastOp, [(U8, (256,))], i8), [x])
    np.testing.assert_array_equal(got, np.arange(256) - 128)
    assert got.dtype == np.int8


def test_table():
    table = np.arange(256, dtype=np.uint8)[::-1].astype(np.int16).astype(np.uint8)
    function = function_of(TableOp, [(I8, (3,))], U8, table=table, function="reverse")
    (got,) = run_function(function, [np.int8([-128, 0, 127])])
    np.testing.assert_array_equal(got, [255, 127, 0])


def test_reals_are_doubles_between_quantisations():
    block = Block(arg_types=[TensorType(I8, [1])])
    real = DequantizeOp.make([block.args[0]], [f32])
    total = AddOp.make([real.result, real.result], [f32])
    block.add_ops([real, total, ReturnOp(total.result)])
    function = FuncOp("main", (block.arg_types, total.result_types), Region(block))
    (got,) = run_function(function, [np.int8([3])])
    assert got.dtype == np.float64
    (final,) = run_module(ModuleOp([function]), [np.int8([3])]).values()
    assert final.dtype == np.float32
    assert final[0] == 1.5


@given(
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 2),
    st.integers(1, 2),
    st.integers(0, 2),
    st.integers(1, 2),
    st.integers(0, 2**31),
)
def test_convolution_agrees_with_onnx_reference(kh, kw, stride, dilation, pad, group, seed):
    from onnx import TensorProto, helper
    from onnx.reference import ReferenceEvaluator

    rng = np.random.default_rng(seed)
    x = rng.standard_normal((2, 2 * group, 7, 6))
    w = rng.standard_normal((3 * group, 2, kh, kw))
    b = rng.standard_normal(3 * group)
    attributes = {
        "strides": [stride, 1],
        "dilations": [dilation, 1],
        "pads": [pad, 0, 1, pad],
        "group": group,
    }
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], **attributes)
    infos = [helper.make_tensor_value_info(n, TensorProto.DOUBLE, None) for n in "xwby"]
    graph = helper.make_graph([node], "g", infos[:3], infos[3:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    (want,) = ReferenceEvaluator(model).run(None, {"x": x, "w": w, "b": b})
    block = Block(arg_types=[TensorType(f32, a.shape) for a in (x, w, b)])
    op = ConvOp.make(list(block.args), [f32], layout="NCHW", kernel_layout="OIHW", **attributes)
    (got,) = op.evaluate(x, w, b)
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)
    block = Block(
        arg_types=[
            TensorType(f32, a) for a in ((2, 7, 6, 2 * group), (3 * group, kh, kw, 2), (3 * group,))
        ]
    )
    op = ConvOp.make(list(block.args), [f32], layout="NHWC", kernel_layout="OHWI", **attributes)
    (got,) = op.evaluate(x.transpose(0, 2, 3, 1), w.transpose(0, 2, 3, 1), b)
    np.testing.assert_allclose(got, want.transpose(0, 2, 3, 1), rtol=1e-9, atol=1e-12)


@given(
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(0, 1),
    st.integers(0, 1),
    st.integers(1, 2),
    st.integers(0, 99),
)
def test_transposed_convolution_agrees_with_onnxruntime(kernel, stride, pad, extra, group, seed):
    import onnxruntime
    from onnx import TensorProto, helper

    extra = min(extra, stride - 1)
    if (4 - 1) * stride + kernel + extra - 2 * pad <= 0 or pad >= kernel:
        return
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((1, 2 * group, 4, 5)).astype(np.float32)
    w = rng.standard_normal((2 * group, 3, kernel, 2)).astype(np.float32)
    attributes = {
        "strides": [stride, 1],
        "pads": [pad, 0, pad, 0],
        "output_padding": [extra, 0],
        "group": group,
    }
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], **attributes)
    infos = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, s)
        for n, s in (("x", x.shape), ("w", w.shape), ("y", None))
    ]
    model = helper.make_model(
        helper.make_graph([node], "g", infos[:2], infos[2:]),
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=8,
    )
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (want,) = session.run(None, {"x": x, "w": w})
    block = Block(arg_types=[TensorType(f32, a.shape) for a in (x, w)])
    op = ConvTransposeOp.make(
        [*block.args, None],
        [f32],
        layout="NCHW",
        kernel_layout="IOHW",
        dilations=[1, 1],
        **attributes,
    )
    (got,) = op.evaluate(x, w)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


@given(
    st.sampled_from(["MaxPool", "AveragePool"]),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(0, 1),
    st.booleans(),
    st.booleans(),
    st.integers(0, 99),
)
def test_pooling_agrees_with_onnxruntime(kind, kernel, stride, pad, ceil, include, seed):
    import onnxruntime
    from onnx import TensorProto, helper

    if pad >= kernel:
        return
    x = np.random.default_rng(seed).standard_normal((1, 2, 7, 8)).astype(np.float32)
    attributes = {
        "kernel_shape": [kernel, 2],
        "strides": [stride, 2],
        "pads": [pad, 0, pad, 1],
        "ceil_mode": int(ceil),
    }
    extra = {"count_include_pad": int(include)} if kind == "AveragePool" else {}
    node = helper.make_node(kind, ["x"], ["y"], **attributes, **extra)
    infos = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, s)
        for n, s in (("x", x.shape), ("y", None))
    ]
    model = helper.make_model(
        helper.make_graph([node], "g", infos[:1], infos[1:]),
        opset_imports=[helper.make_opsetid("", 19)],
        ir_version=9,
    )
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (want,) = session.run(None, {"x": x})
    block = Block(arg_types=[TensorType(f32, x.shape)])
    cls = MaxPoolOp if kind == "MaxPool" else AveragePoolOp
    op = cls.make(list(block.args), [f32], layout="NCHW", dilations=[1, 1], **attributes, **extra)
    (got,) = op.evaluate(x)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def named(function: FuncOp, *names: str) -> FuncOp:
    function.arg_attrs = ArrayAttr([DictionaryAttr({"graph.name": StringAttr(n)}) for n in names])
    return function


def test_the_mean_of_nothing_is_no_number():
    """Without a word on stderr: warnings are errors here."""
    function = function_of(ReduceMeanOp, [(f32, (0, 3))], f32, axes=[0], keepdims=0)
    (result,) = run_function(function, [np.zeros((0, 3), np.float32)])
    np.testing.assert_array_equal(result, np.full(3, np.nan))


def test_calls_and_ftensor():
    block = Block(arg_types=[TensorType(i8, [3])])
    clamp = ClampOp.make([block.args[0]], [i8], minimum=-1, maximum=1)
    block.add_ops([clamp, ReturnOp(clamp.result)])
    segment = FuncOp("npu_0", (block.arg_types, clamp.result_types), Region(block))
    main = Block(arg_types=[TensorType(i8, [3])])
    call = CallOp("npu_0", [main.args[0]], [TensorType(i8, [3])])
    main.add_ops([call, ReturnOp(call.results[0])])
    module = ModuleOp(
        [named(FuncOp("main", (main.arg_types, call.result_types), Region(main)), "x"), segment]
    )
    (got,) = run_module(module, {"x": np.int8([-5, 0, 5])}).values()
    np.testing.assert_array_equal(got, [-1, 0, 1])


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"y": np.zeros(3, np.float32)}, "no input 'y' .*inputs: x"),
        ({}, "an input 'x'"),
        ([], "0 inputs for a network of 1"),
        ([np.zeros(4, np.float32)], r"'x' is float32\[3\], not float32\[4\]"),
        ([np.zeros(3, np.int8)], r"'x' is float32\[3\], not int8\[3\]"),
    ],
)
def test_wrong_inputs(inputs, message: str):
    module = ModuleOp([named(function_of(ReluOp, [(f32, (3,))], f32), "x")])
    with pytest.raises(ExecutionFailure, match=message):
        run_module(module, inputs)


def test_quantised_tflite_needs_the_lowering():
    with pytest.raises(ExecutionFailure, match="lower_operation"):
        run_function(function_of(ReluOp, [(I8, (3,))], I8), [np.zeros(3, np.int8)], source="tflite")


def test_the_bias_scale_is_the_exact_product():
    sx, sw = float(np.float32(0.1)), float(np.float32(0.3))
    rounded = float(np.float32(sx * sw))
    assert rounded != sx * sw
    block = Block(arg_types=[TensorType(uniform(np.dtype(np.int8), sx, 0), [1, 1, 1, 1])])
    weight = ConstantOp.make(
        [], [uniform(np.dtype(np.int8), sw, 0)], value=BlobAttr.of(np.ones((1, 1, 1, 1), np.int8))
    )
    bias = ConstantOp.make(
        [], [uniform(np.dtype(np.int32), rounded, 0)], value=BlobAttr.of(np.int32([10**6]))
    )
    conv = ConvOp.make(
        [block.args[0], weight.result, bias.result],
        [f32],
        layout="NCHW",
        kernel_layout="OIHW",
        strides=[1, 1],
        pads=[0] * 4,
        dilations=[1, 1],
        group=1,
    )
    block.add_ops([weight, bias, conv, ReturnOp(conv.result)])
    function = FuncOp("main", (block.arg_types, conv.result_types), Region(block))
    (got,) = run_function(function, [np.zeros((1, 1, 1, 1), np.int8)])
    assert got.item() == 10**6 * (sx * sw)
