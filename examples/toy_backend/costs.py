"""What a program costs: a cycle for each product, or for each element where there is none."""

from math import prod

from furiosa_ir.costs import Costs, LayerCost, SegmentCost
from furiosa_ir.host_model import HostRates, host_us
from furiosa_ir.latency import Latency
from furiosa_ir.program import Program
from toy_backend.machine import CLOCK_HZ, ToySegment


def program_costs(program: Program) -> Costs:
    """The costs, counted in the steps."""
    held = {i: s for i, s in enumerate(program.segments) if isinstance(s, ToySegment)}
    layers: dict[int, LayerCost] = {}
    for step in (step for segment in held.values() for step in segment.steps):
        cost = layers.get(step.layer, LayerCost(0, 0, 0, 0))
        cycles = cost.cycles + max(step.macs, prod(step.shape))
        layers[step.layer] = LayerCost(cost.macs + step.macs, 0, cycles, cost.tiles + 1)
    total = sum(cost.cycles for cost in layers.values())
    segments = {i: SegmentCost(len(s.steps), 0, 0) for i, s in held.items()}
    latency = Latency(
        npu_latency_us=total / CLOCK_HZ * 1e6,
        host_latency_us=host_us(program, HostRates(1e9, 1e10, 1e10)),
    )
    return Costs(total, latency, 0, 0, segments, layers)
