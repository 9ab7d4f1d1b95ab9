"""Functions of graph operations as ONNX models, against the interpreter and the source network."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from xdsl.dialects.builtin import ModuleOp

from furiosa_ir.dialects.graph.base import OriginAttr
from furiosa_ir.dialects.graph.structure import OpaqueOp
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.exporters.onnx.export import export_onnx
from furiosa_ir.importers.onnx.tensors import tensor_of_array
from furiosa_ir.interpreter import run_module
from furiosa_ir.ir.constants import BlobAttr
from furiosa_ir.ir.text import parse_module
from furiosa_ir.passes.fold_quantization import FoldQuantization
from furiosa_ir.passes.fuse_tables import FuseTables
from tests.external_tensors import put
from tests.importers.onnx.networks import imported, main_of, network
from tests.passes.qdq import QDQ

node = helper.make_node


def run(model: bytes, *arrays: np.ndarray) -> list[Any]:
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    feeds = {i.name: a for i, a in zip(session.get_inputs(), arrays, strict=True)}
    return session.run(None, feeds)


def agree(module: ModuleOp, *arrays: np.ndarray) -> list[Any]:
    """The exported function on onnxruntime equals the interpreter, up to float32."""
    got = run(export_onnx(main_of(module)), *arrays)
    want = list(run_module(module, list(arrays)).values())
    for g, w in zip(got, want, strict=True):
        np.testing.assert_allclose(g, w, rtol=1e-5, atol=1e-5)
    return got


def test_names_and_order() -> None:
    model = network(
        [node("Add", ["a", "b"], ["s"]), node("Sub", ["a", "b"], ["d"])],
        {"a": [2], "b": [2]},
        {"s": [2], "d": [2]},
    )
    exported = onnx.ModelProto.FromString(export_onnx(main_of(imported(model))))
    assert [i.name for i in exported.graph.input] == ["a", "b"]
    assert [o.name for o in exported.graph.output] == ["s", "d"]


def test_the_same_function_makes_the_same_bytes() -> None:
    model = network([node("Relu", ["x"], ["y"])], {"x": [2]}, {"y": [2]})
    assert export_onnx(main_of(imported(model))) == export_onnx(main_of(imported(model)))


def test_quantised_values_are_integers() -> None:
    rng = np.random.default_rng(0)
    net = QDQ(dtype=np.uint8)
    x = net.input("x", [1, 3, 8, 8], 0.05, 100)
    w = net.weight(rng.integers(-9, 9, (4, 3, 3, 3)).astype(np.int8), np.full(4, 0.02))
    y = net.requantized(net.add("Conv", [x, w], pads=[1, 1, 1, 1]), 0.04, 120)
    sigmoid = net.requantized(net.add("Sigmoid", [y]), 1 / 256)
    net.output(net.add("Mul", [y, sigmoid]), 0.03, 90)
    module = imported(net.model())
    FoldQuantization().apply(None, module)
    FuseTables().apply(None, module)
    (got,) = agree(module, rng.integers(0, 256, (1, 3, 8, 8)).astype(np.uint8))
    assert got.dtype == np.uint8


def test_accumulators_are_integers() -> None:
    """QuantizeLinear makes no i32, and channels may have different units."""
    rng = np.random.default_rng(0)
    net = QDQ()
    x = net.input("x", [2, 3, 8, 8], 0.05, 9)
    w = net.weight(rng.integers(-9, 9, (4, 3, 3, 3)).astype(np.int8), rng.uniform(0.01, 0.02, 4))
    bias = net.constant(rng.normal(size=4).astype(np.float32))
    net.output(net.add("Conv", [x, w, bias]), 0.04)
    module = imported(net.model())
    FoldQuantization().apply(None, module)
    (got,) = agree(module, rng.integers(-128, 128, (2, 3, 8, 8)).astype(np.int8))
    assert got.dtype == np.int8


@pytest.mark.parametrize("opset", [9, 11, 13, 17, 20])
def test_operator_sets(opset: int) -> None:
    """Opaque operators of old operator sets are converted, the others written anew."""
    nodes = [
        node("Relu", ["x"], ["r"]),
        node("ReduceMean", ["r"], ["m"], axes=[1])
        if opset < 18
        else node("ReduceMean", ["r", "axes"], ["m"]),
        node("ArgMax", ["r"], ["i"], axis=1),
    ]
    constants = {"axes": np.array([1])} if opset >= 18 else {}
    outputs = {"m": None, "i": (None, TensorProto.INT64)}
    module = imported(network(nodes, {"x": [2, 5]}, outputs, constants, opset))
    agree(module, np.random.default_rng(0).normal(size=(2, 5)).astype(np.float32))


def test_captured_values() -> None:
    info = helper.make_tensor_value_info
    branches = [
        helper.make_graph([node(op, ["x"], [o])], o, [], [info(o, TensorProto.FLOAT, [2])])
        for op, o in (("Relu", "a"), ("Neg", "b"))
    ]
    nodes = [
        node("Exp", ["z"], ["x"]),
        node("If", ["c"], ["y"], then_branch=branches[0], else_branch=branches[1]),
    ]
    module = imported(network(nodes, {"c": ([], TensorProto.BOOL), "z": [2]}, {"y": [2]}))
    model = export_onnx(main_of(module))
    z = np.array([0.0, 1.0], np.float32)
    (got,) = run(model, np.array(False), z)
    np.testing.assert_allclose(got, -np.exp(z), rtol=1e-6)


def test_other_layouts_stand_between_transposes() -> None:
    text = """
    func.func @main(%x : tensor<1x6x5x3xf32>, %w : tensor<2x3x3x3xf32>) -> tensor<1x2x1x2xf32> {
      %0 = "graph.conv"(%x, %w) <{layout = "NHWC", kernel_layout = "OHWI",
        strides = array<i64: 1, 1>, pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>,
        group = 1 : i64}>
        : (tensor<1x6x5x3xf32>, tensor<2x3x3x3xf32>) -> tensor<1x4x3x2xf32>
      %1 = "graph.max_pool"(%0) <{layout = "NHWC", kernel_shape = array<i64: 2, 3>,
        strides = array<i64: 2, 1>, pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>,
        ceil_mode = 0 : i64}> : (tensor<1x4x3x2xf32>) -> tensor<1x2x1x2xf32>
      func.return %1 : tensor<1x2x1x2xf32>
    }"""
    module = parse_module(text)
    rng = np.random.default_rng(0)
    agree(
        module,
        rng.normal(size=(1, 6, 5, 3)).astype(np.float32),
        rng.normal(size=(2, 3, 3, 3)).astype(np.float32),
    )


def test_casts_flip_the_top_bit_between_uint8_and_int8() -> None:
    module = parse_module(
        """func.func @main(%x : tensor<4xi8>) -> tensor<4x!quant.uniform<u8:f32, 0.5>> {
        %0 = "graph.storage_cast"(%x) : (tensor<4xi8>) -> tensor<4x!quant.uniform<u8:f32, 0.5>>
        func.return %0 : tensor<4x!quant.uniform<u8:f32, 0.5>>
        }"""
    )
    (got,) = run(export_onnx(main_of(module)), np.array([-128, -1, 0, 127], np.int8))
    assert got.tolist() == [0, 127, 128, 255]


def test_an_argument_returned_and_a_value_returned_twice() -> None:
    nodes = [node("Relu", ["x"], ["y"]), node("Identity", ["y"], ["z"])]
    model = network(nodes, {"x": [2]}, {"x": [2], "y": [2], "z": [2]})
    got = run(export_onnx(main_of(imported(model))), np.array([-1, 1], np.float32))
    assert [g.tolist() for g in got] == [[-1, 1], [0, 1], [0, 1]]


def test_a_factor_that_float32_does_not_hold_is_infinite() -> None:
    module = parse_module(
        """func.func @main(%x : tensor<2xf32>) -> tensor<2xf32> {
        %0 = graph.affine %x {factor = #graph.blob<f64 [1] (1.0)>,
            offset = #graph.blob<f64 [1] (1.0e39)>} : tensor<2xf32>
        func.return %0 : tensor<2xf32>
        }"""
    )
    assert run(export_onnx(main_of(module)), np.ones(2, np.float32))[0].tolist() == [np.inf, np.inf]


def test_what_onnx_has_no_form_for() -> None:
    module = parse_module(
        """func.func @main(%x : tensor<4xf32>) -> tensor<4xf32> {
        %0 = "graph.rsqrt"(%x) : (tensor<4xf32>) -> tensor<4xf32>
        func.return %0 : tensor<4xf32>
        }"""
    )
    with pytest.raises(CompilationFailure, match=r"graph\.rsqrt"):
        export_onnx(main_of(module))


def test_tensors_keep_their_shape() -> None:
    assert list(tensor_of_array(np.array(3.0, np.float32), "scalar").dims) == []


@pytest.mark.parametrize(
    "place", ["graph.initializer", "graph.node.attribute.sparse_tensor.values"]
)
def test_an_origin_with_data_elsewhere_is_not_written(place: str) -> None:
    """IR text brings origins that no importer made."""
    cast = node("Cast", ["x"], ["y"], to=TensorProto.FLOAT16)
    module = imported(network([cast], {"x": [2]}, {"y": (None, TensorProto.FLOAT16)}))
    (opaque,) = (op for op in main_of(module).body.block.ops if isinstance(op, OpaqueOp))
    assert opaque.origin is not None
    model = onnx.ModelProto.FromString(opaque.origin.data[1].array.tobytes())
    put(model, place, "secret")
    data = np.frombuffer(model.SerializeToString(), np.uint8)
    opaque.properties["origin"] = OriginAttr(("onnx", BlobAttr.of(data)))
    with pytest.raises(CompilationFailure, match="'lies elsewhere' in another file"):
        export_onnx(main_of(module))
