"""Which batch sizes are the best, and where a larger batch or a larger target makes things worse.

    python benchmarks/batch_sizes.py NETWORK...

For each network and target a line with the NPU's microseconds for an image at batches 1, 2, 4, ...,
and what `--auto-batch-size` takes; then where an image takes longer in a batch than in one half as
large, or on two PEs than on one, by more than 1 %.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from networks import network_file

from furiosa_ir.backends import default_backend
from furiosa_ir.batch_figures import BatchFigures, best_batch
from furiosa_ir.batch_search import compared_batches
from furiosa_ir.driver import compile_source
from furiosa_ir.program import Program

WORSE = 1.01
"""Longer by a hundredth counts."""


def rows_of(network: Path, target: str) -> tuple[BatchFigures, ...]:
    """What a network takes at each batch size."""

    def compile_(size: int) -> Program:
        program = compile_source(network, target=target, batch_size=size).program
        assert program is not None
        return program

    compared = compared_batches(compile_)
    if not compared.rows:
        print(f"{network.name}: {compared.obstacle}")
    return compared.rows


def main() -> None:
    """Prints the lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="+", type=network_file)
    worse: list[str] = []
    for network in parser.parse_args().networks:
        first: dict[str, float] = {}
        for target in default_backend().targets:
            rows = rows_of(network, target)
            if not rows:
                break
            times = [row.latency.npu_latency_us / row.batch_size for row in rows]
            first[target] = times[0]
            shown = " ".join(f"{us:9.2f}" for us in times)
            print(f"{network.stem[:34]:34} {target:10} best {best_batch(rows):2}: {shown}")
            for row, before, us in zip(rows[1:], times, times[1:], strict=False):
                if us > WORSE * before:
                    worse.append(
                        f"{network.stem} {target}: an image takes {us:.2f} us in a batch of "
                        f"{row.batch_size}, {before:.2f} us in one half as large"
                    )
        if first.get("warboy-2pe", 0) > WORSE * first.get("warboy", 0):
            worse.append(f"{network.stem}: {first}")
    print("\n".join(["worse:", *worse] if worse else ["never worse"]))


if __name__ == "__main__":
    main()
