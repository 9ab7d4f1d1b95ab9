"""Asynchronous sessions: submit here, receive there, workers in between.

session, queue = create_async("network.onnx")
session.submit(image, context=1)
context, results = queue.recv()

The semantics are the vendor's. Both queues are bounded, so `submit` waits while the workers are
behind, and the workers wait while nobody receives. Closing the `AsyncSession` ends the input: what
has been submitted is still run and can be received. Closing the `CompletionQueue` ends everything.
A half that is garbage-collected is closed by that. A network with state has one worker: its runs go
in the order in which they were submitted.
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Self, Unpack

from furiosa_ir.errors import ExecutionFailure, readable
from furiosa_ir.network_part import PartArguments
from furiosa_ir.numerics.array import Array
from furiosa_ir.plugin_source import Plugin
from furiosa_ir.runtime.errors import (
    QueueWaitTimeout,
    RunFailure,
    SessionClosed,
    SessionTerminated,
)
from furiosa_ir.runtime.model import Described, Inputs, Model
from furiosa_ir.runtime.session import ModelSource, Session, create
from furiosa_ir.runtime.tensor import TensorArray

DEFAULT_QUEUE_SIZE = 1024
"""Much larger than the number of workers: much code submits all its inputs before it receives."""

_GREATEST_QUEUE_SIZE = 1 << 20


def create_async(
    model: ModelSource,
    device: str | None = None,
    worker_num: int | None = None,
    batch_size: int | None = None,
    compiler_config: Mapping[str, Any] | None = None,
    input_queue_size: int | None = None,
    output_queue_size: int | None = None,
    compiler_hints: bool = True,
    plugins: Sequence[Plugin] = (),
    **part: Unpack[PartArguments],
) -> tuple[AsyncSession, CompletionQueue]:
    """An asynchronous session for a model: the half that submits, and the half that receives.

    Args:
        model: as for `session.create`.
        device: as for `session.create`.
        worker_num: how many threads run the network; None is as for `session.create`.
        batch_size: as for `session.create`.
        compiler_config: as for `session.create`.
        input_queue_size: how many runs may wait for a worker before `submit` waits; 1024 if None.
        output_queue_size: how many results may wait for `recv` before the workers wait; 1024 if
            None.
        compiler_hints: as for `session.create`.
        plugins: as for `session.create`.
        **part: as for `session.create`.

    Raises:
        FuriosaError: the model cannot be read or compiled, or a queue cannot have that size.
    """
    sizes: list[int] = []
    for what, given in (("input", input_queue_size), ("output", output_queue_size)):
        size = DEFAULT_QUEUE_SIZE if given is None else given
        if not isinstance(size, Integral) or not 0 < size <= _GREATEST_QUEUE_SIZE:
            raise ExecutionFailure(
                f"the {what} queue cannot have {readable(repr(size))} places",
                hint=f"give a number from 1 to {_GREATEST_QUEUE_SIZE}",
            )
        sizes.append(size)
    session = create(
        model, device, worker_num, batch_size, compiler_config, compiler_hints, plugins, **part
    )
    exchange = _Exchange(session, sizes[0], sizes[1])
    return AsyncSession(exchange), CompletionQueue(exchange)


class AsyncSession(Described):
    """The half of an asynchronous session that submits; any thread may."""

    def __init__(self, exchange: _Exchange) -> None:
        self._exchange = exchange
        self._lock = threading.RLock()
        self._closed = False
        self._finalizer = weakref.finalize(self, exchange.end_input)
        self._finalizer.atexit = False

    @property
    def model(self) -> Model:
        """The network's inputs and outputs."""
        if self._closed:
            raise SessionClosed("the session is closed")
        return self._exchange.model

    def submit(
        self, values: Inputs, context: object = None, *, timeout: float | None = None
    ) -> None:
        """Submits a run; its results come to the `CompletionQueue`.

        Args:
            values: the inputs, as `Session.run` takes them; they are copied.
            context: comes back with the results.
            timeout: how many milliseconds to wait while the input queue is full; None: for ever.

        Raises:
            InvalidInput: as `Session.run`.
            QueueWaitTimeout: the input queue stayed full.
            SessionClosed: the session is closed.
            SessionTerminated: the completion queue is closed.
        """
        self._exchange.require_own_process()
        own = [array.copy() for array in self.model.arrays(values)]
        self._put(_Request(own, context), timeout)

    def _put(self, request: object, timeout: float | None) -> None:
        """Puts something into the input queue when it has a place."""
        exchange = self._exchange
        if not exchange.unwanted:
            _take(exchange.free_inputs, timeout, "the input queue is full")
        if exchange.unwanted:
            raise SessionTerminated("the completion queue is closed")
        with self._lock:
            if self._closed:
                exchange.free_inputs.put(None)
                raise SessionClosed("the session is closed")
            exchange.requests.put(request)

    def reset(self) -> None:
        """Clears the state of a network that has one, behind the runs submitted so far.

        It waits while the input queue is full, and makes no result.

        Raises:
            SessionClosed: the session is closed.
            SessionTerminated: the completion queue is closed.
        """
        self._exchange.require_own_process()
        _ = self.model  # refuses a closed session
        self._put(_RESET, None)

    def close(self) -> None:
        """Ends the input; what has been submitted is still run and can be received."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class CompletionQueue(Described):
    """The half of an asynchronous session that receives.

    It is an iterator over (context, results), which ends when one of the halves is closed and
    nothing is left; a run's failure is raised by it and does not end it.
    """

    def __init__(self, exchange: _Exchange) -> None:
        self._exchange = exchange
        self._closed = False
        self._finalizer = weakref.finalize(self, exchange.end_output)
        self._finalizer.atexit = False

    @property
    def model(self) -> Model:
        """The network's inputs and outputs."""
        if self._closed:
            raise SessionClosed("the completion queue is closed")
        return self._exchange.model

    def recv(self, timeout: float | None = None) -> tuple[Any, TensorArray]:
        """Waits for the results of a run, which come in the order in which runs end.

        Args:
            timeout: how many milliseconds to wait; 0: not at all; None: for ever.

        Returns:
            What the run was submitted with, and its outputs.

        Raises:
            RunFailure: the run failed; its `context` is what it was submitted with.
            QueueWaitTimeout: no run has ended in that time.
            SessionClosed: this queue is closed.
            SessionTerminated: the session is closed and everything submitted has been received.
        """
        exchange = self._exchange
        exchange.require_own_process()
        completion: Any = _END
        if not self._closed:
            completion = _take(exchange.results, timeout, "no run has ended")
        if completion is _END:
            if self._closed:
                raise SessionClosed("the completion queue is closed")
            raise SessionTerminated("the session is closed and has no more results")
        exchange.free_outputs.put(None)
        if not isinstance(completion, RunFailure):
            return completion
        try:
            raise completion
        finally:
            del completion  # or the failure and this frame would keep each other alive

    def close(self) -> None:
        """Ends everything: runs that go on come to their end, what else was submitted is dropped.

        When it returns, no worker is left and the session's memory is free.
        """
        self._closed = True
        self._finalizer()
        self._exchange.join()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> tuple[Any, TensorArray]:
        try:
            return self.recv()
        except (SessionClosed, SessionTerminated):
            raise StopIteration from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


