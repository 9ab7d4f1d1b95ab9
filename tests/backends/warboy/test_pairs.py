"""Two kernels at the same time, one on each PE: which, in which order, where, and how long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st
from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue

from furiosa_ir.backends.warboy.checker import check_program
from furiosa_ir.backends.warboy.costs import program_costs
from furiosa_ir.backends.warboy.dialect.kernels import KernelOp
from furiosa_ir.backends.warboy.enf.disassembler import disassemble
from furiosa_ir.backends.warboy.enf.reader import read_program
from furiosa_ir.backends.warboy.enf.records import (
    Command,
    Dot,
    Load,
    NpuSegment,
    SramTile,
    Vector,
    is_beside,
)
from furiosa_ir.backends.warboy.enf.writer import write_program
from furiosa_ir.backends.warboy.layer_order import free_layers
from furiosa_ir.backends.warboy.machine import PE_SLICES, load_machine
from furiosa_ir.backends.warboy.passes.pair_kernels import pair_kernels, put_beside
from furiosa_ir.backends.warboy.planning.pair_choice import Order, Pair, needs, order_of
from furiosa_ir.backends.warboy.simulator.timeline import schedule, timeline
from furiosa_ir.backends.warboy.vector_engine import Instruction
from furiosa_ir.errors import CompilationFailure, VerificationFailure
from furiosa_ir.lowering.registry import Emitter
from furiosa_ir.program import Program
from tests.backends.warboy.networks import Pieces
from tests.backends.warboy.segments import build_function, check, compile_segment, make_program
from tests.backends.warboy.simulator.program_builder import ProgramBuilder
from tests.backends.warboy.test_random_networks import random_network
from tests.draws import draws

TWO = load_machine("warboy-2pe")


@st.composite
def graphs(draw: st.DrawFn) -> list[int]:
    """Which kernels before it each kernel needs, through others as well."""
    count = draw(st.integers(2, 12))
    needed: list[int] = []
    for k in range(count):
        bits = 0
        for other in draw(st.sets(st.integers(0, k - 1), max_size=2)) if k else ():
            bits |= needed[other] | 1 << other
        needed.append(bits)
    return needed


@given(needed=graphs(), data=st.data())
def test_an_order_has_pairs_next_to_each_other(needed: list[int], data: st.DataObject) -> None:
    order, pairs = Order(needed), list[Pair]()
    for _ in range(len(needed)):
        a, b = sorted(data.draw(st.permutations(range(len(needed))))[:2])
        pair = Pair(a, b, 0, 0)
        if order.join(pair):
            pairs.append(pair)
    found = order_of(needed, pairs)
    assert sorted(found) == list(range(len(needed)))
    at = {k: place for place, k in enumerate(found)}
    for pair in pairs:
        assert at[pair.second] == at[pair.first] + 1
    for k, bits in enumerate(needed):
        assert all(at[other] < at[k] for other in range(len(needed)) if bits >> other & 1)


def at_random(seed: int, function: FuncOp) -> None:
    """Pairs kernels, whether it pays or not."""
    block = function.body.block
    kernels = [op for op in block.ops if isinstance(op, KernelOp)]
    needed, rng = needs(block, kernels), np.random.default_rng(seed)
    order, pairs = Order(needed), list[Pair]()
    for _ in range(2 * len(kernels)):
        a, b = sorted(int(k) for k in rng.integers(len(kernels), size=2))
        pair = Pair(a, b, 0, 0)
        if a != b and order.join(pair):
            pairs.append(pair)
    put_beside(block, kernels, needed, pairs)


@pytest.mark.draws
@settings(max_examples=draws(150), deadline=None)
@given(
    seed=st.integers(0, 1 << 30),
    length=st.integers(3, 24),
    layout=st.sampled_from(["NCHW", "NHWC"]),
    slice_bytes=st.sampled_from([2048, 4096, 262144]),
    batch=st.sampled_from([1, 1, 2]),
)
def test_any_pairs_of_a_random_network(
    seed: int, length: int, layout: str, slice_bytes: int, batch: int
) -> None:
    """Commands that may run at the same time never meet in SRAM, and results are the same."""
    at = {"N": batch, "C": 3, "H": 9, "W": 7}
    machine = replace(TWO, size_actual_sram_slice=slice_bytes)
    try:
        program = check(
            [[at[d] for d in layout]],
            random_network(seed, length, layout),
            machine,
            rewrite_views=lambda function: at_random(seed, function),
        )
    except CompilationFailure as failure:
        assume("does not fit" not in str(failure))
        raise
    check_program(replace(program, target="warboy-2pe"))
    event(f"{sum(map(is_beside, run_of(program)))} pairs")


def run_of(program: Program) -> Sequence[Command]:
    """The commands of a run of a program's only segment."""
    (segment,) = program.segments
    assert isinstance(segment, NpuSegment)
    return segment.commands[segment.setup :]


