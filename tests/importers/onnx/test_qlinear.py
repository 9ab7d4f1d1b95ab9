"""Quantised operators of ONNX and of onnxruntime, from the file to the session."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import registry
from xdsl.context import Context

from furiosa_ir.compiler import compile_model
from furiosa_ir.importers.onnx import import_onnx
from furiosa_ir.interpreter import run_module
from furiosa_ir.onnxruntime_session import onnx_session
from furiosa_ir.passes.fold_quantization import FoldQuantization
from furiosa_ir.reports.inspect import summary
from furiosa_ir.runtime import session
from tests.draws import draws
from tests.importers.onnx.qlinear_networks import (
    FORMATS,
    FORMS,
    NETWORKS,
    ON_THE_HOST,
    WITHOUT_NETWORK,
    WITNESS_STEPS,
    Float,
    quantized,
)

MICROSOFT = "com.microsoft"
AROUND = {"quantize", "dequantize"}
FEW = [("QOperator", "uint8"), ("QOperator", "uint8 weights"), ("QDQ", "int8 per channel")]
"""Every form, and either format, in `make test`."""
DTYPES = [np.int8, np.uint8]


def simulated(model: bytes, inputs: dict[str, Any]) -> tuple[list[Any], list[str]]:
    """The outputs of the compiled model, and the operators that ran on the host."""
    program = compile_model(model)
    with session.create(program) as running:
        got = [t.numpy() for t in running.run(list(inputs.values()))]
    return got, [row["operator"] for row in summary(program)["summary"]["host_operators"]]


def exact(model: bytes, inputs: dict[str, Any]) -> list[Any]:
    """The outputs in exact arithmetic."""
    module = import_onnx(model)
    FoldQuantization().apply(Context(), module)
    return list(run_module(module, inputs).values())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("quant_format", "form"),
    [
        each if each in FEW else pytest.param(*each, marks=pytest.mark.slow)
        for each in product(FORMATS, FORMS)
    ],
)
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_the_quantiser(name: str, quant_format: str, form: str, tmp_path: Path) -> None:
    model, x = quantized(name, form, tmp_path, quant_format)
    written = onnx.load_from_string(model).graph
    assert any(n.op_type.startswith(("QLinear", "QGemm", "Dequant")) for n in written.node)
    (got,), host = simulated(model, {"x": x})
    assert [o for o in host if o not in AROUND] == ON_THE_HOST.get(
        (name, quant_format), ON_THE_HOST.get(name, [])
    )
    (want,) = exact(model, {"x": x})
    np.testing.assert_array_equal(got, want)
    (witness,) = onnx_session(model).run(None, {"x": x})
    last = written.node[-1]
    scales = {t.name: numpy_helper.to_array(t) for t in written.initializer}
    step = float(scales[last.input[1]]) if last.op_type == "DequantizeLinear" else 0.0
    steps = WITNESS_STEPS.get(name, 1)
    assert float(np.abs(got - witness).max()) <= steps * step * 1.001


def test_every_operator_of_the_quantiser_has_a_network() -> None:
    """In either format, what it can quantise statically (LSTM and Attention it cannot)."""
    known = {*registry.QLinearOpsRegistry, *registry.QDQRegistry} - WITHOUT_NETWORK
    written: set[str] = set()
    for shape, build in NETWORKS.values():
        net = Float(shape)
        build(net)
        written.update(node.op_type for node in net.nodes)
    assert known <= written


def one_operator(
    nodes: list[Any], inputs: dict[str, Any], constants: dict[str, Any], result: int
) -> bytes:
    """A model of some nodes from `inputs` (arrays of the inputs' types) to "y"."""
    given_ = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
        for n, a in inputs.items()
    ]
    tensors = [numpy_helper.from_array(np.asarray(a), n) for n, a in constants.items()]
    y = helper.make_tensor_value_info("y", result, None)
    graph = helper.make_graph(nodes, "one", given_, [y], tensors)
    imports = [helper.make_opsetid("", 17), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()


def random_integers(rng: np.random.Generator, shape: Any, dtype: Any) -> Any:
    info = np.iinfo(dtype)
    return cast("Any", rng).integers(info.min, info.max + 1, shape).astype(dtype)


def node(op_type: str, inputs: list[str], output: str = "y", domain: str = "", **a: Any) -> Any:
    return helper.make_node(op_type, inputs, [output], domain=domain, **a)


def zero_points(dtype: Any) -> st.SearchStrategy[int]:
    return st.integers(int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))


def type_code(dtype: Any) -> int:
    return 3 if dtype == np.int8 else 2  # TensorProto.INT8, UINT8