_END = object()
"""Stands at the end of a queue. Whoever takes it out puts it back, for the others who wait."""


_RESET = object()
"""Stands in the input queue where the session is to be reset."""


@dataclass(frozen=True)
class _Request:
    inputs: Sequence[Array]
    context: object


def _take(queue: SimpleQueue[Any], timeout: float | None, nothing: str) -> Any:
    """The next thing of a queue.

    Raises:
        QueueWaitTimeout: there was none for `timeout` milliseconds.
    """
    if timeout is not None and not isinstance(timeout, Real):
        raise ExecutionFailure(f"the timeout is of type {type(timeout).__name__}, not a number")
    if timeout is not None and not timeout >= 0:  # not a number neither
        raise ExecutionFailure(f"a timeout of {timeout} ms is negative")
    try:
        seconds = timeout and min(timeout / 1000, threading.TIMEOUT_MAX)
        taken = queue.get(timeout is None or timeout > 0, seconds)
    except Empty:
        raise QueueWaitTimeout(f"{nothing} for {timeout:g} ms") from None
    if taken is _END:
        queue.put(_END)
    return taken


class _Exchange:
    """What the two halves and the workers share.

    The halves may be garbage-collected at any moment and in any thread, also one that is amidst an
    operation on these queues. `SimpleQueue.put` is made for that, and nothing else happens then:
    all waiting is for something to take out of a queue, free places included.
    """

    def __init__(self, session: Session, input_size: int, output_size: int) -> None:
        self.model = session.model
        self.requests: SimpleQueue[Any] = SimpleQueue()
        self.results: SimpleQueue[Any] = SimpleQueue()
        self.free_inputs: SimpleQueue[Any] = SimpleQueue()
        self.free_outputs: SimpleQueue[Any] = SimpleQueue()
        for places, size in ((self.free_inputs, input_size), (self.free_outputs, output_size)):
            for _ in range(size):
                places.put(None)
        self._session = session
        self._process = os.getpid()
        self.unwanted = False
        self._lock = threading.Lock()
        self._left = session.worker_num
        # Daemons: Python would wait at its exit for others, before anything could end them.
        self._workers = [
            threading.Thread(target=self._work, name=f"furiosa-worker-{i}", daemon=True)
            for i in range(session.worker_num)
        ]
        atexit.register(self._stop)
        for started, worker in enumerate(self._workers):
            try:
                worker.start()
            except RuntimeError as error:
                del self._workers[started:]
                self._stop()
                self._close()
                raise ExecutionFailure(
                    f"{session.worker_num} workers cannot be started: {error}"
                ) from None

    def require_own_process(self) -> None:
        """Refuses the child of a fork, in which there are no workers.

        Raises:
            ExecutionFailure: another process made the session.
        """
        if os.getpid() != self._process:
            raise ExecutionFailure(
                "the asynchronous session was made by another process",
                hint="make it after the fork",
            )

    def end_input(self) -> None:
        """Nothing more is submitted."""
        self.requests.put(_END)

    def end_output(self) -> None:
        """Nothing more is received: nobody has to wait any longer."""
        self.unwanted = True
        for queue in (self.requests, self.results, self.free_inputs, self.free_outputs):
            queue.put(_END)

    def join(self) -> None:
        """Waits until the workers have ended, after `end_output`."""
        for worker in self._workers:
            if worker is not threading.current_thread():
                worker.join()
        _drop(self.results)

    def _stop(self) -> None:
        if os.getpid() == self._process:
            self.end_output()
            self.join()

    def _work(self) -> None:
        while (request := _take(self.requests, None, "")) is not _END:
            self.free_inputs.put(None)
            if self.unwanted:
                continue
            if request is _RESET:
                self._session.reset()
                continue
            completion = self._completion(request)
            if _take(self.free_outputs, None, "") is not _END:
                self.results.put(completion)
            # Not to be kept alive while this worker waits for the next request.
            del request, completion
        with self._lock:
            self._left -= 1
            last = self._left == 0
        if last:
            self._close()

    def _close(self) -> None:
        """What is left to do when the last worker has ended."""
        self._session.close()
        _drop(self.requests)
        self.results.put(_END)
        atexit.unregister(self._stop)

    def _completion(self, request: _Request) -> tuple[object, TensorArray] | RunFailure:
        try:
            return request.context, self._session.run(request.inputs)
        except Exception as error:  # noqa: BLE001  # whatever it is, it belongs to this run
            return _failure(error, request.context)


def _failure(error: Exception, context: object) -> RunFailure:
    if isinstance(error, ExecutionFailure):
        failure = RunFailure(error.message, layer=error.layer, hint=error.hint)
    else:
        failure = RunFailure(f"the run failed: {type(error).__name__}: {error}")
    failure.context = context
    failure.__cause__ = error
    return failure


def _drop(queue: SimpleQueue[Any]) -> None:
    """Empties a queue that has ended."""
    try:
        while True:
            queue.get_nowait()
    except Empty:
        queue.put(_END)
