"""Forms of QuantizeLinear and DequantizeLinear, drawn: against real arithmetic, or onnxruntime."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from furiosa_ir.backends.warboy.enf.reader import read_program
from furiosa_ir.compiler import compile_model
from furiosa_ir.errors import ImportFailure
from furiosa_ir.interpreter.run import run_module
from furiosa_ir.program import HostSegment
from furiosa_ir.runtime import session
from tests.draws import draws
from tests.importers.onnx.networks import imported, network
from tests.importers.onnx.old_opsets import by_onnxruntime

Array = np.ndarray[Any, np.dtype[Any]]

WIDTHS = {
    "int8": (np.int8, 13),
    "uint8": (np.uint8, 13),
    "int4": (ml_dtypes.int4, 21),
    "uint4": (ml_dtypes.uint4, 21),
    "int2": (ml_dtypes.int2, 25),
    "uint2": (ml_dtypes.uint2, 25),
}
"""Name -> dtype, the first operator set that quantises to it."""

FLOATS = {"float32": (np.float32, 13), "float16": (np.float16, 19)}


class Form:
    """How a tensor is quantised: drawn, scales being powers of two, so that floats are exact.

    Attributes:
        scales, points: that broadcast to the tensor.
        opset: the first set that has the form.
        inputs: behind the tensor; `constants` has their elements.
        attributes: of the node.
    """

    def __init__(
        self, draw: Any, name: str, dtype: Any, float_: str, shape: Any, axis: Any
    ) -> None:
        self.dtype = np.dtype(dtype)
        self.opset = max(FLOATS[float_][1], *(v for d, v in WIDTHS.values() if d == dtype))
        limits = ml_dtypes.iinfo(self.dtype)
        count = 1 if axis is None else shape[axis]
        points = draw(st.sampled_from(["none", "zero", "one"] + ["several"] * (axis is not None)))
        low, high = max(int(limits.min), -2), min(int(limits.max), 2)
        zeros = {"one": [draw(st.integers(low, high))] * count, "several": [low, high] * count}
        zero = np.array(zeros.get(points, [0] * count)[:count], np.int64)
        exponents = draw(st.lists(st.integers(-6, -3), min_size=count, max_size=count))
        scale = 2.0 ** np.array(exponents)
        if axis is not None and draw(st.booleans()):
            scale[0] = 0.0  # a channel that never speaks
        self.attributes: dict[str, Any] = {}
        broadcast = [-1 if i == axis else 1 for i in range(len(shape))]
        self.scales = scale.reshape(broadcast) if axis is not None else scale.reshape(())
        self.points = zero.reshape(broadcast) if axis is not None else zero.reshape(())
        given_scale, given_zero = scale, zero
        if axis is None:
            given_scale, given_zero = scale.reshape(()), zero.reshape(())
        elif draw(st.booleans()):  # one block along the other dimension
            self.opset = max(self.opset, 21)
            given_scale, given_zero = self.scales, self.points
            blocked = 1 - axis
            given_scale = given_scale.reshape([n if i == axis else 1 for i, n in enumerate(shape)])
            given_zero = given_zero.reshape(given_scale.shape)
            self.attributes |= {"axis": blocked, "block_size": shape[blocked]}
        else:
            self.attributes["axis"] = draw(st.sampled_from([axis, axis - len(shape)]))
        self.constants = {f"{name}/scale": given_scale.astype(FLOATS[float_][0])}
        if points != "none":
            self.constants[f"{name}/zero"] = given_zero.astype(dtype)
        self.inputs = list(self.constants)

    def real(self, stored: Array) -> Array:
        return (stored.astype(np.float64) - self.points) * self.scales

    def stored(self, real: Array) -> Array:
        limits = ml_dtypes.iinfo(self.dtype)
        steps = np.rint(real / self.scales) + self.points
        return np.clip(steps, int(limits.min), int(limits.max)).astype(self.dtype)

    def quantize(self, x: str, y: str) -> Any:
        more: dict[str, Any] = {}
        if len(self.inputs) < 2 and self.dtype != np.uint8:
            self.opset = max(self.opset, 21)
            more["output_dtype"] = helper.np_dtype_to_tensor_dtype(self.dtype)
        return helper.make_node("QuantizeLinear", [x, *self.inputs], [y], **more)

    def dequantize(self, x: str, y: str) -> Any:
        return helper.make_node("DequantizeLinear", [x, *self.inputs], [y], **self.attributes)


def drawn(draw: Any) -> tuple[onnx.ModelProto, Array, Array]:
    """x -> DQ (-> Relu -> Q -> DQ of few bits) -> product with DQ(w) -> Q; x; what it makes."""
    float_ = draw(st.sampled_from(sorted(FLOATS)))
    byte = draw(st.sampled_from(["int8", "uint8"]))
    kind = draw(st.sampled_from(["MatMul", "Gemm"]))
    shape, axis = ((8, 6), 1) if kind == "MatMul" else ((6, 8), 0)
    narrow = draw(st.sampled_from(sorted(WIDTHS)))
    a = Form(draw, "a", WIDTHS[byte][0], float_, (3, 8), None)
    w = Form(draw, "w", WIDTHS[narrow][0], float_, shape, draw(st.sampled_from([None, axis])))
    y = Form(draw, "y", WIDTHS[byte][0], float_, (3, 6), None)
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    limits = ml_dtypes.iinfo(w.dtype)
    least, most = int(limits.min), int(limits.max)
    if np.ptp(w.points):  # zero points that differ are subtracted: 8 bits must hold that
        least, most = max(least, -120), min(most, 120)
    weight = rng.integers(least, most + 1, shape).astype(w.dtype)
    limits = np.iinfo(a.dtype)
    x = rng.integers(limits.min, limits.max + 1, (3, 8)).astype(a.dtype)
    forms, nodes, real = [a, w, y], [a.dequantize("x", "x/real")], a.real(x)
    operand = "x/real"
    if draw(st.booleans()):
        few = Form(
            draw, "few", WIDTHS[draw(st.sampled_from(["int4", "uint4"]))][0], float_, (3, 8), None
        )
        forms.append(few)
        nodes += [
            helper.make_node("Relu", [operand], ["relu"]),
            few.quantize("relu", "few/stored"),
            few.dequantize("few/stored", "few/real"),
        ]
        operand, real = "few/real", few.real(few.stored(np.maximum(real, 0)))
    matrix = w.real(weight)
    attributes: dict[str, Any] = {"transB": 1} if kind == "Gemm" else {}
    nodes += [
        w.dequantize("w", "w/real"),
        helper.make_node(kind, [operand, "w/real"], ["product"], **attributes),
        y.quantize("product", "y"),
    ]
    want = y.stored(real @ (matrix.T if kind == "Gemm" else matrix))
    constants = {k: v for form in forms for k, v in form.constants.items()}
    code = helper.np_dtype_to_tensor_dtype(a.dtype)
    graph = helper.make_graph(
        nodes,
        "forms",
        [helper.make_tensor_value_info("x", code, [3, 8])],
        [helper.make_tensor_value_info("y", code, [3, 6])],
        [numpy_helper.from_array(v, k) for k, v in {**constants, "w": weight}.items()],
    )
    imports = [helper.make_opsetid("", max(form.opset for form in forms))]
    return helper.make_model(graph, opset_imports=imports, ir_version=10), x, want


@settings(max_examples=draws(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_products_run_on_the_npu(data: st.DataObject) -> None:
    model, x, want = drawn(data.draw)
    program = compile_model(model.SerializeToString())
    segments = read_program(program).segments
    assert not [s.operators for s in segments if isinstance(s, HostSegment)]
    with session.create(program) as s:
        (result,) = (t.numpy() for t in s.run([x]))
    np.testing.assert_array_equal(result, want)


BLOCKS = (2.0 ** -np.arange(2, 10, dtype=np.float32)).reshape(4, 2)
BYTES = np.arange(-16, 16, dtype=np.int8).reshape(4, 8)
ROW = (2.0 ** -np.arange(1, 9)).astype(np.float32)


def _dq(x: Array, *parameters: Any, opset: int = 21, **attributes: Any) -> tuple[Any, ...]:
    names = ["x", "scale", "zero"][: 1 + len(parameters)]
    node = helper.make_node("DequantizeLinear", names, ["y"], **attributes)
    return node, x, dict(zip(names[1:], map(np.asarray, parameters), strict=True)), opset


def _q(x: Array, *parameters: Any, opset: int = 21, **attributes: Any) -> tuple[Any, ...]:
    names = ["x", "scale", "zero"][: 1 + len(parameters)]
    node = helper.make_node("QuantizeLinear", names, ["y"], **attributes)
    return node, x, dict(zip(names[1:], map(np.asarray, parameters), strict=True)), opset


REALS = np.linspace(-3, 3, 32, dtype=np.float32).reshape(4, 8)
HALVES = REALS.astype(np.float16)

WHOLE: dict[str, tuple[Any, Array, dict[str, Array], int]] = {
    "blocks": _dq(BYTES, BLOCKS, axis=1, block_size=4),
    "blocks with zero points": _dq(BYTES, BLOCKS, BLOCKS.astype(np.int8), axis=-1, block_size=4),
    "blocks of the result": _q(REALS, BLOCKS, BLOCKS.astype(np.int8), axis=1, block_size=4),
    "a scale for each channel": _dq(BYTES, ROW, axis=-1),
    "of the result": _q(REALS, ROW, np.arange(8, dtype=np.int8), axis=1),
    "16 bits": _dq(BYTES.astype(np.int16), np.float32(0.1), np.int16(5)),
    "to 16 bits": _q(REALS, np.float32(0.1), np.uint16(9)),
    "to 16 bits by a type": _q(REALS, np.float32(0.1), output_dtype=onnx.TensorProto.INT16),
    "32 bits": _dq(BYTES.astype(np.int32), np.float32(0.1)),
    "float16": _dq(BYTES, np.float16(0.3)),
    "to float16": _dq(BYTES, np.float32(0.3), opset=23, output_dtype=onnx.TensorProto.FLOAT16),
    "of float16": _q(HALVES, np.float16(0.3), np.int8(1)),
    "a scale of 0": _dq(BYTES, np.float32(0), np.int8(3)),
    "a negative scale": _dq(BYTES, np.float32(-0.5), np.int8(3)),
    "4 bits": _dq(BYTES.clip(-8, 7).astype(ml_dtypes.int4), np.float32(0.5)),
    "to 4 bits": _q(REALS, np.float32(0.5), np.array(1, ml_dtypes.uint4)),
    "to 2 bits": _q(REALS, np.float32(0.5), np.array(0, ml_dtypes.int2), opset=25),
    "to floats of 8 bits": _q(REALS, np.float32(0.5), np.array(0, ml_dtypes.float8_e4m3fn)),
    "floats of 8 bits": _dq(REALS.astype(ml_dtypes.float8_e5m2), np.float32(0.5)),
    "precision": _q(REALS, np.float32(0.3), np.int8(0), opset=23, precision=1),
}
"""What -> the node, x, the constants, the operator set: alone, so that the host runs most of it."""


@pytest.mark.parametrize("kind", WHOLE)
def test_a_form_alone(kind: str) -> None:
    node, x, constants, opset = WHOLE[kind]
    code = helper.np_dtype_to_tensor_dtype(x.dtype)
    model = network([node], {"x": ([4, 8], code)}, {"y": None}, constants, opset=opset)
    model.ir_version = 10
    model.graph.output[0].type.tensor_type.ClearField("elem_type")
    want = by_onnxruntime(_typed(model), [x])[0]
    with session.create(compile_model(model.SerializeToString()), compiler_hints=False) as s:
        (result,) = (t.numpy() for t in s.run([x]))
    assert result.dtype == want.dtype
    np.testing.assert_array_equal(result, want)


def _typed(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model, its outputs' types inferred: onnxruntime asks for them."""
    return onnx.shape_inference.infer_shapes(model)


