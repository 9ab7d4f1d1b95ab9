"""Fits the performance model's [fitted] constants to published latencies, and checks the others.

    python benchmarks/performance_model.py MODELS [--json FILE]

MODELS is a folder with the networks of the rows (shared/models/generated: random weights, exact
shapes). Each row of the vendor's published performance (shared/warboy.md section 7) is compiled
with the constants as they stand, and its commands are timed with others: five rows decide the
constants (least squares of relative errors), the rest only shows how good they are. The model is
what is checked here, not our scheduler: programs are compiled without what finds plans that the
vendor's compiler, for all that is known, does not find (`PLAIN`). What that gains is shown beside:
"ours" is the default plan's latency, "share" how much of the distance between it and the published
latency these passes account for. All rows count
a session's set-up with the run (cold): that is what the published latencies contain (the model's
page, docs/performance-model.md, says why). Write what it prints to
`furiosa_ir/backends/warboy/machine/warboy.toml` and run it again: the planner chooses by the
constants, so the programs may have changed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from pathlib import Path

from plain_plans import PLAIN

from furiosa_ir.backends import read_program
from furiosa_ir.backends.warboy.costs import program_costs
from furiosa_ir.driver import compile_source
from furiosa_ir.latency import Latency
from furiosa_ir.pipeline_request import PipelineRequest
from furiosa_ir.program import Program

FITTED = ("dot_efficiency_percent", "lookup_port_cycles", "host_elements_per_second")


@dataclass(frozen=True)
class Row:
    """A published figure.

    Attributes:
        name: what it is called here.
        model: the network's file, without `_qdq_int8.onnx`.
        target: "warboy" or "warboy-2pe".
        batch: samples a run.
        us: published microseconds of a run.
        includes: "total" (host, link and NPU) or "npu" (throughput, where runs hide the others'
            host and link; NPU time).
        fits: whether it decides the constants.
        at_once: programs that run at the same time and share DRAM's bandwidth: two on two PEs.
    """

    name: str
    model: str
    target: str
    batch: int
    us: float
    includes: str
    fits: bool = False
    at_once: int = 1


ROWS = (
    Row("ResNet50-v1.5", "resnet50_v15", "warboy-2pe", 1, 712, "total", fits=True),
    Row("ResNet50-v1.5, 2 x 1pe", "resnet50_v15", "warboy", 8, 8 / 1379 * 1e6, "npu", at_once=2),
    Row("SSD-MobileNet-v1", "ssd_mobilenet_v1", "warboy-2pe", 1, 362, "total", fits=True),
    Row("SSD-MobileNet, 2x1pe", "ssd_mobilenet_v1", "warboy", 8, 8 / 4381 * 1e6, "npu", at_once=2),
    Row("SSD-ResNet34", "ssd_resnet34_1200", "warboy-2pe", 1, 13430, "total"),
    Row("SSD-ResNet34, many", "ssd_resnet34_1200", "warboy-2pe", 1, 1e6 / 79.9, "npu", fits=True),
    Row("MobileNet-v1, NPU", "mobilenet_v1", "warboy-2pe", 1, 105, "npu", fits=True),
    Row("YOLOv5n", "yolov5n_640", "warboy-2pe", 1, 1090, "total"),
    Row("YOLOv5n", "yolov5n_640", "warboy", 1, 1260, "total"),
    Row("YOLOv5s", "yolov5s_640", "warboy-2pe", 1, 1930, "total"),
    Row("YOLOv5s", "yolov5s_640", "warboy", 1, 2450, "total", fits=True),
    Row("YOLOv8s", "yolov8s_640", "warboy-2pe", 1, 2970, "total"),
    Row("YOLOv8s", "yolov8s_640", "warboy", 1, 4170, "total"),
)  # fmt: skip


def latency(program: Program, constants: Mapping[str, int]) -> Latency:
    """A run's latency with other constants than the program was compiled with."""
    return program_costs(replace(program, machine={**program.machine, **constants})).latency


def predicted(found: Latency, includes: str) -> float:
    """Microseconds that a row is compared with: cold."""
    if includes == "npu":
        return found.setup_latency_us + found.npu_latency_us
    return found.cold_latency_us


