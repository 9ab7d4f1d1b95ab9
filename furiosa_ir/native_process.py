"""Native code on what strangers' files say, in a process that may be lost.

onnx and onnxruntime are C++ that was not written for hostile input: a node with the wrong attribute
ends the process, or takes all of the memory. So what they do to a stranger's nodes and constants in
a compile happens in a child with limits on its memory and time. It is started when first needed
(most int8 networks need none), and kept for the next compile.

A module that has such work holds `JOBS`, a table of functions by name, and a `NativeProcesses` of
its own name to call them through (see `native_onnx`). A job takes options (as JSON has them), bytes
and arrays, and returns an `Answer`.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from furiosa_ir.array_messages import (
    Array,
    receive_arrays,
    receive_json,
    send_arrays,
    send_json,
)
from furiosa_ir.limits import limit, way_out
from furiosa_ir.pool import Pool
from furiosa_ir.python_process import end_with_parent, python_command


@dataclass(frozen=True)
class Answer:
    """What a job returns.

    Attributes:
        value: anything that JSON has.
        data: bytes.
        arrays: arrays.
        seconds: of processor time that the job took; the child fills it in.
    """

    value: Any = None
    data: bytes = b""
    arrays: Sequence[Array] = ()
    seconds: float = 0.0


class NativeRefusal(Exception):
    """The library raised an exception; `str` is its text."""


class NativeCrash(Exception):
    """The job ended its process, by itself or for what it took; `str` says how.

    Args:
        how: "ended by SIGABRT".
        hint: a way out, if it was a limit.
    """

    def __init__(self, how: str, hint: str | None = None) -> None:
        super().__init__(how)
        self.hint = hint


Job = Callable[[Mapping[str, Any], bytes, Sequence[Array]], Answer]


class NativeProcesses:
    """Processes that do the jobs of a module: as many as there are threads that call at once.

    Args:
        module: the name of the module that holds `JOBS`.
    """

    def __init__(self, module: str) -> None:
        self._idle: Pool[_Child] = Pool(lambda: _Child(module), is_usable=_Child.is_usable)

    def call(
        self,
        job: str,
        data: bytes = b"",
        arrays: Sequence[Array] = (),
        *,
        seconds: float | None = None,
        bounded: bool = True,
        **options: Any,
    ) -> Answer:
        """Has a process do a job.

        Args:
            job: its name in `JOBS`.
            data, arrays, options: what it is given.
            seconds: processor time that it may take; default: `NATIVE_SECONDS` of `limits`.
            bounded: whether the memory is limited, too (`NATIVE_BYTES`).

        Raises:
            NativeRefusal: the job raised an exception.
            NativeCrash: it ended the process, or took more than it may.
            FuriosaError: a limit in the environment is no number.
        """
        order = {
            "job": job,
            "options": options,
            "seconds": limit("NATIVE_SECONDS") if seconds is None else seconds,
            "bytes": limit("NATIVE_BYTES") if bounded else 0,
        }
        with self._idle.lend() as child:
            answer = child.run(order, data, arrays)
        if isinstance(answer, NativeRefusal):
            raise answer  # the child itself is well
        return answer

    def close(self) -> None:
        """Ends the processes that have nothing to do; the next call starts another one."""
        self._idle.clear()


class _Child:
    """A process that does jobs, as long as this object lives."""

    def __init__(self, module: str) -> None:
        ours, theirs = socket.socketpair()
        self._owner = os.getpid()
        code = (
            f"from {__name__} import serve\n"
            f"from {module} import JOBS\n"
            f"serve({theirs.fileno()}, JOBS)"
        )
        with theirs:
            try:
                self._process = subprocess.Popen(  # noqa: S603  # this interpreter, that module
                    python_command(code),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    process_group=0,  # Ctrl-C is the parent's, which ends this one
                )
            except OSError as error:
                ours.close()
                raise NativeCrash(f"not started: {error.strerror}") from None
        self._connection = Connection(ours.detach())
        weakref.finalize(self, _end, self._connection, self._process, self._owner)

    def is_usable(self) -> bool:
        """Whether the process is there, and ours: a fork has another one's."""
        return self._owner == os.getpid() and self._process.poll() is None

    def run(
        self, order: dict[str, Any], data: bytes, arrays: Sequence[Array]
    ) -> Answer | NativeRefusal:
        """The answer, or what the library raised.

        Raises:
            NativeCrash: the child has died, or does not answer.
        """
        try:
            send_json(self._connection, order)
            self._connection.send_bytes(data)
            send_arrays(self._connection, arrays)
            self._await_answer(order["seconds"])
            head = receive_json(self._connection)
            if "refusal" in head:
                return NativeRefusal(head["refusal"])
            content = self._connection.recv_bytes()
            return Answer(head["value"], content, receive_arrays(self._connection), head["seconds"])
        except TimeoutError:
            _end(self._connection, self._process, self._owner)
            raise NativeCrash(
                f"without an answer for {limit('HOST_SECONDS')} s", way_out("HOST_SECONDS")
            ) from None
        except (EOFError, OSError):
            code = self._process.wait()
        if code == -signal.SIGXCPU:
            raise NativeCrash(f"not done after {order['seconds']:.0f} s", way_out("NATIVE_SECONDS"))
        raise NativeCrash(
            f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        )

    def _await_answer(self, seconds: float) -> None:
        """Waits; the child's limits end it in time, unless somebody has stopped it."""
        deadline = time.monotonic() + max(limit("HOST_SECONDS"), seconds)
        if not self._connection.poll(max(0.0, deadline - time.monotonic())):
            raise TimeoutError


def _end(connection: Connection, process: subprocess.Popen[bytes], owner: int) -> None:
    connection.close()
    if os.getpid() == owner:  # else this is a fork of it, and the child is its parent's
        process.kill()
        process.wait()


def serve(descriptor: int, jobs: Mapping[str, Job]) -> None:
    """What the child does: jobs, until nothing more arrives."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's; the parent decides
    threading.Thread(target=end_with_parent, args=(descriptor,), daemon=True).start()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    connection = Connection(descriptor)
    at_first = 0
    with suppress(EOFError, OSError):
        while True:
            order = receive_json(connection)
            data, arrays = connection.recv_bytes(), receive_arrays(connection)
            job = jobs[order["job"]]
            at_first = at_first or _mapped()  # what it has mapped, the libraries included
            _limit(order["seconds"], at_first + order["bytes"] if order["bytes"] else 0)
            started = time.process_time()
            try:
                answer = job(order["options"], data, arrays)
            except Exception as error:  # noqa: BLE001  # the libraries' share no other base
                text = str(error) or type(error).__name__
                send_json(connection, {"refusal": text})
                continue
            seconds = time.process_time() - started
            send_json(connection, {"value": answer.value, "seconds": seconds})
            connection.send_bytes(answer.data)
            send_arrays(connection, answer.arrays)


def _limit(seconds: float, mapped: int) -> None:
    """Lets this process take that much more processor time, and map that many bytes (0: any)."""
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    soft = int(time.process_time() + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    with suppress(ValueError, OSError):  # the system may not know it
        resource.setrlimit(resource.RLIMIT_AS, (mapped or hard, hard))


def _mapped() -> int:
    """Bytes that this process has mapped; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:
        return 0
