"""When each command runs: event-driven timing over the commands' tokens, deterministic."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from furiosa_ir.backends.warboy.command_cost import Cost, command_cost, dma_cost
from furiosa_ir.backends.warboy.enf.commands import ENGINE
from furiosa_ir.backends.warboy.enf.records import Command, NpuSegment, is_beside
from furiosa_ir.backends.warboy.instruction_memory import pieces
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
    """Start and end of each NPU command of a run, in order of issue; a set-up's are no part of it.

    A command starts when its engine is free of the one before and its tokens are complete, its
    engine's queue and the instruction memory have it (`schedule`). One
    segment starts when the one before has ended; host segments take no time here.
    """
    machine = Machine.from_parameters(program.machine)
    entries: list[TimelineEntry] = []
    begin = 0
    for index, segment in enumerate(program.segments):
        if isinstance(segment, NpuSegment):
            times = schedule(segment.commands, machine, begin, set_up=segment.setup)
            entries += [
                TimelineEntry(index, number, ENGINE[type(command)], start, end, cost)
                for number, (command, (start, end, cost)) in enumerate(
                    zip(segment.commands, times, strict=True)
                )
                if number >= segment.setup
            ]
            begin = max((end for _, end, _ in times), default=begin)
    return entries


def set_up_cycles(program: Program) -> int:
    """What a session's set-up takes, of all segments, one after the other."""
    machine = Machine.from_parameters(program.machine)
    total = 0
    for segment in program.segments:
        if isinstance(segment, NpuSegment) and segment.setup:
            times = schedule(segment.commands[: segment.setup], machine)
            total += max(end for _, end, _ in times)
    return total


def schedule(
    commands: Sequence[Command], machine: Machine, begin: int = 0, *, set_up: int = 0
) -> list[tuple[int, int, Cost]]:
    """(start, end, cost) of each command, in cycles from `begin` on.

    The first `set_up` commands have ended by then: they cost a run nothing.

    A command beside another starts when that one has started; its token is complete, and the NPU is
    free, when both have ended.

    An engine's queue takes a command when the one as many places in front of it as the queue is
    deep has ended. A piece of the program that did not fit into the instruction memory is loaded,
    as by a DMA, when all commands of the piece before have started.
    """
    depths = {"dma": machine.io_queue_depth, "npu": machine.operand_queue_depth}
    queues: dict[str, deque[int]] = {name: deque(maxlen=depth) for name, depth in depths.items()}
    free = dict.fromkeys(depths, begin)
    ends = [begin] * set_up
    times = [(begin, begin, Cost())] * set_up
    piece = loaded = last_start = 0
    before = begin  # when the last command of the NPU has started
    reload = dma_cost(machine.size_instruction_memory, machine)
    run = commands[set_up:]
    for command, stands_in in zip(run, pieces(run, machine.size_instruction_memory), strict=True):
        if stands_in > piece:
            piece, from_then_on = stands_in, max(free["dma"], last_start)
            free["dma"], loaded = from_then_on + reload.occupancy, from_then_on + reload.cycles
        engine = ENGINE[type(command)]
        queue = queues[engine]
        cost = command_cost(command, machine)
        beside = is_beside(command)
        ready = before if beside else free[engine]
        start = max([ready, loaded, *(ends[token] for token in command.waits)])
        if len(queue) == queue.maxlen:
            start = max(start, queue[0])
        end = start + cost.cycles
        free[engine] = max(free[engine], start + cost.occupancy)
        done = max(end, free[engine]) if beside else end
        if engine == "npu":
            before = start
        last_start = max(last_start, start)
        queue.append(done)
        ends.append(done)
        times.append((start, end, cost))
    return times


def cycles(program: Program) -> int:
    """The NPU's cycles from the first command's start to the last one's end."""
    return max((entry.end for entry in timeline(program)), default=0)


def latency_us(program: Program) -> float:
    """`cycles` in microseconds: NPU time, without host segments and the PCIe link."""
    return cycles(program) / Machine.from_parameters(program.machine).clock_hz * 1e6
