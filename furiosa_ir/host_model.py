"""What host and link add to a run, by what a program's segments exchange.

The rates are the machine's, which a backend names; nothing here is measured on this computer
(`runtime.host_time` does that).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

from furiosa_ir.numerics.element_types import BY_NAME
from furiosa_ir.program import HostSegment, Program


@dataclass(frozen=True, slots=True)
class HostRates:
    """How fast a host works.

    Attributes:
        elements_per_second: that it brings into the device's form (quantises and lowers).
        bytes_per_second: that its segments read and write.
        macs_per_second: multiply-accumulates.
    """

    elements_per_second: float
    bytes_per_second: float
    macs_per_second: float


def host_us(program: Program, rates: HostRates) -> float:
    """The host's part of a run in microseconds.

    Every element that the device takes from the host is brought into its form; every host segment
    reads what it takes and writes what it makes once (what stays inside of one is taken to stay in
    the host's caches), and multiplies what its layers say.

    Args:
        program: tensors whose extents only running tells are not counted.
        rates: the host's.
    """
    segments = [(i, s) for i, s in enumerate(program.segments) if isinstance(s, HostSegment)]
    on_host = {i for i, _ in segments}
    moved = sum(tensors_bytes(program, (*s.reads, *s.makes)) for _, s in segments)
    macs = sum(layer.macs for layer in program.layers if layer.segment in on_host)
    taken = sum(_elements(program, tensor) for tensor in _taken(program))
    seconds = (
        taken / rates.elements_per_second
        + moved / rates.bytes_per_second
        + macs / rates.macs_per_second
    )
    return seconds * 1e6


def _taken(program: Program) -> list[int]:
    """The tensors that device segments take from the host."""
    on_device = [s for s in program.segments if not isinstance(s, HostSegment)]
    made = {tensor for segment in on_device for tensor in segment.makes}
    return [t for segment in on_device for t in segment.reads if t not in made]


def link_tensors(program: Program) -> tuple[int, ...]:
    """The tensors that a run moves over the link, in order; one for each transfer.

    What one device segment makes and another takes stays on the device.
    """
    on_device = [s for s in program.segments if not isinstance(s, HostSegment)]
    on_host = [s for s in program.segments if isinstance(s, HostSegment)]
    made = {tensor for segment in on_device for tensor in segment.makes}
    wanted = {tensor for segment in on_host for tensor in segment.reads} | set(program.outputs)
    wanted |= {variable.after for variable in program.variables}
    return (*_taken(program), *sorted(made & wanted))


def tensors_bytes(program: Program, tensors: Iterable[int]) -> int:
    """Bytes of tensors, by index; none for what has no known size (extents, strings)."""
    return sum(_tensor_bytes(program, index) for index in tensors)


def _tensor_bytes(program: Program, index: int) -> int:
    element = BY_NAME.get(program.tensors[index].dtype)
    return 0 if element is None else _elements(program, index) * element.size


def _elements(program: Program, index: int) -> int:
    shape = program.tensors[index].shape
    return 0 if -1 in shape else prod(shape)