def heads(emit: Emitter, args: list[SSAValue]) -> Sequence[SSAValue]:
    """Two small convolutions of one map, and what is made of them."""
    p = Pieces(emit, 1)
    boxes, scores = (p.conv(args[0], n, layout="NHWC") for n in (24, 40))
    return p.conv(boxes, 8, layout="NHWC"), p.conv(scores, 40, layout="NHWC")


def compiled(*, pairs: bool) -> Program:
    function = build_function([(1, 5, 5, 64)], heads)
    outputs = [(1, 5, 5, 8), (1, 5, 5, 40)]

    def rewrite(function: FuncOp) -> None:
        if pairs:
            pair_kernels(function, TWO)

    segment, layers = compile_segment(function, TWO, rewrite_views=rewrite)
    made = make_program(segment, layers, [(1, 5, 5, 64)], outputs, TWO)
    return replace(made, target="warboy-2pe")


def test_heads_of_a_detector_run_beside_each_other() -> None:
    apart, program = compiled(pairs=False), compiled(pairs=True)
    check_program(program)
    times = {e.command: e for e in timeline(program)}
    segment = program.segments[0]
    assert isinstance(segment, NpuSegment)
    npu = [i for i, e in times.items() if e.engine == "npu"]
    assert [is_beside(segment.commands[i]) for i in npu[:2]] == [False, True]
    for first, second in pairwise(npu):
        one, two = segment.commands[first], segment.commands[second]
        assert isinstance(one, Dot)
        assert isinstance(two, Dot)
        if two.beside:
            assert times[second].start == times[first].start
            assert [c.result.slice_range[0] for c in (one, two)] == [0, PE_SLICES]
        else:
            assert times[second].start >= max(times[i].end for i in npu[: npu.index(second)])
    before, now = program_costs(apart), program_costs(program)
    assert now.cycles < before.cycles
    assert now.bound_us <= now.latency.npu_latency_us
    assert read_program(write_program(program)).segments == program.segments
    assert f"@{PE_SLICES} " in "\n".join(disassemble(program))


def test_what_needs_nothing_of_another_layer_is_free() -> None:
    """The two heads, and what comes of each, are free of the other's; a chain has none."""
    kernels = [c for c in run_of(compiled(pairs=True)) if isinstance(c, Dot)]
    assert free_layers(kernels) == {c.layer for c in kernels}
    boxes, scores, *behind = kernels
    assert boxes.result.address == next(c.x.address for c in behind if c.x != scores.result)
    chain = [boxes, *(c for c in behind if c.x == boxes.result)]
    assert len(chain) == 2
    assert free_layers(chain) == frozenset()


def pair_of(b: ProgramBuilder, x: SramTile, first: SramTile, second: SramTile) -> Program:
    """Two copies of a tile at the same time."""
    b.commands += [
        Vector((x,), (), (), first, 0, (0,)),
        Vector((x,), (), (), second, 0, beside=True),
    ]
    b.output(first)
    b.output(second, "z")
    return b.program()


