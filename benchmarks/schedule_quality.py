"""How far schedules are from what no plan goes below, under the performance model.

Usage: python benchmarks/schedule_quality.py [MODEL ...] [--target T ...] [--json FILE] [--markdown]

Without arguments: every quantised network of ../shared/models, or the bundled ones where that is
absent; for both targets. A row has the NPU's time of a warm run, the bound, their ratio, the unit
that decides the bound, DRAM traffic over the compulsory, SRAM's peak over the liveness bound, the
session's set-up and the total latency (docs/performance-model.md says what each is). Networks that
run wholly on the host have no row. Nothing is timed: two runs print the same.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from math import exp, log
from pathlib import Path
from typing import Any

from networks import network_file, quantised
from plain_plans import BEFORE

from furiosa_ir.backends import read_program
from furiosa_ir.backends.warboy.bound import run_bound
from furiosa_ir.backends.warboy.costs import program_costs
from furiosa_ir.driver import compile_source
from furiosa_ir.pipeline_request import PipelineRequest
from furiosa_ir.program import Program

TARGETS = ("warboy", "warboy-2pe")
HEADER = (
    "network",
    "before us",
    "NPU us",
    "bound us",
    "ratio",
    "of a unit",
    "bound by",
    "DRAM",
    "SRAM",
    "set-up us",
    "total us",
)


@dataclass(frozen=True)
class Row:
    """A network on a target.

    Attributes:
        network, target: which one.
        before_us: the NPU's time with `BEFORE`.
        npu_us, bound_us: of a warm run, and what no plan of it goes below.
        ratio: the first over the second.
        unit_ratio: over what the busiest unit takes, the engine as a whole not being one.
        unit: the machine's unit that decides the bound; "npu" is the engine as a whole.
        dram_ratio: DRAM traffic of a run over the compulsory.
        sram_ratio: SRAM's peak over the liveness bound; None where that is not known.
        setup_us, total_us: a session's set-up, and a warm run with host and link.
    """

    network: str
    target: str
    before_us: float
    npu_us: float
    bound_us: float
    ratio: float
    unit_ratio: float
    unit: str
    dram_ratio: float
    sram_ratio: float | None
    setup_us: float
    total_us: float

    @property
    def cells(self) -> tuple[str, ...]:
        """As tables have it, in the order of HEADER."""
        return (
            self.network,
            f"{self.before_us:.1f}",
            f"{self.npu_us:.1f}",
            f"{self.bound_us:.1f}",
            f"{self.ratio:.2f}",
            f"{self.unit_ratio:.2f}",
            self.unit,
            f"{self.dram_ratio:.2f}",
            "" if self.sram_ratio is None else f"{self.sram_ratio:.2f}",
            f"{self.setup_us:.1f}",
            f"{self.total_us:.1f}",
        )


def compiled(path: Path, target: str, passes: PipelineRequest | None) -> Program:
    """A network's program."""
    enf = compile_source(path, target=target, passes=passes).enf
    assert enf is not None
    return read_program(enf)


def measure(path: Path, target: str) -> Row | None:
    """Compiles a network; None if nothing of it runs on the NPU."""
    program = compiled(path, target, None)
    costs, units = program_costs(program), run_bound(program).units
    if not costs.bound_us:
        return None
    npu, bound = costs.latency.npu_latency_us, costs.bound_us
    busiest = max(cycles for unit, cycles in units.items() if unit != "npu")
    sram = costs.sram_bound_bytes
    return Row(
        path.stem,
        target,
        program_costs(compiled(path, target, BEFORE)).latency.npu_latency_us,
        npu,
        bound,
        npu / bound,
        npu / bound * max(units.values()) / busiest,
        max(units, key=units.__getitem__),
        costs.dram_traffic_bytes / max(costs.dram_compulsory_bytes, 1),
        costs.sram_peak_bytes / sram if sram else None,
        costs.latency.setup_latency_us,
        costs.latency.total_latency_us,
    )


def geometric_mean(ratios: Iterable[float]) -> float:
    """Of at least one ratio."""
    logarithms = [log(ratio) for ratio in ratios]
    return exp(sum(logarithms) / len(logarithms))


def means(rows: Sequence[Row]) -> dict[str, float]:
    """Target -> geometric mean of its networks' ratios."""
    targets = dict.fromkeys(row.target for row in rows)
    return {t: geometric_mean(row.ratio for row in rows if row.target == t) for t in targets}


def line(cells: Sequence[str]) -> str:
    """A line of the plain table."""
    first, *others = cells
    return f"{first[:36]:36}" + "".join(f"{cell:>11}" for cell in others)


def markdown(rows: Sequence[Row], target: str) -> str:
    """One target's table for the documentation."""
    cells = [HEADER, ("---",) * len(HEADER), *(row.cells for row in rows if row.target == target)]
    mean = ("geometric mean", "", "", "", f"{means(rows)[target]:.2f}", *[""] * (len(HEADER) - 5))
    return "\n".join(f"| {' | '.join(each)} |" for each in [*cells, mean])


def table(models: Sequence[Path], targets: Sequence[str] = TARGETS, *, to: Any = None) -> list[Row]:
    """The rows, printed as they come (to stdout, or the given stream)."""
    rows: list[Row] = []
    for target in targets:
        print(f"\n{target}\n{line(HEADER)}", file=to)
        for path in models:
            row = measure(path, target)
            if row is None:
                print(f"{path.stem[:36]:36} runs wholly on the host", file=to)
                continue
            rows.append(row)
            print(line(row.cells), file=to, flush=True)
        if target in means(rows):
            print(f"geometric mean {means(rows)[target]:.3f}", file=to)
    return rows


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("models", nargs="*", type=network_file)
    parser.add_argument("--target", action="append", choices=TARGETS, help="default: both")
    parser.add_argument("--json", type=Path, help="write the rows there as well")
    parser.add_argument("--markdown", action="store_true", help="print tables for the docs")
    arguments = parser.parse_args()
    targets = arguments.target or TARGETS
    to = sys.stderr if arguments.markdown else None
    rows = table(arguments.models or quantised(), targets, to=to)
    if arguments.markdown:
        print("\n\n".join(f"{target}\n\n{markdown(rows, target)}" for target in means(rows)))
    if arguments.json is not None:
        found = {"rows": [asdict(row) for row in rows], "geometric_mean": means(rows)}
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
