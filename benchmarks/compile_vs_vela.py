"""Compile times side by side with Arm's Vela: whole processes, in turn (A B A B), medians.

Usage: python benchmarks/compile_vs_vela.py [--vela PATH] [--runs N] MODEL.tflite [MODEL.tflite ...]

Vela: `pip install ethos-u-vela` into an environment of its own; --vela names its executable. The
last column is Vela's time over ours: above 1 we are faster.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def seconds(command: list[str]) -> float:
    """Wall-clock seconds of a process that must succeed."""
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    """Prints a line for each model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--vela", default=shutil.which("vela") or "vela")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--accelerator", default="ethos-u65-512")
    arguments = parser.parse_args()
    print(f"{'model':40} {'furiosa s':>10} {'vela s':>10} {'ratio':>7}")
    furiosa = [
        sys.executable,
        "-P",
        "-c",
        "from furiosa_ir.tools.furiosa import main; main()",
        "compile",
        "--no-cache",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for model in arguments.models:
            ours = [*furiosa, "--no-cache"] if _has_cache_option(furiosa) else furiosa
            commands = (
                [*ours, str(model), "-o", f"{folder}/out.enf"],
                [
                    arguments.vela,
                    "--accelerator-config",
                    arguments.accelerator,
                    str(model),
                    "--output-dir",
                    folder,
                ],
            )
            times: tuple[list[float], list[float]] = ([], [])
            for _ in range(arguments.runs):
                for command, found in zip(commands, times, strict=True):
                    found.append(seconds(command))
            a, b = (statistics.median(t) for t in times)
            print(f"{model.name:40} {a:10.2f} {b:10.2f} {b / a:7.2f}", flush=True)


def _has_cache_option(command: list[str]) -> bool:
    text = subprocess.run([*command, "--help"], check=True, capture_output=True, text=True).stdout
    return "--no-cache" in text


if __name__ == "__main__":
    main()
