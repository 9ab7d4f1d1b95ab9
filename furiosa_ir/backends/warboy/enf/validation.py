"""What must hold for each command by itself: bounds, alignment, enums, shapes, registers.

The reader refuses a file that breaks a rule here, so whoever runs a program may rely on all of
them; `checker` adds what holds between commands.
"""

from __future__ import annotations

from math import prod
from typing import Any, Self

import numpy as np

from furiosa_ir.backends.warboy.enf.commands import DramPlace, SramPlace, kind_of
from furiosa_ir.backends.warboy.enf.records import (
    DRAM_RANK,
    ORDERS,
    Command,
    Dot,
    DramFlat,
    Load,
    NpuSegment,
    Parameter,
    Pool,
    SramFlat,
    SramTile,
    Vector,
)
from furiosa_ir.backends.warboy.enf.section import section_size
from furiosa_ir.backends.warboy.machine import PE_SLICES, TARGETS, Machine
from furiosa_ir.backends.warboy.vector_engine.elements import LIMITS
from furiosa_ir.errors import FuriosaError, VerificationFailure
from furiosa_ir.limits import limit, way_out
from furiosa_ir.program import Binding, Program
from furiosa_ir.program_rules import check_program

ELEMENTS = tuple(LIMITS)
NPU_DTYPES = ("int8", "uint8", "int32", "int64", "bool")
"""What tensors of NPU segments may be of."""
LINE_BYTES = 32
"""What addresses and innermost extents of tiles are multiples of (`records.SramTile`)."""

GREATEST_STRIDE = (1 << 63) - 1
"""Bytes from one element of a DRAM window to the next, also along an extent of 1."""


class CommandFailure(VerificationFailure):
    """A command that breaks a rule of the machine.

    Attributes:
        segment: the name of its segment.
        index: its number there.
    """

    segment: str = ""
    index: int = 0

    @classmethod
    def of(cls, segment: str, index: int, message: str, layer: str | None = None) -> Self:
        """The failure of that command."""
        failure = cls(message, layer=layer)
        failure.segment, failure.index = segment, index
        return failure


def validate_program(program: Program) -> None:
    """Checks tensors, segments and every command by itself.

    Raises:
        VerificationFailure: what is wrong, with the layer's name.
    """
    if program.target not in TARGETS:
        raise VerificationFailure(f"its target '{program.target}' does not exist")
    try:
        machine = Machine.from_parameters(program.machine)
    except FuriosaError as failure:
        raise VerificationFailure(failure.message) from None
    if machine.line_bytes != LINE_BYTES:
        raise VerificationFailure(
            f"its machine has lines of {machine.line_bytes} bytes, tiles have {LINE_BYTES}"
        )
    if machine.sram_bytes > limit("SRAM_BYTES"):
        raise VerificationFailure(
            f"its machine has {machine.sram_bytes} bytes of SRAM", hint=way_out("SRAM_BYTES")
        )
    check_program(program)
    for segment in program.segments:
        if isinstance(segment, NpuSegment):
            _Segment(program, segment, machine).validate()


