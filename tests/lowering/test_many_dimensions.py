"""Vector kernels over more than four dimensions, which the machine sees as four."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from furiosa_ir.backends.warboy.enf.reader import read_program
from furiosa_ir.compiler import compile_model
from furiosa_ir.runtime.session import Session
from tests.importers.onnx.networks import network
from tests.importers.tflite.single import options, vector
from tests.lowering.test_scales import on_npu
from tests.oracle.litert import Operator, Tensor, build_model, run_reference

node = helper.make_node

Shape = tuple[int, ...]


def tensor(name: str, shape: Shape) -> Tensor:
    return Tensor(name, shape, np.int8, 0.1, 3)


def check(model: bytes, shape: Shape) -> None:
    """On the NPU alone as LiteRT's reference kernels compute it."""
    program = read_program(compile_model(model))
    assert on_npu(program)
    x = np.random.default_rng(2).integers(-128, 128, shape).astype(np.int8)
    with Session(program) as session:
        np.testing.assert_array_equal(session.run([x])[0].numpy(), run_reference(model, [x])[0])


UNIT_AXES: list[tuple[Shape, Shape]] = [
    ((2, 3, 4, 5, 1), (1, 4)),
    ((3, 1, 4, 2, 5), (1,)),
    ((3, 1, 4, 1, 5), (1, 3)),
    ((1, 3, 4, 2, 5), (0, 2)),
    ((2, 1, 4, 3, 2), (1, 3)),
    ((2, 3, 1, 4, 1, 2), (2, 5)),
]


@pytest.mark.parametrize("operator", ["REDUCE_MAX", "REDUCE_MIN", "MEAN"])
@pytest.mark.parametrize(("shape", "axes"), UNIT_AXES)
def test_a_reduced_axis_of_one_element_leaves_its_neighbour(
    shape: Shape, axes: Shape, operator: str
) -> None:
    """Axes of extent 1 share a dimension with a neighbour, which was reduced with them."""
    x, y = tensor("x", shape), tensor("y", shape)
    reduced = tensor("r", tuple(1 if i in axes else n for i, n in enumerate(shape)))
    reducer = options("Reducer", keepDims=True)
    alone = [Operator(operator, [x, vector("a", *axes)], [reduced], reducer)]
    check(build_model(alone), shape)
    check(build_model([*alone, Operator("SUB", [x, reduced], [y], options("Sub"), 2)]), shape)


@pytest.mark.parametrize("axis", [1, 3])
def test_a_gathered_axis_of_one_element_leaves_its_neighbour(axis: int) -> None:
    shape = (3, 1, 4, 1, 5)
    steps = [-1 if i == axis else 1 for i in range(5)]
    kind = options("StridedSlice", beginMask=31, endMask=31)
    operands = [tensor("x", shape), vector("b", *[0] * 5), vector("e", *shape)]
    operands.append(vector("s", *steps))
    check(build_model([Operator("STRIDED_SLICE", operands, [tensor("y", shape)], kind)]), shape)


def check_onnx(model: bytes, shape: Shape) -> None:
    """On the NPU alone as onnxruntime computes it; few elements, so that float32 is exact."""
    program = read_program(compile_model(model))
    assert on_npu(program)
    x = np.random.default_rng(2).integers(-10, 11, shape).astype(np.int8)
    with Session(program) as session:
        found = session.run([x])[0].numpy()
    (expected,) = onnxruntime.InferenceSession(model).run(None, {"x": x})
    np.testing.assert_array_equal(found, expected)


def quantized(made: Any, shape: Shape, result: Shape, **constants: Any) -> bytes:
    """An ONNX operator from xr to yr, whose scales are powers of two."""
    nodes = [
        node("DequantizeLinear", ["x", "s", "z"], ["xr"]),
        made,
        node("QuantizeLinear", ["yr", "s", "z"], ["y"]),
    ]
    constants.update(s=np.float32(0.5), z=np.int8(3))
    int8 = TensorProto.INT8
    model = network(nodes, {"x": ([*shape], int8)}, {"y": ([*result], int8)}, constants)
    return model.SerializeToString()


@pytest.mark.parametrize("operator", ["ReduceMax", "ReduceMean", "ReduceSum", "ReduceL1"])
@pytest.mark.parametrize(("shape", "axes"), UNIT_AXES)
def test_a_reduced_axis_of_one_element_in_onnx(shape: Shape, axes: Shape, operator: str) -> None:
    result = tuple(1 if i in axes else n for i, n in enumerate(shape))
    if operator == "ReduceSum":
        made = node(operator, ["xr", "axes"], ["yr"])
        model = quantized(made, shape, result, axes=np.array(axes))
    else:
        model = quantized(node(operator, ["xr"], ["yr"], axes=axes), shape, result)
    check_onnx(model, shape)


