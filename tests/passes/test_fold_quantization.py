from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper
from xdsl.dialects.builtin import ModuleOp

from furiosa_ir.dialects.graph.base import quantization_of
from furiosa_ir.importers.onnx import import_onnx
from furiosa_ir.interpreter import run_module
from furiosa_ir.passes.fold_quantization import FoldQuantization
from furiosa_ir.passes.fuse_tables import FuseTables
from tests.draws import mostly_slow
from tests.importers.onnx.networks import imported, names, operations, result_shapes
from tests.oracle.exact import run_exactly
from tests.passes.qdq import QDQ

S = 0.05


def folded(net: QDQ) -> ModuleOp:
    module = imported(net.model())
    FoldQuantization().apply(None, module)
    module.verify()
    return module


def inner(module: ModuleOp) -> list[str]:
    """The operations, without the casts of integer inputs and outputs."""
    return [n for n in names(module) if n != "storage_cast"]


def float_operations(module: ModuleOp) -> list[str]:
    return [
        op.name
        for op in operations(module)
        if any(quantization_of(v) is None for v in (*op.operands, *op.results))
    ]


def agree(net: QDQ, module: ModuleOp, seed: int = 0) -> None:
    """The interpreter on the folded module and exact arithmetic on the file: equal elements."""
    model, rng = net.model(), np.random.default_rng(seed)
    info = np.iinfo(net.dtype)
    feeds = {
        name: rng.integers(info.min, info.max + 1, shape).astype(net.dtype)
        for name, (shape, _) in net.inputs.items()
    }
    want = run_exactly(model.SerializeToString(), feeds)
    got = run_module(module, feeds)
    for name, expected in zip(net.outputs, want, strict=True):
        np.testing.assert_allclose(got[name], expected, rtol=1e-6, atol=0)


def checked(net: QDQ, expected: list[str]) -> ModuleOp:
    module = folded(net)
    assert inner(module) == expected
    agree(net, module)
    return module


def test_one_operator() -> None:
    net = QDQ()
    net.output(net.add("Sigmoid", [net.input("x", [1, 64], S)]), 1 / 256, -128)
    checked(net, ["sigmoid"])


def test_pair_of_equal_parameters_vanishes() -> None:
    net = QDQ()
    net.output(net.requantized(net.input("x", [1, 8], S, 3), S, 3), S, 3)
    checked(net, [])


def test_other_parameters_requantise() -> None:
    net = QDQ()
    net.output(net.input("x", [1, 256], S, 3), 0.07, -5)
    checked(net, ["quantize"])


@pytest.mark.parametrize(("zero_point", "expected"), [(-128, ["quantize"]), (0, ["clip"])])
def test_clip_that_saturation_does(zero_point: int, expected: list[str]) -> None:
    net = QDQ()
    low, high = net.constant(np.float32(0)), net.constant(np.float32(100))
    net.output(net.add("Clip", [net.input("x", [1, 64], S), low, high]), 0.03, zero_point)
    checked(net, expected)


def test_relu_after_a_convolution_becomes_its_range() -> None:
    for zero_point, expected in ((-128, ["conv"]), (-100, ["conv", "relu"])):
        net = convolution(bias_scale=1.0)
        net.output(net.add("Relu", ["conv"]), 0.1, zero_point)
        checked(net, expected)


def convolution(bias_scale: float = 1.0, bias: Any = None) -> QDQ:
    """conv(x, w) + b, not yet quantised; the result is the value `conv`."""
    rng = np.random.default_rng(1)
    net = QDQ()
    x = net.input("x", [1, 3, 6, 6], S, 7)
    scales = rng.uniform(0.01, 0.03, 4).astype(np.float32)
    w = net.weight(rng.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8), scales)
    product = (np.float32(S) * scales * np.float32(bias_scale)).astype(np.float32)
    if bias is None:
        b = net.weight(rng.integers(-500, 500, 4).astype(np.int32), product, name="b")
    else:
        b = net.constant(bias)
    net.nodes.append(helper.make_node("Conv", [x, w, b], ["conv"], pads=[1, 1, 1, 1]))
    return net


def test_convolution_with_the_bias_of_its_accumulator() -> None:
    net = convolution()
    net.output("conv", 0.1, 3)
    module = checked(net, ["conv"])
    conv = next(op for op in operations(module) if op.name == "graph.conv")
    bias = quantization_of(conv.operands[2])
    weight = quantization_of(conv.operands[1])
    x = quantization_of(conv.operands[0])
    # The product of the scales in double precision, which the float32 of the file only rounds.
    assert bias.scales == tuple(s * x.scale for s in weight.scales)


