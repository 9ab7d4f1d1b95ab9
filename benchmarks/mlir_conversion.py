"""What it takes to convert networks to upstream's dialects (`--target-npu mlir`).

Usage: python benchmarks/mlir_conversion.py [--runs N] [MODEL ...]

Without models: every quantised network of ../shared/models, or the bundled ones. Seconds of
processor time in a warm process, medians of N (5): of the whole compile, model to program, and of
its last part, the conversion, which begins where the tensor level is there: `ftensor-channels-last`
and `ftensor-to-linalg`, verification, text and parameters.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from networks import network_file, quantised

from furiosa_ir.cache.settings import NO_CACHE
from furiosa_ir.compiler import compile_model
from furiosa_ir.driver import compile_source


def seconds(call: Callable[[], object]) -> float:
    """Of processor time."""
    gc.collect()
    gc.disable()  # as the command does
    begin = time.process_time()
    try:
        call()
        return time.process_time() - begin
    finally:
        gc.enable()


def measured(path: Path, runs: int) -> tuple[float, float]:
    """(whole, conversion) of a network, in seconds."""

    def whole() -> object:
        return compile_model(path, target="mlir", cache=NO_CACHE)

    def front() -> object:
        return compile_source(path, target="mlir", target_ir="ftensor")

    whole()
    pairs = [(seconds(whole), seconds(front)) for _ in range(runs)]
    return (
        statistics.median(a for a, _ in pairs),
        statistics.median(a - b for a, b in pairs),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a line a network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", type=network_file)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args(arguments)
    if options.runs < 1:
        parser.error("--runs is 1 at least")
    print(f"{'network':44} {'whole s':>8} {'conversion s':>12}")
    for path in options.models or quantised():
        whole, conversion = measured(path, options.runs)
        print(f"{path.name:44} {whole:8.2f} {conversion:12.2f}", flush=True)


if __name__ == "__main__":
    main()