def fit(programs: Mapping[Row, Program], start: Mapping[str, int]) -> dict[str, int]:
    """The constants of the least mean square of relative errors on the rows that decide.

    The NPU's constants by a descent over a grid, the host's in closed form: a row's time is linear
    in how long the host takes for an element.
    """
    rows = [row for row in programs if row.fits]

    @cache
    def at(efficiency: int, lookup: int) -> tuple[float, int]:
        """(mean square, elements a second)."""
        constants: dict[str, int] = dict(
            zip(FITTED, (efficiency, lookup, start[FITTED[2]]), strict=True)
        )
        known = [latency(programs[row], constants) for row in rows]
        # Of the host's time only what the constant decides: not what is left without it.
        without = constants | {FITTED[2]: 10**15}
        rest = [latency(programs[row], without).host_latency_us for row in rows]
        slope, base = [], []
        for row, found, other in zip(rows, known, rest, strict=True):
            host = (found.host_latency_us - other) * (row.includes == "total")
            slope.append(host / row.us)
            base.append((predicted(found, row.includes) - host) / row.us - 1)
        share = -sum(a * b for a, b in zip(slope, base, strict=True)) / sum(a * a for a in slope)
        share = max(share, 1e-3)
        errors = [b + share * a for a, b in zip(slope, base, strict=True)]
        rate = round(start[FITTED[2]] / share, -8)
        return sum(e * e for e in errors) / len(errors), int(rate)

    best = tuple(start[name] for name in FITTED[:2])
    for scale in (4, 2, 1):
        while True:
            moves = product((-scale, 0, scale), repeat=2)
            around = [(max(best[0] + a, 1), max(best[1] + b, 1)) for a, b in moves]
            found = min(around, key=lambda values: (at(*values)[0], values))
            if at(*found)[0] >= at(*best)[0]:
                break
            best = found
    return dict(zip(FITTED, (*best, at(*best)[1]), strict=True))


def compiled(row: Row, models: Path, passes: PipelineRequest | None) -> Program:
    """A row's program, for its share of DRAM's bandwidth."""
    path = models / f"{row.model}_qdq_int8.onnx"
    enf = compile_source(path, target=row.target, batch_size=row.batch, passes=passes).enf
    assert enf is not None
    program = read_program(enf)
    shared = {"dram_bytes_per_second": program.machine["dram_bytes_per_second"] // row.at_once}
    return replace(program, machine={**program.machine, **shared})


def main() -> None:
    """Compiles, fits, prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("models", type=Path, help="folder with the networks")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    arguments = parser.parse_args()
    programs = {row: compiled(row, arguments.models, PLAIN) for row in ROWS}
    ours = {row: compiled(row, arguments.models, None) for row in ROWS}
    stands = {name: programs[ROWS[0]].machine[name] for name in FITTED}
    constants = fit(programs, stands)
    print("constants:", ", ".join(f"{k} = {v:,} (now {stands[k]:,})" for k, v in constants.items()))
    table: list[dict[str, object]] = []
    head = f"{'row':24}{'target':12}{'batch':>5}{'published':>11}{'predicted':>11}{'error':>8}"
    print(f"{head}{'now':>8}{'ours':>11}{'share':>7}")
    for row, program in programs.items():
        us = predicted(latency(program, constants), row.includes)
        now = predicted(latency(program, stands), row.includes)
        own = predicted(latency(ours[row], stands), row.includes)
        share = f"{(min(now, row.us) - own) / (row.us - own):.0%}" if own < min(now, row.us) else ""
        print(
            f"{row.name:24}{row.target:12}{row.batch:5}{row.us:9.0f}us{us:9.0f}us"
            f"{us / row.us - 1:+8.1%}{now / row.us - 1:+8.1%}{own:9.0f}us{share:>7}"
            f"{'  fitted' if row.fits else ''}"
        )
        table.append({"row": row.name, "target": row.target, "batch": row.batch,
                      "published_us": row.us, "predicted_us": us, "with_toml_us": now,
                      "ours_us": own, "fitted": row.fits})  # fmt: skip
    for what, which in (("fitted", True), ("other", False)):
        rows = [row for row in ROWS if row.fits is which]
        for name, values in (("fit", constants), ("warboy.toml", stands)):
            errors = [
                abs(predicted(latency(programs[r], values), r.includes) / r.us - 1) for r in rows
            ]
            mean, worst = sum(errors) / len(errors), max(errors)
            print(f"{what} rows, constants of {name}: mean {mean:.1%}, worst {worst:.1%}")
        errors = [abs(predicted(latency(ours[r], stands), r.includes) / r.us - 1) for r in rows]
        print(f"{what} rows, default plans: mean {sum(errors) / len(errors):.1%}")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"constants": constants, "rows": table}, indent=2))


if __name__ == "__main__":
    main()
