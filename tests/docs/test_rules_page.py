"""docs/rules.md: its numbers are of the rules there are, and of the networks that come along."""

from __future__ import annotations

import json

from furiosa_ir.ir.passes import all_passes
from furiosa_ir.plugins import is_ours
from tests.conftest import ROOT
from tests.corpus.rule_counts import PATH, bundled_networks, counted

COUNTS = json.loads(PATH.read_text(encoding="utf-8"))
AGAIN = "run python -m tests.corpus.rule_counts, then make docs"


def test_rules_fire_in_the_bundled_networks_as_often_as_the_page_says() -> None:
    assert counted(bundled_networks()) == COUNTS["bundled"], f"{AGAIN} (--bundled will do)"


def test_numbers_are_of_rules_that_there_are() -> None:
    known = {n: {r.name for r in c.rule_list()} for n, c in all_passes().items() if is_ours(c)}
    for where in ("bundled", "corpus"):
        for name, rules in COUNTS[where]["fired"].items():
            assert rules.keys() <= known[name], AGAIN


def test_every_rule_has_a_row() -> None:
    page = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
    for name, cls in all_passes().items():
        if is_ours(cls) and cls.rule_list():
            (section,) = page.split(f"## `{name}`\n")[1:]
            rows = section.partition("\n## ")[0]
            assert all(f"| `{rule.name}` | " in rows for rule in cls.rule_list()), name