@settings(deadline=None, max_examples=draws(30))
@given(data=st.data())
def test_average_pool_counts_as_onnxruntimes(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(DTYPES))
    last = data.draw(st.integers(0, 1))
    pads = data.draw(st.lists(st.integers(0, 1), min_size=4, max_size=4))
    strides = data.draw(st.lists(st.integers(1, 3), min_size=2, max_size=2))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    x = random_integers(rng, (1, 6, 7, 3) if last else (1, 3, 6, 7), dtype)
    point = dtype(data.draw(zero_points(dtype)))
    operator = node(
        "QLinearAveragePool",
        ["x", "xs", "z", "ys", "z"],
        domain=MICROSOFT,
        kernel_shape=[3, 2],
        strides=strides,
        pads=pads,
        ceil_mode=1,
        count_include_pad=1,
        channels_last=last,
    )
    constants = {"xs": np.float32(0.05), "ys": np.float32(0.05), "z": point}
    model = one_operator([operator], {"x": x}, constants, type_code(dtype))
    (got,), host = simulated(model, {"x": x})
    (witness,) = onnx_session(model).run(None, {"x": x})
    assert host == []
    np.testing.assert_array_equal(got, exact(model, {"x": x})[0])
    assert int(np.abs(got.astype(int) - witness.astype(int)).max()) <= 1


@settings(deadline=None, max_examples=draws(30))
@given(data=st.data())
def test_softmax_of_either_operator_set(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(DTYPES))
    shape = tuple(data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    opset = data.draw(st.sampled_from([11, 13]))
    x = random_integers(np.random.default_rng(data.draw(st.integers(0, 99))), shape, dtype)
    least = dtype(np.iinfo(dtype).min)
    inputs = ["x", "xs", "z", "ys", "z"]
    operator = node("QLinearSoftmax", inputs, domain=MICROSOFT, axis=axis, opset=opset)
    constants = {"xs": np.float32(0.03), "ys": np.float32(1 / 256), "z": least}
    model = one_operator([operator], {"x": x}, constants, type_code(dtype))
    (got,), host = simulated(model, {"x": x})
    (witness,) = onnx_session(model).run(None, {"x": x})
    assert host == []
    np.testing.assert_array_equal(got, exact(model, {"x": x})[0])
    assert int(np.abs(got.astype(int) - witness.astype(int)).max()) <= 1


@pytest.mark.parametrize("operator", ["Gelu", "FastGelu", "QuickGelu", "BiasGelu"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_gelu_between_quantisations(operator: str, dtype: Any) -> None:
    x = random_integers(np.random.default_rng(0), (2, 5, 7), dtype)
    inputs = ["r", "b"] if operator == "BiasGelu" else ["r"]
    nodes = [
        node("DequantizeLinear", ["x", "xs", "z"], "r", MICROSOFT),
        node(operator, inputs, "g", MICROSOFT),
        node("QuantizeLinear", ["g", "ys", "z"], "y", MICROSOFT),
    ]
    constants = {"xs": np.float32(0.04), "ys": np.float32(0.03), "z": dtype(7)}
    if operator == "BiasGelu":
        constants["b"] = np.full(7, 0.25, np.float32)
    model = one_operator(nodes, {"x": x}, constants, type_code(dtype))
    (got,), host = simulated(model, {"x": x})
    (witness,) = onnx_session(model).run(None, {"x": x})
    # A bias for each channel makes one table for each.
    assert host == [] or operator == "BiasGelu"
    assert int(np.abs(got.astype(int) - witness.astype(int)).max()) <= 1


@settings(deadline=None, max_examples=draws(40))
@given(data=st.data())
def test_integer_operators_leave_the_npu_as_int32(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(DTYPES))
    operator = data.draw(st.sampled_from(["ConvInteger", "MatMulInteger"]))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    dynamic = data.draw(st.booleans())
    point = np.array(data.draw(zero_points(dtype)), dtype)
    if operator == "ConvInteger":
        spatial = data.draw(st.sampled_from([(7,), (6, 5), (4, 3, 5)]))
        x = random_integers(rng, (2, 4, *spatial), dtype)
        weight = random_integers(rng, (6, 2, *[2] * len(spatial)), np.int8)
        pads = data.draw(st.lists(st.integers(0, 1), min_size=2, max_size=2)) * len(spatial)
        attributes: dict[str, Any] = {"group": 2, "pads": pads}
    else:
        x = random_integers(rng, data.draw(st.sampled_from([(8,), (3, 8), (2, 3, 8)])), dtype)
        weight = random_integers(rng, (8, 5), np.int8)
        attributes = {}
    constants = {"w": weight, "wz": np.int8(data.draw(st.integers(-3, 3)))}
    inputs = {"x": x}
    (inputs if dynamic else constants)["z"] = point
    names = ["x", "w", "z", "wz"]
    model = one_operator(
        [node(operator, names, **attributes)], inputs, constants, TensorProto.INT32
    )
    (got,), host = simulated(model, inputs)
    (witness,) = onnx_session(model).run(None, inputs)
    np.testing.assert_array_equal(got, witness)
    assert got.dtype == np.int32
    # A zero point that only the run tells is subtracted afterwards.
    assert host == (["Cast", "mul", "sub"] if dynamic else [])


@settings(deadline=None, max_examples=draws(20))
@given(data=st.data())
def test_scaled_accumulator_is_a_quantised_convolution(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(DTYPES))
    per_channel, biased = data.draw(st.booleans()), data.draw(st.booleans())
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    x = random_integers(rng, (1, 4, 6, 5), dtype)
    weight = random_integers(rng, (3, 4, 2, 2), np.int8)
    scale = 2.0 ** -rng.integers(9, 12, 3 if per_channel else 1)
    constants = {
        "w": weight,
        "xz": dtype(data.draw(zero_points(dtype))),
        "s": scale.astype(np.float32).reshape(1, -1, 1, 1),
        "b": (rng.integers(-999, 999, 3) * scale).astype(np.float32).reshape(1, 3, 1, 1),
        "ys": np.float32(0.5),
        "yz": dtype(3),
    }
    nodes = [
        node("ConvInteger", ["x", "w", "xz"], "i"),
        node("Cast", ["i"], "f", to=TensorProto.FLOAT),
        node("Mul", ["f", "s"], "m"),
        node("Add", ["m", "b"], "a"),
        node("QuantizeLinear", ["a" if biased else "m", "ys", "yz"], "y"),
    ]
    nodes = nodes if biased else [n for n in nodes if n.op_type != "Add"]
    model = one_operator(nodes, {"x": x}, constants, type_code(dtype))
    (got,), host = simulated(model, {"x": x})
    (witness,) = onnx_session(model).run(None, {"x": x})
    assert host == []
    np.testing.assert_array_equal(got, exact(model, {"x": x})[0])
    assert int(np.abs(got.astype(int) - witness.astype(int)).max()) <= 1


def test_dynamically_quantised_products_run_on_the_npu() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 8)).astype(np.float32)
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        node("MatMulInteger", ["q", "w", "z", "wz"], "i"),
        node("Cast", ["i"], "f", to=TensorProto.FLOAT),
        node("Mul", ["s", "ws"], "scale"),
        node("Mul", ["f", "scale"]),
    ]
    constants = {
        "w": random_integers(rng, (8, 5), np.int8),
        "wz": np.int8(0),
        "ws": np.float32(0.01),
    }
    model = one_operator(nodes, {"x": x}, constants, TensorProto.FLOAT)
    (got,), host = simulated(model, {"x": x})
    (witness,) = onnx_session(model).run(None, {"x": x})
    np.testing.assert_allclose(got, witness, rtol=1e-6, atol=1e-6)
    assert "MatMulInteger" not in host
    assert "mat_mul" not in host


