"""Four networks that keep state, built as real ones are: what they compute, and where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from furiosa_ir.compiler import compile_source
from furiosa_ir.program import HostSegment, Program
from furiosa_ir.reports.inspect import summary
from furiosa_ir.runtime import session
from furiosa_ir.runtime.session import Session
from tests.ir.test_phase_boundaries import check_phases
from tests.oracle.litert import Stream
from tests.oracle.streaming import NETWORKS

ON_THE_HOST = {
    "wake_word": [],
    "keyword_svdf": ["SVDF", "SVDF"],
    "speech_lstm": ["UNIDIRECTIONAL_SEQUENCE_LSTM"],
    "denoiser": ["add", "CAST"],  # the counter's, of int32
}
"""Everything else, convolutions and ring buffers first of all, runs on the NPU."""


@dataclass(frozen=True)
class Compiled:
    name: str
    model: bytes
    program: Program
    enf: bytes

    def inputs(self, runs: int) -> list[list[np.ndarray]]:
        rng = np.random.default_rng(0)
        shapes = [self.program.tensors[i].shape for i in self.program.inputs]
        return [[rng.integers(-128, 128, s).astype(np.int8) for s in shapes] for _ in range(runs)]


@pytest.fixture(scope="module", params=list(NETWORKS))
def network(request: pytest.FixtureRequest) -> Compiled:
    model = NETWORKS[request.param]()
    result = compile_source(model)
    assert result.program is not None
    assert result.enf is not None
    return Compiled(request.param, model, result.program, result.enf)


def test_twenty_runs_are_those_of_litert_and_after_a_reset_again(network: Compiled) -> None:
    with session.create(network.enf) as running:
        for runs in (20, 3):
            stream = Stream(network.model)
            for feeds in network.inputs(runs):
                results = running.run(feeds).numpy()
                for got, want in zip(results, stream.run(feeds), strict=True):
                    np.testing.assert_array_equal(got, want)
            running.reset()


def test_what_the_npu_can_do_it_does(network: Compiled) -> None:
    segments = network.program.segments
    rows = [r for s in segments if isinstance(s, HostSegment) for r in s.operators]
    assert [operator for operator, _, _, _ in rows] == ON_THE_HOST[network.name]
    described = summary(network.enf)
    assert described["summary"]["npu_mac_share"] == 1.0
    states = {v["name"]: v for v in described["variables"]}
    assert len(states) == len(network.program.variables) > 0


def test_every_phase_can_be_written_and_read(network: Compiled, tmp_path: Path) -> None:
    source = tmp_path / "network.tflite"
    source.write_bytes(network.model)
    check_phases(source, "warboy-2pe")


@pytest.mark.parametrize("seed", [11, 12])
@pytest.mark.parametrize("name", list(NETWORKS))
def test_others_of_the_kind(name: str, seed: int) -> None:
    model = NETWORKS[name](seed)
    program = compile_source(model, target="warboy").program
    assert program is not None
    stream = Stream(model)
    with Session(program) as running:
        for feeds in Compiled(name, model, program, b"").inputs(4):
            for got, want in zip(running.run(feeds).numpy(), stream.run(feeds), strict=True):
                np.testing.assert_array_equal(got, want)
