"""What an ENF program costs: its commands' times, multiplications and memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

from furiosa_ir.backends.warboy.bound import run_bound
from furiosa_ir.backends.warboy.enf.records import Dot, NpuSegment
from furiosa_ir.backends.warboy.enf.shapes import accumulator_shape
from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.simulator.timeline import TimelineEntry, set_up_cycles, timeline
from furiosa_ir.costs import Costs, LayerCost, SegmentCost
from furiosa_ir.host_model import HostRates, host_us, link_tensors, tensors_bytes
from furiosa_ir.latency import Latency
from furiosa_ir.program import Program


def program_costs(program: Program) -> Costs:
    """The costs of a program.

    The multiply-accumulates of a layer are counted in its commands, and no layer has more weights
    than its segment has bytes for, whatever the file says.
    """
    machine = Machine.from_parameters(program.machine)
    segments = {i: s for i, s in enumerate(program.segments) if isinstance(s, NpuSegment)}
    entries, bound = timeline(program), run_bound(program)
    cycles = max((entry.end for entry in entries), default=0)
    sram_bound = _most((s.sram_bound, s.sram_bytes) for s in segments.values())
    workspace_bound = _most((s.workspace_bound, s.workspace_bytes) for s in segments.values())
    constants = sum(len(s.constants) for s in segments.values())
    return Costs(
        cycles=cycles,
        latency=program_latency(program, machine, cycles, set_up_cycles(program)),
        sram_peak_bytes=max((s.sram_bytes for s in segments.values()), default=0) * machine.slices,
        dram_bytes=constants + max((s.workspace_bytes for s in segments.values()), default=0),
        sram_bound_bytes=None if sram_bound is None else sram_bound * machine.slices,
        dram_bound_bytes=None if workspace_bound is None else constants + workspace_bound,
        segments={
            index: SegmentCost(
                len(s.commands),
                len(s.constants),
                s.workspace_bytes,
                {
                    "sram_slice_bytes": s.sram_bytes,
                    "sram_slice_bound_bytes": s.sram_bound,
                    "workspace_bound_bytes": s.workspace_bound,
                },
            )
            for index, s in segments.items()
        },
        layers=_layers(program, segments, entries),
        bound_us=bound.cycles / machine.clock_hz * 1e6,
        dram_traffic_bytes=bound.traffic_bytes,
        dram_compulsory_bytes=bound.dram_bytes,
    )


def program_latency(program: Program, machine: Machine, cycles: int, set_up: int) -> Latency:
    """What a run takes on NPU, host and link (docs/performance-model.md).

    Args:
        program: the program.
        machine: its target.
        cycles: of its NPU segments' run.
        set_up: cycles of their set-up.
    """
    moved = link_tensors(program)
    rates = HostRates(
        machine.host_elements_per_second,
        machine.host_bytes_per_second,
        machine.host_macs_per_second,
    )
    return Latency(
        npu_latency_us=cycles / machine.clock_hz * 1e6,
        host_latency_us=host_us(program, rates),
        link_latency_us=tensors_bytes(program, moved) / machine.link_bytes_per_second * 1e6
        + len(moved) * machine.link_latency_ns / 1e3,
        setup_latency_us=set_up / machine.clock_hz * 1e6,
    )


def _most(bounds: Iterable[tuple[int, int]]) -> int | None:
    """The greatest bound of (bound, what is taken); None if one is not known."""
    pairs = list(bounds)
    if any(taken and not bound for bound, taken in pairs):
        return None
    return max((bound for bound, _ in pairs), default=0)


@dataclass
class _Use:
    """What a layer's commands cost."""

    cycles: int = 0
    tiles: int = 0
    load: int = 0
    operate: int = 0
    store: int = 0


def _layers(
    program: Program, segments: dict[int, NpuSegment], entries: list[TimelineEntry]
) -> dict[int, LayerCost]:
    uses = [_Use() for _ in program.layers]
    reached = 0
    for entry in sorted(entries, key=lambda e: (e.end, e.start)):
        command = segments[entry.segment].commands[entry.command]
        use = uses[command.layer]
        kind = type(command).__name__
        use.cycles += max(0, entry.end - reached)
        reached = max(reached, entry.end)
        busy = entry.end - entry.start
        if entry.engine == "npu":
            use.tiles += 1
            use.operate += busy
        elif kind == "Load":
            use.load += busy
        else:
            use.store += busy
    macs = _macs(program, segments)
    return {
        index: LayerCost(
            macs[index],
            min(layer.weight_bytes, len(segments[layer.segment].constants)),
            use.cycles,
            use.tiles,
            use.load,
            use.operate,
            use.store,
        )
        for index, (layer, use) in enumerate(zip(program.layers, uses, strict=True))
        if layer.segment in segments
    }


def _macs(program: Program, segments: dict[int, NpuSegment]) -> list[int]:
    """The multiply-accumulates of each layer, as its commands do them."""
    products: list[dict[int, int]] = [{} for _ in program.layers]  # by what dilation divides them
    for segment in segments.values():
        for command in segment.commands:
            if isinstance(command, Dot):
                inner = command.x.extent[3:] if command.batched else command.weight_shape[1:]
                count = prod(accumulator_shape(command)) * prod(inner)
                layer, spread = products[command.layer], prod(command.input_dilation)
                layer[spread] = layer.get(spread, 0) + count
    return [sum(n // d for d, n in counts.items()) for counts in products]
