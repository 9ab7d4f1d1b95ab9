"""A profile: figures that add up, for any backend."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from furiosa_ir import backends
from furiosa_ir.backends import read_program
from furiosa_ir.backends.warboy import BACKEND
from furiosa_ir.cache.settings import NO_CACHE
from furiosa_ir.compiler import compile_model
from furiosa_ir.execution import Event
from furiosa_ir.program import Program
from furiosa_ir.reports.columns import COLUMNS, layers_csv
from furiosa_ir.reports.critical_path import critical_path
from furiosa_ir.reports.inspect import inspection, summary
from furiosa_ir.reports.profiling import profile_program, split_pipeline, union_length
from tests.passes.qdq import QDQ
from tests.reports.conftest import HOSTILE


@pytest.fixture(params=["digits_program", "branching_program"])
def program(request: pytest.FixtureRequest) -> Program:
    return request.getfixturevalue(request.param)


def test_figures_add_up(program: Program) -> None:
    profile = profile_program(program)
    execution, total = profile.execution, profile.costs.cycles
    assert execution is not None
    on_npu = [layer for layer in profile.layers if layer.placement == "npu"]
    assert sum(layer.added or 0 for layer in on_npu) == total
    assert sum(layer.critical or 0 for layer in on_npu) == total
    assert sum(layer.share or 0 for layer in on_npu) == pytest.approx(1)
    for layer in on_npu:
        assert layer.start is not None
        assert layer.end is not None
        assert 0 <= layer.start <= layer.end <= total
        assert 0 < (layer.duration or 0) <= layer.end - layer.start
        assert layer.bound in execution.bounds
        assert 0 <= (layer.utilisation or 0) <= 1
    for layer in profile.layers:
        if layer.placement == "host":
            assert layer.duration is None
            assert layer.hint
            assert layer.reason
    assert profile.memory is not None
    assert max(layer.sram_used or 0 for layer in on_npu) == profile.memory.least
    assert profile.memory.least <= profile.memory.used <= execution.memory_bytes
    assert profile.memory.live[-1][1] == 0
    moved = sum(e.dram_read + e.dram_written for e in execution.events)
    assert moved <= total * execution.dram_bytes_per_cycle
    for event in execution.events:
        assert event.start < event.free <= event.end
        assert all(execution.events[token].end <= event.start for token in event.waits)


def test_times_of_npu_link_and_host_are_apart(
    digits_program: Program, branching_program: Program
) -> None:
    whole = profile_program(digits_program).latency
    # 64 elements are brought into the NPU's form; no segment runs on the host.
    assert whole.host_latency_us == pytest.approx(64 / 2.4e9 * 1e6)
    assert whole.total_latency_us == pytest.approx(
        whole.npu_latency_us + whole.link_latency_us + whole.host_latency_us
    )
    assert whole.cold_latency_us == pytest.approx(whole.total_latency_us + whole.setup_latency_us)
    # 8 x 8 bytes in, 10 bytes out at 15.75 GB/s, in two transfers of 1.2 us.
    assert whole.link_latency_us == pytest.approx((64 + 10) / 15.75e9 * 1e6 + 2.4, rel=1e-3)
    apart = profile_program(branching_program)
    assert not apart.host_is_measured
    assert apart.latency.host_latency_us > 0
    measured = profile_program(branching_program, host_us=3.0)
    assert measured.host_is_measured
    assert measured.latency.total_latency_us == pytest.approx(
        apart.latency.npu_latency_us + apart.latency.link_latency_us + 3
    )


def test_the_critical_path_has_no_gap(program: Program) -> None:
    profile = profile_program(program)
    assert profile.execution is not None
    events = profile.execution.events
    at = 0
    for step in profile.critical:
        assert events[step.event].start == at
        at += step.cycles
    assert at == profile.costs.cycles


def test_the_critical_path_goes_through_tokens_engines_and_segments() -> None:
    def event(segment: int, engine: str, start: int, free: int, end: int, *waits: int) -> Event:
        return Event(segment, 0, "k", engine, 0, start, free, end, waits, "b", {})

    events = [
        event(0, "dma", 0, 5, 10),
        event(0, "dma", 5, 20, 25),
        event(0, "npu", 10, 18, 18, 0),
        event(0, "npu", 25, 40, 40, 1),
        event(2, "dma", 40, 45, 50),
        event(2, "npu", 50, 60, 60, 4),
    ]
    path = [(step.event, step.cycles) for step in critical_path(events)]
    assert path == [(0, 5), (1, 20), (3, 15), (4, 10), (5, 10)]
    assert critical_path([]) == ()


def test_a_backend_that_only_counts_has_a_profile_too(
    digits_program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dataclasses

    poor = dataclasses.replace(BACKEND, execution=None)
    monkeypatch.setattr(backends, "_registered", {"warboy": poor})
    profile = profile_program(digits_program)
    assert profile.execution is None
    assert profile.latency == profile.costs.latency
    assert sum(layer.added or 0 for layer in profile.layers) == profile.costs.cycles
    assert all(layer.duration is None for layer in profile.layers)
    json.dumps(inspection(profile), allow_nan=False)


def test_csv_and_json_hold_the_same_table(branching_program: Program) -> None:
    profile = profile_program(branching_program)
    rows = list(csv.DictReader(io.StringIO(layers_csv(profile))))
    described = inspection(profile)
    assert [row["name"] for row in rows] == [layer["name"] for layer in described["layers"]]
    assert HOSTILE in rows[2]["name"]
    assert list(rows[0]) == [column.key for column in COLUMNS]
    for row, layer in zip(rows, described["layers"], strict=True):
        assert row["macs"] == str(layer["macs"])
        assert row["duration_cycles"] == str(layer["duration_cycles"] or "")
    # What the cheap summary says of layers stands there, too.
    for plain, full in zip(summary(branching_program)["layers"], described["layers"], strict=True):
        assert plain.items() <= full.items()


def test_no_cell_of_the_csv_is_a_formula(digits_program: Program) -> None:
    import dataclasses

    layers = tuple(
        dataclasses.replace(layer, name=f"=cmd|{layer.name}") for layer in digits_program.layers
    )
    text = layers_csv(profile_program(dataclasses.replace(digits_program, layers=layers)))
    cells = [cell for row in csv.reader(io.StringIO(text)) for cell in row]
    assert not any(cell.startswith(("=", "+", "@")) for cell in cells)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)).map(lambda p: (p[0], sum(p)))))
def test_the_length_of_a_union(intervals: list[tuple[int, int]]) -> None:
    covered = Counter(t for start, end in intervals for t in range(start, end))
    assert union_length(intervals) == len(covered)


def test_a_pipeline_is_split_outside_of_brackets() -> None:
    assert split_pipeline('a,b{x="1,2" y=3},c(d,e)') == ["a", 'b{x="1,2" y=3}', "c(d,e)"]
    assert split_pipeline("") == []


def test_what_a_batch_saves_is_about_what_it_saves() -> None:
    """A network bound by its weights: the estimate is compared with the compile for that batch."""
    q, rng, n = QDQ(), np.random.default_rng(0), 3072  # 27 MiB, where SRAM has 16
    x = q.input("x", ("N", n), 0.02)
    for layer in range(3):
        w = q.weight(rng.integers(-127, 128, (n, n), dtype=np.int8), 0.002, name=f"w{layer}")
        x = q.requantized(q.add("Gemm", [x, w]), 0.05)
    q.output(q.add("Relu", [x]), 0.05)
    source = q.model().SerializeToString()
    one, four = (
        profile_program(
            read_program(compile_model(source, "warboy", batch_size=batch, cache=NO_CACHE))
        )
        for batch in (1, 4)
    )
    saved = one.latency.npu_latency_us - four.latency.npu_latency_us / 4
    sentence = next(each.text for each in one.advice if "--batch-size 4" in each.text)
    (figure,) = re.findall(r"about ([\d.]+) µs", sentence)
    claimed = float(figure)
    assert claimed == pytest.approx(saved, rel=0.25)
    bound = next(each for each in one.advice if each.layer is not None)
    assert "bound by loading weights: batch 4 would save" in bound.text
    # Of a batch of four, what a larger one yet would save, and of each of its samples.
    sentence = next(each.text for each in four.advice if "--batch-size" in each.text)
    assert "--batch-size 16, weights are loaded once for 16 samples" in sentence
    (figure,) = re.findall(r"about ([\d.]+) µs", sentence)
    assert float(figure) < four.latency.npu_latency_us / 4


def test_what_helps_several_layers_is_said_once(digits_program: Program) -> None:
    told = [each.text for each in profile_program(digits_program).advice if each.layer is not None]
    assert sum("bound by the latency of DMA" in text for text in told) > 1
    assert sum("its transfers are short" in text for text in told) == 1


def test_weights_of_host_layers_are_not_said_to_be_none(branching_program: Program) -> None:
    for row in inspection(profile_program(branching_program))["layers"]:
        assert (row["weight_bytes"] is None) == (row["placement"] == "host")
