"""What a hit in the compiler cache costs: `furiosa compile` of a stored program over `--version`.

Usage: python benchmarks/cache_hit.py MODEL [--runs N]

Whole processes in turn (`--version`, a hit in a directory, a hit on a local Redis server, and so
on); medians of wall-clock and of processor time (user + system: less noisy where others work too).
The directory and the server (`redis-server` must be installed) are our own.
"""

from __future__ import annotations

import argparse
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from networks import network_file

FURIOSA = [sys.executable, "-P", "-c", "from furiosa_ir.tools.furiosa import main; main()"]


def measure(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """(wall-clock, processor) milliseconds of a process that must succeed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=environment)
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return 1e3 * wall, 1e3 * used


@contextmanager
def redis_server(folder: str) -> Generator[str]:
    """The URL of a server that keeps nothing on disk."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        ["redis-server", "--port", str(port), "--save", "", "--dir", folder],
        stdout=subprocess.DEVNULL,
    )
    try:
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def main() -> None:
    """Prints a line for each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=network_file)
    parser.add_argument("--runs", type=int, default=15)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, redis_server(name) as url:
        output = Path(name, "output.enf")
        hit = [*FURIOSA, "compile", str(arguments.model), "-o", str(output)]
        ways = {
            "--version": ([*FURIOSA, "--version"], name),
            "hit, directory": (hit, f"{name}/cache"),
            "hit, Redis": (hit, url),
        }
        # Python's bytecode is cached, as after an installation.
        inherited = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
        environments = {
            way: {**inherited, "FC_CACHE_ENABLED": "1", "FC_CACHE_STORE_URL": store}
            for way, (_, store) in ways.items()
        }
        for way, (command, _) in ways.items():
            subprocess.run(command, check=True, capture_output=True, env=environments[way])
        print(f"{arguments.model.name}: a program of {output.stat().st_size / 1e6:.1f} MB")
        times: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
        for _ in range(arguments.runs):
            for way, (command, _) in ways.items():
                times[way].append(measure(command, environments[way]))
    medians = {
        way: [statistics.median(t) for t in zip(*rows, strict=True)] for way, rows in times.items()
    }
    base = medians["--version"]
    print(f"{'':16} {'wall ms':>8} {'over':>6} {'processor ms':>13} {'over':>6}")
    for way, (wall, used) in medians.items():
        print(f"{way:16} {wall:8.1f} {wall - base[0]:6.1f} {used:13.1f} {used - base[1]:6.1f}")


if __name__ == "__main__":
    main()
