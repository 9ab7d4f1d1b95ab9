"""What becomes a part of another kernel, from the file to the simulator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper
from xdsl.ir import Operation

from furiosa_ir.backends.warboy.dialect.kernels import CopyOp, DotOp, KernelOp, VectorOp
from furiosa_ir.backends.warboy.passes.assign_views import AssignViews
from furiosa_ir.backends.warboy.passes.fuse_kernels import FuseKernels
from furiosa_ir.backends.warboy.passes.plan_tiles import PlanTiles
from furiosa_ir.compiler import compile_source
from furiosa_ir.ir.context import make_context
from furiosa_ir.ir.location import layer_name
from furiosa_ir.passes.assign_target import AssignTarget
from tests.backends.warboy.passes.fusion_networks import TO_NCHW, TO_NHWC, Layers, check
from tests.draws import mostly_slow
from tests.passes.qdq import QDQ

FORMS = {
    "int8": (np.int8, np.int8),
    "uint8": (np.uint8, np.uint8),
    "uint8-int8": (np.uint8, np.int8),
}


@pytest.fixture(params=FORMS.values(), ids=FORMS)
def layers(request: pytest.FixtureRequest) -> Layers:
    activations, weights = request.param
    return Layers(QDQ(dtype=activations), weights)


def conv(b: Layers, bias: bool) -> tuple[str, int]:
    return b.conv(b.input(2, 6, 9, 9), 6, 8, bias), 8


def grouped(b: Layers, bias: bool) -> tuple[str, int]:
    return b.conv(b.input(1, 6, 9, 9), 2, 9, bias, group=3), 9


def conv_1d(b: Layers, bias: bool) -> tuple[str, int]:
    w = b.weight((8, 6, 3), 0)
    return b.net.add("Conv", [b.input(1, 6, 40), w, *([b.reals(8)] if bias else [])]), 8


def conv_transpose(b: Layers, bias: bool) -> tuple[str, int]:
    operands = [b.input(1, 6, 9, 9), b.weight((6, 8, 3, 3), 1)]
    operands += [b.reals(8)] if bias else []
    return b.net.add("ConvTranspose", operands, strides=[2, 2]), 8


def gemm(b: Layers, bias: bool) -> tuple[str, int]:
    operands = [b.input(30, 20), b.weight((8, 20), 0)]
    operands += [b.reals(8)] if bias else []
    return b.net.add("Gemm", operands, transB=1, alpha=0.5, beta=2.0), 8


def mat_mul(b: Layers, bias: bool) -> tuple[str, int]:
    product = b.net.add("MatMul", [b.input(2, 15, 20), b.weight((20, 8), 1)])
    return b.net.add("Add", [product, b.reals(8)]) if bias else product, 8


PRODUCTS = [conv, grouped, conv_1d, conv_transpose, gemm, mat_mul]


@pytest.mark.parametrize("product", PRODUCTS)
def test_float_bias(layers: Layers, product: Callable[..., tuple[str, int]]) -> None:
    layers.output(product(layers, True)[0])
    check(layers.net, {"Dot": 1})


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("product", PRODUCTS[:-2])
def test_batch_normalisation(
    layers: Layers, product: Callable[..., tuple[str, int]], bias: bool
) -> None:
    value, channels = product(layers, bias)
    layers.output(layers.net.add("Relu", [layers.batch_norm(value, channels)]))
    check(layers.net, {"Dot": 1})


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("product", PRODUCTS)
def test_factors_and_sums(
    layers: Layers, product: Callable[..., tuple[str, int]], clip: bool
) -> None:
    value, channels = product(layers, True)
    along = (1,) * (
        2 if product in PRODUCTS[:2] or product is conv_transpose else product is conv_1d
    )
    value = layers.net.add("Mul", [value, layers.reals(channels, *along)])
    value = layers.net.add("Add", [layers.reals(channels, *along), value])
    if clip:
        bounds = [layers.net.constant(np.float32(v)) for v in (-1.0, 4.0)]
        value = layers.net.add("Clip", [value, *bounds])
    layers.output(value)
    check(layers.net, {"Dot": 1})


def test_one_offset_for_each_element(layers: Layers) -> None:
    """A position embedding after a projection."""
    product = layers.net.add("MatMul", [layers.input(1, 15, 20), layers.weight((20, 8), 1)])
    layers.output(layers.net.add("Add", [product, layers.reals(15, 8)]))
    check(layers.net, {"Dot": 1})


@pytest.mark.parametrize("op", ["ConvInteger", "MatMulInteger"])
def test_accumulators_of_the_integer_operators(layers: Layers, op: str) -> None:
    """Their i32 results, scaled by factors of either sign, plus a bias; in float till the end."""
    net, zero = layers.net, layers.net.constant(np.array(layers.zero_point, layers.net.dtype))
    conv = op == "ConvInteger"
    shape, weight = ([1, 6, 9, 9], (8, 6, 3, 3)) if conv else ([2, 15, 20], (20, 8))
    net.inputs["x"] = (shape, helper.np_dtype_to_tensor_dtype(np.dtype(net.dtype)))
    info = np.iinfo(layers.weights)
    w = net.constant(layers.rng.integers(info.min, info.max + 1, weight).astype(layers.weights))
    w_zero = net.constant(np.array(0 if info.min else 120, layers.weights))
    real = net.add("Cast", [net.add(op, ["x", w, zero, w_zero])], to=TensorProto.FLOAT)
    along = (8, 1, 1) if conv else (8,)
    scaled = net.add("Mul", [real, layers.reals(*along, scale=1e-4)])
    layers.output(net.add("Relu", [net.add("Add", [scaled, layers.reals(*along)])]))
    check(net, {"Dot": 1})


@pytest.mark.parametrize("rounded", [False, True])
def test_padding(layers: Layers, rounded: bool) -> None:
    """Pad into Conv, MaxPool and AveragePool, in float or between Q and DQ."""
    net = layers.net

    def padded(x: str, zero_point: int) -> str:
        x = net.add("Pad", [x, net.constant(np.array([0, 0, 1, 2, 0, 0, 2, 1]))])
        return layers.quantized(x, zero_point=zero_point) if rounded else x

    x = layers.conv(layers.input(1, 6, 12, 12), 6, 8)
    # Not the least number there is, but none of the ReLU's is less.
    relu = layers.quantized(net.add("Relu", [x]), zero_point=layers.least + 9)
    pool = net.add("MaxPool", [padded(relu, layers.least + 9)], kernel_shape=[3, 3])
    x = layers.quantized(pool, zero_point=layers.least + 9)
    x = layers.quantized(layers.conv(padded(x, layers.least + 9), 8, 8))
    x = padded(x, layers.zero_point)
    layers.output(net.add("AveragePool", [x], kernel_shape=[3, 3], count_include_pad=1))
    check(net, {"Dot": 2, "Pool": 2})


def test_requantisation_in_a_row(layers: Layers) -> None:
    x = layers.conv(layers.input(1, 6, 9, 9), 6, 8)
    for scale in (0.06, 0.03, 0.11):
        x = layers.quantized(x, scale, layers.zero_point + round(scale * 100))
    layers.output(layers.conv(x, 8, 4))
    check(layers.net, {"Dot": 2})


def test_requantisation_after_movement(layers: Layers) -> None:
    """The heads of a detector: transposed, flattened, requantised, one behind the other."""
    net, parts = layers.net, list[str]()
    x = layers.quantized(layers.conv(layers.input(1, 6, 9, 9), 6, 8))
    for outputs, scale in ((8, 0.05), (4, 0.07)):
        y = layers.quantized(layers.conv(x, 8, outputs), scale)
        y = layers.transposed(y, TO_NHWC)
        y = net.add("Reshape", [y, net.constant(np.array([1, -1, 2]))])
        parts.append(layers.quantized(y, scale))
    layers.output(net.add("Concat", parts, axis=1))
    check(net, {"Dot": 3})


def silu(b: Layers, x: str) -> str:
    return b.net.add("Mul", [x, b.quantized(b.net.add("Sigmoid", [x]), 1 / 256, b.least)])


def float_silu(b: Layers, x: str) -> str:
    return b.net.add("Mul", [b.net.add("Sigmoid", [x]), x])


def hard_swish(b: Layers, x: str) -> str:
    return b.net.add("HardSwish", [x])


def hard_swish_of_clip(b: Layers, x: str) -> str:
    def number(value: float) -> str:
        return b.net.constant(np.float32(value))

    shifted = b.quantized(b.net.add("Add", [x, number(3)]))
    clipped = b.quantized(b.net.add("Clip", [shifted, number(0), number(6)]), 6 / 255, b.least)
    product = b.quantized(b.net.add("Mul", [x, clipped]), 0.3)
    return b.net.add("Div", [product, number(6)])


def hard_swish_of_hard_sigmoid(b: Layers, x: str) -> str:
    gate = b.quantized(b.net.add("HardSigmoid", [x], alpha=1 / 6), 1 / 255, b.least)
    return b.net.add("Mul", [x, gate])


@pytest.mark.parametrize(
    "activation",
    [silu, float_silu, hard_swish, hard_swish_of_clip, hard_swish_of_hard_sigmoid],
)
def test_activations_are_one_table_after_the_convolution(
    layers: Layers, activation: Callable[..., str]
) -> None:
    x = layers.quantized(layers.conv(layers.input(1, 6, 9, 9), 6, 8))
    layers.output(activation(layers, x))
    program = check(layers.net, {"Dot": 1})
    (segment,) = program.segments
    programs = [c.program for c in segment.commands if type(c).__name__ == "Dot"]
    assert [[i.opcode for i in p] for p in programs] == [["rescale", "lookup"]]


def relu_in_between(b: Layers, x: str, inputs: str) -> str:
    return b.quantized(b.net.add("Relu", [x]), zero_point=b.least)


def residual(b: Layers, x: str, inputs: str) -> str:
    return b.quantized(b.net.add("Add", [x, inputs]))


def channel_factors(b: Layers, x: str, inputs: str) -> str:
    return b.quantized(b.net.add("Mul", [x, b.reals(8)]))


def padding(b: Layers, x: str, inputs: str) -> str:
    pads = b.net.constant(np.array([0, 1, 1, 0, 0, 1, 1, 0]))
    return b.quantized(b.net.add("Pad", [x, pads]))


@pytest.mark.parametrize("between", [relu_in_between, residual, channel_factors, padding])
def test_a_transpose_around_each_convolution(layers: Layers, between: Callable[..., str]) -> None:
    """How converters write an NHWC network in ONNX: no transpose, and no kernel, is left."""

    def conv(x: str) -> str:
        y = layers.quantized(layers.conv(layers.transposed(x, TO_NCHW), 8, 8))
        return layers.transposed(y, TO_NHWC)

    x = layers.input(1, 9, 9, 8)
    y = between(layers, conv(x), x)
    layers.output(conv(y))
    check(layers.net, {"Dot": 2})


def test_a_concatenation_between_transposes(layers: Layers) -> None:
    net = layers.net
    x = layers.transposed(layers.input(1, 9, 9, 8), TO_NCHW)
    parts = [layers.transposed(layers.quantized(layers.conv(x, 8, n)), TO_NHWC) for n in (8, 4)]
    whole = layers.quantized(net.add("Concat", parts, axis=3))
    y = layers.conv(layers.transposed(whole, TO_NCHW), 12, 8)
    layers.output(layers.transposed(y, TO_NHWC))
    check(net, {"Dot": 3})


def test_reshapes_in_a_row(layers: Layers) -> None:
    net = layers.net
    x = layers.quantized(layers.conv(layers.input(1, 6, 8, 8), 6, 8))
    for shape in ([1, 8, 64], [8, 8, 8], [1, 8, 8, 8]):
        x = net.add("Reshape", [x, net.constant(np.array(shape))])
    x = layers.quantized(layers.conv(x, 8, 4))
    x = net.add("Flatten", [net.add("Reshape", [x, net.constant(np.array([1, 4, 64]))])])
    layers.output(net.add("Gemm", [x, layers.weight((10, 256), 0)], transB=1))
    check(net, {"Dot": 3})


def test_a_transpose_that_is_no_layout() -> None:
    """Height and width change places: that is a view too."""
    layers = Layers(QDQ())
    x = layers.quantized(layers.conv(layers.input(1, 6, 9, 7), 6, 8))
    layers.output(layers.conv(layers.transposed(x, [0, 1, 3, 2]), 8, 8))
    check(layers.net, {"Dot": 2})


PURE = [
    "ic_resnet8_int8.tflite",
    "ic_resnet8_qdq_i8.onnx",
    "kws_dscnn_int8.tflite",
    "kws_dscnn_qdq_i8.onnx",
    "mbv1_050_128_int8_st.tflite",
    "mbv1_050_128_qdq_st.onnx",
    "mbv2_100_224_ptq_int8.tflite",
    "mbv2_100_224_qdq_i8.onnx",
    "mobilenet_edgetpu_075_224_ptq_u8.tflite",
    "ultraface_rfb320_qdq_i8.onnx",
    "vww_mbv1_025_96_int8.tflite",
    "vww_mbv1_025_96_qdq_i8.onnx",
    "efficientnet_b0_qdq_int8.onnx",
    "mobilenet_v2_qdq_int8.onnx",
    "resnet50_v15_qdq_int8.onnx",
    "ssd_mobilenet_v1_qdq_int8.onnx",
]


@pytest.mark.corpus
@pytest.mark.parametrize(
    "name", mostly_slow(PURE, "resnet50_v15_qdq_int8.onnx", "mbv2_100_224_ptq_int8.tflite")
)
def test_nothing_but_data_moves_between_convolutions(
    corpus: Callable[[str], Path], name: str
) -> None:
    """No copy in DRAM anywhere, and no kernel without arithmetic that leads to a convolution."""
    module = compile_source(corpus(name), target_ir="ftensor").module
    for each in (AssignTarget("warboy-2pe"), FuseKernels(), AssignViews(), PlanTiles()):
        each.apply(make_context(), module)
    kernels = [op for op in module.walk() if isinstance(op, KernelOp)]
    copies = [op for op in kernels if isinstance(op, CopyOp) and op.plan.data.moves]
    idle = [op for op in kernels if isinstance(op, VectorOp) and not op.operations]
    assert [layer_name(op) for op in copies] == []
    assert [layer_name(op) for op in idle if _leads_to_convolution(op)] == []
    assert sum(isinstance(op, DotOp) for op in kernels) > 5


def _leads_to_convolution(op: Operation) -> bool:
    users = {use.operation for result in op.results for use in result.uses}
    return any(isinstance(user, DotOp) or _leads_to_convolution(user) for user in users)
