"""Host segments in processes of their own, so that a crash there is an error of one run.

onnxruntime and LiteRT are native code, and some inputs end their process (LiteRT's FLOOR_MOD of
-2**31 by -1 raises SIGFPE). Isolated, a child (`native_process`) runs each host segment; when it
dies, the run fails with the layer's name, and the next run gets a new child.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from furiosa_ir.errors import ExecutionFailure
from furiosa_ir.native_process import SHARED, Answer, Job, NativeCrash, NativeProcesses, Order
from furiosa_ir.numerics.array import Array
from furiosa_ir.program import HostSegment
from furiosa_ir.runtime.host import HostEngine, engine_here, engine_type, layer_of


class IsolatedEngine:
    """A host segment in child processes, as many as there are threads that run it at once.

    Raises:
        ExecutionFailure: its framework is unknown, or the sub-model keeps a state of its own.
    """

    def __init__(self, segment: HostSegment) -> None:
        engine_type(segment)
        self._layer = layer_of(segment)
        self._processes = NativeProcesses(
            __name__,
            _described(segment),
            segment.model,
            silent=False,
        )

    def run(self, inputs: Sequence[Array]) -> Sequence[Array]:
        """The sub-model's outputs, in order.

        Raises:
            ExecutionFailure: as the engine in the child; or the child has died, or not answered
                for `HOST_SECONDS` of `furiosa_ir.limits`.
        """
        try:
            return self._processes.call("run", arrays=inputs).arrays
        except NativeCrash as crash:
            raise _lost(crash, self._layer) from None


class SharedProcessEngine:
    """A host segment in a process that others' run in as well, each anew: for a few runs.

    What starts quickly, and keeps nothing from run to run.
    """

    def __init__(self, segment: HostSegment) -> None:
        self._segment = segment

    def run(self, inputs: Sequence[Array]) -> Sequence[Array]:
        """As `IsolatedEngine.run`."""
        segment = self._segment
        try:
            return SHARED.call("host_once", segment.model, inputs, **_described(segment)).arrays
        except NativeCrash as crash:
            raise _lost(crash, layer_of(segment)) from None


def _lost(crash: NativeCrash, layer: str) -> ExecutionFailure:
    text = f"the process that ran the operator on the host {crash}"
    return ExecutionFailure(text, layer=layer, hint=crash.hint)


def _described(segment: HostSegment) -> dict[str, Any]:
    return {f.name: getattr(segment, f.name) for f in fields(segment) if f.name != "model"}


# In the child.


def jobs(described: Mapping[str, Any], model: bytes) -> Mapping[str, Job]:
    """`run`: the segment that the process was started with."""
    engine: HostEngine | None = None

    def run(order: Order) -> Answer:
        nonlocal engine
        engine = engine or engine_here(HostSegment(**described, model=model))
        return Answer(arrays=engine.run(order.arrays))

    return {"run": run}


def _once(order: Order) -> Answer:
    segment = HostSegment(**order.options, model=order.data)
    return Answer(arrays=engine_here(segment).run(order.arrays))


JOBS: Mapping[str, Job] = {"host_once": _once}
"""Those of the shared processes (`native_jobs`)."""