BROADCASTS: list[tuple[Shape, Shape]] = [
    ((2, 3, 4, 5, 2), (1, 3, 1, 5, 1)),
    ((2, 1, 4, 1, 2), (1, 3, 1, 5, 1)),
    ((2, 3, 2, 2, 3, 2), (2, 1, 2, 1, 3, 1)),
]


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize(
    ("operator", "kind"),
    [
        ("ADD", "Add"),
        ("MUL", "Mul"),
        ("DIV", "Div"),
        ("MAXIMUM", "MaximumMinimum"),
        ("SQUARED_DIFFERENCE", "SquaredDifference"),
    ],
)
@pytest.mark.parametrize("shapes", BROADCASTS)
def test_operands_broadcast_along_too_many_dimensions(
    shapes: tuple[Shape, Shape], operator: str, kind: str, constant: bool
) -> None:
    unsigned = operator == "DIV"
    dtype = np.uint8 if unsigned else np.int8
    zero_point = 0 if unsigned else 3
    x = Tensor("x", shapes[0], dtype, 0.1, zero_point)
    y = Tensor("y", np.broadcast_shapes(*shapes), dtype, 0.1, zero_point)
    b = Tensor("b", shapes[1], dtype, 0.1, zero_point)
    rng = np.random.default_rng(1)
    elements = rng.integers(4, 100, shapes[1]).astype(dtype)
    if constant:
        b = Tensor.constant("b", elements, 0.1, zero_point)
    model = build_model([Operator(operator, [x, b], [y], options(kind), 2)])
    program = read_program(compile_model(model))
    assert on_npu(program)
    inputs = [rng.integers(-100, 100, shapes[0]).astype(dtype)]
    inputs += [] if constant else [elements]
    with Session(program) as session:
        found = session.run(inputs)[0].numpy()
    np.testing.assert_array_equal(found, run_reference(model, inputs)[0])


@pytest.mark.parametrize("operator", ["REDUCE_MAX", "REDUCE_MIN", "MEAN", "SUM"])
@pytest.mark.parametrize(
    ("shape", "axes"), [((2, 3, 4, 5, 2), (1, 3)), ((2, 3, 2, 2, 3, 2), (1, 3, 5))]
)
def test_reductions_along_dimensions_far_apart(shape: Shape, axes: Shape, operator: str) -> None:
    result = tensor("y", tuple(n for i, n in enumerate(shape) if i not in axes))
    operands = [tensor("x", shape), vector("a", *axes)]
    check(build_model([Operator(operator, operands, [result], options("Reducer"))]), shape)


@pytest.mark.parametrize("operator", ["ADD", "MUL"])
@pytest.mark.parametrize(
    "shapes",
    [
        [(2, 1, 1, 1, 1), (3, 1, 1, 1), (4, 1, 1), (5, 1)],
        [(2, 3, 1, 1, 1), (1, 1, 4, 5, 2), (2,), (5, 1)],
    ],
)
def test_a_chain_that_folds_operator_by_operator(operator: str, shapes: list[Shape]) -> None:
    """As one kernel it has five dimensions."""
    rng = np.random.default_rng(3)
    value, operators = tensor("x", (2, 3, 4, 5, 2)), list[Operator]()
    for i, shape in enumerate(shapes):
        elements = rng.integers(-128, 128, shape).astype(np.int8)
        constant = Tensor.constant(f"c{i}", elements, 0.05, 1)
        result = Tensor(f"y{i}", (2, 3, 4, 5, 2), np.int8, 0.15 + i / 10, i)
        kind = options(operator.title())
        operators.append(Operator(operator, [value, constant], [result], kind, 2))
        value = result
    check(build_model(operators), (2, 3, 4, 5, 2))


@pytest.mark.parametrize("shape", [(3, 1, 1, 1), (2, 1, 1, 1, 1), (7,), (5, 1), (4, 1, 7)])
def test_a_product_of_five_dimensions_and_what_follows(shape: Shape) -> None:
    """Its two leading dimensions are one, along which the sum was taken for a whole operand's."""
    rng = np.random.default_rng(4)
    weight = rng.integers(-128, 128, (2, 3, 4, 6, 7)).astype(np.int8)
    b = Tensor.constant("b", weight, 0.05)
    c = Tensor.constant("c", rng.integers(-128, 128, shape).astype(np.int8), 0.2)
    y = tensor("y", (2, 3, 4, 5, 7))
    z = Tensor("z", (2, 3, 4, 5, 7), np.int8, 0.3, 1)
    product = Operator(
        "BATCH_MATMUL", [tensor("x", (2, 3, 4, 5, 6)), b], [y], options("BatchMatMul")
    )
    total = Operator("ADD", [y, c], [z], options("Add"), 2)
    check(build_model([product, total]), (2, 3, 4, 5, 6))


FAR_APART = [((2, 3, 4, 5, 2), (1, 3)), ((2, 3, 2, 2, 3, 2), (1, 3, 5))]


@pytest.mark.parametrize("operator", ["ReduceMax", "ReduceMean", "ReduceL1"])
@pytest.mark.parametrize(("shape", "axes"), FAR_APART)
def test_reductions_along_dimensions_far_apart_in_onnx(
    shape: Shape, axes: Shape, operator: str
) -> None:
    result = tuple(1 if i in axes else n for i, n in enumerate(shape))
    check_onnx(quantized(node(operator, ["xr"], ["yr"], axes=axes), shape, result), shape)


@pytest.mark.parametrize("operator", ["Add", "Mul", "PRelu", "Where"])
@pytest.mark.parametrize("shapes", [BROADCASTS[0], BROADCASTS[2]])
def test_broadcasts_in_onnx(shapes: tuple[Shape, Shape], operator: str) -> None:
    shape, other = shapes
    numbers = np.random.default_rng(5).integers(-3, 4, other).astype(np.float32)
    if operator == "Where":
        made = node("Where", ["c", "xr", "xr2"], ["yr"])
        model = quantized(made, shape, shape, c=numbers > 0, xr2=numbers)
    else:
        model = quantized(node(operator, ["xr", "c"], ["yr"]), shape, shape, c=numbers)
    check_onnx(model, shape)
