"""Native code on what strangers' files say, in a process that may be lost.

onnx, onnxruntime and LiteRT are C++ that was not written for hostile input: a node with the wrong
attribute ends the process, or takes all of the memory. So what they do to a stranger's file happens
in a child, which ends with its parent, however that does. It is started when first needed (most
int8 networks need none), and kept for the next call.

A module that has such work holds a function `jobs`, which the child calls with what it was started
with, and which returns its jobs by name. A job takes options (as JSON has them), bytes and arrays,
and returns an `Answer`. What it logs, and what it tells of its progress, reaches the parent.
"""

from __future__ import annotations

import logging
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from furiosa_ir import errors
from furiosa_ir.array_messages import receive_arrays, receive_json, send_arrays, send_json
from furiosa_ir.errors import FuriosaError
from furiosa_ir.leftovers import take_away_leftovers
from furiosa_ir.limits import limit, way_out
from furiosa_ir.numerics.array import Array
from furiosa_ir.pool import Pool
from furiosa_ir.python_process import end_with_parent, python_command

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_LOOK = 1.0
"""Seconds between two looks at a child that computes."""

_NONE: Mapping[str, str] = MappingProxyType({})

_LOG = logging.getLogger("furiosa_ir")

OnStep = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


def no_report(_what: str, _done: int, _total: int) -> None:
    """Nobody wants to know the progress."""


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
    """The job raised an exception that is no `FuriosaError`; `str` is its text."""


class NativeCrash(Exception):
    """The job ended its process, by itself or for what it took; `str` says how.

    Args:
        how: what happened to the process: "was ended by SIGABRT".
        hint: a way out, if it was a limit.
    """

    def __init__(self, how: str, hint: str | None = None) -> None:
        super().__init__(how)
        self.hint = hint


@dataclass(frozen=True)
class Order:
    """What a job is given.

    Attributes:
        options: as JSON has them.
        data: bytes.
        arrays: arrays.
        on_step: tells the parent the progress.
    """

    options: Mapping[str, Any]
    data: bytes
    arrays: Sequence[Array]
    on_step: OnStep = no_report


Job = Callable[[Order], Answer]


class NativeProcesses:
    """Processes that do the jobs of a module: as many as there are threads that call at once.

    Args:
        module: the name of the module that holds `jobs`.
        options, data: what each process is started with.
        single: whether there is only one, which remembers what it did: threads wait for it, and
            that it is lost costs a call, which says so.
        silent: whether what the libraries write to stderr is nobody's business.
        descriptors: those of this process that the jobs may read.
    """

    def __init__(
        self,
        module: str,
        options: Mapping[str, Any] | None = None,
        data: bytes | memoryview = b"",
        *,
        single: bool = False,
        silent: bool = True,
        descriptors: Sequence[int] = (),
    ) -> None:
        def start() -> Child:
            return Child(module, options or {}, data, silent=silent, descriptors=descriptors)

        usable = None if single else Child.is_usable
        self._idle: Pool[Child] = Pool(start, single=single, is_usable=usable)

    def call(
        self,
        job: str,
        data: bytes | memoryview = b"",
        arrays: Sequence[Array] = (),
        *,
        seconds: float | None = None,
        most_bytes: int = 0,
        on_step: OnStep = no_report,
        **options: Any,
    ) -> Answer:
        """Has a process do a job.

        Args:
            job: its name.
            data, arrays, options: what it is given.
            seconds: processor time that it may take; None: any.
            most_bytes: that it may map beside what the process has mapped at first; 0: any.
            on_step: is told the job's progress.

        Raises:
            NativeRefusal: the job raised an exception.
            NativeCrash: it ended the process, or took more than it may, or said nothing for
                `HOST_SECONDS` of `limits`.
            FuriosaError: the job raised it; or a limit in the environment is no number.
        """
        level = _LOG.getEffectiveLevel()
        order = {"job": job, "options": options, "seconds": seconds, "bytes": most_bytes}
        with self._idle.lend() as child:
            answer = child.run({**order, "level": level}, data, arrays, on_step)
        if isinstance(answer, Exception):
            raise answer  # the child itself is well
        return answer

    def close(self) -> None:
        """Ends the processes that have nothing to do; the next call starts another one."""
        self._idle.clear()


