"""Closing a session frees its memory; runs that go on come to their end."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from furiosa.runtime import errors
from furiosa_ir.backends.warboy.enf.writer import write_program
from furiosa_ir.compiler import compile_model
from furiosa_ir.files import write_whole
from furiosa_ir.program import Tensor
from furiosa_ir.runtime import Session, session
from furiosa_ir.runtime.host import HostEngine
from furiosa_ir.runtime.tensor import Array
from tests.runtime.programs import copy_then_host, onnx_model
from tests.runtime.test_host import remainder_network

SHAPE = (1, 2, 3, 4)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A program with a segment of the NPU and one of the host; no other session is alive."""
    gc.collect()
    model = onnx_model(np.int8, SHAPE)
    program = copy_then_host("int8", model, "onnx", Tensor("negated", "int8", SHAPE))
    path = tmp_path / "program.enf"
    write_whole(write_program(program), path)
    return path


def is_mapped(file: Path) -> bool:
    return str(file) in Path("/proc/self/maps").read_text()


def parts_of(running: Session) -> list[Callable[[], object]]:
    """Weak references to what makes a session large."""
    loaded = running._loaded
    assert loaded is not None
    assert loaded.executor is not None
    segments = list(loaded.executor._segments.values())
    memories = {id(m): m for segment in segments for m in segment._memories._idle}.values()
    (host,) = loaded.hosts.values()
    return [weakref.ref(p) for p in (loaded.executor, *segments, *memories, host)]


def test_everything_is_freed_at_once(file: Path) -> None:
    x = np.ones(SHAPE, np.int8)
    running = session.create(file)
    (result, _) = running.run(x).numpy()
    assert is_mapped(file)
    parts = parts_of(running)
    assert len(parts) == 4
    running.close()
    # Without the garbage collector: there are no cycles.
    assert [part() for part in parts] == [None] * 4
    assert not is_mapped(file)
    running.close()
    np.testing.assert_array_equal(result, -x)


@pytest.mark.parametrize("name", ["digits_int8.tflite", "digits_qdq_int8.onnx"])
def test_a_real_network_is_freed(digits: Path, name: str, tmp_path: Path) -> None:
    path = tmp_path / "digits.enf"
    path.write_bytes(compile_model(digits / name))
    running = session.create(path)
    desc = running.input(0)
    running.run(np.zeros(desc.shape, desc.numpy_dtype))
    assert running._loaded is not None
    gone = weakref.ref(running._loaded)
    running.close()
    assert gone() is None
    assert not is_mapped(path)


@pytest.mark.parametrize("isolation", ["0", "1"])
def test_the_interpreters_of_host_segments_are_freed_at_once(
    isolation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FURIOSA_HOST_ISOLATION", isolation)
    running = session.create(compile_model(remainder_network()))
    gc.disable()
    try:
        running.run([np.ones(d.shape, d.numpy_dtype) for d in running.inputs()])
        what = "_processes" if isolation == "1" else "_pool"
        assert running._loaded is not None
        parts = [weakref.ref(host) for host in running._loaded.hosts.values()]
        parts += [weakref.ref(getattr(host, what)) for host in running._loaded.hosts.values()]
        running.close()
        assert [part() for part in parts] == [None] * 2
    finally:
        gc.enable()


def test_dropping_a_session_frees_it_too(file: Path) -> None:
    running = session.create(file)
    running.run(np.ones(SHAPE, np.int8))
    parts = parts_of(running)
    assert len(parts) == 4
    del running
    assert [part() for part in parts] == [None] * 4
    assert not is_mapped(file)


def test_every_use_afterwards_says_so(file: Path) -> None:
    running = session.create(file)
    x = np.ones(SHAPE, np.int8)
    running.close()
    uses: list[Callable[[], object]] = [
        lambda: running.run(x),
        lambda: running.run_with(["negated"], {"x": x}),
        running.inputs,
        running.outputs,
        lambda: running.input_num,
        lambda: running.program,
        running.summary,
        running.print_hints,
        lambda: running.require_batch(1),
    ]
    for use in uses:
        with pytest.raises(errors.SessionClosed, match=r"^the session is closed$"):
            use()


def test_runs_that_go_on_end_and_free_the_rest(file: Path) -> None:
    running = session.create(file, worker_num=1)
    loaded = running._loaded
    assert loaded is not None
    (index,) = loaded.hosts
    inside, go_on = threading.Event(), threading.Event()

    class Waiting:
        def __init__(self, engine: HostEngine) -> None:
            self.engine = engine

        def run(self, inputs: Sequence[Array]) -> Sequence[Array]:
            inside.set()
            assert go_on.wait(30)
            return self.engine.run(inputs)

    running._loaded = replace(loaded, hosts={index: Waiting(loaded.hosts[index])})
    parts = parts_of(running)[:-1]
    del loaded
    outcomes: list[Array | errors.SessionClosed] = []

    def run() -> None:
        try:
            outcomes.append(running.run(np.ones(SHAPE, np.int8)).numpy()[0])
        except errors.SessionClosed as error:
            outcomes.append(error)

    first, second = threading.Thread(target=run), threading.Thread(target=run)
    first.start()
    assert inside.wait(30)
    second.start()  # it waits for the one worker, and finds the session closed
    running.close()
    assert all(part() is not None for part in parts)
    go_on.set()
    first.join(30)
    second.join(30)
    (result,) = [outcome for outcome in outcomes if isinstance(outcome, np.ndarray)]
    np.testing.assert_array_equal(result, -np.ones(SHAPE, np.int8))
    assert len(outcomes) == 2
    assert not any(part() for part in parts)
    assert not is_mapped(file)