def test_convolution_with_a_bias_of_another_scale() -> None:
    net = convolution(bias_scale=2.0)
    net.output("conv", 0.1)
    checked(net, ["conv"])


def test_convolution_with_a_bias_that_is_no_multiple() -> None:
    net = convolution(bias=np.array([0.1, 0.2, 0.3, 0.4], np.float32))
    net.output("conv", 0.1)
    checked(net, ["conv", "affine"])


def test_movement_goes_by_stored_integers() -> None:
    net = QDQ()
    x = net.input("x", [1, 4, 6, 6], S, 3)
    a = net.add("Transpose", [x], perm=[0, 2, 3, 1])
    b = net.add("Reshape", [a, net.constant(np.array([36, 4]))])
    c = net.add("Pad", [b, net.constant(np.array([1, 0, 0, 0]))])
    first, second = (
        net.add("Slice", [c, net.constant([0]), net.constant([20]), net.constant([0])]),
        c,
    )
    net.output(net.add("Concat", [first, second], axis=0), S, 3)
    module = checked(net, ["transpose", "reshape", "pad", "slice", "concat"])
    assert result_shapes(module) == [[57, 4]]


def test_a_concatenation_of_other_scales_requantises() -> None:
    net = QDQ()
    a, b = net.input("a", [1, 64], S, 3), net.input("b", [1, 64], 0.07, -9)
    net.output(net.add("Concat", [a, b], axis=1), S, 3)
    checked(net, ["quantize", "concat"])


def test_quantised_split() -> None:
    net = QDQ()
    x = net.input("x", [1, 8], S, 3)
    net.nodes.append(helper.make_node("Split", [x], ["p", "q"], axis=1))
    for part in ("p", "q"):
        net.output(part, S, 3)
    checked(net, ["split"])