class Child:
    """A process that does jobs, as long as this object lives.

    Args: as `NativeProcesses`, and
        variables: of the environment, beside this process's.

    Raises:
        NativeCrash: no process can be started.
    """

    def __init__(
        self,
        module: str,
        options: Mapping[str, Any],
        data: bytes | memoryview,
        *,
        silent: bool,
        descriptors: Sequence[int] = (),
        variables: Mapping[str, str] = _NONE,
    ) -> None:
        ours, theirs = socket.socketpair()
        # What stops amidst a message keeps nobody waiting, either.
        bound = struct.pack("@ll", limit("HOST_SECONDS"), 0)
        for option in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
            ours.setsockopt(socket.SOL_SOCKET, option, bound)
        code = (
            f"from {__name__} import serve\n"
            f"from {module} import jobs\n"
            f"serve({theirs.fileno()}, jobs)"
        )
        with theirs:
            try:
                process = subprocess.Popen(  # noqa: S603  # this interpreter, that module
                    python_command(code),
                    stdin=None if 0 in descriptors else subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL if silent else None,
                    pass_fds=[theirs.fileno(), *(d for d in descriptors if d > 2)],
                    env={**os.environ, **variables},
                    process_group=0,  # Ctrl-C is the parent's, which ends this one
                )
            except OSError as error:
                ours.close()
                raise NativeCrash(f"cannot be started: {error.strerror}") from None
        self.process = process
        from multiprocessing.connection import Connection  # noqa: PLC0415  # few compiles start one

        self._connection = Connection(ours.detach())
        self._start = (options, data)
        self._owner = os.getpid()
        self.end = weakref.finalize(self, _end, self._connection, process, self._owner)

    def is_usable(self) -> bool:
        """Whether the process is there, and ours: a fork has another one's."""
        return self._owner == os.getpid() and self.process.poll() is None

    def run(
        self,
        order: dict[str, Any],
        data: bytes | memoryview,
        arrays: Sequence[Array],
        on_step: OnStep,
    ) -> Answer | Exception:
        """The answer, or what the job raised.

        Raises:
            NativeCrash: the child has died, or does not answer.
        """
        try:
            with self._talking(order["seconds"]):
                self._look()
                if self._start is not None:
                    send_json(self._connection, self._start[0])
                    self._connection.send_bytes(self._start[1])
                    self._start = None
                send_json(self._connection, order)
                self._connection.send_bytes(data)
                send_arrays(self._connection, arrays)
            while True:
                with self._talking(order["seconds"]):
                    message = self._receive(order["seconds"])
                if isinstance(message, Answer | Exception):
                    return message
                if "step" in message:
                    on_step(*message["step"])
                else:
                    name, level, text = message["log"]
                    logging.getLogger(name).log(level, "%s", text)
        except BaseException:  # Ctrl-C, too: nobody waits for it any more
            self.end()
            raise

    def _receive(self, seconds: float | None) -> Answer | Exception | dict[str, Any]:
        """The next message: what became of the job, or a step or log record on the way."""
        self._await_message(seconds)
        head = receive_json(self._connection)
        if "raised" in head:
            return raised(**head["raised"])
        if "seconds" not in head:
            return head
        data = self._connection.recv_bytes()
        return Answer(head["value"], data, receive_arrays(self._connection), head["seconds"])

    @contextmanager
    def _talking(self, seconds: float | None) -> Generator[None]:
        """Raises NativeCrash if the child has died, or does not answer."""
        try:
            yield
        except (BlockingIOError, TimeoutError):
            raise self._silence() from None
        except (EOFError, OSError):
            raise self._death(seconds) from None

    def _death(self, seconds: float | None) -> NativeCrash:
        code = self.process.wait()
        if code == -signal.SIGXCPU and seconds is not None:
            return NativeCrash(f"was not done after {seconds:.0f} s", way_out("NATIVE_SECONDS"))
        by = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        return NativeCrash(f"was ended {by}")

    def _await_message(self, seconds: float | None) -> None:
        """Waits until the child has something to say.

        Raises:
            TimeoutError: it has been too long, or somebody has stopped the child.
        """
        deadline = time.monotonic() + max(limit("HOST_SECONDS"), seconds or 0)
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
            status = Path(f"/proc/{self.process.pid}/stat").read_bytes()
        except OSError:
            return False
        return status.rpartition(b")")[2].split()[:1] == [b"T"]

    def _silence(self) -> NativeCrash:
        """Ends the child, which does not answer."""
        why, hint = f"for {limit('HOST_SECONDS')} s", f"{way_out('HOST_SECONDS')} s"
        if self._is_stopped():
            why, hint = "because it is stopped", "something sent it SIGSTOP"
        self.end()
        return NativeCrash(f"did not answer {why}", f"{hint}; the next call has a new process")


