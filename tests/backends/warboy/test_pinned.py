"""Weights that stay in SRAM from run to run: planned, checked, set up once, told in reports."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from furiosa_ir.backends import read_program
from furiosa_ir.backends.warboy.bound import run_bound
from furiosa_ir.backends.warboy.checker import check_program
from furiosa_ir.backends.warboy.costs import program_costs
from furiosa_ir.backends.warboy.enf.commands import kind_of
from furiosa_ir.backends.warboy.enf.records import Load, NpuSegment, Store
from furiosa_ir.backends.warboy.enf.writer import write_program
from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.simulator.memory import memory_pool
from furiosa_ir.backends.warboy.simulator.simulator import Simulator
from furiosa_ir.backends.warboy.simulator.timeline import schedule, timeline
from furiosa_ir.cache.settings import NO_CACHE
from furiosa_ir.compiler import compile_model
from furiosa_ir.errors import VerificationFailure
from furiosa_ir.runtime import session
from furiosa_ir.tools.furiosa import main
from tests.passes.qdq import QDQ

TARGETS = ("warboy", "warboy-2pe")


def dense_layers(count: int, n: int) -> bytes:
    """Fully connected layers: nothing but weights."""
    q, rng = QDQ(), np.random.default_rng(0)
    x = q.input("x", ("N", n), 0.02)
    for layer in range(count):
        w = q.weight(rng.integers(-127, 128, (n, n), dtype=np.int8), 0.002, name=f"w{layer}")
        x = q.requantized(q.add("Gemm", [x, w]), 0.05)
    q.output(q.add("Relu", [x]), 0.05)
    return q.model().SerializeToString()


def parts(program):
    """The NPU's segments."""
    return [s for s in program.segments if isinstance(s, NpuSegment)]


def change(program, segment, **fields):
    """The program with another first NPU segment."""
    segments = tuple(replace(s, **fields) if s is segment else s for s in program.segments)
    return replace(program, segments=segments)


@pytest.fixture(scope="module")
def small():
    return read_program(compile_model(dense_layers(3, 64), "warboy", cache=NO_CACHE))


@pytest.fixture(scope="module")
def large():
    """27 MiB of weights, where one PE has 16 MiB of SRAM."""
    return read_program(compile_model(dense_layers(3, 3072), "warboy", cache=NO_CACHE))


def test_what_fits_is_loaded_by_the_set_up_alone(small):
    (segment,) = parts(small)
    assert segment.setup
    assert all(isinstance(c, Load) for c in segment.commands[: segment.setup])
    loads = [c for c in segment.commands[segment.setup :] if isinstance(c, Load)]
    assert {c.source.region for c in loads} == {"workspace"}
    costs = program_costs(small)
    assert costs.dram_traffic_bytes <= 1.1 * costs.dram_compulsory_bytes + 64
    assert costs.latency.setup_latency_us > 0
    assert costs.latency.cold_latency_us > costs.latency.total_latency_us


def test_what_does_not_fit_is_pinned_in_part(large):
    (segment,) = parts(large)
    regions = [c.source.region for c in segment.commands[segment.setup :] if isinstance(c, Load)]
    assert segment.setup
    assert "constant" in regions
    check_program(large)


def test_large_kernels_are_pinned_as_long_as_there_is_room():
    """Of four kernels of 9 MiB each, 32 MiB of SRAM hold three, and blocks of the fourth."""
    program = read_program(compile_model(dense_layers(4, 3072), "warboy-2pe", cache=NO_CACHE))
    (segment,) = parts(program)
    pinned = sum(c.target.size for c in segment.commands[: segment.setup])
    assert 3 * 3072**2 <= pinned < 4 * 3072**2


def test_a_set_up_is_carried_out_once_for_each_memory(small):
    simulator = Simulator(small)
    (number,) = [i for i, s in enumerate(small.segments) if isinstance(s, NpuSegment)]
    (binding,) = parts(small)[0].inputs
    tensor = small.tensors[binding.tensor]
    inputs = {binding.tensor: np.ones(tensor.shape, tensor.dtype)}
    first = simulator.run_segment(number, inputs)
    with memory_pool(simulator.machine.slices, simulator.machine.slice_bytes).lend() as memory:
        held = memory.set_up_of
        assert held is not None
        # Another program's run leaves nothing of it behind.
        memory.buffer.fill(0x5A)
        memory.set_up_of = object()
    again = simulator.run_segment(number, inputs)
    for name, value in first.items():
        np.testing.assert_array_equal(again[name], value)


