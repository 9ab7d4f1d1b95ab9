"""`--verify` finds every change that can be seen, on small networks (`mutations` scores six)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.conftest import DIGITS
from tests.draws import ALL, mostly_slow
from tests.passes.qdq import QDQ
from tests.verification.mutations import LEVELS, Mutate, Score, Subject

COUNT = 14 if ALL else 7
"""Changes for each network and level; another seed is another draw."""


def movements() -> onnx.ModelProto:
    """Slices, a pad of another value than zero, a nearest resize, tables, a concatenation."""
    rng = np.random.default_rng(3)
    q = QDQ()
    x = q.input("x", [1, 8, 12, 12], 0.05, 3)
    padded = q.requantized(
        q.add(
            "Pad", [x, q.constant(np.array([0, 0, 1, 2, 0, 0, 2, 1])), q.constant(np.float32(0.7))]
        ),
        0.05,
        3,
    )
    weight = q.weight(rng.integers(-90, 90, (8, 8, 3, 3)).astype(np.int8), 0.01)
    conv = q.requantized(q.add("Conv", [padded, weight], pads=[0, 0, 0, 0]), 0.4, -7)
    sigmoid = q.requantized(q.add("Sigmoid", [conv]), 1 / 256, -128)
    bounds = [q.constant(np.array(v)) for v in ([2, 1], [10, 13], [1, 2])]
    part = q.requantized(q.add("Slice", [sigmoid, *bounds]), 1 / 256, -128)
    q.output(part, 1 / 200, -120)
    scales = q.constant(np.array([1, 1, 2, 2], np.float32))
    grown = q.add("Resize", [conv, "", scales], mode="nearest")
    larger = q.requantized(grown, 0.4, -7)
    both = q.add("Concat", [larger, larger], axis=1)
    q.output(both, 0.45, -3)
    return q.model()


@pytest.fixture(
    scope="module", params=mostly_slow(["tflite", "onnx", "movements"], "tflite", "movements")
)
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    if request.param == "movements":
        path = tmp_path_factory.mktemp("mutations") / "movements.onnx"
        onnx.save(movements(), path)
        return Subject(path)
    name = "digits_int8.tflite" if request.param == "tflite" else "digits_qdq_int8.onnx"
    return Subject(Path(DIGITS) / name)


@pytest.mark.draws
@pytest.mark.parametrize("level", LEVELS)
def test_every_change_that_is_seen_is_found(subject: Subject, level: str):
    score = Score()
    for seed in range(COUNT):
        subject.mutate(level, seed, score)
    assert not score.missed
    assert sum(score.seen.values()) >= COUNT // 4
    assert sum(score.made.values()) > COUNT // 2


def test_what_no_command_writes_is_found_too():
    """A table inside of a softmax kernel: its result may hide the change, registers show it."""
    subject = Subject(Path(DIGITS) / "digits_int8.tflite")
    for seed in range(40):
        change = Mutate("fuse-kernels", np.random.default_rng(seed), only="table entry")
        trace, program = subject.compile(change)
        if not subject.is_seen(program) and subject.finds(trace, program):
            return
    raise AssertionError("a change that only registers show was never found")
