"""`batch_size`: N samples at once give what N single runs give, or are refused with a reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from furiosa_ir.compiler import compile_model
from furiosa_ir.errors import ImportFailure
from furiosa_ir.importers.onnx import import_onnx
from furiosa_ir.runtime import session
from tests.importers.batch_runs import assert_batch_equals_single_runs
from tests.importers.onnx.networks import network

node = helper.make_node


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


X = (1, 4, 6)
RIGHT: dict[str, tuple[list[Any], Mapping[str, np.ndarray], Sequence[int]]] = {
    "reshape": ([node("Reshape", ["x", "s"], ["y"])], {"s": ints(1, 24)}, (1, 24)),
    "reshape_rest": ([node("Reshape", ["x", "s"], ["y"])], {"s": ints(1, -1)}, (1, 24)),
    "reshape_first": ([node("Reshape", ["x", "s"], ["y"])], {"s": ints(-1, 6)}, (4, 6)),
    "reshape_copied": ([node("Reshape", ["x", "s"], ["y"])], {"s": ints(0, 2, 12)}, (1, 2, 12)),
    "there_and_back": (
        [
            node("Reshape", ["x", "flat"], ["f"]),
            node("Relu", ["f"], ["r"]),
            node("Reshape", ["r", "deep"], ["y"]),
        ],
        {"flat": ints(4, 6), "deep": ints(1, 4, 6)},
        X,
    ),
    "flatten": ([node("Flatten", ["x"], ["y"])], {}, (1, 24)),
    "squeeze": (
        [node("Unsqueeze", ["x", "a"], ["u"]), node("Squeeze", ["u", "a"], ["y"])],
        {"a": ints(2)},
        X,
    ),
    "squeeze_all": ([node("Squeeze", ["x"], ["s"]), node("Relu", ["s"], ["y"])], {}, (4, 6)),
    "expand": (
        [node("Unsqueeze", ["x", "a"], ["u"]), node("Expand", ["u", "s"], ["y"])],
        {"a": ints(1), "s": ints(1, 3, 4, 6)},
        (1, 3, 4, 6),
    ),
    "slice": (
        [node("Slice", ["x", "b", "e"], ["y"])],
        {"b": ints(0, 1), "e": ints(1, 3)},
        (1, 2, 6),
    ),
    "concat_constant": (
        [node("Concat", ["x", "token"], ["y"], axis=1)],
        {"token": np.arange(6, dtype=np.float32).reshape(1, 1, 6)},
        (1, 5, 6),
    ),
    "transposed": (
        [
            node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
            node("Softmax", ["t"], ["s"], axis=0),
            node("Transpose", ["s"], ["y"], perm=[1, 0, 2]),
        ],
        {},
        X,
    ),
    "reduced": ([node("ReduceSum", ["x", "a"], ["y"], keepdims=0)], {"a": ints(1, 2)}, (1,)),
    "product": ([node("MatMul", ["x", "w"], ["y"])], {"w": np.ones((6, 2), np.float32)}, (1, 4, 2)),
    "attention": (
        [node("Transpose", ["x"], ["t"], perm=[0, 2, 1]), node("MatMul", ["x", "t"], ["y"])],
        {},
        (1, 4, 4),
    ),
    "vector": ([node("MatMul", ["x", "w"], ["y"])], {"w": np.ones(6, np.float32)}, (1, 4)),
    "shape_arithmetic": (
        [
            node("Shape", ["x"], ["s"]),
            node("Slice", ["s", "zero", "one"], ["n"]),
            node("Concat", ["n", "rest"], ["target"], axis=0),
            node("Reshape", ["x", "target"], ["y"]),
        ],
        {"zero": ints(0), "one": ints(1), "rest": ints(-1)},
        (1, 24),
    ),
    "unmodelled": ([node("Hardmax", ["x"], ["y"], axis=1)], {}, X),
    "unmodelled_along_the_batch": ([node("Hardmax", ["x"], ["y"], axis=0)], {}, X),
    "cum_sum": ([node("CumSum", ["x", "a"], ["y"])], {"a": np.array(-1)}, X),
    "index_of_greatest": (
        [
            node("ArgMax", ["x"], ["i"], axis=-1, keepdims=0),
            node("Cast", ["i"], ["y"], to=TensorProto.FLOAT),
        ],
        {},
        (1, 4),
    ),
    "where": (
        [node("Where", ["c", "x", "o"], ["y"])],
        {"c": np.arange(24).reshape(X) % 3 == 0, "o": np.ones((1, 1), np.float32)},
        X,
    ),
    "constant_result": (
        [node("Exp", ["one"], ["y"])],
        {"one": np.ones((1, 3), np.float32)},
        (1, 3),
    ),
}


@pytest.mark.parametrize("first", [1, "N"], ids=["static", "open"])
@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("name", RIGHT)
def test_constants_that_hold_the_batch(name: str, size: int, first: int | str) -> None:
    nodes, constants, result = RIGHT[name]
    model = network(nodes, {"x": [first, *X[1:]]}, {"y": None}, constants)
    assert_batch_equals_single_runs(model.SerializeToString(), size)
    with session.create(model.SerializeToString(), batch_size=size) as running:
        assert running.output(0).shape == (size * result[0], *result[1:])


REFUSED: dict[str, tuple[list[Any], Mapping[str, np.ndarray], str]] = {
    "concat": ([node("Concat", ["x", "x"], ["y"], axis=0)], {}, "concat works along it"),
    "softmax": ([node("Softmax", ["x"], ["y"], axis=0)], {}, "softmax works along it"),
    "index": (
        [
            node("ArgMin", ["x"], ["i"], axis=0),
            node("Cast", ["i"], ["y"], to=TensorProto.FLOAT),
        ],
        {},
        "arg_min works along it",
    ),
    "sum": ([node("ReduceSum", ["x", "a"], ["y"])], {"a": ints(0)}, "reduce_sum works along it"),
    "all": ([node("ReduceMean", ["x"], ["y"])], {}, "reduce_mean works along it"),
    "slice": (
        [node("Concat", ["x", "x"], ["c"], axis=1), node("Slice", ["c", "b", "e"], ["y"])],
        {"b": ints(0), "e": ints(0)},
        "slice works along it",
    ),
    "pad": ([node("Pad", ["x", "p"], ["y"])], {"p": ints(1, 0, 0, 0, 0, 0)}, "pad works along it"),
    "expand": (
        [node("Expand", ["x", "s"], ["y"])],
        {"s": ints(3, 4, 6)},
        "expand works along it",
    ),
    "tile": ([node("Tile", ["x", "r"], ["y"])], {"r": ints(2, 1, 1)}, "tile works along it"),
    "transpose": (
        [node("Transpose", ["x"], ["y"], perm=[1, 0, 2])],
        {},
        r"a result of shape \[4, 3, 6\] holds the samples in dimension 1",
    ),
    "merged": (
        [node("Transpose", ["x"], ["t"], perm=[1, 0, 2]), node("Reshape", ["t", "s"], ["y"])],
        {"s": ints(24)},
        "reshape works along it",
    ),
    "constant": (
        [node("Reshape", ["x", "s"], ["f"]), node("Add", ["f", "c"], ["y"])],
        {"s": ints(4, 6), "c": np.ones((4, 6), np.float32)},
        "do not broadcast",
    ),
    "product": (
        [node("Reshape", ["x", "s"], ["f"]), node("MatMul", ["f", "f"], ["y"])],
        {"s": ints(24)},
        "mat_mul works along it",
    ),
    "data_dependent": (
        [node("NonZero", ["x"], ["n"]), node("Cast", ["n"], ["y"], to=TensorProto.FLOAT)],
        {},
        "NonZero has results without a batch",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_operators_across_samples_are_refused(name: str) -> None:
    nodes, constants, message = REFUSED[name]
    model = network(nodes, {"x": list(X)}, {"y": None}, constants)
    with pytest.raises(ImportFailure, match=f"cannot change the batch size: .*{message}") as caught:
        import_onnx(model.SerializeToString(), batch_size=3)
    assert caught.value.layer in {o for n in nodes for o in n.output}
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("shapes", "size", "message"),
    [
        ([[3, 2]], 4, r"cannot make the batch size 4: the input 'x0' has the shape \[3, 2\]"),
        ([[3, 2]], 1, "cannot make the batch size 1"),
        ([[1, 2], [4, 2]], 4, r"the input 'x1' has the shape \[4, 2\]"),
        ([["N", "N"]], 2, "it stands in dimensions 0 and 1 of the input 'x0'"),
        ([[1, 2]], 0, "the batch size 0 is not positive"),
    ],
)
def test_batches_that_the_file_does_not_allow(
    shapes: list[list[Any]], size: int, message: str
) -> None:
    inputs = {f"x{i}": shape for i, shape in enumerate(shapes)}
    model = network([node("Sum", list(inputs), ["y"])], inputs, {"y": None})
    with pytest.raises(ImportFailure, match=message):
        import_onnx(model.SerializeToString(), batch_size=size)


def test_an_input_that_the_file_declares_for_all_samples_stays() -> None:
    model = network([node("Mul", ["x", "m"], ["y"])], {"x": ["N", 3], "m": [1, 3]}, {"y": None})
    with session.create(model.SerializeToString(), batch_size=5) as running:
        assert [d.shape for d in running.inputs()] == [(5, 3), (1, 3)]
        x, m = np.arange(15, dtype=np.float32).reshape(5, 3), np.array([[1, 2, 3]], np.float32)
        np.testing.assert_array_equal(running.run([x, m])[0].numpy(), x * m)


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("name", ["digits_int8.tflite", "digits_qdq_int8.onnx"])
def test_digits(name: str, size: int, digits: Path) -> None:
    assert_batch_equals_single_runs(digits / name, size)


def test_the_batch_of_the_file_itself(tmp_path: Path) -> None:
    path = tmp_path / "four.onnx"
    onnx.save(network([node("Relu", ["x"], ["y"])], {"x": [4, 3]}, {"y": [4, 3]}), path)
    assert compile_model(path, batch_size=4)
    with session.create(path, batch_size=4) as running:
        assert running.output(0).shape == (4, 3)
