"""Timing: engines in order, tokens, overlap."""

from __future__ import annotations

from dataclasses import replace

from furiosa_ir.backends.warboy.enf.records import Vector
from furiosa_ir.backends.warboy.simulator.timeline import cycles, latency_us, timeline
from tests.backends.warboy.simulator.program_builder import ProgramBuilder


def program(*, overlap: bool):
    b = ProgramBuilder("warboy")
    x, y = (b.input((1, 64, 64, 64), name, slices=(8, 8)) for name in "ab")
    b.output(b.kernel(Vector((x,), (), (), b.tile((1, 64, 64, 64), (8, 8)), 0)))
    made = b.program()
    load_x, load_y, vector, store = made.segments[0].commands
    del y
    commands = (load_x, load_y, replace(vector, waits=(0,) if overlap else (0, 1)), store)
    return replace(made, segments=(replace(made.segments[0], commands=commands),))


def test_engines_overlap_unless_a_token_forbids_it():
    entries = timeline(program(overlap=True))
    assert [e.engine for e in entries] == ["dma", "dma", "npu", "dma"]
    assert entries[2].start == entries[0].end
    assert entries[2].start < entries[1].end
    waiting = timeline(program(overlap=False))
    assert waiting[2].start == waiting[1].end
    assert waiting[3].start == waiting[2].end
    assert cycles(program(overlap=True)) < cycles(program(overlap=False))


def test_dma_latencies_overlap_but_transfers_do_not():
    first, second, *_ = timeline(program(overlap=True))
    assert second.start == first.start + first.cost.dma < first.end


def test_latency_is_deterministic_and_in_microseconds():
    made = program(overlap=True)
    assert timeline(made) == timeline(made)
    assert latency_us(made) == cycles(made) / 2000