@pytest.mark.parametrize(
    ("case", "said"),
    [
        (_dq(BYTES, ROW[:5], axis=1), "5 scales"),
        (_dq(BYTES, ROW, np.zeros(3, np.int8), axis=1), "zero points|[Zz]ero"),
        (_dq(BYTES, np.float32(0.5), np.uint8(0)), "one type|zero point"),
    ],
)
def test_what_contradicts(case: Any, said: str) -> None:
    node, x, constants, opset = case
    code = helper.np_dtype_to_tensor_dtype(x.dtype)
    model = network([node], {"x": ([4, 8], code)}, {"y": None}, constants, opset=opset)
    with pytest.raises(ImportFailure, match=said):
        imported(model)


def test_a_cast_between_halves_and_floats_is_verified_as_real_numbers() -> None:
    """DQ of float16, a Cast, a product, Q: the source's numbers are those of the program."""
    weight = np.random.default_rng(2).integers(-90, 90, (8, 6), np.int8)
    constants: dict[str, Array] = {
        "half": np.array(0.03, np.float16),
        "s": np.array(0.01, np.float32),
        "t": np.array(0.21, np.float32),
        "z": np.array(2, np.int8),
        "zero": np.array(0, np.int8),
        "w": weight,
    }
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "half", "z"], ["h"]),
        helper.make_node("Cast", ["h"], ["r"], to=1),
        helper.make_node("DequantizeLinear", ["w", "s", "zero"], ["wr"]),
        helper.make_node("MatMul", ["r", "wr"], ["p"]),
        helper.make_node("QuantizeLinear", ["p", "t", "z"], ["y"]),
    ]
    code = onnx.TensorProto.INT8
    model = network(nodes, {"x": ([9, 8], code)}, {"y": ([9, 6], code)}, constants, opset=21)
    module = imported(model)
    x = np.random.default_rng(3).integers(-128, 128, (9, 8), np.int8)
    (source,) = run_module(module, [x]).values()
    with session.create(compile_model(model.SerializeToString()), compiler_hints=False) as s:
        (result,) = (t.numpy() for t in s.run([x]))
    np.testing.assert_array_equal(result, source)
