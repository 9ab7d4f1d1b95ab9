"""The lowering of a plug-in's operator beside its `evaluate`; in processes of their own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "adding-an-operator.md"


def network() -> onnx.ModelProto:
    parameters = [("sa", 0.02), ("sb", 0.03), ("sy", 0.025)]
    initializers = [numpy_helper.from_array(np.array(v, np.float32), n) for n, v in parameters]
    zero_points = (("za", 3), ("zb", -5), ("zy", -128))
    initializers += [numpy_helper.from_array(np.array(v, np.int8), n) for n, v in zero_points]
    nodes = [
        helper.make_node("DequantizeLinear", ["a", "sa", "za"], ["ra"]),
        helper.make_node("DequantizeLinear", ["b", "sb", "zb"], ["rb"]),
        helper.make_node("AbsDiff", ["ra", "rb"], ["ry"], domain="com.example", name="distance"),
        helper.make_node("QuantizeLinear", ["ry", "sy", "zy"], ["y"]),
    ]
    values = [helper.make_tensor_value_info(n, TensorProto.INT8, [1, 8, 5, 5]) for n in "aby"]
    graph = helper.make_graph(nodes, "example", values[:2], values[2:], initializers)
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("com.example", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


@pytest.mark.parametrize("wrong", [False, True])
def test_a_lowering_that_is_wrong_by_one_is_named(wrong: bool, tmp_path: Path):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    code = "\n".join(blocks[:2])
    if wrong:
        code = code.replace("output_zp=y.zero_point", "output_zp=y.zero_point + 1")
    (tmp_path / "abs_diff.py").write_text(code, encoding="utf-8")
    onnx.save(network(), tmp_path / "net.onnx")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "furiosa_ir.tools.furiosa", "compile", "net.onnx"),
            *("--load", "abs_diff.py", "--verify", "--no-cache", "-o", "x.enf"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
    )
    if wrong:
        assert done.returncode == 1
        error = done.stderr.splitlines()[-1]
        assert error.startswith("ERROR: net.onnx: layer 'distance")
        assert "the result does not agree: element [" in error
        assert not (tmp_path / "x.enf").exists()
    else:
        assert done.returncode == 0, done.stderr
        assert "onnxruntime does not run the file" in done.stderr  # it has no such operator
