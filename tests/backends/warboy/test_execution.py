"""What reports are told of a run: rectangles of memory, and who reads whose results."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from graphlib import TopologicalSorter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.ir import SSAValue

from furiosa_ir.backends.warboy.enf.records import NpuSegment
from furiosa_ir.backends.warboy.execution import memory, program_execution
from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.simulator.timeline import timeline
from furiosa_ir.execution import Execution
from furiosa_ir.ir.shaped_operation import shape_of
from furiosa_ir.lowering.registry import Emitter
from furiosa_ir.program import Program
from tests.backends.warboy.networks import Pieces
from tests.backends.warboy.segments import (
    WARBOY,
    Build,
    build_function,
    compile_segment,
    make_program,
    small_machine,
)
from tests.backends.warboy.test_random_networks import random_network
from tests.draws import draws


def compiled(shapes: Sequence[Sequence[int]], build: Build, machine: Machine = WARBOY) -> Program:
    function = build_function(shapes, build)
    returned = function.body.block.last_op
    assert returned is not None
    outputs = [shape_of(v) for v in returned.operands]
    segment, layers = compile_segment(function, machine)
    return make_program(segment, layers, shapes, outputs, machine)


def readers(execution: Execution) -> dict[object, set[object]]:
    """Layers and tensors ("t0") -> who reads them."""
    found: dict[object, set[object]] = defaultdict(set)
    for a, b in execution.flow:
        found[a].add(b)
    for tensor, layer in execution.takes:
        found[f"t{tensor}"].add(layer)
    for layer, tensor in execution.makes:
        found[layer].add(f"t{tensor}")
    return found


@settings(max_examples=draws(15), deadline=None)
@given(
    seed=st.integers(0, 1 << 30),
    length=st.integers(1, 10),
    machine=st.sampled_from([small_machine(4096, 6), small_machine(16384, 4), WARBOY]),
)
def test_memory_and_flow_of_random_networks(seed: int, length: int, machine: Machine) -> None:
    program = compiled([(1, 3, 9, 7)], random_network(seed, length, "NCHW"), machine)
    execution = program_execution(program)
    (segment,) = program.segments
    assert isinstance(segment, NpuSegment)
    entries = timeline(program)
    assert [(e.start, e.end, e.engine) for e in execution.events] == [
        (e.start, e.end, e.engine) for e in entries
    ]
    # Rectangles: within what the segment declares, and no two of them at the same place and time.
    for buffer in execution.buffers:
        assert 0 <= buffer.address < buffer.address + buffer.size <= segment.sram_bytes
        assert buffer.start < buffer.end
    for index, a in enumerate(execution.buffers):
        for b in execution.buffers[index + 1 :]:
            if a.address < b.address + b.size and b.address < a.address + a.size:
                assert a.end <= b.start or b.end <= a.start
    # Flow: no circle, and whoever computes does so on what comes from inputs.
    graph = readers(execution)
    order = list(TopologicalSorter(graph).static_order())
    reached = {f"t{t}" for t in program.inputs}
    for node in reversed(order):
        if node in reached:
            reached |= graph.get(node, set())
    assert {e.layer for e in execution.events if e.kind in ("dot", "pool")} <= reached
    assert {f"t{t}" for t in program.outputs} <= reached


@pytest.mark.parametrize("machine", [small_machine(2048, 4), WARBOY], ids=["spilled", "in SRAM"])
def test_the_flow_is_the_networks(machine: Machine) -> None:
    def build(emit: Emitter, args: list[SSAValue]):
        p = Pieces(emit)
        stem = p.conv(args[0], 8)
        left = p.conv(stem, 8)
        right = p.pool(stem, "max", strides=(1, 1))
        joined = p.add(left, right)
        return [p.conv(joined, 4, (1, 1), pads=(0, 0, 0, 0)), p.pool(joined, "sum")]

    execution = program_execution(compiled([(1, 3, 16, 16)], build, machine))
    graph = readers(execution)
    (stem,) = graph["t0"]
    # The sum is fused into one of the branches: it reads the other.
    a, b = graph[stem]
    last, first = (b, a) if b in graph[a] else (a, b)
    assert graph[first] == {last}
    makers = dict(execution.makes)
    assert graph[last] == set(makers)
    assert sorted(makers.values()) == [1, 2]


def test_inputs_and_outputs_are_told_from_what_left_sram() -> None:
    def build(emit: Emitter, args: list[SSAValue]):
        p = Pieces(emit)
        return p.add(p.conv(p.conv(args[0], 8), 8), p.conv(args[0], 8))

    spilled = program_execution(compiled([(1, 8, 64, 64)], build, small_machine(8192, 4)))
    fitting = program_execution(compiled([(1, 8, 64, 64)], build))
    moved = [
        {
            what: sum(e.dram_read + e.dram_written for e in each.events if e.bound == what)
            for what in ("activations", "store", "input", "output")
        }
        for each in (spilled, fitting)
    ]
    assert moved[0]["activations"] > 0
    assert moved[0]["store"] > 0
    assert moved[1]["activations"] == moved[1]["store"] == 0
    assert moved[1]["input"] > 0
    assert moved[1]["output"] > 0


@pytest.mark.parametrize("workspace", [None, 1 << 34], ids=["much is moved", "a huge workspace"])
def test_what_would_take_too_long_to_follow_is_not_known(
    workspace: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = compiled([(1, 3, 9, 7)], random_network(5, 6, "NCHW"), small_machine(4096, 6))
    whole = program_execution(program)
    assert whole.flow
    if workspace is None:
        monkeypatch.setattr(memory, "_MOST_BYTES", 1000)
    else:
        (segment,) = program.segments
        assert isinstance(segment, NpuSegment)
        program = replace(program, segments=(replace(segment, workspace_bytes=workspace),))
    execution = program_execution(program)
    assert execution.flow == execution.takes == execution.makes == ()
    assert execution.buffers == whole.buffers
    assert [e.end for e in execution.events] == [e.end for e in whole.events]