def _end(connection: Connection, process: subprocess.Popen[bytes], owner: int) -> None:
    connection.close()
    if os.getpid() == owner:  # else this is a fork of it, and the child is its parent's
        process.kill()
        process.wait()


def raised(
    kind: str | None, text: str, file: str | None, layer: str | None, hint: str | None, where: str
) -> Exception:
    """What a job raised (`described`), in this process; its traceback is a note."""
    if kind is None:
        error = NativeRefusal(text)
    else:
        error = getattr(errors, kind)(text, file=file, layer=layer, hint=hint)
    error.add_note(where)
    return error


SHARED = NativeProcesses("furiosa_ir.native_jobs")
"""Those for jobs that need nothing of the calls before: whoever has one takes what is idle."""


# In the child.


def serve(descriptor: int, jobs: Callable[[Mapping[str, Any], bytes], Mapping[str, Job]]) -> None:
    """What the child does: jobs, until nothing more arrives.

    Args:
        descriptor: of the socket.
        jobs: of what the process was started with, makes the jobs.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's; the parent decides
    ending = threading.Thread(
        target=end_with_parent, args=(descriptor, take_away_leftovers), daemon=True
    )
    ending.start()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.stdout = sys.stderr  # what plug-ins print
    from multiprocessing.connection import Connection  # noqa: PLC0415

    connection = Connection(descriptor)
    _LOG.addHandler(_Forwarder(connection))
    _LOG.propagate = False

    def on_step(what: str, done: int, total: int) -> None:
        send_json(connection, {"step": [what, done, total]})

    table: Mapping[str, Job] | None = None
    at_first = 0
    with suppress(EOFError, OSError):
        start = receive_json(connection), connection.recv_bytes()
        while True:
            head = receive_json(connection)
            order = Order(
                head["options"], connection.recv_bytes(), receive_arrays(connection), on_step
            )
            at_first = at_first or _mapped()  # what it has mapped, the libraries included
            _limit(head["seconds"], at_first + head["bytes"] if head["bytes"] else 0)
            _LOG.setLevel(head["level"])
            started = time.process_time()
            try:
                table = jobs(*start) if table is None else table
                answer = table[head["job"]](order)
            except Exception as error:  # noqa: BLE001  # the libraries' share no other base
                send_json(connection, {"raised": described(error)})
                continue
            seconds = time.process_time() - started
            send_json(connection, {"value": answer.value, "seconds": seconds})
            connection.send_bytes(answer.data)
            send_arrays(connection, answer.arrays)


class _Forwarder(logging.Handler):
    """Sends log records to the parent."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        send_json(self._connection, {"log": [record.name, record.levelno, message]})


def described(error: Exception) -> dict[str, Any]:
    """An exception as `raised` takes it."""
    ours = error if isinstance(error, FuriosaError) else None
    return {
        "kind": ours
        and (type(ours).__name__ if hasattr(errors, type(ours).__name__) else "FuriosaError"),
        "text": ours.message if ours else str(error) or type(error).__name__,
        "file": ours and ours.file,
        "layer": ours and ours.layer,
        "hint": ours and ours.hint,
        "where": "In the child:\n" + "".join(traceback.format_exception(error)),
    }


def _limit(seconds: float | None, mapped: int) -> None:
    """Lets this process take that much more processor time, and map that many bytes (0: any)."""
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    soft = int(time.process_time() + seconds) + 1 if seconds is not None else hard
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
