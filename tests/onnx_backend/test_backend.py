"""The interface `onnx.backend.base.Backend`: prepare, run, run_model, run_node, devices."""

from __future__ import annotations

import unittest
import warnings

import numpy as np
import onnx
import onnx.backend.test
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.backend.base import Backend, BackendRep

import furiosa_ir.onnx_backend as backend
from furiosa_ir.errors import FuriosaError

F32 = np.float32


def model(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, list[int | str]],
    outputs: dict[str, list[int | str] | None],
    constants: dict[str, np.ndarray] | None = None,
    opset: int = 17,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()],
        [numpy_helper.from_array(a, n) for n, a in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def difference() -> onnx.ModelProto:
    node = helper.make_node("Sub", ["a", "b"], ["y"])
    return model([node], {"a": [2], "b": [2]}, {"y": [2]})


A, B = np.array([5, 7], F32), np.array([1, 2], F32)


@pytest.mark.parametrize("inputs", [[A, B], (A, B), {"b": B, "a": A}, [[5, 7], [1.0, 2.0]]])
def test_inputs_by_order_and_by_name(inputs: object):
    outputs = backend.prepare(difference()).run(inputs)  # pyright: ignore[reportArgumentType]
    assert isinstance(outputs, tuple)
    np.testing.assert_array_equal(outputs[0], [4, 5])


def test_one_array():
    relu = model([helper.make_node("Relu", ["x"], ["y"])], {"x": [3]}, {"y": [3]})
    (y,) = backend.run_model(relu, np.array([-1, 0, 2], F32), device="NPU", target="warboy")
    np.testing.assert_array_equal(y, [0, 0, 2])


def test_interface():
    assert issubclass(backend.FuriosaBackend, Backend)
    assert isinstance(backend.prepare(difference()), BackendRep)
    assert [backend.supports_device(d) for d in ("CPU", "NPU", "NPU:0", "CUDA")] == [
        *(True, True, True, False)
    ]
    assert backend.is_compatible(difference(), "CPU")


def test_open_dimensions_are_those_of_the_inputs():
    node = helper.make_node("Relu", ["x"], ["y"])
    rep = backend.prepare(model([node], {"x": ["n", "m"]}, {"y": ["n", "m"]}))
    for shape in ((2, 3), (1, 1), (2, 3), (0, 4)):
        (y,) = rep.run([np.full(shape, -1, F32)])
        np.testing.assert_array_equal(y, np.zeros(shape))


def test_inputs_with_a_default():
    node = helper.make_node("Add", ["x", "w"], ["y"])
    rep = backend.prepare(
        model([node], {"x": [2], "w": [2]}, {"y": [2]}, {"w": np.array([1, 1], F32)})
    )
    x = np.array([1, 2], F32)
    np.testing.assert_array_equal(rep.run([x])[0], [2, 3])
    np.testing.assert_array_equal(rep.run([x, x])[0], [2, 4])
    np.testing.assert_array_equal(rep.run({"x": x, "w": -x})[0], [0, 0])


def test_run_node():
    node = helper.make_node("ReduceSum", ["x", "axes"], ["y"], keepdims=0)
    x = np.arange(6, dtype=F32).reshape(2, 3)
    (y,) = backend.run_node(node, [x, np.array([1])])
    np.testing.assert_array_equal(y, [3, 12])
    squeeze = helper.make_node("Squeeze", ["x"], ["y"], axes=[0])
    (y,) = backend.run_node(squeeze, {"x": x[:1]}, opset_version=11)
    np.testing.assert_array_equal(y, [0, 1, 2])


@pytest.mark.parametrize(
    "inputs", [[A], [A, B, B], {"a": A}, {"a": A, "c": B}, [A, np.zeros(3, F32)], [A, "x"]]
)
def test_wrong_inputs(inputs: object):
    with pytest.raises(FuriosaError):
        backend.prepare(difference()).run(inputs)  # pyright: ignore[reportArgumentType]


def test_no_such_device():
    with pytest.raises(FuriosaError, match="no device 'CUDA'"):
        backend.prepare(difference(), "CUDA")


@pytest.mark.slow
def test_onnx_s_own_runner():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # onnx computes its cases, with overflows
        tests = onnx.backend.test.BackendTest(backend, __name__)  # pyright: ignore[reportArgumentType]
    suite = unittest.TestSuite()
    for case in tests.test_cases.values():
        for name in ("test_relu_cpu", "test_quantizelinear_cpu", "test_relu_cuda"):
            if hasattr(case, name):
                suite.addTest(case(name))
    result = unittest.TestResult()
    suite.run(result)
    assert (result.testsRun, result.failures, result.errors) == (3, [], [])
    assert len(result.skipped) == 1


def test_subgraphs_keep_their_operator_set():
    """Squeeze and ReduceSum took their axes as attributes before operator set 13."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["c"], ["c_out"]),
            helper.make_node("Unsqueeze", ["x"], ["wide"], axes=[0]),
            helper.make_node("Squeeze", ["wide"], ["narrow"], axes=[0]),
            helper.make_node("Add", ["s", "narrow"], ["s_out"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
            helper.make_tensor_value_info("s", TensorProto.FLOAT, [2]),
        ],
        [
            helper.make_tensor_value_info("c_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("s_out", TensorProto.FLOAT, [2]),
        ],
    )
    nodes = [
        helper.make_node("Relu", ["a"], ["x"]),
        helper.make_node("Loop", ["n", "", "x"], ["total"], body=body),
        helper.make_node("Min", ["total", "top"], ["clipped"]),
        helper.make_node("ReduceSum", ["clipped"], ["y"], axes=[0], keepdims=0),
    ]
    constants = {"n": np.array(3, np.int64), "top": np.array(20, F32)}
    (y,) = backend.run_model(model(nodes, {"a": [2]}, {"y": []}, constants, opset=11), [A])
    assert y == 20 + 20


@pytest.mark.parametrize(
    ("slopes", "expected"), [([0.5], [[-2, 1], [2, -4]]), ([0.5, 0.25], [[-2, 1], [2, -2]])]
)
def test_prelu_before_operator_set_7(slopes: list[float], expected: list[list[float]]):
    """One slope, or one for each channel, wherever the channels lie."""
    node = helper.make_node("PRelu", ["x", "slope"], ["y"])
    old = model(
        [node], {"x": [1, 2, 2]}, {"y": [1, 2, 2]}, {"slope": np.array(slopes, F32)}, opset=6
    )
    x = np.array([[[-4, 1], [2, -8]]], F32)
    np.testing.assert_array_equal(backend.run_model(old, [x])[0], [expected])


def test_strings_and_floats_of_eight_bits():
    concat = helper.make_node("StringConcat", ["a", "b"], ["y"])
    (y,) = backend.run_node(concat, [np.array(["x", "é"]), np.array(["1", "2"], object)])
    assert y.tolist() == ["x1", "é2"]
    cast = helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT8E4M3FN)
    (y,) = backend.run_node(cast, [np.array([1, 1000, -0.3], F32)], opset_version=21)
    assert y.astype(F32).tolist() == [1, 448, -0.3125]


@pytest.mark.parametrize(
    ("op", "operands", "expected"),
    [
        ("Div", ([-7, 7, -7, 6], [2, -2, -2, 3]), [-3, -3, 3, 2]),
        ("Div", ([2**62 + 1, -(2**62) - 1], [2, 2]), [2**61, -(2**61)]),
        ("Clip", ([2**63 - 1, -(2**63)], -5, 2**60 + 1), [2**60 + 1, -5]),
        ("Clip", ([3, 9], 8, 5), [5, 5]),
        ("Pow", ([2, 3, -1], [-1, 2, -3]), [0, 9, -1]),
    ],
)
def test_integers_computed_by_the_compiler(op: str, operands: tuple[object, ...], expected: object):
    arrays = [np.array(o, np.int64) for o in operands]
    names = [f"x{i}" for i in range(len(arrays))]
    graph = helper.make_graph(
        [helper.make_node(op, names, ["y"])],
        "constants",
        [],
        [helper.make_tensor_value_info("y", TensorProto.INT64, list(arrays[0].shape))],
        [numpy_helper.from_array(a, n) for a, n in zip(arrays, names, strict=True)],
    )
    (y,) = backend.run_model(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), []
    )
    assert y.tolist() == expected


def test_runs_on_the_npu():
    """A quantised network goes to the NPU, not to the host's kernels."""
    one = [np.array(0.5, F32), np.array(3, np.int8)]
    names = {"s": one[0], "z": one[1]}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("Relu", ["d"], ["r"]),
        helper.make_node("QuantizeLinear", ["r", "s", "z"], ["p"]),
        helper.make_node("DequantizeLinear", ["p", "s", "z"], ["y"]),
    ]
    rep = backend.prepare(model(nodes, {"x": [1, 4]}, {"y": [1, 4]}, names))
    (y,) = rep.run([np.array([[-1, 0.6, 0.9, 100]], F32)])
    np.testing.assert_array_equal(y, [[0, 0.5, 1.0, 62.0]])
