"""Operators without an integer form, run by their framework inside the interpreter."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import OpResolverType

from furiosa_ir.errors import ExecutionFailure
from furiosa_ir.importers.tflite import import_tflite
from furiosa_ir.interpreter import run_module
from furiosa_ir.lowering.operation import lower_operation
from furiosa_ir.verification.host_operator import run_host_operator
from tests.oracle.litert import Operator, Tensor, build_model, run_reference


def test_a_softmax_of_the_default_kernels_runs_on_the_host() -> None:
    """TILE 3 makes it a network of the default kernels, whose SOFTMAX has no integer form."""
    x = Tensor("x", (2000, 100), np.int8, 0.24259)
    tiled = Tensor("tiled", (2000, 300), np.int8, 0.24259)
    y = Tensor("y", (2000, 300), np.int8, 1 / 256, -128)
    repeats = Tensor.constant("repeats", np.array([1, 3], np.int32))
    options = schema.SoftmaxOptionsT()
    options.beta = 1.0
    softmax = Operator("SOFTMAX", [tiled], [y], options, 2)
    model = build_model([Operator("TILE", [x, repeats], [tiled], None, 3), softmax])
    data = np.clip(np.random.default_rng(0).normal(0, 20, x.shape), -128, 127).astype(np.int8)
    expected = run_reference(model, [data], OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
    by_reference = run_reference(build_model([softmax]), [np.tile(data, 3)])
    assert (by_reference[0] != expected[0]).any(), "nothing tells the kernels apart"
    module = import_tflite(model)
    (got,) = run_module(
        module, [data], lower_operation=lower_operation, run_host=run_host_operator
    ).values()
    np.testing.assert_array_equal(got, expected[0])
    with pytest.raises(ExecutionFailure, match=r"graph\.softmax by itself"):
        run_module(module, [data], lower_operation=lower_operation)
