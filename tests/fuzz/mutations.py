"""Structure-aware mutations of real networks through the compiler.

    python -m tests.fuzz.mutations -n 100000 --jobs 2 --resume mutations.jsonl
    python -m tests.fuzz.mutations --model ic_resnet8_int8.tflite --seed 4711 -n 1

Every case must end in a program that passes the checker or in a `FuriosaError` of one sentence.
Case (network, seed) is the same for good. A file of outcomes can be resumed: its cases are not done
again but for its findings, so that it shows which of them a change has mended.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO

import click
from rich.console import Console
from rich.table import Table

from tests.fuzz.cases import TRAINED, Outcome, mutated
from tests.fuzz.workers import Case, outcomes

NETWORKS = 20

_RUN_EVERY = 10
"""The program of each tenth seed is read back and run."""


def networks() -> list[str]:
    """The smallest networks of the corpus."""
    files = sorted(TRAINED.iterdir(), key=lambda path: path.stat().st_size)
    return [path.name for path in files[:NETWORKS]]


def cases(names: Sequence[str], count: int, first: int) -> Iterator[Case]:
    """`count` cases, of the networks in turn."""
    for i in range(count):
        seed = first + i // len(names)
        yield names[i % len(names)], seed, seed % _RUN_EVERY == 0


def read_outcomes(file: Path) -> dict[tuple[str, int], Outcome]:
    """The last outcome of each case in a file; nothing of one that does not exist."""
    if not file.exists():
        return {}
    lines = [Outcome(**json.loads(line)) for line in file.read_text().splitlines()]
    return {(o.network, o.seed): o for o in lines}


def table(found: Sequence[Outcome]) -> Table:
    """How often each kind of outcome is there, for each network."""
    counts = Counter((o.network, o.kind) for o in found)
    kinds = sorted({o.kind for o in found})
    made = Table("network", *kinds, "all", "CPU s a case")
    for name in dict.fromkeys(o.network for o in found):
        own = [o.seconds for o in found if o.network == name]
        numbers = [*(counts[name, kind] for kind in kinds), len(own)]
        made.add_row(name, *map(str, numbers), f"{sum(own) / len(own):.3f}")
    seconds = sum(o.seconds for o in found) / max(1, len(found))
    totals = [sum(o.kind == kind for o in found) for kind in kinds]
    made.add_row("all", *map(str, [*totals, len(found)]), f"{seconds:.3f}", style="bold")
    return made


def _show(outcome: Outcome, file: IO[str]) -> None:
    _, names = mutated(outcome.network, outcome.seed)
    what = f"{outcome.kind} {outcome.network} {outcome.seed} ({', '.join(names)})"
    click.echo(f"{what}\n{outcome.detail}\n", file=file)


@click.command()
@click.option("-n", "count", default=1000, show_default=True, help="Cases in all.")
@click.option("--jobs", default=1, show_default=True, help="Processes.")
@click.option("--seed", default=0, show_default=True, help="The first seed of each network.")
@click.option("--model", "chosen", multiple=True, help="Only this network; may be repeated.")
@click.option("--resume", type=click.Path(path_type=Path), help="JSON lines to continue.")
def main(count: int, jobs: int, seed: int, chosen: Sequence[str], resume: Path | None) -> None:
    """Mutates networks and compiles them; exit code 1 if there is a finding."""
    known = {} if resume is None else read_outcomes(resume)
    wanted = [
        case
        for case in cases(chosen or networks(), count, seed)
        if case[:2] not in known or known[case[:2]].is_finding
    ]
    with (resume or Path("/dev/null")).open("a") as log:
        for number, outcome in enumerate(outcomes(wanted, jobs), 1):
            known[outcome.network, outcome.seed] = outcome
            log.write(json.dumps(asdict(outcome)) + "\n")
            log.flush()
            if outcome.is_finding:
                _show(outcome, sys.stderr)
            if number % 1000 == 0:
                click.echo(f"{number} of {len(wanted)}", err=True)
    console = Console(width=max(200, Console().width))
    console.print(table(list(known.values())))
    sys.exit(any(o.is_finding for o in known.values()))


if __name__ == "__main__":
    main()
