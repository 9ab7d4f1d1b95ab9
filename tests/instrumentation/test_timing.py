"""Spans: nesting, counts, errors, imports, the collector, what is not accounted for."""

from __future__ import annotations

import gc
import importlib
import json
import sys
import time
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest

from furiosa_ir.compiler import compile_source
from furiosa_ir.instrumentation.rule_timing import RuleTiming
from furiosa_ir.instrumentation.timing import Span, Timing, timing_text
from furiosa_ir.spans import span
from tests.conftest import DIGITS


def names(node: Span) -> list[str]:
    return list(node.children)


def test_spans_nest_and_those_of_one_name_are_one():
    timing = Timing()
    with timing.recording():
        for _ in range(3):
            with span("outer"), span("inner"):
                pass
        with span("other"):
            pass
    assert names(timing.root) == ["outer", "other"]
    outer = timing.root.children["outer"]
    assert (outer.count, names(outer), outer.children["inner"].count) == (3, ["inner"], 3)
    assert timing.root.seconds >= outer.seconds >= outer.children["inner"].seconds > 0
    assert outer.peak_bytes > 1_000_000
    assert sum(c.seconds for c in timing.root.children.values()) <= timing.root.seconds


def test_nobody_records_outside():
    timing = Timing()
    with timing.recording():
        pass
    with span("late"):
        pass
    assert not timing.root.children


def test_what_an_error_leaves_open_ends_with_what_is_around_it():
    timing = Timing()
    with timing.recording():
        with suppress(ZeroDivisionError), span("a"):
            timing.begin("left open")
            _ = 1 / 0
        with span("b"):
            pass
    assert names(timing.root) == ["a", "b"]
    assert timing.root.children["a"].children["left open"].count == 1
    assert timing.root.count == 1


def test_imports_are_named_wherever_they_happen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "watched_module.py").write_text("import watched_inner\n")
    (tmp_path / "watched_inner.py").write_text("import time; time.sleep(0.02)\n")
    (tmp_path / "watched_other.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    timing = Timing()
    with timing.recording(), span("stage"):
        exec("import watched_module, json")
        importlib.import_module("watched_other")
        importlib.import_module("watched_other")
    imports = timing.root.children["stage"].children["imports"]
    assert imports.count == 2
    assert imports.seconds >= 0.02
    assert importlib.import_module.__module__ == "importlib"
    for name in ("watched_module", "watched_inner", "watched_other"):
        sys.modules.pop(name)


def test_what_other_threads_import_is_no_time_of_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "watched_beside.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    timing = Timing()
    with timing.recording(), span("stage"):
        thread = Thread(target=lambda: (importlib.import_module("watched_beside"), gc.collect()))
        thread.start()
        thread.join()
    assert not timing.root.children["stage"].children
    sys.modules.pop("watched_beside")


def test_the_collector_is_named_where_it_takes_time():
    timing = Timing()
    with timing.recording(), span("stage"):
        gc.collect()
    assert timing.root.children["stage"].children["garbage collection"].seconds > 0
    timing.root.children["stage"].children["garbage collection"].seconds = 0.0001
    assert "garbage" not in timing_text(timing, "tree")


def test_what_lies_before_the_main_program_counts():
    timing = Timing()
    with timing.recording(time.perf_counter() - 0.5):
        pass
    assert names(timing.root) == ["start of Python", "command line"]
    assert timing.root.children["command line"].seconds == pytest.approx(0.5, abs=0.1)
    accounted = sum(c.seconds for c in timing.root.children.values())
    assert timing.root.seconds == pytest.approx(accounted, abs=0.1)


def test_the_forms():
    root = Span("total", 2.0, 1, 3_000_000)
    stage = root.children["a"] = Span("a", 1.5, 1, 2_000_000)
    stage.children["rule r"] = Span("rule r", 0.5, 3)
    root.children["b"] = Span("b", 0.3, 1)
    timing = Timing()
    timing.root = root
    assert timing_text(timing, "tree").splitlines() == [
        "     time    share    memory  where",
        " 1.5000 s    75.0%      2 MB  a",
        " 0.5000 s    25.0%              rule r (3)",
        " 1.0000 s    50.0%              rest",
        " 0.3000 s    15.0%            b",
        " 0.2000 s    10.0%            rest",
        " 2.0000 s   100.0%      3 MB  total",
    ]
    assert [line.split("  ")[-1] for line in timing_text(timing, "list").splitlines()] == [
        "where",
        "a",
        "rule r (3)",
        "b",
        "rest",
        "total",
    ]
    shown = json.loads(timing_text(timing, "json"))
    assert shown["accounted"] == 0.9
    assert shown["spans"][0]["rest_seconds"] == 1.0
    assert shown["spans"][0]["spans"] == [{"name": "rule r", "seconds": 0.5, "count": 3}]


def test_a_compile_is_accounted_for():
    timing = Timing()
    with timing.recording():
        compile_source(DIGITS / "digits_int8.tflite", instrumentation=[RuleTiming(timing)])
    root = timing.root
    expected = ["import", "phase graph", "phase ftensor", "phase warboy", "assembly"]
    assert [n for n in names(root) if n in expected] == expected
    assert {"read", "convert", "verification"} <= set(names(root.children["import"]))
    lowering = root.children["phase ftensor"].children["lower-to-ftensor"]
    assert lowering.children["rule conv"].count == 4
    assert {"code", "check"} <= set(names(root.children["assembly"]))
    assert root.rest < 0.1 * root.seconds + 0.1  # a busy machine stops it anywhere
