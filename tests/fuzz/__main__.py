"""`python -m tests.fuzz NAME --seconds N`: fuzzes one reader, or `all`, one after the other.

Writes a JSON line a harness to stdout, and exits 1 if a bug was found. `--replay FILE` runs the
harness once on a file, under no fuzzer.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from furiosa_ir.errors import FuriosaError
from tests.fuzz.campaign import ROOT, run_campaign
from tests.fuzz.harnesses import HARNESSES


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("harness", choices=[*HARNESSES, "all"])
    parser.add_argument("--seconds", type=float, default=1440, help="of processor time, each")
    parser.add_argument("--runs", type=int, default=-1, help="inputs at most")
    parser.add_argument("--seed", type=int, help="of the random numbers")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "fuzz")
    parser.add_argument("--markdown", action="store_true", help="rows of a table, not JSON")
    parser.add_argument("--replay", type=Path, metavar="FILE")
    options = parser.parse_args()
    names = list(HARNESSES) if options.harness == "all" else [options.harness]
    if options.replay is not None:
        for name in names:
            try:
                HARNESSES[name].run(options.replay.read_bytes())
                print(f"{name}: accepted")
            except FuriosaError as error:
                print(f"{name}: {error}")
        return 0
    bugs = 0
    for name in names:
        outcome = run_campaign(
            name,
            options.folder / name,
            seconds=options.seconds,
            runs=options.runs,
            seed=options.seed,
        )
        print(outcome.to_markdown() if options.markdown else outcome.to_json(), flush=True)
        bugs += len(outcome.bugs)
    return 1 if bugs else 0


if __name__ == "__main__":
    sys.exit(main())
