"""Sparse tensors are what LiteRT makes of them, wherever they stand."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from furiosa_ir.backends.warboy.enf.reader import read_program
from furiosa_ir.compiler import compile_model
from furiosa_ir.errors import ImportFailure
from furiosa_ir.importers.tflite import import_tflite
from tests.draws import draws
from tests.importers.tflite.single import names_of, options
from tests.importers.tflite.sparse import with_sparse
from tests.importers.tflite.test_subgraphs import check
from tests.oracle.litert import Operator, Tensor, build_model

F32 = np.float32
WAYS: list[dict[str, Any]] = [
    {"order": [0, 1], "blocks": {}, "compressed": [1]},
    {"order": [1, 0], "blocks": {}, "compressed": [1]},
    {"order": [0, 1], "blocks": {}, "compressed": [0, 1]},
    {"order": [0, 1], "blocks": {}, "compressed": []},
    {"order": [0, 1, 2], "blocks": {1: 4}, "compressed": [1]},
    {"order": [0, 1, 2, 3], "blocks": {0: 2, 1: 4}, "compressed": [1]},
    {"order": [1, 0, 3, 2], "blocks": {0: 2, 1: 4}, "compressed": [0, 1]},
]


def matrix(dtype: Any, seed: int = 0) -> np.ndarray:
    """Of whole blocks of zeros."""
    rng = np.random.default_rng(seed)
    there = np.kron(rng.random((4, 4)) < 0.4, np.ones((2, 4)))
    return (rng.integers(-5, 6, (8, 16)) * there).astype(dtype)


@settings(max_examples=draws(20))
@given(st.data())
def test_densify(data: DataObject):
    dtype = data.draw(st.sampled_from([F32, np.float16, np.int8]))
    scale = 0.5 if dtype is np.int8 else None
    elements = matrix(dtype, data.draw(st.integers(0, 9)))
    w, y = Tensor.constant("w", elements, scale), Tensor("y", (8, 16), dtype, scale)
    x, z = Tensor("x", (2,), F32), Tensor("z", (2,), F32)
    operators = [Operator("DENSIFY", [w], [y], options("Densify")), Operator("ABS", [x], [z])]
    model = with_sparse(build_model(operators), "w", **data.draw(st.sampled_from(WAYS)))
    assert names_of(import_tflite(model)) == ["abs"]
    check(model, [np.ones(2, F32)])


@pytest.mark.parametrize("way", [0, 4])
def test_a_kernel_that_takes_sparse_weights(way: int):
    """Of floats on the host; LiteRT's kernel adds them in another order."""
    w = Tensor.constant("w", matrix(F32))
    x, y = Tensor("x", (3, 16), F32), Tensor("y", (3, 8), F32)
    model = build_model([Operator("FULLY_CONNECTED", [x, w, None], [y], options("FullyConnected"))])
    array = np.arange(48).reshape(3, 16).astype(F32)
    check(with_sparse(model, "w", **WAYS[way]), [array])


def test_sparse_int8_weights_are_dense_on_the_npu():
    w = Tensor.constant("w", matrix(np.int8), 0.05)
    x, y = Tensor("x", (3, 16), np.int8, 0.05, 3), Tensor("y", (3, 8), np.int8, 0.1, 1)
    wd = Tensor("wd", (8, 16), np.int8, 0.05)
    operators = [
        Operator("DENSIFY", [w], [wd], options("Densify")),
        Operator("FULLY_CONNECTED", [x, wd, None], [y], options("FullyConnected")),
    ]
    model = with_sparse(build_model(operators), "w", **WAYS[4])
    program = read_program(compile_model(model))
    assert [s.name for s in program.segments] == ["npu_0"]
    check(model, [np.arange(-24, 24, dtype=np.int8).reshape(3, 16)])


def densified(edit: Any) -> bytes:
    w, y = Tensor.constant("w", matrix(F32)), Tensor("y", (8, 16), F32)
    model = with_sparse(build_model([Operator("DENSIFY", [w], [y])]), "w", **WAYS[4])
    tree = schema.ModelT.InitFromPackedBuf(model)
    edit(next(t for t in tree.subgraphs[0].tensors if t.name == b"w"))
    builder = flatbuffers.Builder(1024)
    builder.Finish(tree.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def set_metadata(level: int, **fields: Any) -> Any:
    def edit(tensor: Any) -> None:
        for name, values in fields.items():
            if name == "denseSize":
                tensor.sparsity.dimMetadata[level].denseSize = values
            else:
                getattr(tensor.sparsity.dimMetadata[level], name).values = values

    return edit


EVIL: dict[str, Any] = {
    "order": lambda t: setattr(t.sparsity, "traversalOrder", [0, 1, 7]),
    "no order": lambda t: setattr(t.sparsity, "traversalOrder", []),
    "block": lambda t: setattr(t.sparsity, "blockMap", [9]),
    "levels": lambda t: setattr(t.sparsity, "dimMetadata", t.sparsity.dimMetadata[:2]),
    "size": set_metadata(0, denseSize=1 << 30),
    "negative size": set_metadata(0, denseSize=-1),
    "segments": set_metadata(1, arraySegments=np.array([0, 60000], np.uint16)),
    "falling": set_metadata(1, arraySegments=np.arange(9, dtype=np.uint16)[::-1]),
    "indices": set_metadata(1, arrayIndices=np.full(30, 255, np.uint8)),
    "no indices": lambda t: setattr(t.sparsity.dimMetadata[1], "arrayIndices", None),
    "block size": set_metadata(2, denseSize=5),
}


@pytest.mark.parametrize("kind", EVIL)
def test_indices_that_make_no_sense(kind: str):
    with pytest.raises(ImportFailure, match=r"corrupt: .* sparse") as caught:
        import_tflite(densified(EVIL[kind]))
    assert caught.value.layer == "w"


def test_a_small_file_does_not_hold_a_large_tensor():
    def grow(tensor: Any) -> None:
        tensor.shape = [1 << 15, 1 << 15]
        tensor.sparsity.dimMetadata[0].denseSize = 8

    with pytest.raises(ImportFailure, match="sparse tensors are too large"):
        import_tflite(densified(grow))


@pytest.mark.parametrize("kind", ["INT64", "FLOAT64", "COMPLEX64"])
def test_wide_elements_count_twice(kind: str):
    """As in ONNX: 25 million elements of 4 bytes are few enough, of 8 they are not."""

    def grow(tensor: Any) -> None:
        tensor.shape = [1 << 12, 6 << 10]
        tensor.type = getattr(schema.TensorType, kind)

    with pytest.raises(ImportFailure, match="sparse tensors are too large"):
        import_tflite(densified(grow))