@pytest.mark.parametrize("operator", ["QLinearMatMul", "QLinearWhere", "MatMulInteger"])
def test_what_the_npu_cannot_take_stays_one_operator(operator: str) -> None:
    rng = np.random.default_rng(0)
    x = random_integers(rng, (3, 4), np.uint8)
    scale, point = np.float32(0.5), np.uint8(3)
    rows = {"s": np.full(3, 0.5, np.float32), "z": np.full(3, 3, np.uint8)}
    constants: dict[str, Any] = {
        "w": random_integers(rng, (4, 3), np.uint8),
        "ys": scale,
        "yz": point,
    }
    constants["c"] = rng.integers(0, 2, (3, 4)).astype(bool)
    inputs, domain, result = {
        "QLinearMatMul": (["x", "s", "z", "w", "ys", "yz", "ys", "yz"], "", TensorProto.UINT8),
        "QLinearWhere": (
            ["c", "x", "s", "z", "x", "ys", "yz", "ys", "yz"],
            MICROSOFT,
            TensorProto.UINT8,
        ),
        "MatMulInteger": (["x", "w", "z"], "", TensorProto.INT32),
    }[operator]
    model = one_operator(
        [node(operator, inputs, domain=domain)], {"x": x}, constants | rows, result
    )
    program = compile_model(model)
    on_host = summary(program)["summary"]["host_operators"]
    assert [row["operator"].rpartition("::")[2] for row in on_host] == [operator]
