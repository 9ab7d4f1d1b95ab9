"""When each command runs: event-driven timing over the commands' tokens, deterministic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from furiosa_ir.backends.warboy.command_cost import Cost, command_cost
from furiosa_ir.backends.warboy.enf.commands import ENGINE
from furiosa_ir.backends.warboy.enf.records import Command, NpuSegment
from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.program import Program


class TimelineEntry(NamedTuple):
    """One command's time on its engine.

    Attributes:
        segment: index of the segment.
        command: index of the command in it.
        engine: "dma" or "npu".
        start, end: cycles since the program's first command.
        cost: what kept it busy.
    """

    segment: int
    command: int
    engine: str
    start: int
    end: int
    cost: Cost


def timeline(program: Program) -> list[TimelineEntry]:
    """Start and end of each NPU command, in order of issue.

    A command starts when its engine is free of the one before and its tokens are complete. One
    segment starts when the one before has ended; host segments take no time here.
    """
    machine = Machine.from_parameters(program.machine)
    entries: list[TimelineEntry] = []
    begin = 0
    for index, segment in enumerate(program.segments):
        if isinstance(segment, NpuSegment):
            times = schedule(segment.commands, machine, begin)
            entries += [
                TimelineEntry(index, number, ENGINE[type(command)], start, end, cost)
                for number, (command, (start, end, cost)) in enumerate(
                    zip(segment.commands, times, strict=True)
                )
            ]
            begin = max((end for _, end, _ in times), default=begin)
    return entries


def schedule(
    commands: Sequence[Command], machine: Machine, begin: int = 0
) -> list[tuple[int, int, Cost]]:
    """(start, end, cost) of each command, in cycles from `begin` on."""
    free = {"dma": begin, "npu": begin}
    ends: list[int] = []
    times: list[tuple[int, int, Cost]] = []
    for command in commands:
        engine = ENGINE[type(command)]
        cost = command_cost(command, machine)
        start = max([free[engine], *(ends[token] for token in command.waits)])
        end = start + cost.cycles
        free[engine] = start + cost.occupancy
        ends.append(end)
        times.append((start, end, cost))
    return times


def cycles(program: Program) -> int:
    """The NPU's cycles from the first command's start to the last one's end."""
    return max((entry.end for entry in timeline(program)), default=0)


def latency_us(program: Program) -> float:
    """`cycles` in microseconds: NPU time, without host segments and the PCIe link."""
    return cycles(program) / Machine.from_parameters(program.machine).clock_hz * 1e6
