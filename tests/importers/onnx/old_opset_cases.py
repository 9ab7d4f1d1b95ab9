"""Nodes of every operator of ONNX's old operator sets, in the form that each set has.

A case function gets the operator's version (`since_version` of its schema in the set) and a source
of random numbers, and gives `Case`s. To add an operator, write one and name it in `@cases`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

Array = np.ndarray[Any, np.dtype[Any]]
Generator = np.random.Generator


@dataclass
class Case:
    """A node.

    Attributes:
        inputs: arrays; None for one left out.
        attributes: as `helper.make_node` takes them.
        outputs: how many.
        fixed: which inputs are constants only (a shape, axes); the others are inputs of the
            network, but for the variant in which all but the first are constants.
        want: what the outputs should be, where onnxruntime has no kernel of that version.
    """

    inputs: Sequence[Array | None]
    attributes: dict[str, Any] = field(default_factory=dict[str, Any])
    outputs: int = 1
    fixed: Sequence[int] = ()
    want: Callable[..., Sequence[Array]] | None = None


CaseFunction = Callable[[int, Generator], Iterator[Case]]

CASES: dict[str, CaseFunction] = {}
"""Operator -> its nodes."""

NOT_COMPARED = {
    **dict.fromkeys(
        ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial"),
        "its result is random",
    ),
    **dict.fromkeys(
        (
            *("ConcatFromSequence", "SequenceAt", "SequenceConstruct", "SequenceEmpty"),
            *("SequenceErase", "SequenceInsert", "SequenceLength", "SplitToSequence"),
        ),
        "sequences are of set 11, and have not changed since",
    ),
}
"""Operators without cases, and why."""


def cases(*operators: str) -> Callable[[CaseFunction], CaseFunction]:
    def declare(function: CaseFunction) -> CaseFunction:
        CASES.update(dict.fromkeys(operators, function))
        return function

    return declare


def _f(rng: Generator, *shape: int) -> Array:
    return rng.normal(size=shape).astype(np.float32)


def _i(*values: int) -> Array:
    return np.array(values, np.int64)


@cases(
    *("Abs", "Asinh", "Atan", "Ceil", "Cos", "Erf", "Exp", "Floor", "Identity", "Neg", "Relu"),
    *("Sigmoid", "Sign", "Sin", "Sinh", "Cosh", "Softplus", "Softsign", "Tan", "Tanh", "Round"),
    *("Reciprocal", "GlobalAveragePool", "GlobalMaxPool", "Shape", "Size", "NonZero", "IsNaN"),
)
def plain(version: int, rng: Generator) -> Iterator[Case]:
    yield Case([_f(rng, 2, 3, 4, 5)])


@cases("Sqrt", "Log")
def positive(version: int, rng: Generator) -> Iterator[Case]:
    yield Case([np.abs(_f(rng, 2, 3, 4)) + np.float32(0.1)])


@cases("Acos", "Asin", "Atanh")
def below_one(version: int, rng: Generator) -> Iterator[Case]:
    yield Case([rng.uniform(-0.9, 0.9, (2, 3)).astype(np.float32)])


@cases("Acosh")
def above_one(version: int, rng: Generator) -> Iterator[Case]:
    yield Case([rng.uniform(1.1, 9, (2, 3)).astype(np.float32)])


@cases("Elu", "Celu", "LeakyRelu", "ThresholdedRelu")
def with_alpha(version: int, rng: Generator) -> Iterator[Case]:
    yield Case([_f(rng, 2, 3)])
    yield Case([_f(rng, 2, 3)], {"alpha": 0.7})


@cases("Selu")
def selu(version: int, rng: Generator) -> Iterator[Case]:
    x = _f(rng, 2, 3)
    alpha, gamma = np.float32(1.6732), np.float32(1.0507)
    yield Case([x], want=lambda x: [np.where(x > 0, gamma * x, gamma * alpha * np.expm1(x))])
    yield Case([x], {"alpha": 0.7, "gamma": 2.0})


@cases("HardSigmoid")
def hard_sigmoid(version: int, rng: Generator) -> Iterator[Case]:
    yield Case([_f(rng, 2, 3)])
    yield Case([_f(rng, 2, 3)], {"alpha": 0.7, "beta": 0.1})


@cases("Shrink")
def shrink(version: int, rng: Generator) -> Iterator[Case]:
    yield Case([_f(rng, 2, 3)], {"lambd": 0.4, "bias": 0.1})


@cases("IsInf")
def is_inf(version: int, rng: Generator) -> Iterator[Case]:
    x = np.array([1, np.inf, -np.inf, np.nan], np.float32)
    yield Case([x])
    yield Case([x], {"detect_negative": 0})


@cases("Not")
def negation(version: int, rng: Generator) -> Iterator[Case]:
    yield Case([rng.random((2, 3)) < 0.5])


@cases("Softmax", "LogSoftmax", "Hardmax")
def softmax(version: int, rng: Generator) -> Iterator[Case]:
    for shape in ((2, 3, 4, 5), (3, 4), (6, 2, 3)):
        yield Case([_f(rng, *shape)])
        for axis in range(-len(shape) if version >= 11 else 0, len(shape)):
            yield Case([_f(rng, *shape)], {"axis": axis})


@cases("LpNormalization")
def lp_normalization(version: int, rng: Generator) -> Iterator[Case]:
    yield Case([_f(rng, 2, 3, 4)])
    yield Case([_f(rng, 2, 3, 4)], {"axis": 1, "p": 1})


@cases("MeanVarianceNormalization")
def mean_variance(version: int, rng: Generator) -> Iterator[Case]:
    yield Case([_f(rng, 2, 3, 4, 5)])
    yield Case([_f(rng, 2, 3, 4, 5)], {"axes": [0, 1]})


@cases("LRN")
def lrn(version: int, rng: Generator) -> Iterator[Case]:
    yield Case([_f(rng, 2, 6, 4, 5)], {"size": 3})
    yield Case([_f(rng, 2, 6, 4, 5)], {"size": 5, "alpha": 0.1, "beta": 0.5, "bias": 2.0})


@cases("InstanceNormalization")
def instance_normalization(version: int, rng: Generator) -> Iterator[Case]:
    yield Case([_f(rng, 2, 3, 4, 5), _f(rng, 3), _f(rng, 3)])
    yield Case([_f(rng, 2, 3, 4, 5), _f(rng, 3), _f(rng, 3)], {"epsilon": 0.1})


@cases("BatchNormalization")
def batch_normalization(version: int, rng: Generator) -> Iterator[Case]:
    old = {"consumed_inputs": [0, 0, 0, 1, 1]} if version == 1 else {}
    old |= {"is_test": 1} if version < 7 else {}
    for options in ({}, {"epsilon": 0.1}, {"momentum": 0.5}):
        rows = [_f(rng, 3) for _ in range(3)]
        yield Case([_f(rng, 2, 3, 4, 5), *rows, np.abs(_f(rng, 3))], {**old, **options})
    if version < 9:
        rows = [_f(rng, 3, 4, 5) for _ in range(3)]
        arrays = [_f(rng, 2, 3, 4, 5), *rows, np.abs(_f(rng, 3, 4, 5))]
        yield Case(
            arrays,
            {**old, "spatial": 0},
            want=lambda x, s, b, m, v: [(x - m) / np.sqrt(v + np.float32(1e-5)) * s + b],
        )


@cases("GlobalLpPool")
def global_lp_pool(version: int, rng: Generator) -> Iterator[Case]:
    yield Case([_f(rng, 2, 3, 4, 5)])
    yield Case([_f(rng, 2, 3, 4, 5)], {"p": 3.0 if version < 2 else 3})


_ARITHMETIC: dict[str, Callable[[Array, Array], Array]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
    "Pow": np.power,
    "And": np.logical_and,
    "Or": np.logical_or,
    "Xor": np.logical_xor,
    "Equal": np.equal,
    "Greater": np.greater,
    "Less": np.less,
}


def _binary(op: str) -> CaseFunction:
    def function(version: int, rng: Generator) -> Iterator[Case]:
        def draw(*shape: int) -> Array:
            if op in ("And", "Or", "Xor"):
                return rng.random(shape) < 0.5
            if op == "Equal":
                return rng.integers(0, 3, shape).astype(np.int32)
            return np.abs(_f(rng, *shape)) + np.float32(0.5) if op == "Pow" else _f(rng, *shape)

        meaning = _ARITHMETIC[op]
        yield Case([draw(2, 3, 4, 5), draw(2, 3, 4, 5)], want=lambda a, b: [meaning(a, b)])
        if version >= 7:
            for a, b in (((2, 3, 4), (4,)), ((3, 1), (2, 1, 4)), ((1,), (2, 3)), ((), (2,))):
                yield Case([draw(*a), draw(*b)])
            return
        for shape, axis in (
            *(((4, 5), None), ((5,), None), ((1,), None), ((3,), 1), ((2,), 0), ((3, 4), 1)),
            *(((2, 3), 0), ((4, 5), 2), ((5,), 3), ((3, 1), 1), ((3, 4), -3)),
        ):
            b = draw(*shape)
            at = 4 - len(shape) if axis is None else axis % 4
            full = (*shape, *(1,) * (4 - at - len(shape)))
            options = {"broadcast": 1} | ({} if axis is None else {"axis": axis})
            yield Case(
                [draw(2, 3, 4, 5), b],
                options,
                want=lambda x, y, full=full: [meaning(x, y.reshape(full))],
            )

    return function


CASES.update({op: _binary(op) for op in _ARITHMETIC})


@cases("GreaterOrEqual", "LessOrEqual")
def ordered(version: int, rng: Generator) -> Iterator[Case]:
    yield Case([rng.integers(0, 3, (2, 3)).astype(np.float32), np.ones(3, np.float32)])


@cases("Mod")
def mod(version: int, rng: Generator) -> Iterator[Case]:
    a, b = rng.integers(-9, 9, (2, 3)), rng.integers(1, 5, 3)
    yield Case([a, b])
    yield Case([a.astype(np.float32), b.astype(np.float32)], {"fmod": 1})


@cases("BitShift")
def bit_shift(version: int, rng: Generator) -> Iterator[Case]:
    a, b = rng.integers(0, 99, (2, 3)).astype(np.uint8), np.array([1, 2, 3], np.uint8)
    yield Case([a, b], {"direction": "LEFT"})


@cases("PRelu")
def prelu(version: int, rng: Generator) -> Iterator[Case]:
    yield Case([_f(rng, 2, 3, 4, 5), _f(rng, 1)], want=lambda x, s: [np.where(x < 0, s * x, x)])
    if version < 7:
        yield Case(
            [_f(rng, 2, 3, 4, 5), _f(rng, 3)],
            want=lambda x, s: [np.where(x < 0, s[:, None, None] * x, x)],
        )
        yield Case([_f(rng, 4, 3), _f(rng, 3)], want=lambda x, s: [np.where(x < 0, s * x, x)])
    else:
        yield Case([_f(rng, 2, 3, 4, 5), _f(rng, 3, 1, 1)])


@cases("Max", "Min", "Mean", "Sum")
def variadic(version: int, rng: Generator) -> Iterator[Case]:
    yield Case([_f(rng, 2, 3)])
    yield Case([_f(rng, 2, 3), _f(rng, 2, 3), _f(rng, 2, 3)])
    if version >= 8:
        yield Case([_f(rng, 2, 3, 4), _f(rng, 3, 1), _f(rng, 1)])


@cases("Concat")
def concat(version: int, rng: Generator) -> Iterator[Case]:
    arrays = [_f(rng, 2, 3), _f(rng, 2, 3)]
    if version < 4:
        yield Case(arrays, want=lambda a, b: [np.concatenate([a, b], 1)])
    yield Case(arrays, {"axis": 0})
    yield Case(arrays, {"axis": -1 if version >= 11 else 1})


_REDUCTIONS = (
    *("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean"),
    *("ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare"),
)


def _reduction(op: str) -> CaseFunction:
    since = 13 if op == "ReduceSum" else 18

    def function(version: int, rng: Generator) -> Iterator[Case]:
        x = np.abs(_f(rng, 2, 3, 4)) + np.float32(0.1)
        yield Case([x])
        for axes in ([1], [0, 2], [2, 1, 0], [-1]):
            if version < 11 and axes == [-1]:
                continue
            for keep in (0, 1):
                if version < since:
                    yield Case([x], {"axes": axes, "keepdims": keep})
                else:
                    yield Case([x, _i(*axes)], {"keepdims": keep}, fixed=[1])

    return function


CASES.update({op: _reduction(op) for op in _REDUCTIONS})


@cases("ArgMax", "ArgMin")
def arg_max(version: int, rng: Generator) -> Iterator[Case]:
    x = rng.integers(0, 3, (3, 4, 5)).astype(np.float32)
    yield Case([x])
    for axis in (0, 2, -2):
        if axis >= 0 or version >= 11:
            yield Case([x], {"axis": axis, "keepdims": 0})
    if version >= 12:
        yield Case([x], {"axis": 1, "select_last_index": 1})


@cases("CumSum")
def cum_sum(version: int, rng: Generator) -> Iterator[Case]:
    axis = np.array(1, np.int32)
    yield Case([_f(rng, 2, 3), axis], fixed=[1])
    yield Case([_f(rng, 2, 3), axis], {"exclusive": 1, "reverse": 1}, fixed=[1])


@cases("TopK")
def top_k(version: int, rng: Generator) -> Iterator[Case]:
    x = _f(rng, 3, 4, 5)
    for axis in (0, 1, 2):
        if version < 10:
            yield Case([x], {"k": 2, "axis": axis}, 2)
        else:
            yield Case([x, _i(2)], {"axis": axis}, 2, [1])
    if version >= 11:
        yield Case([x, _i(2)], {"largest": 0, "axis": -2}, 2, [1])
    yield Case([x], {"k": 3}, 2) if version < 10 else Case([x, _i(3)], {}, 2)


@cases("Conv")
def conv(version: int, rng: Generator) -> Iterator[Case]:
    x, w = _f(rng, 2, 4, 7, 8), _f(rng, 6, 4, 3, 3)
    for options in (
        *({}, {"pads": [1, 0, 1, 2]}, {"strides": [2, 2]}, {"dilations": [2, 1]}),
        *({"auto_pad": p, "strides": [2, 3]} for p in ("SAME_UPPER", "SAME_LOWER", "VALID")),
    ):
        yield Case([x, w], options)
        yield Case([x, w, _f(rng, 6)], options)
    yield Case([x, _f(rng, 6, 2, 3, 2)], {"group": 2, "kernel_shape": [3, 2]})


@cases("ConvTranspose")
def conv_transpose(version: int, rng: Generator) -> Iterator[Case]:
    x, w = _f(rng, 2, 4, 5, 4), _f(rng, 4, 3, 3, 3)
    for options in (
        *({}, {"pads": [1, 0, 1, 2]}, {"strides": [2, 2], "output_padding": [1, 0]}),
        *({"dilations": [2, 1]}, {"strides": [2, 2], "output_shape": [10, 8]}),
        *({"auto_pad": p, "strides": [2, 2]} for p in ("SAME_UPPER", "SAME_LOWER", "VALID")),
    ):
        yield Case([x, w], options)
    yield Case([x, _f(rng, 4, 3, 3, 3), _f(rng, 6)], {"group": 2})


@cases("ConvInteger", "MatMulInteger")
def integers(version: int, rng: Generator) -> Iterator[Case]:
    x = rng.integers(0, 255, (1, 3, 5, 5)).astype(np.uint8)
    w = rng.integers(0, 255, (2, 3, 5, 5)).astype(np.uint8)
    yield Case([x, w])
    yield Case([x, w, np.array(7, np.uint8), np.array(9, np.uint8)])


def _quantized(rng: Generator, *shape: int) -> list[Array]:
    data = rng.integers(0, 255, shape).astype(np.uint8)
    return [data, np.array(0.031, np.float32), np.array(119, np.uint8)]


@cases("QLinearConv")
def qlinear_conv(version: int, rng: Generator) -> Iterator[Case]:
    x, w, y = _quantized(rng, 1, 3, 6, 6), _quantized(rng, 4, 3, 3, 3), _quantized(rng)[1:]
    y[0] = np.array(0.37, np.float32)
    yield Case([*x, *w, *y], {"pads": [1, 1, 1, 1]}, fixed=range(1, 8))


@cases("QLinearMatMul")
def qlinear_matmul(version: int, rng: Generator) -> Iterator[Case]:
    x, w, y = _quantized(rng, 4, 6), _quantized(rng, 6, 3), _quantized(rng)[1:]
    y[0] = np.array(0.37, np.float32)
    yield Case([*x, *w, *y], fixed=range(1, 8))


@cases("MatMul")
def matmul(version: int, rng: Generator) -> Iterator[Case]:
    yield Case([_f(rng, 3, 4), _f(rng, 4, 5)])
    yield Case([_f(rng, 2, 3, 4), _f(rng, 4, 5)])
    yield Case([_f(rng, 4), _f(rng, 4, 5)])


@cases("Gemm")
def gemm(version: int, rng: Generator) -> Iterator[Case]:
    old = {"broadcast": 1} if version < 7 else {}
    a, b = _f(rng, 3, 4), _f(rng, 4, 5)
    for c in ((3, 5), (5,), (1,), (1, 5)):
        options = {} if c == (3, 5) else old
        yield Case([a, b, _f(rng, *c)], options)
    yield Case([a, b.T.copy(), _f(rng, 5)], {**old, "transB": 1, "alpha": 0.5, "beta": 2.0})
    yield Case([a.T.copy(), b, _f(rng, 5)], {**old, "transA": 1})
    if version >= 11:
        yield Case([a, b])


@cases("AveragePool")
def average_pool(version: int, rng: Generator) -> Iterator[Case]:
    x = _f(rng, 2, 3, 7, 8)
    for options in _windows(version >= 10):
        yield Case([x], options)
        if version >= 7:
            yield Case([x], {**options, "count_include_pad": 1})


@cases("MaxPool")
def max_pool(version: int, rng: Generator) -> Iterator[Case]:
    x = _f(rng, 2, 3, 7, 8)
    for options in _windows(version >= 10):
        yield Case([x], options)
        if version >= 8:
            yield Case([x], {**options, "storage_order": 1}, 2)
            yield Case([x], options, 2)
    if version >= 10:
        yield Case([x], {"kernel_shape": [2, 2], "dilations": [2, 3]})


@cases("LpPool")
def lp_pool(version: int, rng: Generator) -> Iterator[Case]:
    for options in _windows(ceil=False):
        yield Case([_f(rng, 2, 3, 7, 8)], {**options, "p": 3.0 if version < 2 else 3})
        yield Case([_f(rng, 2, 3, 7, 8)], options)


def _windows(ceil: bool) -> list[dict[str, Any]]:
    kernel = {"kernel_shape": [3, 2], "strides": [2, 2]}
    made: list[dict[str, Any]] = [
        kernel,
        {"kernel_shape": [3, 2]},
        {**kernel, "pads": [1, 0, 1, 1]},
        *({**kernel, "auto_pad": p} for p in ("SAME_UPPER", "SAME_LOWER", "VALID")),
    ]
    return [*made, {**kernel, "ceil_mode": 1}] if ceil else made


@cases("MaxRoiPool")
def max_roi_pool(version: int, rng: Generator) -> Iterator[Case]:
    regions = np.array([[0, 0, 0, 4, 4], [1, 1, 2, 6, 5]], np.float32)
    yield Case([_f(rng, 2, 3, 8, 8), regions], {"pooled_shape": [2, 2]})


@cases("RoiAlign")
def roi_align(version: int, rng: Generator) -> Iterator[Case]:
    regions = np.array([[0, 0, 4, 4], [1, 2, 6, 5]], np.float32)
    size = {"output_height": 3, "output_width": 2, "sampling_ratio": 2}
    for options in (size, {**size, "spatial_scale": 0.5}, {**size, "mode": "max"}):
        yield Case([_f(rng, 2, 3, 8, 8), regions, _i(0, 1)], options)


@cases("MaxUnpool")
def max_unpool(version: int, rng: Generator) -> Iterator[Case]:
    index = _i(5, 7, 13, 15).reshape(1, 1, 2, 2)
    yield Case([_f(rng, 1, 1, 2, 2), index], {"kernel_shape": [2, 2], "strides": [2, 2]})


@cases("Cast")
def cast(version: int, rng: Generator) -> Iterator[Case]:
    for name in ("INT32", "DOUBLE", "BOOL", "UINT8"):
        code = TensorProto.DataType.Value(name)
        x = np.abs(_f(rng, 2, 3)) * np.float32(9)
        dtype = helper.tensor_dtype_to_np_dtype(code)
        yield Case(
            [x],
            {"to": name if version < 6 else code},
            want=lambda a, dtype=dtype: [a.astype(dtype)],
        )


@cases("Clip")
def clip(version: int, rng: Generator) -> Iterator[Case]:
    x = _f(rng, 2, 3) * np.float32(5)
    low, high = np.array(-1, np.float32), np.array(2, np.float32)
    yield Case([x], want=lambda a: [a])
    if version < 11:
        yield Case([x], {"min": -1.0, "max": 2.0})
        yield Case([x], {"min": 0.0})
        yield Case([x], {"max": 0.5})
    else:
        yield Case([x, low, high])
        yield Case([x, None, high])
        yield Case([x, low])


@cases("Compress")
def compress(version: int, rng: Generator) -> Iterator[Case]:
    yield Case([_f(rng, 3, 2), np.array([True, False, True])], {"axis": 0})
    yield Case([_f(rng, 3, 2), np.array([True, False, True])])


@cases("Constant")
def constant(version: int, rng: Generator) -> Iterator[Case]:
    yield Case([], {"value": numpy_helper.from_array(_f(rng, 2, 3))})
    if version >= 12:
        yield Case([], {"value_floats": [1.0, 2.0]})
        yield Case([], {"value_int": 3})


@cases("ConstantOfShape")
def constant_of_shape(version: int, rng: Generator) -> Iterator[Case]:
    yield Case([_i(2, 3)], fixed=[0])
    yield Case([_i(2, 3)], {"value": numpy_helper.from_array(_i(7))}, fixed=[0])


@cases("DepthToSpace")
def depth_to_space(version: int, rng: Generator) -> Iterator[Case]:
    yield Case([_f(rng, 1, 8, 2, 3)], {"blocksize": 2})
    if version >= 11:
        yield Case([_f(rng, 1, 8, 2, 3)], {"blocksize": 2, "mode": "CRD"})


@cases("SpaceToDepth")
def space_to_depth(version: int, rng: Generator) -> Iterator[Case]:
    yield Case([_f(rng, 1, 2, 4, 6)], {"blocksize": 2})


@cases("Dropout")
def dropout(version: int, rng: Generator) -> Iterator[Case]:
    old = {"is_test": 1} if version < 7 else {}
    yield Case([_f(rng, 2, 3)], old)
    if version < 12:
        yield Case([_f(rng, 2, 3)], {**old, "ratio": 0.3})
    else:
        yield Case([_f(rng, 2, 3), np.array(0.3, np.float32)], fixed=[1])
    if version >= 7:
        yield Case([_f(rng, 2, 3)], old, 2)


@cases("Expand")
def expand(version: int, rng: Generator) -> Iterator[Case]:
    yield Case([_f(rng, 3, 1), _i(2, 1, 4)], fixed=[1])


@cases("EyeLike")
def eye_like(version: int, rng: Generator) -> Iterator[Case]:
    yield Case([_f(rng, 3, 4)], {"k": 1})


@cases("Flatten")
def flatten(version: int, rng: Generator) -> Iterator[Case]:
    yield Case([_f(rng, 2, 3, 4)])
    for axis in (0, 2, 3):
        yield Case([_f(rng, 2, 3, 4)], {"axis": axis})
    if version >= 11:
        yield Case([_f(rng, 2, 3, 4)], {"axis": -1})


@cases("Gather")
def gather(version: int, rng: Generator) -> Iterator[Case]:
    yield Case([_f(rng, 3, 4), _i(0, 2)])
    yield Case([_f(rng, 3, 4), _i(0, 3, 1, 1).reshape(2, 2)], {"axis": 1})
    if version >= 11:
        yield Case([_f(rng, 3, 4), _i(-1, 0)], {"axis": -2})


@cases("GatherElements")
def gather_elements(version: int, rng: Generator) -> Iterator[Case]:
    yield Case([_f(rng, 3, 2), _i(0, 2).reshape(1, 2)], {"axis": 0})


@cases("GatherND")
def gather_nd(version: int, rng: Generator) -> Iterator[Case]:
    yield Case([_f(rng, 2, 3), _i(0, 1, 1, 2).reshape(2, 2)])
    if version >= 12:
        yield Case([_f(rng, 2, 3), _i(1, 2).reshape(2, 1)], {"batch_dims": 1})


@cases("OneHot")
def one_hot(version: int, rng: Generator) -> Iterator[Case]:
    yield Case([_i(0, 2, 9, 1), _i(3), np.array([0, 1], np.float32)], fixed=[1])
    yield Case([_i(0, 2), _i(3), np.array([5, 1], np.float32)], {"axis": 0}, fixed=[1])


@cases("Pad")
def pad(version: int, rng: Generator) -> Iterator[Case]:
    x, pads = _f(rng, 3, 4), [1, 0, 0, 2]
    for mode in ("constant", "reflect", "edge"):
        options: dict[str, Any] = {"mode": mode}
        if version < 2:
            value = {"value": 0.5} if mode == "constant" else {}
            yield Case(
                [x],
                {**options, "paddings": pads, **value},
                want=lambda a, mode=mode: [
                    np.pad(a, [(1, 0), (0, 2)], mode, constant_values=0.5)
                    if mode == "constant"
                    else np.pad(a, [(1, 0), (0, 2)], mode)
                ],
            )
        elif version < 11:
            yield Case([x], {**options, "pads": pads})
            yield Case([x], {**options, "pads": pads, "value": 0.5})
        else:
            yield Case([x, _i(*pads)], options, fixed=[1])
            yield Case([x, _i(*pads), np.array(0.5, np.float32)], options, fixed=[1])


@cases("Range")
def range_(version: int, rng: Generator) -> Iterator[Case]:
    yield Case([np.array(n, np.float32) for n in (1, 9, 2)], fixed=[0, 1, 2])


@cases("Reshape")
def reshape(version: int, rng: Generator) -> Iterator[Case]:
    for shape in ([4, 6], [0, -1], [-1], [2, 0, 2, -1]):
        x = _f(rng, 2, 3, 4)
        real = [x.shape[i] if n == 0 else n for i, n in enumerate(shape)]
        if version < 5:
            yield Case([x], {"shape": shape}, want=lambda a, real=real: [a.reshape(real)])
        else:
            yield Case([x, _i(*shape)], fixed=[1])


@cases("ReverseSequence")
def reverse_sequence(version: int, rng: Generator) -> Iterator[Case]:
    yield Case([_f(rng, 4, 3), _i(1, 4, 2)])
    yield Case([_f(rng, 3, 4), _i(1, 4, 2)], {"time_axis": 1, "batch_axis": 0})


@cases("Upsample")
def upsample(version: int, rng: Generator) -> Iterator[Case]:
    x = _f(rng, 1, 2, 3, 4)
    for mode in ("nearest", "bilinear" if version < 7 else "linear"):
        for scales in ([2.0, 3.0], [1.5, 1.0]):
            if version < 7:
                if mode == "nearest":
                    at = [
                        np.floor(np.arange(int(n * s)) / s).astype(int)
                        for n, s in zip((3, 4), scales, strict=True)
                    ]
                    yield Case(
                        [x],
                        {"height_scale": scales[0], "width_scale": scales[1]},
                        want=lambda a, at=at: [a[:, :, at[0]][:, :, :, at[1]]],
                    )
            elif version < 9:
                yield Case([x], {"mode": mode, "scales": [1.0, 1.0, *scales]})
            else:
                yield Case([x, np.array([1, 1, *scales], np.float32)], {"mode": mode}, fixed=[1])


@cases("Resize")
def resize(version: int, rng: Generator) -> Iterator[Case]:
    x, region = _f(rng, 1, 2, 4, 6), np.zeros(0, np.float32)
    for mode in ("nearest", "linear"):
        for scales in ([2.0, 3.0], [0.5, 0.5], [0.6, 0.6], [1.7, 1.3]):
            given = np.array([1, 1, *scales], np.float32)
            if version < 11:
                yield Case([x, given], {"mode": mode}, fixed=[1])
                continue
            yield Case([x, region, given], {"mode": mode}, fixed=[1, 2])
            for where in ("asymmetric", "align_corners", "pytorch_half_pixel"):
                options = {"mode": mode, "coordinate_transformation_mode": where}
                yield Case([x, region, given], options, fixed=[1, 2])
    if version >= 11:
        given = [x, region, np.zeros(0, np.float32), _i(1, 2, 7, 5)]
        yield Case(given, {"mode": "nearest", "nearest_mode": "ceil"}, fixed=[1, 2, 3])
        yield Case(given, {"mode": "cubic"}, fixed=[1, 2, 3])


@cases("Scatter", "ScatterElements")
def scatter(version: int, rng: Generator) -> Iterator[Case]:
    yield Case([_f(rng, 3, 2), _i(2, 0).reshape(1, 2), _f(rng, 1, 2)])
    yield Case([_f(rng, 3, 2), _i(1, 0, 1).reshape(3, 1), _f(rng, 3, 1)], {"axis": 1})


@cases("ScatterND")
def scatter_nd(version: int, rng: Generator) -> Iterator[Case]:
    yield Case([_f(rng, 3, 2), _i(2, 0).reshape(2, 1), _f(rng, 2, 2)])


@cases("Slice")
def slice_(version: int, rng: Generator) -> Iterator[Case]:
    x = _f(rng, 4, 5, 6)
    for starts, ends, axes in (
        *(([1, 0], [3, 2], None), ([1, -3], [1000, -1], [2, 0]), ([0, 1, 2], [4, 4, 4], [0, 1, 2])),
    ):
        if version < 10:
            named = {} if axes is None else {"axes": axes}
            yield Case([x], {"starts": starts, "ends": ends, **named})
        else:
            arrays = [_i(*starts), _i(*ends), *([] if axes is None else [_i(*axes)])]
            yield Case([x, *arrays], fixed=[1, 2, 3])
    if version >= 10:
        yield Case([x, _i(-1), _i(-1000), _i(1), _i(-2)], fixed=[1, 2, 3, 4])


@cases("Split")
def split(version: int, rng: Generator) -> Iterator[Case]:
    x = _f(rng, 4, 6)
    equal: dict[str, Any] = {"num_outputs": 2} if version >= 18 else {}
    if version < 2:
        yield Case([x], {"axis": 0}, 2, want=lambda a: np.split(a, 2))
        yield Case(
            [x, np.array([1, 5], np.float32)], {"axis": 1}, 2, [1], lambda a, _: np.split(a, [1], 1)
        )
        return
    yield Case([x], equal, 2)
    if version < 13:
        yield Case([x], {"axis": 1, "split": [1, 2, 3]}, 3)
    else:
        yield Case([x, _i(1, 2, 3)], {"axis": 1}, 3, [1])


@cases("Squeeze")
def squeeze(version: int, rng: Generator) -> Iterator[Case]:
    x = _f(rng, 1, 3, 1, 4)
    yield Case([x])
    for axes in ([0], [0, 2], [-2]):
        if version < 11 and axes == [-2]:
            continue
        yield Case([x], {"axes": axes}) if version < 13 else Case([x, _i(*axes)], fixed=[1])


@cases("Unsqueeze")
def unsqueeze(version: int, rng: Generator) -> Iterator[Case]:
    for axes in ([0], [1, 3], [-1]):
        if version < 11 and axes == [-1]:
            continue
        x = _f(rng, 3, 4)
        yield Case([x], {"axes": axes}) if version < 13 else Case([x, _i(*axes)], fixed=[1])


@cases("Tile")
def tile(version: int, rng: Generator) -> Iterator[Case]:
    x = _f(rng, 2, 3)
    if version < 6:
        arguments = [np.array([2], np.float32), np.array([1], np.float32)]
        yield Case([x, *arguments], fixed=[1, 2], want=lambda a, *_: [np.tile(a, [1, 2])])
    else:
        yield Case([x, _i(2, 3)], fixed=[1])


@cases("Transpose")
def transpose(version: int, rng: Generator) -> Iterator[Case]:
    yield Case([_f(rng, 2, 3, 4)])
    yield Case([_f(rng, 2, 3, 4)], {"perm": [1, 2, 0]})


@cases("Unique")
def unique(version: int, rng: Generator) -> Iterator[Case]:
    yield Case([rng.integers(0, 4, 9).astype(np.float32)], outputs=4)


@cases("Where")
def where(version: int, rng: Generator) -> Iterator[Case]:
    yield Case([rng.random((2, 1)) < 0.5, _f(rng, 2, 3), _f(rng, 3)])


@cases("Einsum")
def einsum(version: int, rng: Generator) -> Iterator[Case]:
    yield Case([_f(rng, 2, 3), _f(rng, 3, 4)], {"equation": "ij,jk->ik"})


@cases("Det")
def det(version: int, rng: Generator) -> Iterator[Case]:
    yield Case([_f(rng, 2, 3, 3)])


@cases("QuantizeLinear")
def quantize_linear(version: int, rng: Generator) -> Iterator[Case]:
    scale, point = np.array(0.03, np.float32), np.array(3, np.int8)
    yield Case([_f(rng, 2, 3), scale], fixed=[1])
    yield Case([_f(rng, 2, 3), scale, point], fixed=[1, 2])
    if version >= 13:
        scales, points = np.array([0.1, 0.2, 0.3], np.float32), np.zeros(3, np.int8)
        yield Case([_f(rng, 2, 3), scales, points], fixed=[1, 2])


@cases("DequantizeLinear")
def dequantize_linear(version: int, rng: Generator) -> Iterator[Case]:
    scale, point = np.array(0.03, np.float32), np.array(3, np.int8)
    x = rng.integers(-128, 127, (2, 3)).astype(np.int8)
    yield Case([x, scale, point], fixed=[1, 2])
    if version >= 13:
        scales, points = np.array([0.1, 0.2, 0.3], np.float32), np.zeros(3, np.int8)
        yield Case([x, scales, points], fixed=[1, 2])


@cases("DynamicQuantizeLinear")
def dynamic_quantize_linear(version: int, rng: Generator) -> Iterator[Case]:
    yield Case([_f(rng, 2, 3)], outputs=3)


def _recurrent(gates: int) -> CaseFunction:
    def function(version: int, rng: Generator) -> Iterator[Case]:
        x, w, r = _f(rng, 4, 2, 3), _f(rng, 1, gates * 5, 3), _f(rng, 1, gates * 5, 5)
        bias = _f(rng, 1, 2 * gates * 5)
        both = [x, *(np.concatenate([a, a[..., ::-1]]).copy() for a in (w, r))]
        old = {"output_sequence": 1} if version < 7 else {}
        # The default of GRU's first version is misspelt.
        yield Case([x, w, r], {"hidden_size": 5, "direction": "forward", **old}, 2)
        yield Case([x, w, r, bias], {"hidden_size": 5, "direction": "reverse", **old}, 2)
        yield Case(both, {"hidden_size": 5, "direction": "bidirectional", **old}, 2)
        if version >= 7:
            yield Case([x, w, r, bias], {"hidden_size": 5, "clip": 0.5}, 2)
        if version >= 3 and gates == 3:
            options = {"hidden_size": 5, "linear_before_reset": 1, "direction": "forward"}
            yield Case([x, w, r, bias], {**options, **old}, 2)

    return function


CASES.update(RNN=_recurrent(1), GRU=_recurrent(3), LSTM=_recurrent(4))


def _graph(nodes: Sequence[Any], outputs: Sequence[str], inputs: Sequence[Any] = ()) -> Any:
    infos = [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs]
    return helper.make_graph(list(nodes), "body", list(inputs), infos)


_node = helper.make_node


@cases("If")
def if_(version: int, rng: Generator) -> Iterator[Case]:
    """Branches of operators that have changed since."""
    value = numpy_helper.from_array(_f(rng, 2, 3, 4))
    for op, options in (("Hardmax", {}), ("Softmax", {"axis": 1}), ("Hardmax", {"axis": 0})):
        branches = {
            name: _graph(
                [
                    _node("Constant", [], ["c"], value=value),
                    _node(op, ["c"], [f"{op}{name}"], **options),
                ],
                [f"{op}{name}"],
            )
            for name in ("then_branch", "else_branch")
        }
        yield Case([np.array(True)], branches)
        yield Case([np.array(False)], branches)


@cases("Loop")
def loop(version: int, rng: Generator) -> Iterator[Case]:
    inputs = [
        helper.make_tensor_value_info("i", TensorProto.INT64, []),
        helper.make_tensor_value_info("c", TensorProto.BOOL, []),
        helper.make_tensor_value_info("state", TensorProto.FLOAT, [2, 3, 4]),
    ]
    nodes = [
        _node("Identity", ["c"], ["again"]),
        _node("Hardmax", ["state"], ["hard"]),
        _node("Sub", ["state", "hard"], ["next"]),
        _node("Identity", ["hard"], ["scan"]),
    ]
    graph = _graph(nodes, ["again", "next", "scan"], inputs)
    graph.output[0].type.tensor_type.elem_type = TensorProto.BOOL
    yield Case([np.array(3), np.array(True), _f(rng, 2, 3, 4)], {"body": graph}, 2, [0, 1])


@cases("Scan")
def scan(version: int, rng: Generator) -> Iterator[Case]:
    inputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [2, 3]) for n in ("s", "e")]
    nodes = [_node("Add", ["s", "e"], ["t"]), _node("Hardmax", ["t"], ["o"], axis=0)]
    graph = _graph(nodes, ["t", "o"], inputs)
    if version < 9:
        arrays = [None, _f(rng, 2, 2, 3), _f(rng, 2, 4, 2, 3)]
    else:
        arrays = [_f(rng, 2, 3), _f(rng, 4, 2, 3)]
    yield Case(arrays, {"body": graph, "num_scan_inputs": 1}, 2)


@cases("NonMaxSuppression")
def non_max_suppression(version: int, rng: Generator) -> Iterator[Case]:
    corners = np.sort(rng.uniform(0, 1, (1, 6, 2, 2)), 2).reshape(1, 6, 4).astype(np.float32)
    scores = rng.random((1, 2, 6)).astype(np.float32)
    limits = [_i(3), np.array([0.5], np.float32), np.array([0.1], np.float32)]
    yield Case([corners, scores, *limits], fixed=[2, 3, 4])


@cases("TfIdfVectorizer")
def tf_idf(version: int, rng: Generator) -> Iterator[Case]:
    options: dict[str, Any] = {
        "mode": "TF",
        "min_gram_length": 1,
        "max_gram_length": 2,
        "max_skip_count": 0,
        "ngram_counts": [0, 3],
        "ngram_indexes": [0, 1, 2, 3],
        "pool_int64s": [2, 3, 5, 2, 3],
    }
    yield Case([_i(2, 3, 5, 2, 3)], options)


@cases("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss")
def losses(version: int, rng: Generator) -> Iterator[Case]:
    yield Case([_f(rng, 3, 4), _i(0, 3, 1)], {"reduction": "none"})
    yield Case([_f(rng, 3, 4), _i(0, 3, 1)], {"reduction": "mean"})


@cases("GridSample")
def grid_sample(version: int, rng: Generator) -> Iterator[Case]:
    grid = rng.uniform(-1, 1, (1, 3, 2, 2)).astype(np.float32)
    names = ("bilinear", "bicubic") if version < 20 else ("linear", "cubic")
    yield Case([_f(rng, 1, 2, 4, 5), grid])
    for mode in (*names, "nearest"):
        yield Case([_f(rng, 1, 2, 4, 5), grid], {"mode": mode, "align_corners": 1})


@cases("DFT")
def dft(version: int, rng: Generator) -> Iterator[Case]:
    if version < 20:
        yield Case([_f(rng, 2, 8, 3, 1)], {"axis": 1})
        yield Case([_f(rng, 2, 8, 3, 1)], {"axis": 2})
    else:
        yield Case([_f(rng, 2, 8, 3, 1), None, np.array(1)], fixed=[2])


@cases("GroupNormalization")
def group_normalization(version: int, rng: Generator) -> Iterator[Case]:
    rows = 2 if version < 21 else 6
    yield Case([_f(rng, 2, 6, 4), _f(rng, rows), _f(rng, rows)], {"num_groups": 2})


@cases("StringNormalizer")
def string_normalizer(version: int, rng: Generator) -> Iterator[Case]:
    yield Case(
        [np.array(["Monday", "x", "Y"], object)], {"stopwords": ["x"], "is_case_sensitive": 1}
    )
