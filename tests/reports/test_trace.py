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


@pytest.fixture(params=["digits_program", "branching_program"])
def program(request: pytest.FixtureRequest) -> Program:
    return request.getfixturevalue(request.param)


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
    assert all(
        e["ts"] == pytest.approx(e["args"]["start cycle"] / 2000, abs=1e-3) for e in commands
    )
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


def test_it_is_the_same_in_perfetto(program: Program) -> None:
    """What its importer reads: times cut to nanoseconds, identities, and no idle task's numbers."""
    events = trace_events(profile_program(program))["traceEvents"]
    slices: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for event in events:
        assert event["pid"] > 0
        if event["ph"] == "X":
            start, length = (int(event[key] * 1000.0) for key in ("ts", "dur"))
            slices[event["tid"]].append((start, start + length))
    assert 0 not in slices
    for times in slices.values():
        times.sort()
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(times))  # side by side, not nested
    arrows = [event for event in events if event["ph"] in "sf"]
    assert arrows
    for begin, finish in zip(arrows[::2], arrows[1::2], strict=True):
        assert (begin["ph"], finish["ph"]) == ("s", "f")
        assert begin["id"] == finish["id"]
        assert isinstance(begin["id"], int)  # a string would have to be a hexadecimal number
        for event in (begin, finish):
            at = int(event["ts"] * 1000.0)
            assert any(start <= at < max(end, start + 1) for start, end in slices[event["tid"]])
    assert len({event["id"] for event in arrows}) == len(arrows) // 2


def test_without_a_timeline_there_is_no_trace(digits_program: Program) -> None:
    profile = dataclasses.replace(profile_program(digits_program), execution=None)
    with pytest.raises(FuriosaError, match="no timeline"):
        trace_events(profile)
