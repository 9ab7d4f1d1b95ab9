"""Bad files are refused with one sentence that says what and where."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from furiosa_ir.errors import FuriosaError, ImportFailure
from furiosa_ir.importers.onnx import import_onnx
from furiosa_ir.ir.shaped_operation import shape_of
from tests.importers.onnx.networks import imported, main_of, network

node = helper.make_node
X, Y = {"x": [1, 3, 8, 8]}, {"y": None}


def weight(*shape: int) -> dict[str, np.ndarray]:
    return {"w": np.ones(shape, np.float32)}


CASES = {
    "undefined input": (network([node("Relu", ["nowhere"], ["y"])], X, Y), "nowhere"),
    "undefined output": (network([node("Relu", ["x"], ["z"])], X, Y), "'y' is nowhere defined"),
    "defined twice": (
        network([node("Relu", ["x"], ["y"]), node("Exp", ["x"], ["y"])], X, Y),
        "defined twice",
    ),
    "cycle": (
        network(
            [node("Add", ["x", "b"], ["a"]), node("Relu", ["a"], ["b"]), node("Exp", ["b"], ["y"])],
            X,
            Y,
        ),
        "cycle",
    ),
    "unknown operator": (network([node("Foo", ["x"], ["y"])], X, Y), "Foo"),
    "unknown domain": (network([node("Foo", ["x"], ["y"], domain="com.x")], X, Y), "com.x"),
    "custom operator of unknown result": (
        network([node("Foo", ["x"], ["y"], domain="com.x")], X, Y, domains={"com.x": 1}),
        "nothing tells the type",
    ),
    "missing attribute": (network([node("Concat", ["x", "x"], ["y"])], X, Y), "axis"),
    "unknown attribute": (network([node("Relu", ["x"], ["y"], alpha=1.0)], X, Y), "alpha"),
    "too few inputs": (network([node("Conv", ["x"], ["y"])], X, Y), "input size 1"),
    "channels": (network([node("Conv", ["x", "w"], ["y"])], X, Y, weight(4, 5, 3, 3)), "channels"),
    "window": (network([node("Conv", ["x", "w"], ["y"])], X, Y, weight(4, 3, 9, 9)), "window"),
    "rank": (
        network([node("Conv", ["x", "w"], ["y"])], {"x": [3, 8]}, Y, weight(4, 3, 3, 3)),
        "rank",
    ),
    "broadcast": (network([node("Add", ["x", "w"], ["y"])], X, Y, weight(7)), "broadcast"),
    "reshape": (
        network([node("Reshape", ["x", "s"], ["y"])], X, Y, {"s": np.array([5, -1])}),
        "elements",
    ),
    "opaque's inputs": (
        network([node("Det", ["x"], ["y"])], {"x": [2, 3]}, Y),
        "y",
    ),
    "declared output type": (
        network([node("Relu", ["x"], ["y"])], X, {"y": ([1, 3, 8, 8], TensorProto.INT8)}),
        "declared as int8",
    ),
    "symbolic height": (
        network([node("Relu", ["x"], ["y"])], {"x": [1, 3, "H", 8]}, Y),
        "'H'",
    ),
    "no shape": (network([node("Relu", ["x"], ["y"])], {"x": None}, Y), "no shape"),
    "strings": (
        network([node("Identity", ["x"], ["y"])], {"x": ([1], TensorProto.STRING)}, Y),
        "string",
    ),
    "opset": (network([node("Relu", ["x"], ["y"])], X, Y, opset=99), "operator set 99"),
    "no outputs": (network([node("Relu", ["x"], ["y"])], X, {}), "no outputs"),
}


@pytest.mark.parametrize("case", CASES)
def test_refused(case: str) -> None:
    model, what = CASES[case]
    with pytest.raises(ImportFailure) as caught:
        imported(model)
    message = str(caught.value)
    assert what in message
    assert "\n" not in message
    assert len(message) < 400


@pytest.mark.parametrize(
    ("proto", "what"),
    [
        (node("Cast", ["x"], ["y"], to="NOTHING"), "'Cast' to 'NOTHING', which is no type"),
        (node("Tile", ["x", "x", "x"], ["y"]), "input 1 of 'Tile' .* is not constant"),
        (node("Add", ["x", "w"], ["y"], broadcast=1, axis=3), "from axis 3 on"),
        (node("PRelu", ["x", "unknown"], ["y"]), "rank of 'unknown', which nothing tells"),
        (node("Reshape", ["x"], ["y"], shape="text"), "'Reshape' .* does not fit"),
        (node("BatchNormalization", ["x"] * 5, ["y", "z", "z1", "z2", "z3"]), "being trained"),
    ],
    ids=["type", "tiles", "axis", "rank", "attribute", "training"],
)
def test_a_network_of_old_that_cannot_be_raised(proto: Any, what: str) -> None:
    model = network([proto], X, Y, weight(3, 8), opset=1)
    with pytest.raises(ImportFailure, match=what) as caught:
        imported(model)
    assert caught.value.layer == "y"
    assert "/project/" not in str(caught.value)


def test_a_network_of_old_that_names_no_operator_set() -> None:
    model = network([node("Concat", ["x", "x"], ["y"])], X, Y, opset=1)
    del model.opset_import[:]
    (concat,) = [op for op in main_of(imported(model)).body.block.ops if op.name == "graph.concat"]
    assert shape_of(concat.results[0]) == (1, 6, 8, 8)


def test_a_tensor_that_does_not_fill_its_shape() -> None:
    model = network([node("Add", ["x", "w"], ["y"])], X, Y, weight(8))
    model.graph.initializer[0].dims[0] = 9
    with pytest.raises(ImportFailure, match="'w'"):
        imported(model)


@pytest.mark.parametrize(
    ("location", "what"),
    [("w.bin", "missing"), ("../w.bin", "outside"), ("/etc/passwd", "outside")],
)
def test_external_data(tmp_path, location: str, what: str) -> None:
    model = network([node("Add", ["x", "w"], ["y"])], X, Y, weight(8))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ImportFailure, match=what) as caught:
        import_onnx(path)
    assert str(path) in str(caught.value)
    with pytest.raises(ImportFailure, match="as bytes"):
        import_onnx(model.SerializeToString())


def test_files(tmp_path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text").write_text("hello")
    for name, what in (
        ("empty", "empty"),
        ("text", "not an ONNX"),
        ("none", "no such"),
        (".", "directory"),
    ):
        with pytest.raises(ImportFailure, match=what):
            import_onnx(tmp_path / name)


GOOD = network(
    [
        node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        node("Clip", ["c", "lo", ""], ["d"]),
        node("TopK", ["d", "k"], ["v", "i"]),
        node("Resize", ["v", "", "", "sizes"], ["y"], mode="linear"),
    ],
    X,
    Y,
    {
        **weight(4, 3, 3, 3),
        "lo": np.float32(0),
        "k": np.array([3]),
        "sizes": np.array([1, 4, 16, 6]),
    },
).SerializeToString()


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_corrupt_bytes_never_crash(position: int, flip: int) -> None:
    data = bytearray(GOOD)
    data[position] ^= flip
    for damaged in (bytes(data), bytes(data[:position])):
        with suppress(FuriosaError):
            import_onnx(damaged)


def test_the_good_network_is_good() -> None:
    import_onnx(GOOD)