class _Segment:
    def __init__(self, program: Program, segment: NpuSegment, machine: Machine) -> None:
        self.program, self.segment, self.machine = program, segment, machine
        self.sizes = {
            "constant": section_size(segment.constants),
            "workspace": segment.workspace_bytes,
        }
        self.seen: set[SramPlace] = set()
        self.before: Vector | Dot | Pool | None = None  # the NPU's command in front

    def validate(self) -> None:
        segment, machine = self.segment, self.machine
        size = sum(self.sizes.values())
        if size > machine.dram_bytes:
            raise VerificationFailure(f"segment '{segment.name}' does not fit the DRAM")
        if size > limit("DRAM_BYTES"):
            raise VerificationFailure(
                f"segment '{segment.name}' takes {size} bytes of DRAM", hint=way_out("DRAM_BYTES")
            )
        if not 0 <= segment.sram_bytes <= machine.slice_bytes:
            raise VerificationFailure(f"segment '{segment.name}' does not fit the SRAM")
        for what, bound, taken in (
            ("SRAM", segment.sram_bound, segment.sram_bytes),
            ("its workspace", segment.workspace_bound, segment.workspace_bytes),
        ):
            if bound > taken:
                raise VerificationFailure(
                    f"segment '{segment.name}' takes {taken} bytes of {what}, which is below its "
                    f"lower bound of {bound}"
                )
        for binding in (*segment.inputs, *segment.outputs):
            self._binding(binding)
        if not 0 <= segment.setup <= len(segment.commands):
            raise VerificationFailure(
                f"segment '{segment.name}' has a set-up of {segment.setup} commands, and "
                f"{len(segment.commands)} in all"
            )
        layers = self.program.layers
        for index, command in enumerate(segment.commands):
            if not 0 <= command.layer < len(layers):
                raise CommandFailure.of(segment.name, index, f"command {index} has no layer")
            try:
                self._command(index, command)
            except ValueError as error:
                kind = type(command).__name__
                raise CommandFailure.of(
                    segment.name,
                    index,
                    f"command {index} ({kind}) of segment '{segment.name}': {error}",
                    layers[command.layer].name,
                ) from None

    @staticmethod
    def _set_up(command: Command) -> None:
        if not isinstance(command, Load) or command.source.region != "constant":
            raise ValueError("a set-up only loads constants")
        if command.waits:
            raise ValueError("it is of the set-up, which waits for nothing")

    def _binding(self, binding: Binding) -> None:
        tensor = self.program.tensors[binding.tensor]
        if tensor.dtype not in NPU_DTYPES or any(size < 1 for size in tensor.shape):
            raise VerificationFailure(f"tensor '{tensor.name}' is none that the NPU can take")
        size = prod(tensor.shape) * np.dtype(tensor.dtype).itemsize
        if binding.address < 0 or binding.address + size > self.segment.workspace_bytes:
            raise VerificationFailure(f"tensor '{tensor.name}' lies outside of the workspace")

    def _command(self, index: int, command: Command) -> None:
        if index < self.segment.setup:
            self._set_up(command)
        elif any(token < self.segment.setup for token in command.waits):
            raise ValueError("it waits for the set-up, which has ended before a run begins")
        if any(not 0 <= token < index for token in command.waits):
            raise ValueError("it waits for a command that is not before it")
        kind = kind_of(command)
        if kind.loads:
            self._dram(getattr(command, kind.loads), writes=False)
        places = kind.sram_read(command)
        if kind.writes:
            places.append(getattr(command, kind.writes))
        for place in places:
            if place not in self.seen:
                self._sram(place)
        if kind.stores:
            self._dram(getattr(command, kind.stores), writes=True)
        if kind.has_program:
            with_program: Any = command
            for parameter in with_program.parameters:
                _parameter(parameter)
        kind.rule(command)
        if isinstance(command, Vector | Dot | Pool):
            if command.beside:
                self._beside(command)
            self.before = command

    def _beside(self, command: Vector | Dot | Pool) -> None:
        """Each of the two works on one PE, and on another."""
        if self.before is None or self.before.beside:
            raise ValueError("it is beside a command that is beside another, or beside none")
        places: list[int] = []
        for each in (self.before, command):
            first, end = each.result.slice_range
            place = first // PE_SLICES
            if (end - 1) // PE_SLICES != place:
                raise ValueError("it is beside another, and a result of the two lies in both PEs")
            places.append(place)
        if places[0] == places[1]:
            raise ValueError("it is beside another, and their results lie in one PE")

    def _sram(self, place: SramPlace) -> None:
        if isinstance(place, SramTile):
            self._tile(place)
        else:
            self._flat(place)
        self.seen.add(place)

    def _tile(self, tile: SramTile) -> None:
        if tile.element not in ELEMENTS:
            raise ValueError(f"a tile's elements have {tile.element} bytes")
        if tile.order not in ORDERS:
            raise ValueError(f"a tile has the order '{tile.order}'")
        ho, co = tile.slices
        there = self.machine.slices
        if min(ho, co) < 1 or tile.first < 0 or tile.first + tile.images * ho * co > there:
            images = f"{tile.images} x " if tile.images > 1 else ""
            behind = f", behind the first {tile.first}" if tile.first else ""
            raise ValueError(f"a tile lies in {images}{ho} x {co} slices of {there}{behind}")
        if tile.images not in (1, tile.shape[0]):
            raise ValueError(f"{tile.images} parts of a tile's {tile.shape[0]} images lie apart")
        for size, first, extent in zip(tile.shape, tile.offset, tile.extent, strict=True):
            if first < 0 or extent < 1 or first + extent > size:
                raise ValueError("a window leaves its buffer")
        self._sram_range(tile.address, tile.slice_bytes)

    def _sram_range(self, address: int, size: int) -> None:
        if address < 0 or address % self.machine.line_bytes:
            raise ValueError(f"SRAM address {address} is not a multiple of 32")
        if address + size > self.machine.slice_bytes:
            raise ValueError(
                f"SRAM bytes {address} to {address + size} lie beyond the slice's "
                f"{self.machine.slice_bytes}"
            )

    def _flat(self, flat: SramFlat) -> None:
        if flat.size < 1 or flat.slice_bytes < 1 or flat.slice_bytes % self.machine.line_bytes:
            raise ValueError("a parameter's size or share of a slice is impossible")
        if flat.slice_bytes * self.machine.slices < flat.size:
            raise ValueError("a parameter is larger than its slices' shares")
        self._sram_range(flat.address, flat.slice_bytes)

    def _dram_range(self, region: str, first: int, end: int) -> None:
        if region not in self.sizes:
            raise ValueError(f"there is no DRAM region '{region}'")
        if first < 0 or end < first or end > self.sizes[region]:
            raise ValueError(f"DRAM bytes {first} to {end} lie outside of the {region} region")

    def _dram(self, side: DramPlace, *, writes: bool) -> None:
        if isinstance(side, DramFlat):
            self._dram_range(side.region, side.address, side.address + side.size)
            return
        if side.element not in ELEMENTS:
            raise ValueError(f"DRAM elements have {side.element} bytes")
        if len(side.extent) != len(side.strides) or not 1 <= len(side.extent) <= DRAM_RANK:
            raise ValueError("extents and strides differ in number")
        first = last = side.address
        for size, stride in zip(side.extent, side.strides, strict=True):
            if size < 1:
                raise ValueError("an extent is not positive")
            if abs(stride) > GREATEST_STRIDE:
                raise ValueError(f"a stride of {stride} bytes is out of range")
            reach = (size - 1) * stride
            first, last = first + min(reach, 0), last + max(reach, 0)
            if writes and size > 1 and abs(stride) < side.element:
                raise ValueError("it writes the same DRAM bytes twice")
        self._dram_range(side.region, first, last + side.element)
        if writes and side.region != "workspace":
            raise ValueError("it writes to the constants")


def _parameter(parameter: Parameter) -> None:
    shape = parameter.shape
    if parameter.element not in ELEMENTS:
        raise ValueError(f"a parameter's elements have {parameter.element} bytes")
    if shape != (256,) and (len(shape) != 4 or min(shape) < 1):
        raise ValueError(f"a parameter has the shape {shape}")
    if prod(shape) * parameter.element != parameter.memory.size:
        raise ValueError("a parameter's size is not that of its shape")
