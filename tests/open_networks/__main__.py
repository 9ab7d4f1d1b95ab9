"""The table of the open networks: `python -m tests.open_networks`; exit code 1 if one differs."""

from __future__ import annotations

import argparse
import os
import sys
import time

from tests.open_networks.comparison import NETWORKS, TOLERANCE, compare


def main() -> int:
    """Prints a row a network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    runs = parser.parse_args().runs
    os.environ["FC_CACHE_ENABLED"] = "0"
    print(f"| network | extents | on the NPU | {runs} runs equal | floats apart | seconds |")
    print("|---|---|---|---|---|---|")
    failed = 0
    for network in NETWORKS:
        started = time.perf_counter()
        found = compare(network, runs)
        seconds = time.perf_counter() - started
        equal = not found.integers_apart and found.apart <= TOLERANCE
        failed += not equal
        shapes = "; ".join(f"{n} {list(s)}" for n, s in network.shapes.items())
        share = f"{found.npu_share * 100:.4g} %"
        print(
            f"| {network.name} | {shapes} | {share} | {'yes' if equal else 'NO'} "
            f"| {found.apart:.2g} | {seconds:.2f} |"
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
