"""What a program costs here: how much it multiplies, and how large its weights are.

How long native code takes on somebody's processor nobody knows before it has run: it is 0 in
reports, and `furiosa run --repeat` measures it.
"""

from __future__ import annotations

from furiosa_ir.backends.mlir.segment import MlirSegment
from furiosa_ir.costs import Costs, LayerCost, SegmentCost
from furiosa_ir.latency import Latency
from furiosa_ir.program import Program


def program_costs(program: Program) -> Costs:
    """The costs of a program, without time."""
    segments = {i: s for i, s in enumerate(program.segments) if isinstance(s, MlirSegment)}
    layers = {
        i: LayerCost(layer.macs, layer.weight_bytes, 0, 1)
        for i, layer in enumerate(program.layers)
        if layer.segment in segments
    }
    constants = sum(len(s.parameters) for s in segments.values())
    return Costs(
        cycles=0,
        latency=Latency(),
        sram_peak_bytes=0,
        dram_bytes=constants,
        segments={
            i: SegmentCost(s.function.count("linalg.generic"), len(s.parameters), 0)
            for i, s in segments.items()
        },
        layers=layers,
    )
