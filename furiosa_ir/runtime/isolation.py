"""Host segments in processes of their own, so that a crash there is an error of one run.

onnxruntime and LiteRT are native code, and some inputs end their process (LiteRT's FLOOR_MOD of
-2**31 by -1 raises SIGFPE). Isolated, a child runs each host segment; when it dies, the run fails
with the layer's name, and the next run gets a new child.

Parent and child exchange messages over a socket. Arrays are a JSON list of dtypes and shapes, and
then each array's bytes, or its strings as JSON. The child ends when the socket does.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import weakref
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

import furiosa_ir
from furiosa_ir.backends.warboy.enf.records import HostSegment
from furiosa_ir.errors import ExecutionFailure, FuriosaError
from furiosa_ir.pool import Pool
from furiosa_ir.runtime.host import host_engine, is_stateful, layer_of
from furiosa_ir.runtime.tensor import Array


class IsolatedEngine:
    """A host segment in child processes, as many as there are threads that run it at once."""

    def __init__(self, segment: HostSegment) -> None:
        self._pool = Pool(lambda: _Child(segment), single=is_stateful(segment))

    def run(self, inputs: Sequence[Array]) -> Sequence[Array]:
        """The sub-model's outputs, in order.

        Raises:
            ExecutionFailure: as the engine in the child; or the child has died.
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
        root = str(Path(furiosa_ir.__file__).parents[1])
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        with theirs:
            try:
                self._process = subprocess.Popen(  # noqa: S603  # this interpreter, this module
                    [
                        sys.executable,
                        "-c",
                        f"from {__name__} import serve; serve({theirs.fileno()})",
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    env=os.environ | {"PYTHONPATH": path},
                    pass_fds=[theirs.fileno()],
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
        self._first = [_json(described | {"operators": segment.operators}), segment.model]

    def run(self, inputs: Sequence[Array]) -> ExecutionFailure | list[Array]:
        """The outputs, or what is wrong with the segment or the inputs.

        Raises:
            ExecutionFailure: the child has died.
        """
        try:
            for message in self._first:
                self._connection.send_bytes(message)
            self._first = []
            _send(self._connection, inputs)
            failure = json.loads(self._connection.recv_bytes())
            return ExecutionFailure(**failure) if failure else _receive(self._connection)
        except (EOFError, OSError):
            code = self._process.wait()
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        raise ExecutionFailure(
            f"the process that ran the operator on the host was ended {how}", layer=self._layer
        )


def _end(connection: Connection, process: subprocess.Popen[bytes], owner: int) -> None:
    connection.close()
    if os.getpid() == owner:  # else this is a fork of it, and the child is its parent's
        process.kill()
        process.wait()


def serve(descriptor: int) -> None:
    """What the child does: runs the segment on whatever arrives, until nothing more does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's; the parent decides
    connection = Connection(descriptor)
    try:
        described = json.loads(connection.recv_bytes())
        engine = host_engine(HostSegment(**described, model=connection.recv_bytes()))
        while True:
            inputs = _receive(connection)
            try:
                outputs = engine.run(inputs)
            except FuriosaError as error:
                failure = {"message": error.message, "layer": error.layer, "hint": error.hint}
                connection.send_bytes(_json(failure))
            else:
                connection.send_bytes(_json(None))
                _send(connection, outputs)
    except (EOFError, OSError):
        return


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _send(connection: Connection, arrays: Sequence[Array]) -> None:
    connection.send_bytes(_json([[array.dtype.name, array.shape] for array in arrays]))
    for array in arrays:
        if array.dtype == object:
            texts = [[isinstance(t, bytes), _text(t)] for t in array.reshape(-1)]
            connection.send_bytes(_json(texts))
        elif array.size:
            connection.send_bytes(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def _receive(connection: Connection) -> list[Array]:
    arrays: list[Array] = []
    for name, shape in json.loads(connection.recv_bytes()):
        array: Array = np.empty(shape, np.dtype(getattr(ml_dtypes, name, name)))
        if array.dtype == object:
            texts = json.loads(connection.recv_bytes())
            array.reshape(-1)[:] = [t.encode("latin-1") if raw else t for raw, t in texts]
        elif array.size:
            connection.recv_bytes_into(array.reshape(-1).view(np.uint8).data)
        arrays.append(array)
    return arrays


def _text(element: str | bytes) -> str:
    return element.decode("latin-1") if isinstance(element, bytes) else element
