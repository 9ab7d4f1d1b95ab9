"""Compile times side by side with Arm's Vela: whole processes, in turn (A B A B), medians.

Usage: python benchmarks/compile_vs_vela.py [--vela PATH] [--runs N] [--json FILE] MODEL.tflite ...

Vela: `pip install ethos-u-vela` into an environment of its own; --vela names its executable. Beside
the wall clock there is the time on processors, which other processes on the machine change less,
and the peak resident set. The ratio is our wall clock over Vela's: below 1 we are faster.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from networks import network_file

_SCRIPT = "from furiosa_ir.tools.launch import furiosa; furiosa()"  # what the installed script does
COMPILE = [sys.executable, "-P", "-c", _SCRIPT, "compile", "--no-cache"]
"""Our command; the console script, as users call it."""


class Failed(Exception):
    """A process that did not succeed: its command and what it said."""


class Figures(NamedTuple):
    """What a process took."""

    seconds: float
    processor_seconds: float
    peak_mib: float


_LAUNCHER = """\
import json, os, sys, time
began = time.perf_counter()
pid = os.spawnvp(os.P_NOWAIT, sys.argv[2], sys.argv[2:])
_, status, usage = os.wait4(pid, 0)
figures = time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
with open(sys.argv[1], "w") as file:
    json.dump([os.waitstatus_to_exitcode(status), figures], file)
"""
"""A process of a few MiB that runs a command: the kernel counts what a process was before its exec
to its peak, and this one may be larger than what it measures."""


def measure(command: list[str]) -> Figures:
    """Runs a process that must succeed."""
    with tempfile.TemporaryDirectory() as folder:
        taken, said = Path(folder, "taken.json"), Path(folder, "said")
        # Installed tools have their bytecode; without this variable's default ours would not.
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        with said.open("wb") as output:
            subprocess.run(
                [sys.executable, "-I", "-S", "-c", _LAUNCHER, taken, *command],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                check=False,
            )
        words = said.read_text(errors="replace").strip()
        status, figures = json.loads(taken.read_text()) if taken.exists() else (1, ())
        if status:
            raise Failed(f"{' '.join(command)}: {words or f'it ended with {status}'}")
    return Figures(*figures)


def medians(runs: list[Figures]) -> Figures:
    """The median of each figure."""
    return Figures(*(statistics.median(values) for values in zip(*runs, strict=True)))


def in_turn(commands: Mapping[str, list[str]], runs: int) -> dict[str, Figures]:
    """Runs each command in turn (A B A B), so often; the medians of each.

    Args:
        commands: name -> command line, of processes that must succeed.
        runs: of each.
    """
    taken: dict[str, list[Figures]] = {name: [] for name in commands}
    for _ in range(runs):
        for name, command in commands.items():
            taken[name].append(measure(command))
    return {name: medians(figures) for name, figures in taken.items()}


def main() -> None:
    """Prints a line for each model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", type=network_file)
    parser.add_argument("--vela", default=shutil.which("vela") or "vela")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--accelerator", default="ethos-u65-512")
    parser.add_argument("--json", type=Path, help="also: the figures in a file")
    arguments = parser.parse_args()
    vela = [arguments.vela, "--accelerator-config", arguments.accelerator]
    table: dict[str, Mapping[str, object]] = {}
    print(f"{'':40} {'furiosa':^23} {'vela':^23}")
    print(f"{'model':40} {'s':>7} {'cpu s':>7} {'MiB':>7} {'s':>7} {'cpu s':>7} {'MiB':>7} ratio")
    with tempfile.TemporaryDirectory() as folder:
        for model in arguments.models:
            commands = {
                "furiosa": [*COMPILE, str(model), "-o", f"{folder}/out.enf"],
                "vela": [*vela, str(model), "--output-dir", folder],
            }
            found = in_turn(commands, arguments.runs)
            ratio = found["furiosa"].seconds / found["vela"].seconds
            columns = " ".join(f"{a:7.2f} {b:7.2f} {c:7.0f}" for a, b, c in found.values())
            print(f"{model.name:40} {columns} {ratio:5.2f}", flush=True)
            table[model.name] = {n: f._asdict() for n, f in found.items()} | {"ratio": ratio}
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(table, indent=2) + "\n")


if __name__ == "__main__":
    try:
        main()
    except Failed as error:
        sys.exit(str(error))
