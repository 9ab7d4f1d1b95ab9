"""Custom ONNX operators: refused at compile time where nothing runs them."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from furiosa_ir.compiler import compile_model
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.runtime import session


def model(operator: str, domain: str) -> bytes:
    """One operator of a domain on f32 [2, 3]."""
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [2, 3]) for n in "xy")
    node = helper.make_node(operator, ["x"], ["y"], name="custom", domain=domain)
    graph = helper.make_graph([node], "g", [x], [y])
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid(domain, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def test_an_unknown_custom_operator_is_refused() -> None:
    with pytest.raises(CompilationFailure, match=r"'com\.acme::Foo' has no kernel") as failure:
        compile_model(model("Foo", "com.acme"))
    assert failure.value.layer == "custom"


def test_a_contrib_operator_of_onnxruntime_runs() -> None:
    x = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
    with session.create(compile_model(model("QuickGelu", "com.microsoft"))) as s:
        got = s.run([x])[0].numpy()
    np.testing.assert_allclose(got, x / (1 + np.exp(-1.702 * x)), rtol=1e-6)
