"""An exception inside a plug-in names the plug-in's file and line, wherever it is raised."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from furiosa_ir.plugins import plugin_failure
from tests.conftest import ROOT

PLACES = {
    "import": "raise KeyError('here')  # RAISES",
    "from_onnx": """
@register
@irdl_op_definition
class Op(UnaryOp):
    name = "graph.test_raises"
    ONNX: ClassVar = ("com.example::Raises",)

    @classmethod
    def from_onnx(cls, node):
        raise ValueError("here")  # RAISES
""",
    "result_shapes": """
@register
@irdl_op_definition
class Op(UnaryOp):
    name = "graph.test_raises"
    ONNX: ClassVar = ("com.example::Raises",)

    def result_shapes(self):
        return [helper(self)]

def helper(op):
    return op.nothing  # RAISES
""",
    "evaluate": """
@register
@irdl_op_definition
class Op(UnaryOp):
    name = "graph.test_raises"
    ONNX: ClassVar = ("com.example::Raises",)

    def evaluate(self, *operands):
        return [operands[7]]  # RAISES
""",
    "lowering": """
@register
@irdl_op_definition
class Op(UnaryOp):
    name = "graph.test_raises"
    ONNX: ClassVar = ("com.example::Raises",)

    def evaluate(self, *operands):
        return [operands[0]]

@lowers(Op, EXACT)
def lower(op, emit):
    return np.reshape(np.zeros(3), (2, 2))  # RAISES
""",
    "verify_": """
@register
@irdl_op_definition
class Op(UnaryOp):
    name = "graph.test_raises"
    ONNX: ClassVar = ("com.example::Raises",)

    def verify_(self):
        raise RuntimeError("here")  # RAISES
""",
    "pass": """
@dataclass(frozen=True)
class Raises(Pass):
    name = "test-raises"

    def apply(self, ctx, op):
        raise RuntimeError("here")  # RAISES
""",
    "exit": """
@dataclass(frozen=True)
class Leaves(Pass):
    name = "test-raises"

    def apply(self, ctx, op):
        sys.exit(0)  # RAISES
""",
    "no Exception": """
class Odd(BaseException):
    pass

raise Odd("here")  # RAISES
""",
    "rule": """
@rule(ReluOp)
def raising(op, rw):
    return rw.nothing  # RAISES

class Raises(RewritePass):
    name = "test-raises"
    rules = (raising,)
""",
}
HEAD = """
import sys
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from xdsl.irdl import irdl_op_definition

from furiosa_ir.lowering.registry import EXACT, lowers
from furiosa_ir.dialects.graph import register
from furiosa_ir.dialects.graph.elementwise import ReluOp, UnaryOp
from furiosa_ir.ir.passes import Pass, RewritePass
from furiosa_ir.ir.rewriting import rule
"""


def network(operator: str, x: str) -> bytes:
    """Q - DQ - Relu - operator - Q - DQ; the operator's operand may be another.

    Args:
        operator: which one.
        x: "r" behind Relu, "d" before it, "c" a constant, of which it is evaluated at once.
    """
    scale = helper.make_tensor("s", TensorProto.FLOAT, [], [0.1])
    zero = helper.make_tensor("z", TensorProto.INT8, [], [3])
    value = helper.make_tensor("c", TensorProto.FLOAT, [4], [1, 2, 3, 4])
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("Relu", ["d"], ["r"], name="relu"),
        helper.make_node(
            operator,
            [x],
            ["t"],
            domain="com.example" if operator == "Raises" else "",
            name="raises",
        ),
        helper.make_node("Add", ["t", "r"], ["a"]),
        helper.make_node("QuantizeLinear", ["t" if x != "c" else "a", "s", "z"], ["p"]),
        helper.make_node("DequantizeLinear", ["p", "s", "z"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])],
        [scale, zero, value],
    )
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("com.example", 1)]
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return model.SerializeToString()


@pytest.mark.parametrize("place", PLACES)
def test_the_plug_in_is_named(place: str, tmp_path: Path):
    plugin, model = tmp_path / "mine.py", tmp_path / "n.onnx"
    code = HEAD + PLACES[place]
    plugin.write_text(code)
    line = 1 + next(i for i, text in enumerate(code.splitlines()) if "RAISES" in text)
    of_passes = place in ("pass", "rule", "exit", "import", "no Exception")
    operator = "Neg" if of_passes else "Raises"
    model.write_bytes(network(operator, {"evaluate": "c", "lowering": "d"}.get(place, "r")))
    command = ["compile", model, "--load", plugin, "-o", tmp_path / "out.enf", "--no-cache"]
    if place in ("pass", "rule", "exit"):
        command += ["--pass-pipeline", "test-raises,graph-fold-quantization"]
    # A process of its own: what a plug-in registers stays.
    result = subprocess.run(
        [sys.executable, "-m", "furiosa_ir.tools.furiosa", *map(str, command)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert result.returncode == 1, result.stderr
    sentence = result.stderr.splitlines()[-1]
    assert sentence.startswith("ERROR: ")
    assert f"{plugin}:{line}: " in sentence
    assert "report it" not in result.stderr
    if place in ("from_onnx", "result_shapes", "evaluate", "lowering", "verify_"):
        assert "layer 'raises" in sentence
    if place == "rule":
        assert "the rule 'raising' of the pass 'test-raises'" in sentence
    if place == "pass":
        assert "the pass 'test-raises'" in sentence
    assert not (tmp_path / "out.enf").exists()


SPOILS = """
@dataclass(frozen=True)
class Spoils(Pass):
    name = "test-spoils"

    def apply(self, ctx, op):
        for inner in op.walk():
            if inner.name == "graph.relu":
                inner.results[0]._type = TensorType(i8, [7, 7])
"""


def test_what_a_plug_ins_pass_leaves_is_verified_before_another_runs(tmp_path: Path):
    plugin, model, output = tmp_path / "mine.py", tmp_path / "n.onnx", tmp_path / "out.enf"
    plugin.write_text(f"{HEAD}from xdsl.dialects.builtin import TensorType, i8\n{SPOILS}")
    model.write_bytes(network("Neg", "r"))
    passes = "test-spoils,graph-fold-quantization,graph-partition,lower-to-ftensor"
    command = ["compile", model, "--load", plugin, "-o", output, "--pass-pipeline", passes]
    result = subprocess.run(
        [sys.executable, "-m", "furiosa_ir.tools.furiosa", *map(str, command), "--no-cache"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert result.returncode == 1
    assert "layer 'relu': after the pass 'test-spoils': graph.relu: " in result.stderr
    assert "report it" not in result.stderr


def test_exceptions_of_ours_are_nobody_elses():
    from furiosa_ir.ir.attribute_values import as_attribute

    with pytest.raises(TypeError) as caught:
        as_attribute(object())  # the test's frame is above ours, not below
    assert plugin_failure(caught.value) is None
