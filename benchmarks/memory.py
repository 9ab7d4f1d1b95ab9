"""How much memory programs take over what they need at once, and what placing costs.

Usage: python benchmarks/memory.py [MODEL ...] [--json FILE]

Without arguments: every quantised network of ../shared/models (the bundled ones where that is
absent), for both targets. A row has the areas of SRAM, the peak over its lower bound (by best fit
alone, and as compiled), the same of the workspace in DRAM, and milliseconds of processor time of
best fit and of placing. Networks that run wholly on the host have no row.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from networks import network_file, quantised
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from furiosa_ir.backends.warboy.dialect.segment import (
    kernel_plans,
    kernels_of,
    memory_addresses,
    memory_plan,
)
from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.planning.areas import pinned_places, place_areas, sram_areas
from furiosa_ir.backends.warboy.planning.best_fit import best_fit
from furiosa_ir.backends.warboy.planning.intervals import Interval, Obstacle
from furiosa_ir.backends.warboy.planning.placement import forget
from furiosa_ir.backends.warboy.target import machine_of
from furiosa_ir.compiler import compile_source
from furiosa_ir.ir.passes import Pass
from furiosa_ir.ir.pipeline import Instrumentation
from furiosa_ir.ir.segments import is_npu

TARGETS = ("warboy", "warboy-2pe")


def pinned_bytes(function: FuncOp, machine: Machine) -> int:
    """Bytes of every slice that a segment's pinned parameters take."""
    kernels = kernels_of(function)
    return pinned_places(kernel_plans(kernels), lambda k: kernels[k].inputs, machine)[1]


@dataclass(frozen=True)
class Row:
    """A segment of a network.

    Attributes:
        network, target, segment: which one.
        areas: of SRAM.
        sram_bound, best_fit, sram_peak: bytes of a slice.
        workspace_bound, workspace_peak: bytes.
        best_fit_ms, placing_ms: milliseconds of processor time, for SRAM.
    """

    network: str
    target: str
    segment: str
    areas: int
    sram_bound: int
    best_fit: int
    sram_peak: int
    workspace_bound: int
    workspace_peak: int
    best_fit_ms: float
    placing_ms: float

    @property
    def text(self) -> str:
        """As the table has it."""
        bound, workspace = self.sram_bound or 1, self.workspace_bound or 1
        return (
            f"{self.network:40} {self.target:10} {self.areas:6} {self.sram_bound:8} "
            f"{self.best_fit / bound:8.3f} {self.sram_peak / bound:6.3f} "
            f"{self.workspace_bound:9} {self.workspace_peak / workspace:6.3f} "
            f"{self.best_fit_ms:8.1f} {self.placing_ms:7.1f}"
        )


class _Placements(Instrumentation):
    """Looks at each segment that `allocate` has given its addresses."""

    def __init__(self, network: str, target: str) -> None:
        self.network, self.target = network, target
        self.rows: list[Row] = []

    def after_pass(self, what: Pass, module: ModuleOp, seconds: float) -> None:
        if what.name != "allocate":
            return
        machine = machine_of(module)
        functions = [f for f in module.ops if isinstance(f, FuncOp) and is_npu(f)]
        # What is pinned lies below what comes and goes, that of all segments.
        pinned = sum(pinned_bytes(f, machine) for f in functions)
        for function in functions:
            kernels = kernels_of(function)
            plans = kernel_plans(kernels)
            below = [Obstacle(0, Interval(pinned, 0, len(kernels)))] if pinned else []
            areas = sram_areas(memory_plan(function), plans, machine)
            intervals = [area.interval for area in areas]
            started = time.process_time()
            _, greedy = best_fit(intervals, below)
            between = time.process_time()
            forget()
            _, found = place_areas(areas, machine, below)
            ended = time.process_time()
            addresses = memory_addresses(function)
            assert found.peak == addresses.sram_bytes
            self.rows.append(
                Row(
                    self.network,
                    self.target,
                    function.sym_name.data,
                    len(areas),
                    addresses.sram_bound,
                    greedy,
                    addresses.sram_bytes,
                    addresses.workspace_bound,
                    addresses.workspace_bytes,
                    1e3 * (between - started),
                    1e3 * (ended - between),
                )
            )


def measure(path: Path, target: str) -> list[Row]:
    """A row for each segment on the NPU."""
    placements = _Placements(path.stem, target)
    compile_source(path, target=target, instrumentation=(placements,))
    return placements.rows


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", type=network_file)
    parser.add_argument("--json", type=Path, help="write the rows there as well")
    arguments = parser.parse_args()
    models = arguments.models or quantised()
    print(
        f"{'network':40} {'target':10} {'areas':>6} {'bound':>8} {'best fit':>8} {'peak':>6} "
        f"{'DRAM':>9} {'peak':>6} {'fit ms':>8} {'all ms':>7}"
    )
    rows: list[Row] = []
    for path in models:
        for target in TARGETS:
            for row in measure(path, target):
                rows.append(row)
                print(row.text, flush=True)
    over = [row.sram_peak / row.sram_bound for row in rows if row.sram_bound]
    print(f"greatest peak of SRAM over its bound: {max(over, default=1):.3f}")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))


if __name__ == "__main__":
    main()
