"""The log of rewrites and the statistics: what fired, on what, what it made."""

from __future__ import annotations

import itertools
import json

import pytest

from furiosa_ir.driver import compile_source
from furiosa_ir.instrumentation.layers import LayerFilter
from furiosa_ir.instrumentation.rewrite_log import RewriteLog
from furiosa_ir.instrumentation.statistics import Statistics
from tests.conftest import DIGITS


class Watched:
    """One compile of the small network, with everything that listens."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.json: list[str] = []
        self.layer: list[str] = []
        self.statistics = Statistics()
        self.module = compile_source(
            DIGITS / "digits_qdq_int8.onnx",
            target_ir="warboy",
            instrumentation=[
                RewriteLog(self.text.append),
                RewriteLog(self.json.append, as_json=True),
                RewriteLog(self.layer.append, layers=LayerFilter(("stem*",))),
                self.statistics,
            ],
        ).module


@pytest.fixture(scope="module")
def watched() -> Watched:
    return Watched()


def test_json_and_text_say_the_same(watched: Watched):
    entries = [json.loads(line) for line in watched.json]
    assert len(entries) == len(watched.text) > 20
    for entry, text in zip(entries, watched.text, strict=True):
        head, *lines = text.splitlines()
        assert head.startswith(f"{entry['pass']}: {entry['rule']}: {entry['root']}")
        assert head.endswith(f" in @{entry['function']}")
        assert all(layer in head for layer in entry["layers"])
        assert lines
        for line in lines:
            name = line.removeprefix("  -> ").partition(" : ")[0]
            made = [op["op"] for op in entry["made"]]
            assert name in made or (not made and "which was there" in line)
    assert set(entries[0]) == {
        "pass",
        "rule",
        "root",
        "layers",
        "function",
        "made",
        "replaced_by",
    }


def test_every_pass_that_rewrites_is_there(watched: Watched):
    entries = [json.loads(line) for line in watched.json]
    assert {e["pass"] for e in entries} >= {
        "graph-fold-quantization",
        "lower-to-ftensor",
        "fuse-kernels",
    }
    lowered = [e for e in entries if e["pass"] == "lower-to-ftensor" and e["rule"] == "conv"]
    assert len(lowered) == 4
    assert all(e["made"][-1]["types"][0].endswith("xi8>") for e in lowered)


def test_of_one_layer(watched: Watched):
    assert 0 < len(watched.layer) < len(watched.text)
    assert set(watched.layer) <= set(watched.text)
    # A kernel is of the layer too, whatever its root is called.
    assert any("warboy." in text for text in watched.layer)


def test_statistics_count_what_the_log_lists(watched: Watched):
    entries = [json.loads(line) for line in watched.json]
    counted = watched.statistics.as_dict()["passes"]
    assert [p["phase"] for p in counted][:1] == ["graph"]
    for each in counted:
        name = each["pass"].partition("{")[0]
        for name_of_rule, count in each["rules"].items():
            fired = [e for e in entries if e["pass"] == name and e["rule"] == name_of_rule]
            assert count["fired"] == len(fired)
            assert count["made"] == sum(len(e["made"]) for e in fired)
            assert count["tried"] >= count["fired"]
    for one, other in itertools.pairwise(counted):
        assert one["operations"]["after"] == other["operations"]["before"]
    assert counted[-1]["operations"]["after"] == sum(1 for _ in watched.module.walk())


def test_the_table_has_a_line_for_each_pass_and_rule(watched: Watched):
    lines = list(watched.statistics.lines())
    passes = watched.statistics.passes
    assert len(lines) == 1 + len(passes) + sum(len(p.rules) for p in passes)
    assert lines[0].split() == ["before", "after", "fired", "tried", "pass,", "rule"]
    (line,) = [each for each in lines if each.endswith("  lower-to-ftensor")]
    assert line.split()[:3] == [
        str(n)
        for p in passes
        if p.name == "lower-to-ftensor"
        for n in (sum(p.before.values()), sum(p.after.values()), p.fired)
    ]
