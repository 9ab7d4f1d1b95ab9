"""How often each rewrite rule fires over whole networks: the numbers of docs/rules.md.

Usage: python -m tests.corpus.rule_counts [--bundled] [--models DIR]

Takes each network to the tensor level, counts with what `--statistics` counts with, and writes
`tests/corpus/rule_counts.json`, which `make docs` reads. The corpus (`../shared/models`) takes some
minutes; `--bundled` counts the networks of `examples/` again and keeps the corpus's numbers.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from furiosa_ir.driver import compile_source
from furiosa_ir.errors import FuriosaError
from furiosa_ir.instrumentation.statistics import Statistics
from furiosa_ir.ir.passes import all_passes
from furiosa_ir.plugins import is_ours
from tests.conftest import ROOT, SHARED

PATH = Path(__file__).with_suffix(".json")
MODELS = SHARED / "models"

Fired = Counter[tuple[str, str]]
"""(pass, rule) -> how often it fired."""


def bundled_networks() -> list[Path]:
    """The networks that come with the project."""
    return sorted(p for p in (ROOT / "examples").rglob("*") if p.suffix in (".onnx", ".tflite"))


def corpus_networks(models: Path) -> list[Path]:
    """Those of the corpus."""
    return sorted(p for p in models.rglob("*") if p.suffix in (".onnx", ".tflite"))


def fired_in(network: Path) -> Fired:
    """How often each rule of each pass fires while a network is compiled to the tensor level.

    Raises:
        FuriosaError: it does not compile.
    """
    statistics = Statistics()
    compile_source(network, target_ir="ftensor", instrumentation=[statistics])
    known = {(n, r.name) for n, c in all_passes().items() if is_ours(c) for r in c.rule_list()}
    fired = Fired()
    for each in statistics.passes:
        for rule, count in each.rules.items():
            if count.fired and (each.name, rule) in known:
                fired[each.name, rule] += count.fired
    return fired


def counted(networks: Iterable[Path]) -> dict[str, Any]:
    """What networks add up to, as JSON has it: names, and how often in how many of them."""
    total, seen = Fired(), Fired()
    names: list[str] = []
    for network in networks:
        try:
            fired = fired_in(network)
        except FuriosaError as error:
            print(f"{network.name}: {error}", file=sys.stderr)
            continue
        print(f"{network.name}: {fired.total()}", file=sys.stderr)
        names.append(network.name)
        total += fired
        seen += Fired(dict.fromkeys(fired, 1))
    return {
        "networks": names,
        "fired": _nested(total),
        "in_networks": _nested(seen),
    }


def _nested(counts: Mapping[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    nested: dict[str, dict[str, int]] = {}
    for (what, rule), count in sorted(counts.items()):
        nested.setdefault(what, {})[rule] = count
    return nested


def main() -> None:
    """Counts, and writes what was counted."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bundled", action="store_true", help="leave the corpus as it is")
    parser.add_argument("--models", type=Path, default=MODELS, help="the corpus's folder")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    data: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8")) if PATH.exists() else {}
    data["bundled"] = counted(bundled_networks())
    if not arguments.bundled:
        commit = subprocess.check_output(
            ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, text=True
        ).strip()
        data["corpus"] = {"commit": commit, **counted(corpus_networks(arguments.models))}
    PATH.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
