"""The partition asks the backend what it takes, and says in its name what it does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from furiosa_ir import hints
from furiosa_ir.backends import Backend, default_backend
from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.ir.context import make_context
from furiosa_ir.ir.segments import HINT, PLACEMENT
from furiosa_ir.ir.text import parse_module
from furiosa_ir.passes.partition import graph_partition
from furiosa_ir.passes.partition.graph_partition import GraphPartition

Q = "tensor<1x8x!quant.uniform<i8:f32, 0.5>>"
NETWORK = f"""
builtin.module attributes {{graph.source = "onnx"}} {{
  func.func @main(%x: {Q} {{graph.name = "x"}}) -> {Q} {{
    %r = "graph.relu"(%x) : ({Q}) -> {Q}
    %y = "graph.sigmoid"(%r) : ({Q}) -> {Q}
    func.return %y : {Q}
  }}
}}
"""


def abacus(op: GraphOp, numerics: str) -> hints.Hint | None:
    """A machine without tables."""
    assert numerics == "exact"
    return None if op.name == "graph.relu" else hints.form(op.name, "which is a curve")


def test_what_runs_where_is_the_backends_business(monkeypatch: pytest.MonkeyPatch) -> None:
    other = replace(default_backend(), title="Abacus", refusal=abacus)

    def backend_of(module: object) -> Backend:
        return other

    monkeypatch.setattr(graph_partition, "backend_of", backend_of)
    module = parse_module(NETWORK)
    GraphPartition().apply(make_context(), module)
    placed = {
        op.name: (function.attributes[PLACEMENT], op.attributes.get(HINT))
        for function in module.ops
        for op in function.walk()
        if PLACEMENT in function.attributes and isinstance(op, GraphOp)
    }
    assert str(placed["graph.relu"][0]) == '"npu"'
    assert placed["graph.relu"][1] is None
    assert str(placed["graph.sigmoid"][0]) == '"host"'
    sentence = "Sigmoid which is a curve cannot be accelerated by Abacus; it runs on the host"
    assert sentence in str(placed["graph.sigmoid"][1])


def test_a_backend_that_gives_no_hint_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refusal(op: GraphOp, numerics: str) -> str:
        return "no beads"

    def backend_of(module: object) -> Backend:
        return replace(default_backend(), name="abacus", refusal=refusal)

    monkeypatch.setattr(graph_partition, "backend_of", backend_of)
    what = "the backend 'abacus' refuses graph.relu by a value of type str, not a Hint or None"
    with pytest.raises(CompilationFailure, match=what):
        GraphPartition().apply(make_context(), parse_module(NETWORK))


def test_reasons_of_the_network_name_no_device() -> None:
    """Only what is for want of the device says by what an operator cannot be accelerated."""
    for make in hints.REASONS:
        words = ["op", "of a form"][: make.__code__.co_argcount]
        sentence = make(*words).called("Op", "Abacus").sentence
        assert sentence.startswith("Op ")
        assert ("accelerated by Abacus;" in sentence) == ("accelerated" in sentence)