def places(first: int = 0, second: int = PE_SLICES) -> tuple[ProgramBuilder, list[SramTile]]:
    """A builder, an input, and where two results may lie."""
    b = ProgramBuilder("warboy-2pe")
    x = b.input((1, 8, 8, 8), slices=(8, 8))
    tiles = [b.tile((1, 8, 8, 8), (8, 8)) for _ in range(2)]
    return b, [x, *(replace(t, first=f) for t, f in zip(tiles, (first, second), strict=True))]


def test_the_token_of_the_second_is_complete_when_both_have_ended() -> None:
    b, (x, first, second) = places()
    load, one, two, _, store = run_of(pair_of(b, x, first, second))
    assert isinstance(one, Vector)
    assert isinstance(two, Vector)
    long = replace(one, program=(Instruction("add", (0, 0)),) * 90)
    _, before, beside, behind = schedule((load, long, two, replace(store, waits=(2,))), TWO)
    assert beside[0] == before[0]
    assert beside[1] < before[1] <= behind[0]


def refuse(program: Program, message: str) -> None:
    with pytest.raises(VerificationFailure, match=message):
        check_program(program)


def test_each_of_two_works_on_one_pe_and_on_another() -> None:
    check_program(pair_of(*flat(places())))
    refuse(pair_of(*flat(places(second=0))), "their results lie in one PE")
    refuse(pair_of(*flat(places(first=32))), "a result of the two lies in both PEs")
    refuse(pair_of(*flat(places(second=65))), "lies in 8 x 8 slices of 128, behind the first 65")


def flat(
    made: tuple[ProgramBuilder, list[SramTile]],
) -> tuple[ProgramBuilder, *tuple[SramTile, ...]]:
    return made[0], *made[1]


def test_pairs_are_of_two() -> None:
    b, (x, first, second) = places()
    program = pair_of(b, x, first, second)
    load, one, two, *_ = run_of(program)
    assert isinstance(one, Vector)
    third = replace(one, beside=True)
    for commands in ((load, third, two), (load, one, two, third)):
        segments = (replace(program.segments[0], commands=commands),)
        refuse(replace(program, segments=segments), "beside a command that is beside another, or")


@pytest.mark.parametrize("reads", [True, False])
def test_neither_of_two_uses_what_the_other_writes(reads: bool) -> None:
    """The second reads what the first writes; the first reads what the second overwrites."""
    b, (x, first, second) = places()
    (load,) = b.commands
    assert isinstance(load, Load)
    x = replace(x, first=PE_SLICES)
    b.commands = [
        replace(load, target=x),
        Vector((x,), (), (), first, 0, (0,)),
        Vector((first if reads else x,), (), (), second if reads else x, 0, beside=True),
    ]
    b.output(first)
    refuse(b.program(), "is beside command 1 .* and one writes SRAM that the other uses")


@pytest.mark.parametrize("first", [0, PE_SLICES])
def test_the_second_of_two_uses_nothing_behind_the_end_of_sram(first: int) -> None:
    """It begins where the first one's result lies, and ends where the shadow has no lines."""
    b, (x, *results) = places()
    program = pair_of(b, x, *results)
    segment = program.segments[0]
    assert isinstance(segment, NpuSegment)
    load, one, two, *_ = segment.commands
    assert isinstance(two, Vector)
    shape, window = (1, 8, 640, 8), (0, 0, 632, 0)
    beyond = SramTile(0, shape, (8, 8), "HWC", 1, window, x.extent, first=first)

    def refuse_second(second: Vector, message: str) -> None:
        refuse(
            replace(program, segments=(replace(segment, commands=(load, one, second)),)), message
        )

    refuse_second(replace(two, operands=(beyond,)), "reads SRAM that nothing wrote")
    if first:
        refuse_second(
            replace(two, result=beyond), "writes beyond the SRAM that its segment declares"
        )
