"""Scales that no calibration means: LiteRT's results, or a sentence where it ends the process."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from furiosa_ir.errors import ImportFailure
from furiosa_ir.importers.tflite import import_tflite
from tests.draws import draws
from tests.importers.tflite.single import options, vector
from tests.importers.tflite.test_result_shapes import attempt
from tests.oracle.litert import Operator, Tensor, build_model, run_reference

SCALES = [0.0, 1e-44, 3e-35, 1e-19, 1e-10, 0.05, 0.5, 1e10, 1e19, 1e35]
ONES = Tensor.constant("pads", np.ones((2, 2), np.int32))
TYPES: dict[str, Any] = {"int8": np.int8, "uint8": np.uint8, "int16": np.int16}

BINARY: dict[str, Any] = {
    **{n: options(n.capitalize()) for n in ("ADD", "SUB", "MUL", "DIV")},
    "SQUARED_DIFFERENCE": options("SquaredDifference"),
    "MAXIMUM": options("MaximumMinimum"),
    "PRELU": None,
    "EQUAL": options("Equal"),
    "LESS": options("Less"),
}
UNARY: dict[str, Any] = {
    **dict.fromkeys(("RELU", "RELU6", "TANH", "LOGISTIC", "EXP", "HARD_SWISH", "RSQRT", "SQRT")),
    **dict.fromkeys(("LOG", "ABS", "NEG", "ELU", "GELU")),
    "QUANTIZE": options("Quantize"),
    "LEAKY_RELU": options("LeakyRelu", alpha=0.1),
    "SOFTMAX": options("Softmax", beta=1.0),
    "LOG_SOFTMAX": options("LogSoftmax"),
    "L2_NORMALIZATION": options("L2Norm"),
    "DEQUANTIZE": options("Dequantize"),
}


def network(builtin: str, kind: str, scales: tuple[float | None, ...], version: int) -> bytes:
    """The operator on tensors of these scales, the last that of the result."""
    dtype = TYPES[kind]
    zero_point = {"int8": 3, "uint8": 131, "int16": 0}[kind]
    result: Any = {"EQUAL": np.bool_, "LESS": np.bool_, "DEQUANTIZE": np.float32}.get(
        builtin, dtype
    )
    count = 2 if builtin in BINARY else 1
    x = [
        Tensor(n, (2, 4), dtype, s, 0 if s is None else zero_point)
        for n, s in zip("ab", scales[:count], strict=False)
    ]
    scale = scales[-1] if result is dtype else None
    fixed = {"SOFTMAX": (1 / 256, -128), "LOG_SOFTMAX": (1 / 16, 127)}
    if kind == "int8" and builtin in fixed:
        scale, zero_point = fixed[builtin]
    y = Tensor("y", (2, 4), result, scale, 0 if scale is None else zero_point)
    table = BINARY.get(builtin, UNARY.get(builtin))
    return build_model([Operator(builtin, x, [y], table, version)])


def data(kind: str, count: int) -> list[np.ndarray]:
    info = np.iinfo(TYPES[kind])
    rng = np.random.default_rng(5)
    return [rng.integers(info.min, info.max + 1, (2, 4), TYPES[kind]) for _ in range(count)]


def litert(model: bytes, arrays: list[np.ndarray]) -> list[np.ndarray] | None:
    """Its results; None if it refuses."""
    try:
        return run_reference(model, arrays)
    except (RuntimeError, ValueError):
        return None


@settings(max_examples=draws(50))
@given(st.sampled_from([*BINARY, *UNARY]), st.sampled_from(sorted(TYPES)), st.data())
def test_extreme_scales(builtin: str, kind: str, data_: st.DataObject):
    scales = tuple(data_.draw(st.sampled_from([None, *SCALES])) for _ in range(3))
    arrays = data(kind, 2 if builtin in BINARY else 1)
    for version in range(1, 6):
        model = network(builtin, kind, scales, version)
        results, refusal = attempt(model, arrays)
        if results is None and "Didn't find op" not in refusal:
            return  # by name; which of them end LiteRT's process, the next test tells
        want = litert(model, arrays)
        if want is not None and results is not None:
            for result, reference in zip(results, want, strict=True):
                np.testing.assert_array_equal(result, reference)
            return


ENDING: list[tuple[str, str, tuple[float | None, ...]]] = [
    ("ADD", "int8", (0.5, 0.5, 1e-30)),
    ("ADD", "uint8", (0.5, 1e30, 0.5)),
    ("ADD", "int16", (0.5, 0.5, 1e-19)),
    ("ADD", "int8", (1e35, 1e35, 1e35)),
    ("ADD", "int8", (None, None, None)),
    ("SUB", "int8", (1e35, 1e35, 1e35)),
    ("SUB", "int16", (None, None, None)),
    ("SQUARED_DIFFERENCE", "int8", (0.5, 0.5, 1e-19)),
    ("SQUARED_DIFFERENCE", "int8", (None, None, None)),
    ("EQUAL", "uint8", (None, 0.5, 1)),
    ("LESS", "int8", (0.5, None, 1)),
    ("LOG", "int16", (None, None)),
    ("SOFTMAX", "int8", (1e-10, 1 / 256)),
]


def test_what_ends_the_process_is_refused():
    """LiteRT is asked in children of one process: it does end them."""
    script = (
        "import os\n"
        "from tests.importers.tflite import test_hazards as t\n"
        "for builtin, kind, scales in t.ENDING:\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        os.dup2(os.open('/dev/null', os.O_WRONLY), 2)\n"
        "        for version in range(1, 6):\n"
        "            model = t.network(builtin, kind, scales, version)\n"
        "            t.litert(model, t.data(kind, 2 if builtin in t.BINARY else 1))\n"
        "        os._exit(0)\n"
        "    print(os.WIFSIGNALED(os.waitpid(child, 0)[1]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True"] * len(ENDING)
    for builtin, kind, scales in ENDING:
        with pytest.raises(ImportFailure, match=r"ends the process|scale") as caught:
            import_tflite(network(builtin, kind, scales, 2))
        assert caught.value.layer == "y"


MOVING: dict[str, tuple[Any, list[Tensor], tuple[int, ...], int]] = {
    "EXPAND_DIMS": (options("ExpandDims"), [vector("a", 0)], (1, 2, 4), 1),
    "REDUCE_MAX": (options("Reducer", keepDims=True), [vector("a", 1)], (2, 1), 1),
    "MIRROR_PAD": (options("MirrorPad"), [ONES], (4, 6), 1),
    "CONCATENATION": (options("Concatenation", axis=0), [], (4, 4), 2),
    "PACK": (options("Pack", valuesCount=2), [], (2, 2, 4), 2),
}


@pytest.mark.parametrize("builtin", MOVING)
@pytest.mark.parametrize("kind", ["int8", "uint8", "int16"])
@pytest.mark.parametrize("other", ["scale", "zero point", "nothing"])
def test_what_moves_stored_integers_takes_one_quantisation(builtin: str, kind: str, other: str):
    """LiteRT refuses others; here they were requantised without a word."""
    table, more, shape, count = MOVING[builtin]
    dtype, zero_point = TYPES[kind], {"int8": 3, "uint8": 131, "int16": 0}[kind]
    if kind == "int16" and other == "zero point":
        return  # they have none
    x = [Tensor(n, (2, 4), dtype, 0.05, zero_point) for n in "ab"[:count]]
    scale = 0.1 if other == "scale" else 0.05
    y = Tensor("y", shape, dtype, scale, zero_point + (other == "zero point"))
    for version in range(1, 6):
        model = build_model([Operator(builtin, [*x, *more], [y], table, version)])
        results, refusal = attempt(model, data(kind, count))
        if results is not None or "Didn't find op" not in refusal:
            break
    want = litert(model, data(kind, count))
    assert (want is None) == (results is None), refusal
    for result, reference in zip(results or [], want or [], strict=True):
        np.testing.assert_array_equal(result, reference)


def narrow(model: bytes, bits: int) -> bytes:
    """The model with its constant `w` packed into so few bits an element."""
    tree = schema.ModelT.InitFromPackedBuf(model)
    tensor: Any = next(t for t in tree.subgraphs[0].tensors if t.name == b"w")
    elements = np.asarray(tree.buffers[tensor.buffer].data, np.uint8) & ((1 << bits) - 1)
    groups = np.pad(elements, (0, -len(elements) % (8 // bits))).reshape(-1, 8 // bits)
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    tree.buffers[tensor.buffer].data = (groups << shifts).sum(1).astype(np.uint8)
    tensor.type = {4: schema.TensorType.INT4, 2: schema.TensorType.INT2}[bits]
    builder = flatbuffers.Builder(1024)
    builder.Finish(tree.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


@pytest.mark.parametrize("bits", [4, 2])
@pytest.mark.parametrize("columns", [8, 7])
@pytest.mark.parametrize("builtin", ["EMBEDDING_LOOKUP", "FULLY_CONNECTED", "hybrid"])
def test_narrow_weights(builtin: str, columns: int, bits: int):
    w = Tensor.constant("w", (np.arange(5 * columns) % (1 << bits)).astype(np.int8), 0.05)
    w = replace(w, shape=(5, columns))
    table = options("FullyConnected")
    if builtin == "EMBEDDING_LOOKUP":
        x, y = Tensor("x", (3,), np.int32), Tensor("y", (3, columns), np.float32)
        model = build_model([Operator(builtin, [x, w], [y])])
        array: np.ndarray = np.array([0, 3, 1], np.int32)
    elif builtin == "hybrid":
        x, y = Tensor("x", (3, columns), np.float32), Tensor("y", (3, 5), np.float32)
        model = build_model([Operator("FULLY_CONNECTED", [x, w, None], [y], table)])
        array = np.random.default_rng(1).standard_normal(x.shape).astype(np.float32)
    else:
        x, y = Tensor("x", (3, columns), np.int8, 0.05, 3), Tensor("y", (3, 5), np.int8, 0.1, 1)
        model = build_model([Operator(builtin, [x, w, None], [y], table)])
        array = np.arange(3 * columns, dtype=np.int8).reshape(x.shape)
    results, refusal = attempt(narrow(model, bits), [array])
    if builtin == "EMBEDDING_LOOKUP" and columns == 7:
        assert "rows that share a byte" in refusal
        return
    assert results is not None, refusal
    np.testing.assert_allclose(
        results[0], run_reference(narrow(model, bits), [array])[0], rtol=1e-6
    )


@pytest.mark.parametrize("given", [None, options("Add")], ids=["none", "another operator's"])
def test_softmax_without_its_options_has_a_beta_of_zero(given: Any) -> None:
    """A mutation of a real network ended LiteRT."""
    x, y = Tensor("x", (2, 4), np.int8, 0.5), Tensor("y", (2, 4), np.int8, 1 / 256, -128)
    with pytest.raises(ImportFailure, match="with beta 0, at which LiteRT ends the process"):
        import_tflite(build_model([Operator("SOFTMAX", [x], [y], given)]))
