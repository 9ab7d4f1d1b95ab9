"""8-bit products of onnxruntime without optimisations, on whatever processor this is.

Without VNNI they saturate as the file has them; so some of these tests fail there, and only there,
when weights keep their sign.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from furiosa_ir.onnxruntime_session import onnx_session
from furiosa_ir.unsigned_weights import unsigned_weights
from tests.draws import draws

MICROSOFT = "com.microsoft"
TYPES = {np.uint8: TensorProto.UINT8, np.int8: TensorProto.INT8}
SCALES = {"xs": np.float32(0.5), "ws": np.float32(0.25), "ys": np.float32(0.125)}


def model_of(
    node: Any, x: Any, constants: dict[str, Any], result: int, *, as_nodes: bool = False
) -> bytes:
    tensors = [numpy_helper.from_array(np.asarray(a), n) for n, a in constants.items()]
    nodes = [helper.make_node("Constant", [], [t.name], value=t) for t in tensors if as_nodes]
    graph = helper.make_graph(
        [*nodes, node],
        "one",
        [helper.make_tensor_value_info("x", helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)],
        [helper.make_tensor_value_info("y", result, None)],
        [] if as_nodes else tensors,
    )
    imports = [helper.make_opsetid("", 17), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()


def full_range(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> Any:
    """Mostly the ends of the range: what saturates."""
    info = np.iinfo(dtype)
    ends = rng.choice([info.min, info.max], shape)
    return np.where(
        rng.random(shape) < 0.8, ends, rng.integers(info.min, info.max + 1, shape)
    ).astype(dtype)


@settings(deadline=None, max_examples=draws(60))
@given(data=st.data())
def test_products_are_exact(data: st.DataObject) -> None:
    operator = data.draw(
        st.sampled_from(["MatMulInteger", "QLinearMatMul", "MatMulIntegerToFloat", "QGemm"])
    )
    dtype = data.draw(st.sampled_from([np.uint8, np.int8]))
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    depth, columns = data.draw(st.integers(1, 70)), data.draw(st.integers(1, 40))
    x = full_range(rng, (3, depth), dtype)
    w = full_range(rng, (depth, columns), np.int8)
    xz = dtype(data.draw(st.integers(0, 100)))
    wz = np.int8(data.draw(st.integers(-5, 5)))
    constants = SCALES | {"w": w, "xz": xz, "wz": wz, "yz": dtype(7)}
    sums = (x.astype(np.int64) - int(xz)) @ (w.astype(np.int64) - int(wz))
    info = np.iinfo(dtype)
    stored = np.clip(np.rint(sums * 0.5 * 0.25 / 0.125) + 7, info.min, info.max)
    if operator == "MatMulInteger":
        node = helper.make_node(operator, ["x", "w", "xz", "wz"], ["y"])
        result, want = TensorProto.INT32, sums
    elif operator == "MatMulIntegerToFloat":
        names = ["x", "w", "xs", "ws", "xz", "wz"]
        node = helper.make_node(operator, names, ["y"], domain=MICROSOFT)
        result, want = TensorProto.FLOAT, sums * 0.125
    elif operator == "QLinearMatMul":
        node = helper.make_node(operator, ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz"], ["y"])
        result, want = TYPES[dtype], stored
    else:
        names = ["x", "xs", "xz", "w", "ws", "wz", "", "ys", "yz"]
        node = helper.make_node(operator, names, ["y"], domain=MICROSOFT)
        result, want = TYPES[dtype], stored
    used = {n: a for n, a in constants.items() if n in node.input}
    model = model_of(node, x, used, result, as_nodes=data.draw(st.booleans()))
    (got,) = onnx_session(model).run(None, {"x": x})
    np.testing.assert_array_equal(got, want)


@settings(deadline=None, max_examples=draws(40))
@given(data=st.data())
def test_convolutions_are_exact(data: st.DataObject) -> None:
    group = data.draw(st.sampled_from([1, 2, 8]))
    per_channel = data.draw(st.booleans())
    size = data.draw(st.integers(1, 3))
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    x = full_range(rng, (1, 8, 6, 5), np.uint8)
    w = full_range(rng, (8, 8 // group, size, size), np.int8)
    xz = np.uint8(data.draw(st.integers(0, 255)))
    wz = np.zeros(8, np.int8) if per_channel else np.int8(0)
    ws = np.full(8, 0.25, np.float32) if per_channel else np.float32(0.25)
    node = helper.make_node(
        "QLinearConv", ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz"], ["y"], group=group
    )
    constants = SCALES | {
        "w": w,
        "xz": xz,
        "ws": ws,
        "wz": wz,
        "ys": np.float32(64),
        "yz": np.uint8(9),
    }
    model = model_of(node, x, constants, TensorProto.UINT8)
    (got,) = onnx_session(model).run(None, {"x": x})
    windows = np.lib.stride_tricks.sliding_window_view(
        x.astype(np.int64) - int(xz), (size, size), (2, 3)
    ).reshape(1, group, 8 // group, 7 - size, 6 - size, size, size)
    weights = w.astype(np.int64).reshape(group, 8 // group, 8 // group, size, size)
    sums = np.einsum("ngchwij,gocij->ngohw", windows, weights).reshape(1, 8, 7 - size, 6 - size)
    # Ties are apart: sums * 0.125 / 64 is no half for most; where it is, to even, as numpy's.
    np.testing.assert_array_equal(got, np.clip(np.rint(sums * 0.125 / 64) + 9, 0, 255))


def test_weights_of_an_operator_that_quantises_its_activations() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 64)).astype(np.float32)
    w = full_range(rng, (64, 5), np.int8)
    node = helper.make_node("DynamicQuantizeMatMul", ["x", "w", "ws"], ["y"], domain=MICROSOFT)
    model = model_of(node, x, {"w": w, "ws": np.float32(0.25)}, TensorProto.FLOAT)
    (got,) = onnx_session(model).run(None, {"x": x})
    step = (max(float(x.max()), 0) - min(float(x.min()), 0)) / 255
    assert float(np.abs(got - x.astype(float) @ w * 0.25).max()) <= step / 2 * 64 * 128 * 0.25


def test_what_has_no_such_product_stays_as_it_is() -> None:
    x = np.zeros((2, 4), np.int8)
    node = helper.make_node("MatMulInteger", ["x", "w"], ["y"])
    for model in (
        model_of(node, x, {"w": np.ones((4, 3), np.int8)}, TensorProto.INT32),
        model_of(node, x.view(np.uint8), {"w": np.ones((4, 3), np.uint8)}, TensorProto.INT32),
        model_of(helper.make_node("Relu", ["x"], ["y"]), x, {}, TensorProto.INT8),
    ):
        assert unsigned_weights(model) is model


def test_products_within_branches() -> None:
    """A weight of a branch; the one outside of it is shared and keeps its other use."""
    rng = np.random.default_rng(0)
    x = full_range(rng, (2, 32), np.uint8)
    w = full_range(rng, (32, 4), np.int8)
    product = helper.make_node("MatMulInteger", ["x2", "w"], ["r"])
    copied = helper.make_node("Identity", ["x"], ["x2"])
    result = helper.make_tensor_value_info("r", TensorProto.INT32, None)
    inner = helper.make_graph(
        [copied, product], "then", [], [result], [numpy_helper.from_array(w, "w")]
    )
    inner.value_info.append(helper.make_tensor_value_info("x2", TensorProto.UINT8, None))
    node = helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)
    model = model_of(node, x, {"c": np.bool_(True)}, TensorProto.INT32)
    (got,) = onnx_session(model).run(None, {"x": x})
    np.testing.assert_array_equal(got, x.astype(np.int64) @ w.astype(np.int64))
    assert onnx.load_from_string(unsigned_weights(model)) != onnx.load_from_string(model)
