"""Chains of transposes and reshapes: any order of them compiles, whatever stands between."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from furiosa_ir.backends.warboy.enf.reader import read_program
from furiosa_ir.backends.warboy.enf.records import NpuSegment
from furiosa_ir.compiler import compile_model
from furiosa_ir.runtime import session

PERMUTATIONS = {"H": (0, 1, 3, 2), "C": (0, 2, 1, 3), "T": (0, 3, 1, 2), "W": (0, 3, 2, 1)}
Array = np.ndarray[Any, np.dtype[Any]]


def _reshaped(array: Array, shape: tuple[int, ...]) -> Array:
    return array.reshape(shape)


def chain(steps: str) -> tuple[onnx.ModelProto, list[Callable[[Array], Array]]]:
    """A network of int8 data; what each of its steps computes.

    Args:
        steps: a letter of PERMUTATIONS; R and S, two reshapes; N, a negation.
    """
    parameters = {"scale": np.array(0.5, np.float32), "zero": np.array(0, np.int8)}
    constants: dict[str, Array] = dict(parameters)
    nodes = [helper.make_node("DequantizeLinear", ["x", *parameters], ["v"])]
    value, shape = "v", (1, 4, 6, 5)
    functions: list[Callable[[Array], Array]] = []
    for number, step in enumerate(steps):
        result = f"v{number}"
        if step in PERMUTATIONS:
            perm = PERMUTATIONS[step]
            nodes.append(helper.make_node("Transpose", [value], [result], perm=perm))
            shape = tuple(shape[p] for p in perm)
            functions.append(partial(np.transpose, axes=perm))
        elif step == "N":
            nodes.append(helper.make_node("Neg", [value], [result]))
            functions.append(np.negative)
        else:
            n, c, h, w = shape
            shape = (n, c, w, h) if step == "R" else (n, h * w, c, 1)
            constants[f"s{number}"] = np.array(shape)
            nodes.append(helper.make_node("Reshape", [value, f"s{number}"], [result]))
            functions.append(partial(_reshaped, shape=shape))
        value = result
    nodes.append(helper.make_node("QuantizeLinear", [value, *parameters], ["y"]))
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("x", onnx.TensorProto.INT8, [1, 4, 6, 5])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.INT8, shape)],
        [numpy_helper.from_array(a, n) for n, a in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), functions


@pytest.mark.parametrize(
    "steps",
    [
        *("HRH", "WSC", "TSW", "HRHN", "NWRC", "HRNH"),
        *("WSWRWR", "WRWSC", "TSHTSC", "HSWRC", "WRTSC", "RNWRCRC", "HRWSNTT", "TCTRWRH"),
    ],
)
def test_a_chain(steps: str) -> None:
    program = check(steps)
    assert all(isinstance(s, NpuSegment) for s in read_program(program).segments)


def check(steps: str) -> bytes:
    """Compiles, runs and compares a chain; returns the program."""
    model, functions = chain(steps)
    program = compile_model(model.SerializeToString())
    x = np.random.default_rng(3).integers(-127, 128, (1, 4, 6, 5), np.int8)
    with session.create(program) as s:
        (result,) = (t.numpy() for t in s.run([x]))
    for function in functions:
        x = function(x)
    np.testing.assert_array_equal(result, x)
    return program


def test_random_chains() -> None:
    rng = np.random.default_rng(11)
    for _ in range(40):
        steps = "".join(rng.choice(list("HCTWRSN"), rng.integers(3, 8)))
        check(steps)