def test_max_pool_and_nearest_resize_keep_stored_integers() -> None:
    net = QDQ()
    x = net.input("x", [1, 2, 6, 6], S, 3)
    a = net.add("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])
    scales = net.constant(np.array([1, 1, 2, 2], np.float32))
    b = net.add("Resize", [a, "", scales], mode="nearest")
    net.output(b, 0.07, 1)
    checked(net, ["max_pool", "resize", "quantize"])


def test_float_weights_between_q_and_dq() -> None:
    rng = np.random.default_rng(2)
    net = QDQ()
    x = net.input("x", [2, 16], S, 3)
    w = net.requantized(net.constant(rng.normal(size=(16, 8)).astype(np.float32)), 0.02)
    net.output(net.add("MatMul", [x, w]), 0.1)
    checked(net, ["mat_mul"])


def test_transposed_per_channel_weights() -> None:
    rng = np.random.default_rng(2)
    net = QDQ()
    x = net.input("x", [2, 16], S, 3)
    scales = rng.uniform(0.01, 0.03, 8)
    w = net.weight(rng.integers(-127, 128, (8, 16)).astype(np.int8), scales)
    net.output(net.add("MatMul", [x, net.add("Transpose", [w], perm=[1, 0])]), 0.1)
    checked(net, ["mat_mul"])


@pytest.mark.parametrize("shape", [[2, 16], [2, 3, 16]])
def test_a_bias_after_a_matrix_product_joins_its_accumulator(shape: list[int]) -> None:
    rng = np.random.default_rng(2)
    net = QDQ()
    x = net.input("x", shape, 0.0625, 3)
    w = net.weight(rng.integers(-127, 128, (16, 8)).astype(np.int8), 0.03125)
    unit = 0.0625 * 0.03125
    b = net.constant((rng.integers(-999, 999, 8) * unit).astype(np.float32))
    net.output(net.add("Add", [b, net.add("MatMul", [x, w])]), 0.1)
    module = folded(net)
    assert "gemm" in inner(module)
    assert set(float_operations(module)) <= {"graph.storage_cast"}
    agree(net, module)


def test_islands_of_one_value_become_tables() -> None:
    net = QDQ()
    x = net.input("x", [1, 256], S, 3)
    half, root = net.constant(np.float32(0.5)), net.constant(np.float32(1.4142135))
    erf = net.add("Erf", [net.add("Div", [x, root])])
    one = net.add("Add", [erf, net.constant(np.float32(1))])
    net.output(net.add("Mul", [net.add("Mul", [x, one]), half]), S, 3)
    module = checked(net, ["table"])
    (table,) = [op for op in operations(module) if op.name == "graph.table"]
    assert table.function.data == "mul(mul(x, add(erf(div(x, 1.41421)), 1)), 0.5)"


def test_an_island_of_two_values_stays_float() -> None:
    net = QDQ()
    a, b = net.input("a", [1, 8], S), net.input("b", [1, 8], S)
    net.output(net.add("Exp", [net.add("Mul", [a, b])]), S)
    module = folded(net)
    assert "table" not in inner(module)
    agree(net, module)


def test_quantised_silu_becomes_one_table() -> None:
    net = QDQ(dtype=np.uint8)
    x = net.requantized(net.add("Neg", [net.input("x", [1, 256], S, 100)]), S, 90)
    sigmoid = net.requantized(net.add("Sigmoid", [x]), 1 / 255, 0)
    net.output(net.add("Mul", [x, sigmoid]), 0.04, 10)
    module = folded(net)
    assert inner(module) == ["neg", "sigmoid", "mul"]
    FuseTables().apply(None, module)
    assert inner(module) == ["table"]
    agree(net, module)


def test_the_text_of_a_table_does_not_grow_with_the_network() -> None:
    """x + x, 120 times: each sum's text was twice as long, and 10 KB of file took all memory."""
    net = QDQ()
    value = net.input("x", [1, 8], S)
    for _ in range(120):
        value = net.requantized(net.add("Add", [value, value]), S)
    net.output(net.add("Neg", [value]), S)
    module = folded(net)
    FuseTables().apply(None, module)
    tables = [op for op in operations(module) if op.name == "graph.table"]
    assert tables
    assert all(len(op.function.data) < 4096 for op in tables)
    agree(net, module)


def test_a_float_consumer_keeps_the_operator_float() -> None:
    net = QDQ()
    y = net.add("Sigmoid", [net.input("x", [1, 8], S)])
    net.output(y, 1 / 256, -128)
    net.float_output(y)
    module = folded(net)
    assert "sigmoid" in inner(module)
    agree(net, module)


UNARY = [
    "Relu",
    "Sigmoid",
    "Tanh",
    "LeakyRelu",
    "Elu",
    "HardSigmoid",
    "Abs",
    "Neg",
    "Softplus",
    "Exp",
]
BINARY = ["Add", "Sub", "Mul", "Min", "Max"]
scales = st.floats(0.004, 0.2).map(np.float32).map(float)


@st.composite
def one_operator(draw: Callable[..., Any]) -> QDQ:
    dtype = draw(st.sampled_from([np.int8, np.uint8]))
    info = np.iinfo(dtype)
    zero_points = st.integers(int(info.min), int(info.max))
    net = QDQ(dtype=dtype)
    shape = [1, 4, draw(st.integers(4, 8)), draw(st.integers(4, 8))]
    x = net.input("x", shape, draw(scales), draw(zero_points))
    kind = draw(st.sampled_from(["unary", "binary", "pool", "mean", "softmax", "conv"]))
    if kind == "unary":
        y = net.add(draw(st.sampled_from(UNARY)), [x])
    elif kind == "binary":
        other = draw(st.sampled_from([shape, [1, 4, 1, 1], shape[1:]]))
        b = net.input("b", other, draw(scales), draw(zero_points))
        y = net.add(draw(st.sampled_from(BINARY)), [x, b])
    elif kind == "pool":
        op = draw(st.sampled_from(["AveragePool", "MaxPool"]))
        y = net.add(op, [x], kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1])
    elif kind == "mean":
        y = net.add("ReduceMean", [x], axes=[2, 3], keepdims=draw(st.integers(0, 1)))
    elif kind == "softmax":
        y = net.add("Softmax", [x], axis=draw(st.sampled_from([1, -1])))
    else:
        group = draw(st.sampled_from([1, 2, 4]))
        rng = np.random.default_rng(draw(st.integers(0, 99)))
        weight = rng.integers(-127, 128, (8, 4 // group, 3, 3)).astype(np.int8)
        w = net.weight(weight, rng.uniform(0.001, 0.02, 8))
        y = net.add("Conv", [x, w], group=group, strides=[draw(st.integers(1, 2))] * 2)
    net.output(y, draw(scales), draw(zero_points))
    return net


@given(one_operator(), st.integers(0, 1000))
def test_any_operator_equals_exact_arithmetic(net: QDQ, seed: int) -> None:
    module = folded(net)
    assert set(float_operations(module)) <= {"graph.storage_cast"}
    agree(net, module, seed)
    FuseTables().apply(None, module)
    agree(net, module, seed)


@st.composite
def moved_product(draw: Callable[..., Any]) -> QDQ:
    """A product, then sums and products with constants, with transposes and reshapes between."""
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    net = QDQ()
    if draw(st.booleans()):
        shape = [1, 3, 2, 4]
        x = net.input("x", [1, 2, 3, 5], 0.125, draw(st.integers(-9, 9)))
        weight = rng.integers(-99, 100, (3, 2, 2, 2)).astype(np.int8)
        y = net.add("Conv", [x, net.weight(weight, rng.uniform(0.001, 0.02, 3))])
    else:
        shape = [6, 4]
        x = net.input("x", [6, 5], 0.125, draw(st.integers(-9, 9)))
        weight = rng.integers(-99, 100, (5, 4)).astype(np.int8)
        y = net.add("MatMul", [x, net.weight(weight, 0.015625)])
    steps = st.lists(st.sampled_from(["Add", "Mul", "Transpose", "Reshape"]), max_size=4)
    for step in [*draw(steps), draw(st.sampled_from(["Transpose", "Reshape"])), "Mul", "Add"]:
        if step == "Transpose":
            perm = draw(st.permutations(range(len(shape))))
            shape = [shape[p] for p in perm]
            y = net.add("Transpose", [y], perm=perm)
        elif step == "Reshape":
            size = int(np.prod(shape))
            shape = draw(st.sampled_from([[size], [2, size // 2], [3, 4, size // 12]]))
            y = net.add("Reshape", [y, net.constant(np.array(shape))])
        else:
            along = draw(st.sampled_from([[], shape, [*shape[:1], *[1] * (len(shape) - 1)]]))
            numbers = rng.normal(0, 1, along) * (rng.integers(0, 4, along) > 0)
            y = net.add(step, [y, net.constant(numbers.astype(np.float32))])
    net.output(y, draw(scales), draw(st.integers(-128, 127)))
    return net


@given(moved_product())
def test_what_follows_a_product_is_its_accumulators_wherever_it_is_moved(net: QDQ) -> None:
    module = folded(net)
    assert set(float_operations(module)) <= {"graph.storage_cast"}
    agree(net, module)


QUANTISED = [
    "ad_fc_ae_qdq_i8.onnx",
    "ic_resnet8_qdq_i8.onnx",
    "kws_dscnn_qdq_i8.onnx",
    "mbv1_050_128_qdq_st.onnx",
    "mbv2_100_224_qdq_i8.onnx",
    "ssd_mbv2_fpnlite_256_qdq_st.onnx",
    "ultraface_rfb320_qdq_i8.onnx",
    "vww_mbv1_025_96_qdq_i8.onnx",
    "efficientnet_b0_qdq_int8.onnx",
    "mobilenet_v2_qdq_int8.onnx",
    "resnet50_v15_qdq_int8.onnx",
    "ssd_mobilenet_v1_qdq_int8.onnx",
    "ssd_resnet34_1200_qdq_int8.onnx",
    "yolov5n_640_qdq_int8.onnx",
]


@pytest.mark.corpus
@pytest.mark.parametrize(
    "name", mostly_slow(QUANTISED, "ic_resnet8_qdq_i8.onnx", "resnet50_v15_qdq_int8.onnx")
)
def test_networks_are_quantised_through_and_through(
    corpus: Callable[[str], Path], name: str
) -> None:
    """Only the float inputs and outputs of the files stay."""
    module = import_onnx(corpus(name))
    FoldQuantization().apply(None, module)
    module.verify()
    assert set(float_operations(module)) <= {
        "graph.quantize",
        "graph.dequantize",
        "graph.storage_cast",
    }
    quantizes = [
        op
        for op in operations(module)
        if op.name == "graph.quantize" and quantization_of(op.operands[0]) is None
    ]
    assert len(quantizes) <= 1


@pytest.mark.corpus
@pytest.mark.parametrize("name", QUANTISED[:4])
def test_networks_equal_exact_arithmetic(corpus: Callable[[str], Path], name: str) -> None:
    path = corpus(name)
    module = import_onnx(path)
    FoldQuantization().apply(None, module)
    function = next(iter(module.body.block.ops))
    name_of = function.arg_attrs.data[0].data["graph.name"].data
    type_ = function.body.block.args[0].type
    rng = np.random.default_rng(0)
    if str(type_.element_type) == "f32":
        x = rng.uniform(-1, 1, type_.get_shape()).astype(np.float32)
    else:
        x = rng.integers(0, 256, type_.get_shape()).astype(np.uint8)
    (want,) = run_exactly(path, {name_of: x})
    (got,) = run_module(module, {name_of: x}).values()
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-9)
