"""Operators on plain 8-bit integers between Q and DQ: drawn networks, against onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from furiosa_ir.backends.warboy.enf.reader import read_program
from furiosa_ir.compiler import compile_model
from furiosa_ir.program import HostSegment
from furiosa_ir.runtime import session
from tests.draws import draws
from tests.importers.onnx.old_opsets import by_onnxruntime

Draw = Callable[[st.SearchStrategy[Any]], Any]


class Network:
    """Nodes on the way, and the value that the next one takes.

    Attributes:
        value, shape: of the plain integers of type `dtype`.
    """

    def __init__(self, dtype: Any, draw: Draw) -> None:
        self.dtype, self.draw = np.dtype(dtype), draw
        self.nodes: list[Any] = []
        self.constants: dict[str, np.ndarray] = {}
        self.value = "x"
        self.shape: tuple[int, ...] = (1, 4, 6, 5)

    def constant(self, array: Any, dtype: Any = None) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(array, self.dtype if dtype is None else dtype)
        return name

    def add(self, op_type: str, inputs: list[str], **attributes: Any) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, inputs, [name], **attributes))
        return name

    def number(self) -> int:
        limits = np.iinfo(self.dtype)
        return self.draw(st.integers(int(limits.min), int(limits.max)))


def _clip(n: Network) -> None:
    low, high = sorted((n.number(), n.number()))
    given = n.draw(st.sampled_from([(True, True), (True, False), (False, True)]))
    bounds = [n.constant(b) if g else "" for b, g in zip((low, high), given, strict=True)]
    n.value = n.add("Clip", [n.value, *bounds])


def _extremum(n: Network) -> None:
    other: str = n.draw(st.sampled_from(["number", "channels", "itself"]))
    if other == "itself":
        operand = n.add("Neg", [n.value]) if n.dtype == np.int8 else n.value
    else:
        shape: tuple[int, ...] = () if other == "number" else (n.shape[1], 1, 1)
        operand = n.constant(np.full(shape, n.number(), n.dtype))
    n.value = n.add(n.draw(st.sampled_from(["Max", "Min"])), [n.value, operand])


def _unary(n: Network) -> None:
    signed = n.dtype == np.int8
    n.value = n.add(
        n.draw(st.sampled_from(["Relu", "Abs", "Neg", "Sign"])) if signed else "Abs", [n.value]
    )


def _transpose(n: Network) -> None:
    perm: list[int] = n.draw(st.sampled_from([[0, 1, 3, 2], [0, 2, 1, 3], [0, 3, 2, 1]]))
    n.value = n.add("Transpose", [n.value], perm=perm)
    n.shape = tuple(n.shape[p] for p in perm)


def _reshape(n: Network) -> None:
    a, b, c, d = n.shape
    n.shape = n.draw(st.sampled_from([(a, b, d, c), (a, c * d, b, 1), (a, 1, b * c, d)]))
    n.value = n.add("Reshape", [n.value, n.constant(n.shape, np.int64)])


def _slice(n: Network) -> None:
    axis: int = n.draw(st.integers(1, 3))
    end: int = n.draw(st.integers(1, n.shape[axis]))
    ends = [n.constant([i], np.int64) for i in (0, end, axis)]
    n.value = n.add("Slice", [n.value, *ends])
    n.shape = tuple(end if i == axis else e for i, e in enumerate(n.shape))


def _concat(n: Network) -> None:
    axis: int = n.draw(st.integers(1, 3))
    other = n.value if n.draw(st.booleans()) else n.constant(np.full(n.shape, n.number(), n.dtype))
    n.value = n.add("Concat", [n.value, other], axis=axis)
    n.shape = tuple(2 * e if i == axis else e for i, e in enumerate(n.shape))


def _pad(n: Network) -> None:
    pads = n.constant([0, 0, 1, 0, 0, 0, 0, 1], np.int64)
    if n.draw(st.booleans()):
        n.value = n.add("Pad", [n.value, pads, n.constant(n.number())])
    else:
        n.value = n.add("Pad", [n.value, pads], mode="edge")
    n.shape = (*n.shape[:2], n.shape[2] + 1, n.shape[3] + 1)


def _pool(n: Network) -> None:
    n.value = n.add("MaxPool", [n.value], kernel_shape=[2, 2], pads=[0, 0, 1, 1])


def _where(n: Network) -> None:
    condition = n.constant(np.arange(n.shape[3]) % 2 == 0, np.bool_)
    n.value = n.add("Where", [condition, n.value, n.constant(n.number())])


STEPS = {
    "clip": _clip,
    "extremum": _extremum,
    "unary": _unary,
    "transpose": _transpose,
    "reshape": _reshape,
    "slice": _slice,
    "concat": _concat,
    "pad": _pad,
    "pool": _pool,
    "where": _where,
}


def drawn(draw: Draw) -> tuple[onnx.ModelProto, np.ndarray]:
    """(float x ->) Q -> integers -> DQ -> Relu -> Q, or from an integer input."""
    n = Network(draw(st.sampled_from([np.int8, np.uint8])), draw)
    scale, zero = draw(st.sampled_from([(0.25, 0), (0.0625, 3), (0.5, 120)]))
    parameters = [n.constant(scale, np.float32), n.constant(zero)]
    x = draw(st.sampled_from(["plain", "requantised", "used twice"]))
    if x != "plain":
        real = n.add("DequantizeLinear", ["x", n.constant(0.125, np.float32), n.constant(1)])
        n.value = n.add("QuantizeLinear", [n.add("LeakyRelu", [real], alpha=0.5), *parameters])
    start = n.value, n.shape
    for kind in draw(st.lists(st.sampled_from(sorted(STEPS)), min_size=1, max_size=4)):
        STEPS[kind](n)
    outputs = [n.value] if draw(st.booleans()) else []
    if draw(st.booleans()):  # another scale behind than in front
        parameters = [n.constant(0.375, np.float32), n.constant(2)]
    ends = [n.value, start[0]] if x == "used twice" else [n.value]
    for value in ends:
        real = n.add("DequantizeLinear", [value, *parameters])
        real = n.add("LeakyRelu", [real], alpha=0.25)
        outputs.append(n.add("QuantizeLinear", [real, n.constant(0.5, np.float32), n.constant(5)]))
    code = helper.np_dtype_to_tensor_dtype(n.dtype)
    graph = helper.make_graph(
        n.nodes,
        "integers",
        [helper.make_tensor_value_info("x", code, [1, 4, 6, 5])],
        [helper.make_tensor_value_info(o, code, None) for o in outputs],
        [numpy_helper.from_array(a, k) for k, a in n.constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    seed = draw(st.integers(0, 1000))
    limits = np.iinfo(n.dtype)
    data = np.random.default_rng(seed).integers(limits.min, limits.max + 1, (1, 4, 6, 5), n.dtype)
    data[0, 0, 0, :2] = limits.min, limits.max
    return model, data


def on_the_host(program: bytes) -> list[Any]:
    """The operators of the host segments."""
    segments = read_program(program).segments
    return [o for s in segments if isinstance(s, HostSegment) for o in s.operators]


@settings(max_examples=draws(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_drawn_networks(data: st.DataObject) -> None:
    model, x = drawn(data.draw)
    program = compile_model(model.SerializeToString())
    assert on_the_host(program) == []
    with session.create(program) as s:
        results = [t.numpy() for t in s.run([x])]
    for result, want in zip(results, by_onnxruntime(model, [x]), strict=True):
        assert result.dtype == want.dtype
        np.testing.assert_array_equal(result, want)


def test_integers_that_meet_no_quantisation_stay_on_the_host() -> None:
    node = helper.make_node("Transpose", ["x"], ["y"])
    cast = helper.make_node("Cast", ["y"], ["z"], to=TensorProto.FLOAT)
    graph = helper.make_graph(
        [node, cast],
        "image",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [2, 3])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, [3, 2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    program = compile_model(model.SerializeToString())
    assert len(on_the_host(program)) == 2
