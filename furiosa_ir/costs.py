"""What a compiled program costs on its machine: what a backend counts, and reports show."""

from __future__ import annotations

from dataclasses import dataclass, field

from furiosa_ir.latency import Latency
from furiosa_ir.program import HostSegment, Program


@dataclass(frozen=True, slots=True)
class LayerCost:
    """What a layer on the device costs.

    Attributes:
        macs: its multiply-accumulates, as the program's commands do them.
        weight_bytes: its parameters.
        cycles: what it adds to the program's time; over all layers they sum to the program's.
        tiles: steps that compute something.
        load_cycles, operate_cycles, store_cycles: for how long its commands keep the machine's
            units busy; they may overlap.
    """

    macs: int
    weight_bytes: int
    cycles: int
    tiles: int
    load_cycles: int = 0
    operate_cycles: int = 0
    store_cycles: int = 0


@dataclass(frozen=True, slots=True)
class SegmentCost:
    """What a device segment consists of.

    Attributes:
        commands: how many.
        constant_bytes: weights, tables and the like.
        workspace_bytes: of the memory that it works in.
        figures: what else this machine has to say, by name.
    """

    commands: int
    constant_bytes: int
    workspace_bytes: int
    figures: dict[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, slots=True)
class Costs:
    """What a program costs.

    Attributes:
        cycles: from the first command's start to the last one's end; host segments take none.
        latency: microseconds of a run: the same, the host's and the link's.
        sram_peak_bytes: on-chip memory at its peak.
        dram_bytes: memory beside the chip.
        segments: by index, of the device segments.
        layers: by index, of the layers on the device.
        sram_bound_bytes: of on-chip memory, what is needed at once: no addresses take less; None:
            not known.
        dram_bound_bytes: the same of the memory beside the chip.
        bound_us: microseconds on the device that no plan of a run goes below; 0: not known.
        dram_traffic_bytes: what a run reads and writes of memory beside the chip.
        dram_compulsory_bytes: of these, what no plan avoids.
    """

    cycles: int
    latency: Latency
    sram_peak_bytes: int
    dram_bytes: int
    segments: dict[int, SegmentCost]
    layers: dict[int, LayerCost]
    sram_bound_bytes: int | None = None
    dram_bound_bytes: int | None = None
    bound_us: float = 0.0
    dram_traffic_bytes: int = 0
    dram_compulsory_bytes: int = 0


def npu_mac_share(program: Program, costs: Costs) -> float:
    """Of a program's multiply-accumulates, how many run on the device (0 to 1)."""
    on_device = sum(cost.macs for cost in costs.layers.values())
    on_host = sum(row.macs for i, row in enumerate(program.layers) if i not in costs.layers)
    return on_device / (on_device + on_host) if on_device + on_host else float(bool(costs.segments))


def host_operators(program: Program) -> list[tuple[str, str, int, str]]:
    """What runs on the host, and why: (operator, layer, number of the hint, reason)."""
    hosts = (s for s in program.segments if isinstance(s, HostSegment))
    return [row for segment in hosts for row in segment.operators]
