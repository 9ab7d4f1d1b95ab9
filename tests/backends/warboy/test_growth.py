"""Work grows with the network: 2,000 operators on as many variables took 17 s, half of it searches.

One compile of a chain of variables' sums, longer than a kernel, counts what is looked at. What is
the same is done once: verified, tabulated, loaded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from furiosa_ir.backends import read_program
from furiosa_ir.backends.warboy.enf import writer
from furiosa_ir.backends.warboy.passes import fuse_kernels
from furiosa_ir.backends.warboy.planning.best_fit import best_fit
from furiosa_ir.backends.warboy.planning.intervals import Interval
from furiosa_ir.compiler import compile_model
from furiosa_ir.ir import verifier
from furiosa_ir.passes import ftensor_fuse_tables
from furiosa_ir.passes.partition import float_layers
from tests.oracle.litert import Operator, Tensor, build_model

COUNT = 120


def chain() -> bytes:
    value, operators = Tensor("x", (1, 4), np.int8, 0.5), list[Operator]()
    for i in range(COUNT):
        state = Tensor(f"v{i}", (1, 4), np.int8, 0.5, is_variable=True)
        operators.append(
            Operator("ADD", [value, state], [y := Tensor(f"y{i}", (1, 4), np.int8, 0.5)], None, 2)
        )
        value = y
    return build_model(operators)


def test_a_chain_of_variables_is_not_searched_again_and_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: Counter[str] = Counter()

    def counted(module: Any, name: str, size: Callable[[Any], int]) -> None:
        function = getattr(module, name)

        def counting(*arguments: Any, **options: Any) -> Any:
            result = function(*arguments, **options)
            seen[name] += 1
            seen[f"most of {name}"] = max(seen[f"most of {name}"], size(result))
            return result

        monkeypatch.setattr(module, name, counting)

    counted(verifier, "operation_fault", lambda _: 0)
    counted(fuse_kernels, "_with_producers", len)
    counted(ftensor_fuse_tables, "_variables", len)
    counted(writer, "section_size", int)
    program = compile_model(chain())
    # Operations of a kind, of the same types and properties, are verified once.
    assert seen["operation_fault"] < COUNT
    segment = read_program(program).segments[0]
    # A kernel loads the table of one scale once, and each variable.
    assert len(segment.commands) < COUNT + 10 * (4 * COUNT / fuse_kernels.MAX_VECTOR + 1)
    assert seen["most of _with_producers"] <= fuse_kernels.MAX_VECTOR + 2
    assert COUNT < seen["_variables"] < 16 * COUNT
    assert COUNT < seen["section_size"] < 8 * COUNT


def test_a_chain_of_activations_is_not_searched_again_and_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each of 2,000 float Relu looked at all in front of it: 6 s for 40 KB."""
    calls, stored_of = 0, float_layers.stored_of

    def counting(value: Any) -> Any:
        nonlocal calls
        calls += 1
        return stored_of(value)

    monkeypatch.setattr(float_layers, "stored_of", counting)
    nodes = [helper.make_node("Relu", [f"v{i}"], [f"v{i + 1}"]) for i in range(COUNT)]
    values = [helper.make_tensor_value_info(f"v{i}", TensorProto.FLOAT, [1, 4]) for i in (0, COUNT)]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    compile_model(model.SerializeToString())
    assert COUNT < calls < 16 * COUNT


def one_by_one(intervals: Sequence[Interval]) -> list[int]:
    """Best fit, written as it is said."""
    addresses = [0] * len(intervals)
    placed: list[int] = []
    rows = [(-x.size, x.first, x.last, i) for i, x in enumerate(intervals)]
    for *_, i in sorted(rows):
        item = intervals[i]
        if not item.size:
            continue
        met = [
            (addresses[n], addresses[n] + intervals[n].size)
            for n in placed
            if intervals[n].first <= item.last and intervals[n].last >= item.first
        ]
        low, gaps = 0, list[tuple[int, int]]()
        for start, end in sorted(met):
            gaps += [(start - low, low)] if start - low >= item.size else []
            low = max(low, end)
        addresses[i] = min(gaps)[1] if gaps else low
        placed.append(i)
    return addresses


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 12), st.integers(0, 6)), max_size=24))
def test_intervals_go_into_the_smallest_gap(drawn: list[tuple[int, int, int]]) -> None:
    intervals = [Interval(size, first, first + more) for size, first, more in drawn]
    addresses, peak = best_fit(intervals)
    assert addresses == one_by_one(intervals)
    ends = [a + x.size for a, x in zip(addresses, intervals, strict=True) if x.size]
    assert peak == max(ends, default=0)
