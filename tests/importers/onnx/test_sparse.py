"""Sparse tensors of ONNX models: initialisers at any depth, and constants."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from furiosa_ir.errors import ImportFailure
from tests.draws import draws
from tests.importers.onnx.networks import imported, names, network
from tests.importers.onnx.old_opsets import by_onnxruntime, ours

X = np.arange(12, dtype=np.float32).reshape(1, 12)


def sparse(array: np.ndarray, *, coordinates: bool, name: str = "w") -> Any:
    """An array as a `SparseTensorProto`, its indices in one of the two forms."""
    flat = np.flatnonzero(array).astype(np.int64)
    indices = np.stack(np.unravel_index(flat, array.shape), 1) if coordinates else flat
    values = numpy_helper.from_array(array.reshape(-1)[flat], name)
    positions = numpy_helper.from_array(np.ascontiguousarray(indices, np.int64), f"{name}/i")
    return helper.make_sparse_tensor(values, positions, list(array.shape))


def with_sparse(tensor: Any) -> onnx.ModelProto:
    model = network([helper.make_node("Add", ["x", "w"], ["y"])], {"x": [1, 12]}, {"y": None})
    model.graph.sparse_initializer.append(tensor)
    model.ir_version = 8
    return model


@settings(max_examples=draws(15), deadline=None)
@given(
    data=st.data(),
    shape=st.sampled_from([(12,), (1, 12), (2, 1), (2, 3, 12), (1,), (3, 0, 12)]),
    coordinates=st.booleans(),
    dtype=st.sampled_from([np.float32, np.float64, np.int32, np.int64]),
)
def test_an_initialiser(data: st.DataObject, shape: Any, coordinates: bool, dtype: Any) -> None:
    count = prod(shape)
    drawn = data.draw(st.lists(st.integers(-3, 3), min_size=count, max_size=count))
    array = np.array(drawn, dtype).reshape(shape)
    model = with_sparse(sparse(array, coordinates=coordinates))
    code = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    model.graph.input[0].type.tensor_type.elem_type = code
    model.graph.output[0].type.tensor_type.elem_type = code
    x = X.astype(dtype)
    (result,) = ours(model, [x])
    np.testing.assert_array_equal(result, x + array)
    if count:  # onnxruntime refuses a sparse tensor without elements
        np.testing.assert_array_equal(result, by_onnxruntime(model, [x])[0])


def test_those_of_branches_and_constants() -> None:
    """In a branch that is taken at import, in one that is not, and as a Constant."""
    array = np.array([0, 2, 0, 0, -1, 0, 0, 0, 0, 0, 0, 5], np.float32)
    branch = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["z"])],
        "branch",
        [],
        [helper.make_tensor_value_info("z", 1, [1, 12])],
    )
    branch.sparse_initializer.append(sparse(array, coordinates=False))
    value = sparse(array, coordinates=True)
    model = network(
        [
            helper.make_node("If", ["known"], ["a"], then_branch=branch, else_branch=branch),
            helper.make_node("If", ["c"], ["b"], then_branch=branch, else_branch=branch),
            helper.make_node("Constant", [], ["k"], sparse_value=value),
            helper.make_node("Sum", ["a", "b", "k"], ["y"]),
        ],
        {"x": [1, 12], "c": ([], onnx.TensorProto.BOOL)},
        {"y": None},
        {"known": np.array(True)},
    )
    model.ir_version = 8
    (result,) = ours(model, [X, np.array(True)])
    np.testing.assert_array_equal(result, 2 * X + 3 * array)
    assert names(imported(model)) == ["add", "opaque", "sum"]


def test_one_that_an_old_file_lists_as_an_input() -> None:
    array = np.arange(12, dtype=np.float32)
    model = with_sparse(sparse(array, coordinates=False))
    model.graph.input.append(helper.make_tensor_value_info("w", 1, [12]))
    (result,) = ours(model, [X])
    np.testing.assert_array_equal(result, X + array)


def _shape(tensor: Any) -> None:
    tensor.dims[:] = [1 << 20, 1 << 20]


def _index(tensor: Any) -> None:
    tensor.indices.raw_data = np.array([0, 12], np.int64).tobytes()


def _negative(tensor: Any) -> None:
    tensor.indices.raw_data = np.array([-1, 11], np.int64).tobytes()


def _count(tensor: Any) -> None:
    tensor.indices.CopyFrom(numpy_helper.from_array(np.array([3], np.int64)))


def _type(tensor: Any) -> None:
    tensor.indices.CopyFrom(numpy_helper.from_array(np.array([0, 3], np.int32)))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_shape, "too large|elements when it is made dense"),
        (_index, "outside of its shape"),
        (_negative, "outside of its shape"),
        (_count, "one for each value"),
        (_type, "int64"),
    ],
)
def test_what_does_not_fit(spoil: Any, said: str) -> None:
    tensor = sparse(
        np.eye(1, 12, 3, np.float32)[0] + np.eye(1, 12, 0, np.float32)[0], coordinates=False
    )
    spoil(tensor)
    with pytest.raises(ImportFailure, match=said):
        imported(with_sparse(tensor))


def test_what_sparse_tensors_become_adds_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """2.8 KB of them took 6 GiB: each was below the limit, and there was none for all."""
    monkeypatch.setenv("FURIOSA_MAX_FOLDED_GROWTH", "1000")
    large = np.zeros(300)
    large[7] = 1

    def of(names: list[str], *, constants: bool) -> onnx.ModelProto:
        tensors = {name: sparse(large, coordinates=False, name=name) for name in names}
        nodes = [helper.make_node("Sum", ["x", *names], ["y"])]
        if constants:
            made = (helper.make_node("Constant", [], [n], sparse_value=tensors[n]) for n in names)
            nodes = [*made, *nodes]
        model = network(nodes, {"x": ([300], onnx.TensorProto.DOUBLE)}, {"y": None})
        model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
        if not constants:
            model.graph.sparse_initializer.extend(tensors.values())
        model.ir_version = 8
        return model

    # 300 elements of 64 bits count as 600.
    assert names(imported(of(["a"], constants=False))) == ["add"]
    with pytest.raises(ImportFailure, match="too large when they are made dense"):
        imported(of(["a", "b", "c"], constants=False))
    assert names(imported(of(["a"], constants=True))) == ["add"]
    both = of(["a", "b"], constants=True)
    assert names(imported(both)) == ["opaque", "sum"]
    x = np.arange(300.0)
    np.testing.assert_array_equal(ours(both, [x])[0], x + 2 * large)


def test_zeros_of_sparse_tensors_are_not_what_a_file_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file may make four times its constants; what it has made of nothing does not count."""
    monkeypatch.setenv("FURIOSA_MAX_FOLDED_GROWTH", "1000")
    tensor = sparse(np.eye(1, 400, 3, np.float32)[0], coordinates=False)
    steps = [helper.make_node("Abs", ["w" if i == 0 else f"a{i}"], [f"a{i + 1}"]) for i in range(4)]
    nodes = [*steps, helper.make_node("Sum", ["x", *(f"a{i + 1}" for i in range(4))], ["y"])]
    model = network(nodes, {"x": [400]}, {"y": None})
    model.graph.sparse_initializer.append(tensor)
    model.ir_version = 8
    assert names(imported(model)) == ["abs", "abs", "abs", "sum"]
