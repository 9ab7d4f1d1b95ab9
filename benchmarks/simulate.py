"""How fast the simulator runs.

Usage: python benchmarks/simulate.py FILE [FILE ...]

Each FILE is an ENF program, or a network, which is compiled first. For each NPU segment one line a
kind of command and the slowest layers, the best of five runs; inputs are random.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from networks import network_file

from furiosa_ir.backends.warboy.checker import check_program
from furiosa_ir.backends.warboy.enf.reader import read_program
from furiosa_ir.backends.warboy.enf.records import NpuSegment
from furiosa_ir.backends.warboy.enf.writer import write_program
from furiosa_ir.backends.warboy.simulator.simulator import Simulator
from furiosa_ir.backends.warboy.simulator.timeline import latency_us
from furiosa_ir.compiler import compile_model
from furiosa_ir.program import Program

RUNS = 5


def milliseconds(function, *arguments, runs=RUNS):
    """(least time in ms, result) of some calls."""
    best, result = float("inf"), None
    for _ in range(runs):
        start = time.perf_counter()
        result = function(*arguments)
        best = min(best, time.perf_counter() - start)
    return best * 1e3, result


def load(path: Path) -> Program:
    """The program of an ENF file or a network."""
    if path.suffix == ".enf":
        return read_program(path)
    return read_program(compile_model(path))


def random_inputs(program: Program, segment: NpuSegment):
    """Uniform numbers for a segment's inputs."""
    rng = np.random.default_rng(0)
    inputs = {}
    for binding in segment.inputs:
        tensor = program.tensors[binding.tensor]
        limits = np.iinfo(tensor.dtype)
        inputs[binding.tensor] = rng.integers(
            limits.min, limits.max, tensor.shape, tensor.dtype, endpoint=True
        )
    return inputs


def report(path: Path) -> None:
    """Prints one file's figures."""
    program = load(path)
    data = write_program(program)
    commands = sum(len(s.commands) for s in program.segments if isinstance(s, NpuSegment))
    read, _ = milliseconds(read_program, data)
    write, _ = milliseconds(write_program, program)
    check, _ = milliseconds(check_program, program)
    prepare, simulator = milliseconds(lambda: Simulator(program, check=False), runs=2)
    assert simulator is not None
    print(f"{path.name}: {commands} commands, {len(data)} bytes, NPU {latency_us(program):.0f} us")
    print(f"  read {read:.1f} ms, write {write:.1f}, check {check:.1f}, prepare {prepare:.1f}")
    macs = sum(layer.macs for layer in program.layers)
    for index, segment in enumerate(program.segments):
        if not isinstance(segment, NpuSegment):
            continue
        run, _ = milliseconds(simulator.run_segment, index, random_inputs(program, segment))
        print(f"  {segment.name}: {run:.1f} ms a run, {macs / run / 1e6:.0f} GMAC/s")
        inputs = random_inputs(program, segment)
        profiles = [simulator.profile_segment(index, inputs) for _ in range(RUNS)]
        kinds, layers = defaultdict(float), defaultdict(float)
        for command, *seconds in zip(segment.commands, *profiles, strict=True):
            spent = min(seconds) * 1e3
            kinds[type(command).__name__] += spent
            layers[program.layers[command.layer].name] += spent
        print("  " + ", ".join(f"{kind} {spent:.1f} ms" for kind, spent in kinds.items()))
        for name, spent in sorted(layers.items(), key=lambda item: -item[1])[:5]:
            print(f"    {spent:7.2f} ms  {name[:80]}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", type=network_file)
    for model in parser.parse_args().models:
        report(model)
