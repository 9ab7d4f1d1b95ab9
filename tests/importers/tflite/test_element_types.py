"""Operators on elements of every type that LiteRT has a kernel for: the same results, or its no."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from furiosa_ir.errors import FuriosaError
from furiosa_ir.importers.tflite import import_tflite
from tests.draws import draws
from tests.importers.tflite.single import options, vector
from tests.importers.tflite.test_result_shapes import CASES, Case, attempt, compare
from tests.importers.tflite.test_subgraphs import check
from tests.oracle.litert import Operator, Tensor, build_model, run_reference

F32, C64 = np.float32, np.complex64
TYPES: dict[str, tuple[Any, float | None, int]] = {
    **{
        np.dtype(t).name: (t, None, 0)
        for t in (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64)
    },
    **{
        np.dtype(t).name: (t, None, 0)
        for t in (np.bool_, np.float16, ml_dtypes.bfloat16, np.float64, C64)
    },
    "quantised int8": (np.int8, 0.05, 3),
    "quantised uint8": (np.uint8, 0.05, 131),
    "quantised int16": (np.int16, 0.001, 0),
}
UNSTABLE = {
    **dict.fromkeys(("MATRIX_DIAG", "MATRIX_SET_DIAG"), ("uint64", "complex64")),
    "SUM": ("int16", "quantised int16"),
    "NOT_EQUAL": ("int16",),
}
"""LiteRT's kernels leave elements as memory happens to be, each time otherwise."""


def retyped(case: Case, kind: str) -> tuple[list[Tensor], bytes] | None:
    """The operator on such elements in place of floats, in the first version that LiteRT has."""
    dtype, scale, zero_point = TYPES[kind]

    def changed(tensor: Tensor) -> Tensor:
        if np.dtype(tensor.dtype) != F32:
            return tensor
        data = None if tensor.data is None else tensor.data.astype(dtype)
        return replace(tensor, dtype=dtype, data=data, scale=scale, zero_point=zero_point)

    inputs = [changed(t) for t in case.inputs]
    outputs = [changed(Tensor(f"y{i}", (), d)) for i, d in enumerate(case.results)]
    for version in range(1, 8):
        model = build_model([Operator(case.builtin, inputs, outputs, case.options, version)])
        try:
            import_tflite(model)  # what ends LiteRT's process is refused
            run_reference(model, arrays(inputs))
        except FuriosaError:
            return None
        except (RuntimeError, ValueError) as error:
            if "Didn't find op" not in str(error):
                return None
        else:
            return inputs, model
    return None


def arrays(inputs: list[Tensor]) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    given: list[np.ndarray] = []
    for tensor in inputs:
        dtype = np.dtype(tensor.dtype)
        if tensor.data is not None:
            continue
        if dtype == np.int32:
            given.append(rng.integers(0, 2, tensor.shape, dtype))
        elif dtype.kind in "iu":
            given.append(rng.integers(0, 100, tensor.shape).astype(dtype))
        else:
            given.append((rng.standard_normal(tensor.shape) * 2).astype(dtype))
    return given


@settings(max_examples=draws(60))
@given(st.sampled_from(CASES), st.sampled_from(sorted(TYPES)))
def test_types(case: Case, kind: str):
    made = None if kind in UNSTABLE.get(case.builtin, ()) else retyped(case, kind)
    if made is None:
        return
    inputs, model = made
    want = run_reference(model, arrays(inputs))
    results, refusal = attempt(model, arrays(inputs))
    assert results is not None, refusal
    assert [r.dtype for r in results] == [w.dtype for w in want]
    compare(*([a.astype(np.complex128) for a in each] for each in (results, want)))


@pytest.mark.parametrize("kind", ["bool", "float16"])
def test_unpack_of_what_no_split_takes(kind: str):
    """An UNPACK is a split here, where LiteRT has one."""
    dtype = np.dtype(kind)
    x, parts = Tensor("x", (2, 3), dtype), [Tensor(n, (3,), dtype) for n in "ab"]
    model = build_model([Operator("UNPACK", [x], parts, options("Unpack", num=2), 4)])
    check(model, [np.array([[1, 0, 1], [0, 0, 1]], dtype)])


@pytest.mark.parametrize("indices", [[[0, 2], [1, 1]], 1, [[[2]]], []])
@pytest.mark.parametrize("dtype", [F32, np.int32, np.int64, np.bool_])
@pytest.mark.parametrize("axis", [0, 1])
def test_gather_by_constant_indices_of_any_rank(indices: Any, dtype: Any, axis: int):
    """On the host it is GATHER and RESHAPE."""
    places = np.array(indices, np.int32)
    shape = (*(4, 3)[:axis], *places.shape, *(4, 3)[axis + 1 :])
    x, y = Tensor("x", (4, 3), dtype), Tensor("y", shape, dtype)
    operands = [x, Tensor.constant("i", places)]
    model = build_model([Operator("GATHER", operands, [y], options("Gather", axis=axis), 3)])
    check(model, [np.arange(12).reshape(4, 3).astype(dtype)])


COMPLEX: dict[str, tuple[Any, list[Any], tuple[int, ...], Any]] = {
    "REAL": (None, [], (2, 4, 5), F32),
    "IMAG": (None, [], (2, 4, 5), F32),
    "COMPLEX_ABS": (None, [], (2, 4, 5), F32),
    "CAST": (options("Cast"), [], (2, 4, 5), F32),
    "RESHAPE": (options("Reshape"), [vector("s", 8, 5)], (8, 5), C64),
    "TRANSPOSE": (options("Transpose"), [vector("p", 1, 0, 2)], (4, 2, 5), C64),
    "SLICE": (options("Slice"), [vector("b", 0, 1, 0), vector("n", 2, 2, 3)], (2, 2, 3), C64),
    "EXPAND_DIMS": (options("ExpandDims"), [vector("a", 0)], (1, 2, 4, 5), C64),
    "TILE": (options("Tile"), [vector("m", 2, 1, 1)], (4, 4, 5), C64),
}


@pytest.mark.parametrize("builtin", COMPLEX)
def test_complex_numbers(builtin: str):
    """Behind an RFFT2D, and as an input and output of the network."""
    table, more, shape, dtype = COMPLEX[builtin]
    x, c = Tensor("x", (2, 4, 8), F32), Tensor("c", (2, 4, 5), C64)
    y = Tensor("y", shape, dtype)
    rfft = Operator("RFFT2D", [x, vector("n", 4, 8)], [c], options("Rfft2d"))
    operator = Operator(builtin, [c, *more], [y], table)
    array = np.random.default_rng(2).standard_normal((2, 4, 8)).astype(F32)
    check(build_model([rfft, operator]), [array])
    numbers = (array[:, :, :5] + 1j * array[:, :, 3:]).astype(C64)
    check(build_model([operator]), [numbers])
