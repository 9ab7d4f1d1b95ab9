"""The shapes of results are those that LiteRT computes, whatever the file says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from furiosa_ir.compiler import compile_model
from furiosa_ir.errors import FuriosaError
from furiosa_ir.exporters.tflite.export import export_tflite
from furiosa_ir.importers.tflite import import_tflite
from furiosa_ir.importers.tflite.result_shapes import _RULES
from furiosa_ir.ir.shaped_operation import DYNAMIC, shape_of
from furiosa_ir.runtime import session
from tests.importers.tflite.single import RESOLVER, main_of, options, sample
from tests.oracle.litert import Operator, Tensor, build_model, run_reference

F32, I32, BOOL = np.float32, np.int32, np.bool_


def data(name: str, *shape: int, dtype: Any = F32) -> Tensor:
    """An input of the network."""
    return Tensor(name, shape, dtype)


def numbers(name: str, *values: int) -> Tensor:
    """A constant vector."""
    return Tensor.constant(name, np.array(values, I32))


def zeros(count: int) -> Tensor:
    """A bias."""
    return Tensor.constant("bias", np.zeros(count, F32))


def number(name: str, value: int) -> Tensor:
    """A constant number."""
    return Tensor.constant(name, np.array(value, I32))


@dataclass
class Case:
    """An operator without the shapes of its results."""

    builtin: str
    inputs: Sequence[Tensor]
    options: Any = None
    results: Sequence[Any] = (F32,)
    version: int = 1

    def __str__(self) -> str:
        return self.builtin

    def model(
        self, shapes: Sequence[Sequence[int]] | None = None, *, computed: bool = False
    ) -> bytes:
        """The network; with `computed`, its constants but for a number are inputs."""
        inputs = [
            replace(t, data=None) if computed and t.data is not None else t for t in self.inputs
        ]
        shapes = shapes or [()] * len(self.results)
        outputs = [
            Tensor(f"y{i}", shape, dtype)
            for i, (shape, dtype) in enumerate(zip(shapes, self.results, strict=True))
        ]
        return build_model([Operator(self.builtin, inputs, outputs, self.options, self.version)])

    def arrays(self, *, computed: bool = False) -> list[np.ndarray]:
        """The inputs of that network."""
        rng = np.random.default_rng(3)
        given: list[np.ndarray] = []
        for tensor in self.inputs:
            if tensor.data is not None:
                given += [tensor.data] if computed else []
            elif np.dtype(tensor.dtype) == I32:
                given.append(rng.integers(0, 2, tensor.shape, I32))
            elif np.dtype(tensor.dtype) == BOOL:
                given.append(rng.random(tensor.shape) < 0.5)
            else:
                given.append(sample(tensor, rng))
        return given


A, B = data("a", 2, 3, 4), data("b", 3, 1)
IMAGE = data("x", 1, 6, 7, 4)


def same(builtin: str, table: str = "") -> Case:
    return Case(builtin, [A], options(table) if table else None)


CASES = [
    *map(same, ("ABS", "CEIL", "COS", "EXP", "FLOOR", "LOG", "LOGISTIC", "NEG", "RELU", "RSQRT")),
    *map(same, ("SIN", "SQRT", "SQUARE", "TANH", "ZEROS_LIKE", "ELU", "HARD_SWISH", "ROUND")),
    same("LEAKY_RELU", "LeakyRelu"),
    same("L2_NORMALIZATION", "L2Norm"),
    same("LOG_SOFTMAX", "LogSoftmax"),
    Case("LOCAL_RESPONSE_NORMALIZATION", [IMAGE], options("LocalResponseNormalization", radius=2)),
    Case("CAST", [A], options("Cast"), (I32,)),
    Case("CUMSUM", [A, number("axis", 1)], options("Cumsum")),
    Case("REVERSE_V2", [A, numbers("axis", 1)]),
    Case(
        "REVERSE_SEQUENCE",
        [A, Tensor.constant("n", np.array([1, 2, 1], I32))],
        options("ReverseSequence", seqDim=0, batchDim=1),
    ),
    Case("LOGICAL_NOT", [data("a", 2, 3, dtype=BOOL)], None, (BOOL,)),
    Case("ADD_N", [A, data("b", 2, 3, 4)], options("AddN")),
    *[
        Case(name, [A, B], options(table) if table else None)
        for name, table in (
            *(("ADD", "Add"), ("SUB", "Sub"), ("MUL", "Mul"), ("DIV", "Div")),
            *(("MAXIMUM", "MaximumMinimum"), ("MINIMUM", "MaximumMinimum"), ("POW", "Pow")),
            *(("SQUARED_DIFFERENCE", "SquaredDifference"), ("FLOOR_DIV", "FloorDiv")),
            ("FLOOR_MOD", "FloorMod"),
        )
    ],
    *[
        Case(name, [A, B], options(table), (BOOL,))
        for name, table in (
            *(("EQUAL", "Equal"), ("GREATER", "Greater"), ("LESS", "Less")),
            *(("NOT_EQUAL", "NotEqual"), ("LESS_EQUAL", "LessEqual")),
            ("GREATER_EQUAL", "GreaterEqual"),
        )
    ],
    Case("SELECT", [data("c", 2, 3, dtype=BOOL), data("a", 2, 3), data("b", 2, 3)]),
    Case("SELECT_V2", [data("c", 3, 1, dtype=BOOL), A, data("b", 4)]),
    *[
        Case(name, [A, numbers("axes", *axes)], options("Reducer", keepDims=keep))
        for name in ("SUM", "MEAN", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD")
        for axes, keep in (((1,), False), ((-1, 0), True), ((0, 1, 2), False))
    ],
    Case(
        "REDUCE_ANY",
        [data("a", 2, 3, dtype=BOOL), numbers("axes", 1)],
        options("Reducer"),
        (BOOL,),
    ),
    Case("ARG_MAX", [A, number("axis", -2)], options("ArgMax", outputType=2), (I32,)),
    Case("ARG_MIN", [A, numbers("axis", 2)], options("ArgMin", outputType=2), (I32,)),
    Case("RESHAPE", [A, numbers("shape", 4, -1)]),
    Case("RESHAPE", [A], options("Reshape", newShape=[2, -1])),
    Case("SQUEEZE", [data("x", 1, 3, 1, 2)], options("Squeeze", squeezeDims=[-2])),
    Case("SQUEEZE", [data("x", 1, 3, 1, 2)], options("Squeeze", squeezeDims=[])),
    Case("EXPAND_DIMS", [A, number("axis", -1)]),
    Case("EXPAND_DIMS", [A, numbers("axis", 0)]),
    Case("BROADCAST_TO", [B, numbers("shape", 2, 3, 4)], version=2),
    Case("BROADCAST_ARGS", [numbers("a", 3, 1), numbers("b", 2, 1, 1)], None, (I32,)),
    Case("SPLIT", [number("axis", -1), A], options("Split", numSplits=2), (F32, F32)),
    Case(
        "SPLIT_V",
        [A, numbers("sizes", 1, -1), number("axis", 1)],
        options("SplitV", numSplits=2),
        (F32, F32),
    ),
    Case("CONCATENATION", [A, data("b", 2, 1, 4)], options("Concatenation", axis=-2)),
    Case("PACK", [A, data("b", 2, 3, 4)], options("Pack", axis=-1, valuesCount=2)),
    Case("UNPACK", [A], options("Unpack", axis=-2, num=3), (F32, F32, F32)),
    Case("TRANSPOSE", [A, numbers("perm", 1, 2, 0)]),
    Case("TILE", [A, numbers("times", 1, 2, 3)]),
    Case("PAD", [A, Tensor.constant("p", np.array([[0, 1], [2, 0], [1, 1]], I32))]),
    Case(
        "MIRROR_PAD",
        [A, Tensor.constant("p", np.array([[0, 1], [1, 0], [1, 1]], I32))],
        options("MirrorPad"),
    ),
    Case("SLICE", [A, numbers("begin", 0, 1, 2), numbers("size", -1, 2, -1)]),
    Case(
        "STRIDED_SLICE",
        [A, numbers("b", 0, 0, 1), numbers("e", 1, 3, 4), numbers("s", 1, 2, 1)],
        options("StridedSlice", shrinkAxisMask=1),
    ),
    Case("GATHER", [A, data("i", 2, 2, dtype=I32)], options("Gather", axis=-2)),
    Case("GATHER", [A, data("i", 2, 2, dtype=I32)], options("Gather", axis=1, batchDims=1)),
    Case("GATHER_ND", [A, data("i", 5, 2, dtype=I32)]),
    Case(
        "SCATTER_ND",
        [Tensor.constant("i", np.array([[1], [3]], I32)), data("u", 2, 3), numbers("s", 5, 3)],
    ),
    Case(
        "SPARSE_TO_DENSE",
        [
            number("i", 2),
            numbers("s", 5),
            Tensor.constant("v", np.array([2.5], F32)),
            Tensor.constant("d", np.array(0, F32)),
        ],
        options("SparseToDense"),
    ),
    Case("FILL", [numbers("s", 2, 3), data("v")]),
    Case(
        "ONE_HOT",
        [data("i", 2, 3, dtype=I32), number("depth", 4), data("on"), data("off")],
        options("OneHot", axis=1),
    ),
    Case(
        "ONE_HOT",
        [data("i", 2, 3, dtype=I32), number("depth", 4), data("on"), data("off")],
        options("OneHot", axis=-1),
    ),
    Case("TOPK_V2", [A, number("k", 2)], options("TopKV2"), (F32, I32)),
    Case("SHAPE", [A], options("Shape", outType=2), (I32,)),
    Case("RANK", [A], options("Rank"), (I32,)),
    Case("RANGE", [data("a", dtype=I32), number("b", 9), number("c", 2)], options("Range"), (I32,)),
    Case("WHERE", [data("c", 2, 3, dtype=BOOL)], options("Where"), (np.int64,)),
    Case("UNIQUE", [data("x", 6, dtype=I32)], options("Unique", idxOutType=2), (I32, I32)),
    Case("SEGMENT_SUM", [data("x", 4, 3), numbers("ids", 0, 0, 1, 2)]),
    *[
        Case(f"UNSORTED_SEGMENT_{k}", [data("x", 4, 3), numbers("i", 0, 0, 1, 3), number("n", 5)])
        for k in ("SUM", "MAX", "MIN", "PROD")
    ],
    Case("EMBEDDING_LOOKUP", [data("i", 5, dtype=I32), data("w", 4, 3)]),
    Case("MATRIX_DIAG", [data("x", 2, 3)], options("MatrixDiag")),
    Case("MATRIX_SET_DIAG", [data("x", 2, 3, 3), data("d", 2, 3)], options("MatrixSetDiag")),
    Case("SPACE_TO_DEPTH", [data("x", 1, 4, 6, 2)], options("SpaceToDepth", blockSize=2)),
    Case("DEPTH_TO_SPACE", [data("x", 1, 4, 6, 8)], options("DepthToSpace", blockSize=2)),
    Case(
        "SPACE_TO_BATCH_ND",
        [IMAGE, numbers("b", 2, 3), Tensor.constant("p", np.array([[1, 1], [2, 0]], I32))],
    ),
    Case(
        "BATCH_TO_SPACE_ND",
        [
            data("x", 6, 4, 3, 2),
            numbers("b", 2, 3),
            Tensor.constant("p", np.array([[1, 1], [2, 0]], I32)),
        ],
    ),
    Case("RESIZE_BILINEAR", [IMAGE, numbers("s", 5, 9)], options("ResizeBilinear")),
    Case("RESIZE_NEAREST_NEIGHBOR", [IMAGE, numbers("s", 5, 9)], options("ResizeNearestNeighbor")),
    *[
        Case(
            name,
            [IMAGE],
            options("Pool2D", filterHeight=3, filterWidth=2, strideH=2, strideW=3, padding=p),
        )
        for name in ("AVERAGE_POOL_2D", "L2_POOL_2D", "MAX_POOL_2D")
        for p in (0, 1)
    ],
    *[
        Case(
            "CONV_2D",
            [IMAGE, Tensor.constant("w", np.ones((5, 3, 2, 4), F32)), zeros(5)],
            options(
                "Conv2D", strideH=2, strideW=1, padding=p, dilationHFactor=d, dilationWFactor=1
            ),
        )
        for p in (0, 1)
        for d in (1, 2)
    ],
    Case(
        "DEPTHWISE_CONV_2D",
        [IMAGE, Tensor.constant("w", np.ones((1, 3, 2, 8), F32)), zeros(8)],
        options("DepthwiseConv2D", strideH=2, strideW=1, padding=0, depthMultiplier=2),
    ),
    Case(
        "TRANSPOSE_CONV",
        [numbers("s", 1, 12, 14, 2), Tensor.constant("w", np.ones((2, 3, 3, 4), F32)), IMAGE],
        options("TransposeConv", strideH=2, strideW=2, padding=0),
    ),
    Case(
        "CONV_3D",
        [data("x", 1, 5, 6, 7, 2), Tensor.constant("w", np.ones((2, 3, 3, 2, 4), F32))],
        options(
            "Conv3D",
            strideD=1,
            strideH=2,
            strideW=1,
            padding=1,
            dilationDFactor=1,
            dilationHFactor=1,
            dilationWFactor=1,
        ),
    ),
    *[
        Case(
            "FULLY_CONNECTED",
            [A, Tensor.constant("w", np.ones((5, 4), F32)), zeros(5)],
            options("FullyConnected", keepNumDims=keep),
            version=2,
        )
        for keep in (False, True)
    ],
    Case("BATCH_MATMUL", [data("a", 2, 1, 3, 4), data("b", 5, 4, 6)], options("BatchMatMul")),
    Case(
        "BATCH_MATMUL",
        [data("a", 2, 4, 3), data("b", 2, 6, 4)],
        options("BatchMatMul", adjX=True, adjY=True),
    ),
]
"""Every operator with a rule, but for those that keep state or make random numbers."""

WITHOUT_CASE = {
    *("BUCKETIZE", "COMPLEX_ABS", "DENSIFY", "DEQUANTIZE", "DYNAMIC_UPDATE_SLICE", "FAKE_QUANT"),
    *("GELU", "IMAG", "REAL", "QUANTIZE", "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1", "SIGN"),
    *("SOFTMAX", "ATAN2", "BITWISE_XOR", "LOGICAL_AND", "LOGICAL_OR", "PRELU", "RIGHT_SHIFT"),
    *("REDUCE_ALL", "PADV2", "RANDOM_STANDARD_NORMAL", "RANDOM_UNIFORM", "MULTINOMIAL", "RNN"),
    *("NON_MAX_SUPPRESSION_V4", "NON_MAX_SUPPRESSION_V5", "RFFT2D", "CONV_3D_TRANSPOSE", "SVDF"),
    *("UNIDIRECTIONAL_SEQUENCE_LSTM", "UNIDIRECTIONAL_SEQUENCE_RNN"),
}
"""Of the same rule as one with a case, or of one line; complex numbers have no type here."""


def test_every_rule_has_a_case() -> None:
    assert {c.builtin for c in CASES} | WITHOUT_CASE == set(_RULES)


def attempt(model: bytes, arrays: Sequence[np.ndarray]) -> tuple[list[np.ndarray] | None, str]:
    """The outputs of the compiled network, or why there are none."""
    try:
        with session.create(compile_model(model), compiler_hints=False) as s:
            return [t.numpy() for t in s.run(list(arrays))], ""
    except FuriosaError as error:
        return None, str(error)


def compare(results: Sequence[np.ndarray], want: Sequence[np.ndarray]) -> None:
    for result, reference in zip(results, want, strict=True):
        assert result.shape == reference.shape
        np.testing.assert_allclose(result, reference, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_shapes_that_are_left_out(case: Case) -> None:
    model, arrays = case.model(), case.arrays()
    want = run_reference(model, arrays, RESOLVER)
    main = main_of(import_tflite(model))
    terminator = main.body.block.last_op
    assert terminator is not None
    for value, reference in zip(terminator.operands, want, strict=True):
        shape = shape_of(value)
        assert len(shape) == reference.ndim
        assert all(n in (m, DYNAMIC) for n, m in zip(shape, reference.shape, strict=True))
    compare(run_reference(export_tflite(main), arrays, RESOLVER), want)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_shape_that_is_not_the_operators(case: Case) -> None:
    """It is refused, at import or when it runs, or the operator's own counts."""
    model, arrays = case.model(), case.arrays()
    want = run_reference(model, arrays, RESOLVER)
    for index, reference in enumerate(want):
        # Of as many elements, if it can be.
        for wrong in ((*reference.shape, 1), (*reference.shape[1:], *reference.shape[:1], 1)):
            shapes = [r.shape for r in want]
            shapes[index] = wrong
            results, refusal = attempt(case.model(shapes), arrays)
            assert results is not None or "shape" in refusal
            compare(results or want, want)


COMPUTED = [c for c in CASES if any(t.data is not None and t.data.dtype == I32 for t in c.inputs)]


@pytest.mark.parametrize("case", COMPUTED, ids=str)
def test_arguments_that_are_computed(case: Case) -> None:
    """Shapes that are left out and that only the elements of inputs tell."""
    model, arrays = case.model(computed=True), case.arrays(computed=True)
    try:
        want = run_reference(model, arrays, RESOLVER)
    except (RuntimeError, ValueError):
        return  # LiteRT does not take it
    results, refusal = attempt(model, arrays)
    assert results is not None or "rank" in refusal
    compare(results or want, want)
