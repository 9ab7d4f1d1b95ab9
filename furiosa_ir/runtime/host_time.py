"""How long a program's host segments take on this computer, for reports."""

from __future__ import annotations

from statistics import median
from time import perf_counter

import numpy as np

from furiosa_ir.errors import ExecutionFailure
from furiosa_ir.numerics.array import Array
from furiosa_ir.numerics.element_types import BY_NAME
from furiosa_ir.program import HostSegment, Program, Tensor
from furiosa_ir.runtime.engines import engine_asked_for, host_engine

RUNS = 5
"""Of each segment, behind one that makes it ready; the median counts."""


def host_microseconds(program: Program) -> float:
    """What the host segments take one after the other, in microseconds.

    They run as sessions run them, on random integers and zeros: where the time depends on the data
    (non-maximum suppression), it is the time of these.

    Raises:
        ExecutionFailure: a segment takes strings or shapes that only running the network tells, or
            does not run.
    """
    rng = np.random.default_rng(0)
    known: dict[int, Array] = {}
    total = 0.0
    for segment in program.segments:
        if not isinstance(segment, HostSegment):
            continue
        for index in segment.inputs:
            if index not in known:
                known[index] = _drawn(program.tensors[index], segment, rng)
        inputs = [known[index] for index in segment.inputs]
        engine = host_engine(segment, engine_asked_for())
        known.update(zip(segment.outputs, engine.run(inputs), strict=True))
        times: list[float] = []
        for _ in range(RUNS):
            start = perf_counter()
            engine.run(inputs)
            times.append(perf_counter() - start)
        total += median(times)
    return total * 1e6


def _drawn(tensor: Tensor, segment: HostSegment, rng: np.random.Generator) -> Array:
    element = BY_NAME.get(tensor.dtype)
    if element is None or min(tensor.shape, default=0) < 0:
        raise ExecutionFailure(
            f"the time of '{segment.name}' cannot be measured: its input '{tensor.name}' is of "
            f"{tensor.dtype}{list(tensor.shape)}"
        )
    if element.bits == 8 and element.kind in ("int", "uint"):
        limits = np.iinfo(element.dtype)
        return rng.integers(limits.min, limits.max + 1, tensor.shape, element.dtype)
    return np.zeros(tensor.shape, element.dtype)