def test_programs_that_share_a_memory_do_not_share_weights():
    """Alternating runs of two programs give what each gives alone."""
    made = [
        read_program(compile_model(dense_layers(n, 64), "warboy", cache=NO_CACHE)) for n in (1, 2)
    ]
    x = np.random.default_rng(1).integers(-128, 128, (1, 64), np.int8)
    alone = []
    for program in made:
        with session.create(write_program(program)) as one:
            alone.append(one.run([x]).numpy()[0])
    with session.create(write_program(made[0])) as a, session.create(write_program(made[1])) as b:
        for _ in range(3):
            np.testing.assert_array_equal(a.run([x]).numpy()[0], alone[0])
            np.testing.assert_array_equal(b.run([x]).numpy()[0], alone[1])


def test_a_run_that_writes_over_pinned_bytes_is_refused(small):
    (segment,) = parts(small)
    pinned = segment.commands[0]
    number = next(i for i, c in enumerate(segment.commands) if i >= segment.setup)
    moved = replace(
        segment.commands[number],
        target=replace(segment.commands[number].target, address=pinned.target.address),
    )
    commands = (*segment.commands[:number], moved, *segment.commands[number + 1 :])
    with pytest.raises(VerificationFailure, match="overwrites what a set-up has loaded"):
        check_program(change(small, segment, commands=commands))


def test_set_ups_do_not_overlap(small):
    (segment,) = parts(small)
    (first, weights), (second, _) = [
        (i, c) for i, c in enumerate(segment.commands[: segment.setup]) if c.target.size == 64 * 64
    ][:2]
    commands = list(segment.commands)
    commands[second] = replace(commands[second], target=weights.target)
    assert first < second
    commands = tuple(commands)
    with pytest.raises(VerificationFailure, match="overwrites what a set-up has loaded"):
        check_program(change(small, segment, commands=commands))


def test_a_set_up_only_loads_constants(small):
    (segment,) = parts(small)
    with pytest.raises(VerificationFailure, match="a set-up only loads constants"):
        check_program(change(small, segment, setup=segment.setup + 1))


def test_a_set_up_is_part_of_its_segment(small):
    (segment,) = parts(small)
    with pytest.raises(VerificationFailure, match="a set-up of 1000 commands"):
        check_program(change(small, segment, setup=1000))


def test_no_run_waits_for_a_set_up(small):
    (segment,) = parts(small)
    last = replace(segment.commands[-1], waits=(0,))
    with pytest.raises(VerificationFailure, match="waits for the set-up"):
        check_program(change(small, segment, commands=(*segment.commands[:-1], last)))


def test_without_the_set_up_there_is_nothing_to_read(small):
    (segment,) = parts(small)
    commands = tuple(
        replace(c, waits=tuple(w - segment.setup for w in c.waits))
        for c in segment.commands[segment.setup :]
    )
    with pytest.raises(VerificationFailure, match="reads SRAM that nothing wrote"):
        check_program(change(small, segment, commands=commands, setup=0))


@pytest.mark.parametrize("target", TARGETS)
def test_no_run_is_below_its_bound(digits, target):
    for file in ("digits_int8.tflite", "digits_qdq_int8.onnx"):
        program = read_program(compile_model(digits / file, target, cache=NO_CACHE))
        machine = Machine.from_parameters(program.machine)
        bound, costs = run_bound(program), program_costs(program)
        assert 0 < bound.cycles <= costs.cycles
        macs = sum(layer.macs for layer in program.layers)
        assert bound.cycles >= macs / machine.macs_per_cycle
        assert costs.bound_us == pytest.approx(bound.cycles / machine.clock_hz * 1e6)
        assert costs.dram_compulsory_bytes <= costs.dram_traffic_bytes


