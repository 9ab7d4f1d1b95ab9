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
    program = read_program(compile_model(model))
    assert on_npu(program)
    x = np.random.default_rng(2).integers(-10, 11, shape).astype(np.int8)
    with Session(program) as session:
        found = session.run([x])[0].numpy()
    (expected,) = onnxruntime.InferenceSession(model).run(None, {"x": x})
    np.testing.assert_array_equal(found, expected)
