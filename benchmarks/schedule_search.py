"""What `furiosa compile --optimize search` gains, and what it could gain at most.

    python benchmarks/schedule_search.py NETWORK... [--seconds 30] [--target warboy-2pe]

For each network NPU microseconds of a warm run: by default, as found, and what no layouts go below
(`Space.least`), with what is gained and what could be gained at most.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from networks import network_file
from xdsl.dialects.func import FuncOp

from furiosa_ir.backends.warboy.costs import program_costs
from furiosa_ir.backends.warboy.passes.plan_tiles import prepare
from furiosa_ir.backends.warboy.search.chains import Space
from furiosa_ir.backends.warboy.target import machine_of
from furiosa_ir.driver import compile_source
from furiosa_ir.ir.segments import is_npu
from furiosa_ir.pipeline_request import Edit, EditKind, PipelineRequest
from furiosa_ir.program import Program

UNPLANNED = (
    "graph,ftensor,fuse-kernels,split-batch,assign-views,copy-parts,split-columns,pair-kernels"
)


def compiled(network: Path, target: str, search: str | None) -> Program:
    """The program, with a search or without."""
    edits = () if search is None else (Edit(EditKind.INSERT_BEFORE, "plan-tiles", search),)
    program = compile_source(network, target=target, passes=PipelineRequest(edits=edits)).program
    assert program is not None
    return program


def space_of(network: Path, target: str) -> Space:
    """What is searched."""
    module = compile_source(network, target=target, target_ir="warboy", passes=UNPLANNED).module
    machine = machine_of(module)
    functions = [f for f in module.ops if isinstance(f, FuncOp) and is_npu(f)]
    return Space([prepare(function, machine).workload for function in functions], machine)


def main() -> None:
    """Prints a line for each network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="+", type=network_file)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--target", default="warboy-2pe")
    given = parser.parse_args()
    print("| network | default | found | gain | least | at most | processor time |")
    print("|---|---|---|---|---|---|---|")
    for network in given.networks:
        plain = program_costs(compiled(network, given.target, None))
        began = time.process_time()
        better = program_costs(
            compiled(network, given.target, f"search-plan{{seconds={given.seconds}}}")
        )
        took = time.process_time() - began
        space = space_of(network, given.target)
        before, after = plain.latency.npu_latency_us, better.latency.npu_latency_us
        least = space.least()
        gain = (before - after) / before if before else 0.0
        most = (plain.cycles - least) / max(plain.cycles, 1)
        bound = before * (1 - most)
        print(
            f"| {network.stem} | {before:.2f} | {after:.2f} | {gain:.1%} | {bound:.2f} "
            f"| {most:.1%} | {took:.1f} s |",
            flush=True,
        )


if __name__ == "__main__":
    main()