def test_engines_take_as_many_commands_as_their_queues_hold(large):
    """No command begins before the one as many places in front as the queue is deep has ended."""
    machine = Machine.from_parameters(large.machine)
    (segment,) = parts(large)
    run = segment.commands[segment.setup :]
    times = schedule(segment.commands, machine, set_up=segment.setup)[segment.setup :]
    for engine, depth in (("dma", machine.io_queue_depth), ("npu", machine.operand_queue_depth)):
        mine = [t for t, c in zip(times, run, strict=True) if kind_of(c).engine == engine]
        for before, after in zip(mine, mine[depth:], strict=False):
            assert after[0] >= before[1]


def test_long_programs_are_loaded_in_pieces(small):
    """Instructions beyond 256 KiB wait for DMA: twice the memory takes less time."""
    (segment,) = parts(small)
    store = next(c for c in segment.commands if isinstance(c, Store))
    commands = (*segment.commands, *[replace(store, waits=())] * 5000)
    long = change(small, segment, commands=commands)
    machine = Machine.from_parameters(small.machine)
    roomy = replace(machine, size_instruction_memory=1 << 30)
    in_pieces, at_once = (
        max(end for _, end, _ in schedule(commands, m, set_up=segment.setup))
        for m in (machine, roomy)
    )
    assert in_pieces > at_once
    assert len(timeline(long)) == len(commands) - segment.setup


def test_run_says_what_the_first_and_further_runs_take(small, tmp_path):
    (tmp_path / "net.enf").write_bytes(write_program(small))
    np.save(tmp_path / "x.npy", np.zeros((1, 64), np.int8))
    command = ["run", str(tmp_path / "net.enf"), "--inputs", str(tmp_path / "x.npy")]
    result = CliRunner().invoke(main, [*command, "--repeat", "3"])
    assert result.exit_code == 0, result.output
    latency = program_costs(small).latency
    assert f"{latency.cold_latency_us:.4g} µs for the first run (cold" in result.output
    assert f"{latency.total_latency_us:.4g} µs for each further one (warm)" in result.output
    assert "Simulated in: first run" in result.output
    with session.create(write_program(small)) as running:
        assert running.latency == latency


def test_inspection_has_the_bound_and_both_latencies(small, tmp_path):
    (tmp_path / "net.enf").write_bytes(write_program(small))
    result = CliRunner().invoke(main, ["inspect", str(tmp_path / "net.enf"), "--json"])
    figures = json.loads(result.stdout)["summary"]
    costs = program_costs(small)
    assert figures["total_latency_us"] == pytest.approx(costs.latency.total_latency_us)
    assert figures["cold_latency_us"] == pytest.approx(costs.latency.cold_latency_us)
    assert 0 < figures["bound_us"] <= figures["npu_latency_us"]
    assert figures["dram_traffic_bytes"] == costs.dram_traffic_bytes


def shared_layers(count: int, n: int) -> bytes:
    """Layers that all multiply by one constant."""
    q, rng = QDQ(), np.random.default_rng(0)
    x = q.input("x", ("N", n), 0.02)
    w = q.weight(rng.integers(-127, 128, (n, n), dtype=np.int8), 0.002, name="w")
    for _ in range(count):
        x = q.requantized(q.add("Gemm", [x, w]), 0.05)
    q.output(x, 0.05)
    return q.model().SerializeToString()


@pytest.mark.parametrize("n", [64, 2048])
def test_what_several_kernels_read_is_pinned_once(n: int):
    """Six times 4 MiB would not fit into 16."""
    program = read_program(compile_model(shared_layers(6, n), "warboy", cache=NO_CACHE))
    (segment,) = parts(program)
    set_up, run = segment.commands[: segment.setup], segment.commands[segment.setup :]
    assert [c.target.size for c in set_up].count(n * n) == 1
    assert sum(c.target.size for c in set_up) < 1.1 * n * n + 4096
    assert {c.source.region for c in run if isinstance(c, Load)} == {"workspace"}
    assert program_costs(program).sram_peak_bytes < 2 * n * n + 64 * 4096
    check_program(program)
    x = np.random.default_rng(1).integers(-128, 128, (1, n), np.int8)
    with session.create(write_program(program)) as one:
        first = one.run([x]).numpy()[0]
        np.testing.assert_array_equal(one.run([x]).numpy()[0], first)
