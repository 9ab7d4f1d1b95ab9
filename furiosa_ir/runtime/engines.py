"""Which engine runs a host segment: in this process, in one of its own, or a kernel in Python."""

from __future__ import annotations

import os

from furiosa_ir.errors import FuriosaError
from furiosa_ir.program import HostSegment
from furiosa_ir.runtime.host import HostEngine, MakeEngine, engine_here
from furiosa_ir.runtime.python_kernels import KernelEngine, has_kernels

ISOLATION = "FURIOSA_HOST_ISOLATION"


def engine_asked_for() -> MakeEngine:
    """What makes the engines that the environment asks for: in this process, or in their own.

    Raises:
        FuriosaError: FURIOSA_HOST_ISOLATION is neither 0 nor 1.
    """
    value = os.environ.get(ISOLATION) or "0"
    if value not in ("0", "1"):
        raise FuriosaError(f"{ISOLATION} is '{value}'", hint="set it to 0 or 1")
    if value == "0":
        return engine_here
    # Its imports take 10 ms that nobody else need pay.
    from furiosa_ir.runtime.isolation import IsolatedEngine  # noqa: PLC0415

    return IsolatedEngine


def host_engine(segment: HostSegment, make_engine: MakeEngine | None = None) -> HostEngine:
    """What runs a host segment.

    Python kernels of its operators run in this process always: another one has not loaded them,
    which may be a script's.

    Args:
        segment: the segment.
        make_engine: makes what runs a framework's sub-model; default: `engine_here`.

    Raises:
        ExecutionFailure: its framework is unknown, or the sub-model keeps a state of its own.
    """
    if has_kernels(segment):
        return KernelEngine(segment)
    return (make_engine or engine_here)(segment)
