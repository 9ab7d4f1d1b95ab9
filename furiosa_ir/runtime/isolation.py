"""Host segments in processes of their own, so that a crash there is an error of one run.

onnxruntime and LiteRT are native code, and some inputs end their process (LiteRT's FLOOR_MOD of
-2**31 by -1 raises SIGFPE). Isolated, a child runs each host segment; when it dies, the run fails
with the layer's name, and the next run gets a new child.

Parent and child exchange messages over a socket (`array_messages`). The child ends when the socket
does. One that died while it had nothing to do is replaced before the next run; one that does not
answer is ended.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import threading
import time
import weakref
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from furiosa_ir.array_messages import receive_arrays, receive_json, send_arrays, send_json
from furiosa_ir.backends.warboy.enf.records import HostSegment
from furiosa_ir.errors import ExecutionFailure, FuriosaError
from furiosa_ir.limits import limit, way_out
from furiosa_ir.pool import Pool
from furiosa_ir.python_process import end_with_parent, python_command
from furiosa_ir.runtime.host import host_engine, is_stateful, layer_of
from furiosa_ir.runtime.tensor import Array

_LOOK = 1.0
"""Seconds between two looks at a child that computes."""


class IsolatedEngine:
    """A host segment in child processes, as many as there are threads that run it at once."""

    def __init__(self, segment: HostSegment) -> None:
        stateful = is_stateful(segment)
        # What a sub-model with variables had counted is gone with its process: a run says so.
        usable = None if stateful else _Child.is_alive
        self._pool = Pool(lambda: _Child(segment), single=stateful, is_usable=usable)

    def run(self, inputs: Sequence[Array]) -> Sequence[Array]:
        """The sub-model's outputs, in order.

        Raises:
            ExecutionFailure: as the engine in the child; or the child has died, or not answered
                for `HOST_SECONDS` of `furiosa_ir.limits`.
        """
        with self._pool.lend() as child:
            answer = child.run(inputs)
        if isinstance(answer, ExecutionFailure):
            raise answer  # the child itself is well
        return answer


class _Child:
    """A process that runs one host segment, as long as this object lives."""

    def __init__(self, segment: HostSegment) -> None:
        self._layer = layer_of(segment)
        ours, theirs = socket.socketpair()
        # What stops amidst a message keeps nobody waiting, either.
        bound = struct.pack("@ll", limit("HOST_SECONDS"), 0)
        for option in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
            ours.setsockopt(socket.SOL_SOCKET, option, bound)
        with theirs:
            try:
                self._process = subprocess.Popen(  # noqa: S603  # this interpreter, this module
                    python_command(f"from {__name__} import serve; serve({theirs.fileno()})"),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    process_group=0,  # Ctrl-C is the parent's, which ends this one
                )
            except OSError as error:
                ours.close()
                raise ExecutionFailure(
                    f"no process can be started for the host segment: {error.strerror}",
                    layer=self._layer,
                ) from None
        self._connection = Connection(ours.detach())
        weakref.finalize(self, _end, self._connection, self._process, os.getpid())
        described = {"name": segment.name, "framework": segment.framework}
        described |= {"inputs": segment.inputs, "outputs": segment.outputs}
        described |= {"operators": segment.operators}
        self._first = [json.dumps(described).encode(), segment.model]

    def is_alive(self) -> bool:
        """Whether the process is there."""
        return self._process.poll() is None

    def run(self, inputs: Sequence[Array]) -> ExecutionFailure | list[Array]:
        """The outputs, or what is wrong with the segment or the inputs.

        Raises:
            ExecutionFailure: the child has died, or does not answer.
        """
        try:
            self._look()
            for message in self._first:
                self._connection.send_bytes(message)
            self._first = []
            send_arrays(self._connection, inputs)
            self._await_answer()
            failure = receive_json(self._connection)
            return ExecutionFailure(**failure) if failure else receive_arrays(self._connection)
        except (BlockingIOError, TimeoutError):
            raise self._silence() from None
        except (EOFError, OSError):
            code = self._process.wait()
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        raise ExecutionFailure(
            f"the process that ran the operator on the host was ended {how}", layer=self._layer
        )

    def _await_answer(self) -> None:
        """Waits until the child has something to say.

        Raises:
            TimeoutError: it has been too long, or somebody has stopped the child.
        """
        deadline = time.monotonic() + limit("HOST_SECONDS")
        while not self._connection.poll(max(0.0, min(_LOOK, deadline - time.monotonic()))):
            if time.monotonic() >= deadline:
                raise TimeoutError
            self._look()

    def _look(self) -> None:
        """Whether the child can run.

        Raises:
            TimeoutError: it is stopped, and still is after a second.
        """
        if self._is_stopped():
            self._connection.poll(_LOOK)
            if self._is_stopped():
                raise TimeoutError

    def _is_stopped(self) -> bool:
        """Whether the child is stopped (SIGSTOP); the system may not tell, then the bound does."""
        try:
            status = Path(f"/proc/{self._process.pid}/stat").read_bytes()
        except OSError:
            return False
        return status.rpartition(b")")[2].split()[:1] == [b"T"]

    def _silence(self) -> ExecutionFailure:
        """Ends the child, which does not answer."""
        why, hint = f"for {limit('HOST_SECONDS')} s", f"{way_out('HOST_SECONDS')} s"
        if self._is_stopped():
            why, hint = "because it is stopped", "something sent it SIGSTOP"
        _end(self._connection, self._process, os.getpid())
        return ExecutionFailure(
            f"the process that runs the operator on the host did not answer {why}",
            layer=self._layer,
            hint=f"{hint}; the next run has a new process",
        )


def _end(connection: Connection, process: subprocess.Popen[bytes], owner: int) -> None:
    connection.close()
    if os.getpid() == owner:  # else this is a fork of it, and the child is its parent's
        process.kill()
        process.wait()


def serve(descriptor: int) -> None:
    """What the child does: runs the segment on whatever arrives, until nothing more does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's; the parent decides
    threading.Thread(target=end_with_parent, args=(descriptor,), daemon=True).start()
    connection = Connection(descriptor)
    try:
        described = receive_json(connection)
        engine = host_engine(HostSegment(**described, model=connection.recv_bytes()))
        while True:
            inputs = receive_arrays(connection)
            try:
                outputs = engine.run(inputs)
            except FuriosaError as error:
                failure = {"message": error.message, "layer": error.layer, "hint": error.hint}
                send_json(connection, failure)
            else:
                send_json(connection, None)
                send_arrays(connection, outputs)
    except (EOFError, OSError):
        return
