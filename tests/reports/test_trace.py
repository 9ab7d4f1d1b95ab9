"""The trace: what Perfetto needs, and the same run as the profile's."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections import defaultdict

import pytest

from furiosa_ir.errors import FuriosaError
from furiosa_ir.program import Program
from furiosa_ir.reports.profiling import profile_program
from furiosa_ir.reports.trace import trace_events


def test_slices_arrows_and_counters_are_those_of_the_run(branching_program: Program) -> None:
    profile = profile_program(branching_program)
    execution = profile.execution
    assert execution is not None
    held = json.loads(json.dumps(trace_events(profile), allow_nan=False))
    events = held["traceEvents"]
    threads = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"}
    assert [t.title for t in execution.engines if t.title not in threads.values()] == []
    slices = [e for e in events if e["ph"] == "X"]
    commands = [e for e in slices if "args" in e]
    assert len(commands) == len(execution.events)
    by_thread: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for one in slices:
        by_thread[one["tid"]].append((one["ts"], one["ts"] + one["dur"]))
    assert set(by_thread) == set(threads)
    for times in by_thread.values():  # a thread takes one thing at a time
        times.sort()
        assert all(a[1] <= b[0] + 1e-9 for a, b in itertools.pairwise(times))
    # 2 GHz: a cycle is half a nanosecond.
    ends = [e["args"]["end cycle"] for e in commands]
    assert max(ends) == profile.costs.cycles
    assert all(e["ts"] == pytest.approx(e["args"]["start cycle"] / 2000) for e in commands)
    # An arrow begins in the slice that is waited for, and ends where the waiting one begins.
    begins = {e["id"]: e for e in events if e["ph"] == "s"}
    finishes = {e["id"]: e for e in events if e["ph"] == "f"}
    assert set(begins) == set(finishes)
    assert len(begins) == sum(len(e.waits) for e in execution.events)
    for name, begin in begins.items():
        assert begin["ts"] < finishes[name]["ts"]
        inside = (s for s in commands if s["tid"] == begin["tid"])
        assert any(s["ts"] <= begin["ts"] <= s["ts"] + s["dur"] for s in inside)
    rates = [e["args"]["bytes/cycle"] for e in events if e["name"] == "DRAM"]
    assert max(rates) <= execution.dram_bytes_per_cycle
    assert rates[-1] == 0


def test_without_a_timeline_there_is_no_trace(digits_program: Program) -> None:
    profile = dataclasses.replace(profile_program(digits_program), execution=None)
    with pytest.raises(FuriosaError, match="no timeline"):
        trace_events(profile)
