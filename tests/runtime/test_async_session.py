"""Asynchronous sessions: order, back-pressure, failures, and which half is closed first."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import weakref
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest

from furiosa.runtime import errors
from furiosa.runtime.session import create_async
from furiosa_ir.backends.warboy.enf.writer import write_program
from furiosa_ir.errors import ExecutionFailure
from furiosa_ir.program import Tensor
from furiosa_ir.runtime import DataType, Session, TensorArray
from furiosa_ir.runtime.async_session import AsyncSession, CompletionQueue, _Exchange
from furiosa_ir.runtime.errors import RunFailure
from furiosa_ir.runtime.model import Inputs
from tests.runtime.programs import copy_program, host_program, onnx_model

SHAPE = (1, 2, 3, 4)
PATIENCE = 30.0
"""Seconds after which a thread counts as hanging."""


def image(value: int) -> np.ndarray:
    return np.full(SHAPE, value, np.int8)


def workers() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("furiosa-worker")]


@pytest.fixture(autouse=True)
def no_worker_survives() -> Generator[None]:
    assert not workers()
    yield
    gc.collect()
    for worker in workers():
        worker.join(PATIENCE)
    assert not workers()


@pytest.fixture
def enf() -> bytes:
    return write_program(copy_program("int8"))


class GatedSession(Session):
    """A session whose runs wait for a gate."""

    def __init__(self, worker_num: int) -> None:
        super().__init__(copy_program("int8"), worker_num)
        self.gate = threading.Event()
        self.started = threading.Semaphore(0)

    def run(self, inputs: Inputs) -> TensorArray:
        self.started.release()
        assert self.gate.wait(PATIENCE)
        return super().run(inputs)


def gated(
    worker_num: int, inputs: int, outputs: int
) -> tuple[GatedSession, AsyncSession, CompletionQueue]:
    session = GatedSession(worker_num)
    exchange = _Exchange(session, inputs, outputs)
    return session, AsyncSession(exchange), CompletionQueue(exchange)


@pytest.mark.parametrize("worker_num", [1, 4])
def test_each_result_comes_once_with_its_context(enf: bytes, worker_num: int) -> None:
    session, queue = create_async(enf, worker_num=worker_num, input_queue_size=2)
    with session, queue:
        submitting = threading.Thread(
            target=lambda: [session.submit([image(i)], context=i) for i in range(100)]
        )
        submitting.start()
        received = dict(queue.recv() for _ in range(100))
        submitting.join()
    assert sorted(received) == list(range(100))
    assert all(np.array_equal(r[0].numpy(), image(i)) for i, r in received.items())


def test_one_worker_keeps_the_order(enf: bytes) -> None:
    session, queue = create_async(enf, worker_num=1)
    for i in range(50):
        session.submit({"x": image(i)}, i)
    session.close()
    assert [context for context, _ in queue] == list(range(50))
    queue.close()


def test_inputs_are_copied() -> None:
    session, submitting, queue = gated(1, 4, 4)
    x = image(1)
    with submitting, queue:
        submitting.submit(x)
        x[:] = 2
        session.gate.set()
        context, (result,) = queue.recv()
    assert context is None
    np.testing.assert_array_equal(result.numpy(), image(1))


def test_submit_waits_while_the_input_queue_is_full() -> None:
    session, submitting, queue = gated(1, 2, 8)
    with submitting, queue:
        submitting.submit(image(0), 0)
        assert session.started.acquire(timeout=PATIENCE)  # it has left the queue
        submitting.submit(image(1), 1)
        submitting.submit(image(2), 2)
        for timeout in (0, 10):
            with pytest.raises(errors.QueueWaitTimeout, match="the input queue is full for"):
                submitting.submit(image(3), 3, timeout=timeout)
        waiting = threading.Thread(target=lambda: submitting.submit(image(3), 3))
        waiting.start()
        waiting.join(0.05)
        assert waiting.is_alive()
        session.gate.set()
        waiting.join(PATIENCE)
        assert [queue.recv()[0] for _ in range(4)] == [0, 1, 2, 3]


def accepted(session: AsyncSession) -> int:
    """How many runs can be submitted while nobody receives."""
    for i in range(100):
        try:
            session.submit(image(i), i, timeout=2000)
        except errors.QueueWaitTimeout:
            return i
    return 100


def test_workers_wait_while_nobody_receives(enf: bytes) -> None:
    session, queue = create_async(enf, worker_num=1, input_queue_size=1, output_queue_size=2)
    with queue, session:
        # Two results, one that the worker cannot get rid of, one that waits for the worker.
        assert accepted(session) == 4
        assert [queue.recv()[0] for _ in range(4)] == [0, 1, 2, 3]


def test_receiving_has_a_timeout(enf: bytes) -> None:
    session, queue = create_async(enf)
    with session, queue:
        for timeout in (0, 20):
            with pytest.raises(errors.QueueWaitTimeout) as caught:
                queue.recv(timeout=timeout)
            assert isinstance(caught.value, TimeoutError)
            assert isinstance(caught.value, errors.NativeException)
        for timeout in (-1, float("nan")):
            with pytest.raises(ExecutionFailure, match=f"{timeout} ms is negative"):
                queue.recv(timeout=timeout)


@pytest.mark.parametrize("timeout", [float("inf"), 1e300, 1e15])
def test_a_timeout_may_be_as_long_as_anybody_likes(enf: bytes, timeout: float) -> None:
    session, queue = create_async(enf)
    with session, queue:
        session.submit([image(1)], context=5)
        assert queue.recv(timeout=timeout)[0] == 5


def test_a_failure_comes_with_its_context_and_does_not_end_the_queue() -> None:
    x = Tensor("a", "int32", (2,))
    model = onnx_model(np.int32, (2,), "Div")
    program = host_program(model, "onnx", [x, Tensor("b", "int32", (2,))], [x])
    session, queue = create_async(write_program(program), worker_num=1)
    good, bad = np.array([6, 6], np.int32), np.array([2, 0], np.int32)
    with session, queue:
        for context, divisor in (("bad", bad), ("good", good)):
            session.submit([good, divisor], context)
        with pytest.raises(RunFailure, match="layer 'node': onnxruntime failed") as caught:
            next(queue)
        assert caught.value.context == "bad"
        assert isinstance(caught.value.__cause__, ExecutionFailure)
        context, (result,) = next(queue)
        assert context == "good"
        np.testing.assert_array_equal(result.numpy(), [1, 1])
        with pytest.raises(errors.InvalidInput, match="takes 2 inputs, 1 were given"):
            session.submit(good)


def test_whatever_a_run_raises_is_received(monkeypatch: pytest.MonkeyPatch) -> None:
    session, submitting, queue = gated(1, 4, 4)

    def run(_: Inputs) -> TensorArray:
        raise MemoryError("no memory is left")

    monkeypatch.setattr(session, "run", run)
    with submitting, queue:
        submitting.submit(image(0), "context")
        with pytest.raises(RunFailure, match="MemoryError: no memory is left") as caught:
            queue.recv()
    assert caught.value.context == "context"


def test_closing_the_session_lets_everything_submitted_be_received() -> None:
    session, submitting, queue = gated(2, 8, 8)
    for i in range(6):
        submitting.submit(image(i), i)
    submitting.close()
    submitting.close()
    for use in (submitting.inputs, submitting.summary, lambda: submitting.submit(image(0))):
        with pytest.raises(errors.SessionClosed, match="the session is closed"):
            use()
    assert queue.output(0).dtype is DataType.INT8
    session.gate.set()
    assert sorted(context for context, _ in queue) == list(range(6))
    for timeout in (None, 0, 10):
        with pytest.raises(errors.SessionTerminated):
            queue.recv(timeout)
    with pytest.raises(errors.SessionClosed):  # the last worker has freed it
        session.run(image(0))
    queue.close()


def test_closing_the_queue_ends_everything() -> None:
    session, submitting, queue = gated(1, 2, 1)
    submitting.submit(image(0))
    assert session.started.acquire(timeout=PATIENCE)
    submitting.submit(image(1))
    submitting.submit(image(2))
    refused: list[ExecutionFailure] = []

    def submit() -> None:
        try:
            submitting.submit(image(3))
        except ExecutionFailure as error:
            refused.append(error)

    def receive() -> None:
        try:
            queue.recv()
        except ExecutionFailure as error:
            refused.append(error)

    waiting = [threading.Thread(target=submit), threading.Thread(target=receive)]
    for thread in waiting:
        thread.start()
    threading.Timer(0.05, session.gate.set).start()
    queue.close()
    queue.close()
    assert not workers()
    for thread in waiting:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert errors.SessionTerminated in {type(error) for error in refused}
    for use in (queue.recv, queue.outputs, queue.print_summary):
        with pytest.raises(errors.SessionClosed, match="the completion queue is closed"):
            use()
    assert list(queue) == []
    with pytest.raises(errors.SessionTerminated, match="the completion queue is closed"):
        submitting.submit(image(4))
    assert not session.started.acquire(blocking=False)  # what was waiting has not been run
    submitting.close()


def test_a_worker_that_cannot_deliver_ends_with_the_queue(enf: bytes) -> None:
    session, queue = create_async(enf, worker_num=2, input_queue_size=8, output_queue_size=1)
    for i in range(8):
        session.submit(image(i), i)
    queue.close()
    assert not workers()


def test_halves_that_are_dropped_are_closed(enf: bytes) -> None:
    session, queue = create_async(enf, worker_num=2)
    session.submit(image(0), "kept")
    del session
    gc.collect()
    assert [context for context, _ in queue] == ["kept"]
    session, queue = create_async(enf, worker_num=2)
    del queue
    gc.collect()
    with pytest.raises(errors.SessionTerminated):
        session.submit(image(0))


def test_halves_in_a_cycle_are_closed_by_the_collector(enf: bytes) -> None:
    session, queue = create_async(enf, worker_num=4)
    cycle: list[object] = [session, queue]
    cycle.append(cycle)
    gone = weakref.ref(session)
    for i in range(20):
        session.submit(image(i))
    del session, queue, cycle
    gc.collect()
    assert gone() is None  # and the fixture sees the workers end


@pytest.mark.parametrize("size", [0, -1, 1 << 31])
def test_queues_have_places(enf: bytes, size: int) -> None:
    for which in ("input_queue_size", "output_queue_size"):
        with pytest.raises(ExecutionFailure, match="queue cannot have"):
            create_async(enf, **{which: size})  # pyright: ignore[reportArgumentType]
    with pytest.raises(ExecutionFailure, match="the number of workers 0 is not a positive integer"):
        create_async(enf, worker_num=0)


@pytest.mark.parametrize("possible", [0, 2])
def test_without_threads_it_is_refused(monkeypatch: pytest.MonkeyPatch, possible: int) -> None:
    started = 0
    start = threading.Thread.start

    def start_some(thread: threading.Thread) -> None:
        nonlocal started
        if started == possible:
            raise RuntimeError("can't start new thread")
        started += 1
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_some)
    session = GatedSession(3)
    session.gate.set()
    with pytest.raises(ExecutionFailure, match="3 workers cannot be started"):
        _Exchange(session, 1, 1)
    assert not workers()
    with pytest.raises(errors.SessionClosed):
        session.inputs()


EXITS = {
    "nothing": "",
    "submitted": "session.submit(x)",
    "full": "[session.submit(x) for _ in range(8)]",
    "received": "session.submit(x); queue.recv()",
    "closed": "session.submit(x); session.close()",
    "waiting": "threading.Thread(target=list, args=[queue], daemon=True).start()",
}


@pytest.mark.parametrize("how", EXITS)
def test_the_interpreter_exits(enf: bytes, tmp_path: Path, how: str) -> None:
    path = tmp_path / "copy.enf"
    path.write_bytes(enf)
    code = f"""
import sys, threading
import numpy as np
from furiosa.runtime.session import create_async
session, queue = create_async(
    sys.argv[1], worker_num=3, input_queue_size=4, output_queue_size=1
)
x = np.zeros({SHAPE}, np.int8)
{EXITS[how]}
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, timeout=250, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
