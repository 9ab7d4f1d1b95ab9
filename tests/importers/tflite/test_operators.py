"""Each operator: what it becomes, and that its sub-model computes what the file does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from furiosa_ir.errors import ImportFailure
from furiosa_ir.importers.tflite import import_tflite
from furiosa_ir.interpreter import run_module
from tests.importers.tflite.single import names_of, options, round_trip, sample, vector
from tests.importers.tflite.test_result_shapes import attempt
from tests.oracle.litert import Operator, Tensor, build_model, run_reference

RELU6 = schema.ActivationFunctionType.RELU6
RELU = schema.ActivationFunctionType.RELU


def int8(name: str, *shape: int, scale: float = 0.05, zero_point: int = 3) -> Tensor:
    return Tensor(name, shape, np.int8, scale, zero_point)


def int32(name: str, *shape: int) -> Tensor:
    return Tensor(name, shape, np.int32)


def float32(name: str, *shape: int) -> Tensor:
    return Tensor(name, shape, np.float32)


def weight(*shape: int, axis: int = 0) -> Tensor:
    rng = np.random.default_rng(1)
    scales = rng.uniform(0.001, 0.02, shape[axis]).tolist()
    data = rng.integers(-127, 128, shape, np.int8)
    return Tensor.constant("weight", data, scales, [0] * shape[axis], axis)


def bias(channels: int) -> Tensor:
    return Tensor.constant(
        "bias", np.arange(channels, dtype=np.int32) * 100, [0.001] * channels, [0] * channels
    )


def case(
    builtin: str,
    inputs: list[Tensor | None],
    outputs: list[Tensor],
    table: Any,
    becomes: str,
    version: int = 1,
) -> Any:
    return pytest.param(
        Operator(builtin, inputs, outputs, table, version),
        becomes.split(),
        id=f"{builtin}-{becomes}",
    )


WIDTHS = Tensor.constant("widths", np.array([[1, 0], [0, 2]], np.int32))

CASES = [
    case(
        "CONV_2D",
        [int8("x", 1, 9, 8, 4), weight(6, 3, 3, 4), bias(6)],
        [int8("y", 1, 5, 4, 6)],
        options("Conv2D", strideH=2, strideW=2, fusedActivationFunction=RELU6),
        "conv clip",
        3,
    ),
    case(
        "CONV_2D",
        [int8("x", 1, 9, 8, 4), weight(6, 3, 3, 2), bias(6)],
        [int8("y", 1, 7, 6, 6)],
        options("Conv2D", strideH=1, strideW=1, padding=1, fusedActivationFunction=RELU),
        "conv relu",
        3,
    ),
    case(
        "DEPTHWISE_CONV_2D",
        [int8("x", 1, 9, 8, 4), weight(1, 3, 3, 8, axis=3), bias(8)],
        [int8("y", 1, 9, 8, 8)],
        options(
            "DepthwiseConv2D",
            strideH=1,
            strideW=1,
            depthMultiplier=2,
            dilationHFactor=2,
            dilationWFactor=2,
        ),
        "conv",
        3,
    ),
    case(
        "TRANSPOSE_CONV",
        [vector("shape", 1, 9, 8, 6), weight(6, 3, 3, 4), int8("x", 1, 5, 4, 4), bias(6)],
        [int8("y", 1, 9, 8, 6)],
        options("TransposeConv", strideH=2, strideW=2, padding=0),
        "conv_transpose",
        3,
    ),
    case(
        "TRANSPOSE_CONV",
        [vector("shape", 1, 12, 11, 6), weight(6, 3, 2, 4), int8("x", 1, 5, 5, 4)],
        [int8("y", 1, 12, 11, 6)],
        options("TransposeConv", strideH=2, strideW=2, padding=1),
        "conv_transpose",
        2,
    ),
    case(
        "FULLY_CONNECTED",
        [int8("x", 2, 3, 8), weight(5, 8), None],
        [int8("y", 2, 3, 5)],
        options("FullyConnected", keepNumDims=True, fusedActivationFunction=RELU),
        "reshape gemm relu reshape",
        7,
    ),
    case(
        "FULLY_CONNECTED",
        [float32("x", 2, 2, 4), Tensor.constant("w", np.eye(5, 8, dtype=np.float32))],
        [float32("y", 2, 5)],
        options("FullyConnected"),
        "reshape gemm",
    ),
    case(
        "BATCH_MATMUL",
        [float32("a", 2, 3, 4), float32("b", 2, 5, 4)],
        [float32("y", 2, 3, 5)],
        options("BatchMatMul", adjY=True),
        "transpose mat_mul",
    ),
    case(
        "MAX_POOL_2D",
        [int8("x", 1, 7, 7, 3)],
        [int8("y", 1, 4, 4, 3)],
        options("Pool2D", strideH=2, strideW=2, filterHeight=3, filterWidth=3),
        "max_pool",
        2,
    ),
    case(
        "AVERAGE_POOL_2D",
        [int8("x", 1, 7, 7, 3)],
        [int8("y", 1, 3, 3, 3)],
        options(
            "Pool2D",
            strideH=2,
            strideW=2,
            filterHeight=3,
            filterWidth=3,
            padding=1,
            fusedActivationFunction=RELU,
        ),
        "average_pool relu",
        2,
    ),
    case("ADD", [int8("a", 2, 3), int8("b", 3)], [int8("y", 2, 3)], options("Add"), "add", 2),
    case(
        "MUL",
        [float32("a", 2, 3), float32("b", 1, 3)],
        [float32("y", 2, 3)],
        options("Mul", fusedActivationFunction=RELU6),
        "mul clip",
    ),
    case("MAXIMUM", [int32("a", 2, 3), int32("b", 3)], [int32("y", 2, 3)], None, "maximum"),
    case("RELU6", [float32("x", 4, 5)], [float32("y", 4, 5)], None, "clip"),
    case("RELU_N1_TO_1", [float32("x", 4, 5)], [float32("y", 4, 5)], None, "clip"),
    case(
        "LEAKY_RELU",
        [int8("x", 4, 5)],
        [int8("y", 4, 5)],
        options("LeakyRelu", alpha=0.25),
        "leaky_relu",
        2,
    ),
    case(
        "GELU",
        [int8("x", 4, 5)],
        [int8("y", 4, 5)],
        options("Gelu", approximate=True),
        "gelu",
        2,
    ),
    case("ROUND", [float32("x", 4, 5)], [float32("y", 4, 5)], None, "round"),
    case("COS", [float32("x", 4, 5)], [float32("y", 4, 5)], options("Cos"), "cos"),
    case("HARD_SWISH", [int8("x", 4, 5)], [int8("y", 4, 5)], None, "hard_swish"),
    case(
        "LOGISTIC",
        [int8("x", 4, 5)],
        [int8("y", 4, 5, scale=1 / 256, zero_point=-128)],
        None,
        "sigmoid",
        2,
    ),
    case(
        "SOFTMAX",
        [int8("x", 4, 5)],
        [int8("y", 4, 5, scale=1 / 256, zero_point=-128)],
        options("Softmax", beta=0.5),
        "softmax",
        2,
    ),
    case(
        "MEAN",
        [int8("x", 2, 3, 4, 5), vector("axes", -2, 1)],
        [int8("y", 2, 5)],
        options("Reducer"),
        "reduce_mean",
        2,
    ),
    case(
        "SUM",
        [float32("x", 2, 3, 4), vector("axes", 2)],
        [float32("y", 2, 3, 1)],
        options("Reducer", keepDims=True),
        "reduce_sum",
    ),
    case(
        "L2_NORMALIZATION",
        [int8("x", 2, 3, 4)],
        [int8("y", 2, 3, 4, scale=1 / 128, zero_point=0)],
        options("L2Norm"),
        "lp_normalization",
        2,
    ),
    case(
        "LOG_SOFTMAX",
        [int8("x", 2, 3, 4)],
        [int8("y", 2, 3, 4, scale=1 / 16, zero_point=127)],
        options("LogSoftmax"),
        "log_softmax",
        2,
    ),
    case(
        "SQUARED_DIFFERENCE",
        [int8("x", 2, 3, 4), int8("z", 4)],
        [int8("y", 2, 3, 4)],
        options("SquaredDifference"),
        "squared_difference",
        2,
    ),
    case(
        "REVERSE_V2",
        [int8("x", 2, 3, 4), vector("axes", -2)],
        [int8("y", 2, 3, 4)],
        options("ReverseV2"),
        "slice",
    ),
    case(
        "SPACE_TO_BATCH_ND",
        [int8("x", 2, 5, 4, 3), vector("b", 2, 3), WIDTHS],
        [int8("y", 12, 3, 2, 3)],
        options("SpaceToBatchND"),
        "space_to_batch",
    ),
    case(
        "BATCH_TO_SPACE_ND",
        [float32("x", 12, 3, 2, 3), vector("b", 2, 3), WIDTHS],
        [float32("y", 2, 5, 4, 3)],
        options("BatchToSpaceND"),
        "batch_to_space",
    ),
    case(
        "ARG_MAX",
        [int8("x", 2, 3, 4), Tensor.constant("axis", np.array(2, np.int32))],
        [int32("y", 2, 3)],
        options("ArgMax", outputType=schema.TensorType.INT32),
        "arg_max",
        2,
    ),
    case("QUANTIZE", [float32("x", 4, 5)], [int8("y", 4, 5)], options("Quantize"), "quantize"),
    case(
        "DEQUANTIZE",
        [int8("x", 4, 5)],
        [float32("y", 4, 5)],
        options("Dequantize"),
        "dequantize",
        2,
    ),
]


@pytest.mark.parametrize(("operator", "becomes"), CASES)
def test_the_sub_model_computes_what_the_file_does(operator: Operator, becomes: list[str]) -> None:
    inputs = [t for t in operator.inputs if t is not None and t.data is None]
    module, expected, actual = round_trip([operator], inputs)
    assert names_of(module) == becomes
    for want, got in zip(expected, actual, strict=True):
        np.testing.assert_array_equal(want, got)


def sliced(*bounds: list[int]) -> list[Tensor]:
    return [vector(name, *b) for name, b in zip(("b", "e", "s"), bounds, strict=True)]


SCALAR_AXIS = Tensor.constant("axis", np.array(1, np.int32))

MOVEMENT = [
    case("RESHAPE", [int32("x", 2, 6), vector("s", 3, -1)], [int32("y", 3, 4)], None, "reshape"),
    case("SQUEEZE", [int32("x", 1, 6)], [int32("y", 6)], options("Squeeze"), "reshape"),
    case("EXPAND_DIMS", [int32("x", 2, 6), SCALAR_AXIS], [int32("y", 2, 1, 6)], None, "reshape"),
    case(
        "TRANSPOSE",
        [int32("x", 2, 3, 4), vector("p", 2, 0, 1)],
        [int32("y", 4, 2, 3)],
        options("Transpose"),
        "transpose",
    ),
    case(
        "CONCATENATION",
        [int32("a", 2, 3), int32("b", 2, 1)],
        [int32("y", 2, 4)],
        options("Concatenation", axis=-1),
        "concat",
    ),
    case(
        "PACK",
        [int32("a", 2, 3), int32("b", 2, 3)],
        [int32("y", 2, 2, 3)],
        options("Pack", axis=1, valuesCount=2),
        "reshape reshape concat",
    ),
    case(
        "UNPACK",
        [int32("x", 2, 3)],
        [int32("y", 2), int32("z", 2), int32("w", 2)],
        options("Unpack", axis=-1, num=3),
        "split reshape reshape reshape",
    ),
    case(
        "SPLIT",
        [SCALAR_AXIS, int32("x", 2, 4)],
        [int32("y", 2, 2), int32("z", 2, 2)],
        options("Split", numSplits=2),
        "split",
    ),
    case(
        "SPLIT_V",
        [int32("x", 2, 4), vector("n", 1, 3), SCALAR_AXIS],
        [int32("y", 2, 1), int32("z", 2, 3)],
        options("SplitV", numSplits=2),
        "split",
    ),
    case(
        "SLICE",
        [int32("x", 4, 5), vector("b", 1, 2), vector("n", 2, -1)],
        [int32("y", 2, 3)],
        None,
        "slice",
    ),
    case(
        "STRIDED_SLICE",
        [int32("x", 4, 5), *sliced([1, -1], [3, -6], [1, -2])],
        [int32("y", 2, 3)],
        options("StridedSlice"),
        "slice",
    ),
    case(
        "STRIDED_SLICE",
        [int32("x", 4, 5), *sliced([1, 0], [2, 0], [1, 2])],
        [int32("y", 3)],
        options("StridedSlice", shrinkAxisMask=1, endMask=2),
        "slice reshape",
    ),
    case(
        "STRIDED_SLICE",
        [int32("x", 4, 5, 6), *sliced([0, 0, 1], [0, 0, 4], [1, 1, 1])],
        [int32("y", 1, 4, 5, 3)],
        options("StridedSlice", newAxisMask=1, ellipsisMask=2),
        "slice reshape",
    ),
    case(
        "PAD",
        [int32("x", 2, 3), Tensor.constant("p", np.array([[0, 1], [2, 0]], np.int32))],
        [int32("y", 3, 5)],
        None,
        "pad",
    ),
    case(
        "MIRROR_PAD",
        [int32("x", 2, 3), Tensor.constant("p", np.array([[0, 1], [2, 0]], np.int32))],
        [int32("y", 3, 5)],
        options("MirrorPad", mode=0),
        "pad",
    ),
    case(
        "BROADCAST_TO",
        [int32("x", 1, 3), vector("s", 2, 2, 3)],
        [int32("y", 2, 2, 3)],
        None,
        "expand",
        2,
    ),
    case("TILE", [int32("x", 2, 3), vector("n", 2, 1)], [int32("y", 4, 3)], None, "tile"),
]


@pytest.mark.parametrize(("operator", "becomes"), MOVEMENT)
def test_movement_means_what_litert_does(operator: Operator, becomes: list[str]) -> None:
    inputs = [t for t in operator.inputs if t is not None and t.data is None]
    module, expected, actual = round_trip([operator], inputs)
    assert names_of(module) == becomes
    rng = np.random.default_rng(7)
    interpreted = run_module(module, [sample(t, rng) for t in inputs]).values()
    for want, got, meant in zip(expected, actual, interpreted, strict=True):
        np.testing.assert_array_equal(want, got)
        np.testing.assert_array_equal(want, meant)


@pytest.mark.parametrize(
    ("align_corners", "half_pixel", "coordinates"),
    [
        (False, False, "asymmetric"),
        (True, False, "align_corners"),
        (False, True, "half_pixel"),
    ],
)
@pytest.mark.parametrize("mode", ["RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"])
def test_resize_samples_where_litert_does(
    mode: str, align_corners: bool, half_pixel: bool, coordinates: str
) -> None:
    table = options(
        "ResizeBilinear" if mode == "RESIZE_BILINEAR" else "ResizeNearestNeighbor",
        alignCorners=align_corners,
        halfPixelCenters=half_pixel,
    )
    x, y = float32("x", 1, 5, 4, 2), float32("y", 1, 9, 7, 2)
    operator = Operator(mode, [x, vector("size", 9, 7)], [y], table, 3)
    module, expected, actual = round_trip([operator], [x])
    assert names_of(module) == ["resize"]
    assert coordinates in str(module)
    np.testing.assert_array_equal(expected[0], actual[0])
    (meant,) = run_module(module, [sample(x, np.random.default_rng(7))]).values()
    np.testing.assert_allclose(expected[0], meant, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16])
@pytest.mark.parametrize("scale", [0.5, 0.25, None])
@pytest.mark.parametrize("zero_point", [0, 3])
def test_a_pad_of_another_quantisation(dtype: type, scale: float | None, zero_point: int) -> None:
    """LiteRT pads with the stored integer, and refuses one that means something else."""
    x, y = Tensor("x", (1, 2), dtype, 0.5), Tensor("y", (1, 4), dtype, 0.5)
    widths = Tensor.constant("p", np.array([[0, 0], [1, 1]], np.int32))
    fill = Tensor.constant("f", np.array(7, dtype), scale, zero_point if scale else 0)
    model = build_model([Operator("PADV2", [x, widths, fill], [y])])
    if (scale, zero_point) == (0.5, 0):
        import_tflite(model).verify()
        return
    with pytest.raises(ImportFailure, match="another scale or zero point"):
        import_tflite(model)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_matrix_of_rows_with_scales_of_their_own(axis: int):
    """FULLY_CONNECTED takes its operand apart in rows, along which the scales do not lie."""
    elements = np.arange(-12, 12, dtype=np.int8).reshape(2, 3, 4)
    scales = [0.5, 0.25, 0.125, 0.0625][: elements.shape[axis]]
    x = Tensor.constant("x", elements, scales, [0] * len(scales), axis)
    z = Tensor("z", (2, 3), np.int8, 0.5)
    w = Tensor.constant("w", np.ones((3, 4), np.int8), 0.5)
    y, s = (Tensor(n, shape, np.int8, 0.5) for n, shape in (("y", (6, 3)), ("s", (2, 3))))
    product = Operator("FULLY_CONNECTED", [x, w, None], [y], options("FullyConnected"), 4)
    model = build_model([product, Operator("RELU", [z], [s])])
    data = [np.arange(-3, 3, dtype=np.int8).reshape(2, 3)]
    results, refusal = attempt(model, data)
    assert results is not None, refusal
    for result, reference in zip(results, run_reference(model, data), strict=True):
        np.testing.assert_array_equal(result, reference)
