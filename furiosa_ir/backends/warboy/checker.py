"""Checks of a whole program: each command by itself, then what holds between commands.

The second part follows the commands in order of issue with a shadow of the memory:

* Read before write: a command reads SRAM or workspace bytes that nothing wrote.
* Races: two commands on different engines touch the same bytes, at least one of them writes, and no
  chain of tokens and engine order puts one before the other. Each engine works in order, so what a
  command knows of the other engine is one number: how far that one has come at least.
* The same of two commands of the NPU, each of which works on one PE: nothing but their results'
  slices tells them apart, so neither writes what the other reads or writes.
* A kernel overwrites what it reads, unless it is the very same tile, which its vector program takes
  element by element, and nothing else of it reads.
* Pinned SRAM: what a segment's set-up loads, no run of any segment writes, and no other set-up.

The shadow has one entry for 32 bytes ("line"), which is what tiles are aligned to; a mask of 32
bits keeps the first check exact to the byte, and a suspected race is confirmed byte for byte.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial

import numpy as np

from furiosa_ir.backends.warboy.enf.commands import ENGINE, DramPlace, SramPlace, kind_of
from furiosa_ir.backends.warboy.enf.records import (
    Command,
    Dot,
    DramFlat,
    NpuSegment,
    Pool,
    SramFlat,
    SramTile,
    Vector,
    is_beside,
)
from furiosa_ir.backends.warboy.enf.tile_blocks import cuts
from furiosa_ir.backends.warboy.enf.validation import CommandFailure, validate_program
from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.vector_engine import INSTRUCTIONS
from furiosa_ir.backends.warboy.written import Written
from furiosa_ir.errors import VerificationFailure
from furiosa_ir.limits import Budget, limit, way_out
from furiosa_ir.numerics.array import Array
from furiosa_ir.program import Binding, Program

LINE = 32


def check_program(program: Program) -> None:
    """Checks every rule of the machine.

    Raises:
        VerificationFailure: the first command that breaks one, with its layer.
    """
    validate_program(program)
    machine = Machine.from_parameters(program.machine)
    segments = [s for s in program.segments if isinstance(s, NpuSegment)]
    taken = max((s.sram_bytes for s in segments), default=0)
    # A small shadow is made in no time; a large one is, too, where it has pages of 2 MiB.
    if taken <= machine.slice_bytes // 4:
        with suppress(_Beyond):
            _check(program, segments, machine, taken)
            return
    _check(program, segments, machine, machine.slice_bytes)


class _Beyond(Exception):
    """A command reads what lies beyond the shadow."""


def _check(
    program: Program, segments: Sequence[NpuSegment], machine: Machine, slice_bytes: int
) -> None:
    """Follows the commands with a shadow of so many bytes of each slice."""
    shape = machine.slices, -(-slice_bytes // LINE)
    checks: list[_SegmentCheck] = []
    pinned = _Pinned(shape)
    for segment in segments:
        with _enough_memory(segment):
            check = _SegmentCheck(program, segment, shape, pinned)
            check.set_up()
            checks.append(check)
    for check in checks:
        with _enough_memory(check.segment):
            check.run()


@contextmanager
def _enough_memory(segment: NpuSegment) -> Generator[None]:
    try:
        yield
    except MemoryError:
        raise VerificationFailure(
            f"segment '{segment.name}' takes more memory than this computer has"
        ) from None


@dataclass(frozen=True, slots=True)
class _Lines:
    """Lines that lie regularly in SRAM: a view of the shadow, and the bytes of its last axis.

    Attributes:
        offset: index of the first line in [slices, lines].
        shape, strides: in lines.
        masks: uint32 [shape[-1]], the bytes concerned of each line.
    """

    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    masks: Array

    def of(self, shadow: Array) -> Array:
        """The view of an int32 or uint32 array [slices, lines]."""
        strides = tuple(4 * stride for stride in self.strides)
        return np.ndarray(self.shape, shadow.dtype, shadow.data, 4 * self.offset, strides)


def _masks(first: int, end: int) -> tuple[int, Array]:
    """(first line, masks) of the bytes [first, end) of a row."""
    start, stop = first // LINE, -(-end // LINE)
    masks = np.full(stop - start, 0xFFFFFFFF, np.uint32)
    masks[0] &= np.uint32((0xFFFFFFFF << (first % LINE)) & 0xFFFFFFFF)
    masks[-1] &= np.uint32(0xFFFFFFFF >> (-end % LINE))
    return start, masks


def _tile_lines(tile: SramTile, lines: int) -> Iterator[_Lines]:
    _, h, _, c = tile.shape
    ho, co = tile.slices
    _, local_h, local_b, local_c = tile.local_shape
    inner = local_c * tile.element // LINE
    row = local_b * inner
    image = local_h * row if tile.images == 1 else ho * co * lines
    n0, h0, w0, c0 = tile.offset
    n, eh, w, ec = tile.extent
    for slice_h, slices_h, h_in, rows in cuts(h0, eh, -(-h // ho)):
        for slice_c, slices_c, c_in, channels in cuts(c0, ec, -(-c // co)):
            low, count = (w0, w) if tile.order == "HCW" else (c_in, channels)
            first, masks = _masks(low * tile.element, (low + count) * tile.element)
            between, extent = (c_in, channels) if tile.order == "HCW" else (w0, w)
            offset = (tile.first + slice_h * co + slice_c) * lines + tile.address // LINE
            offset += n0 * image + h_in * row + between * inner + first
            yield _Lines(
                offset,
                (n, slices_h, rows, slices_c, extent, len(masks)),
                (image, co * lines, row, lines, inner, 1),
                masks,
            )


def _flat_lines(flat: SramFlat, lines: int) -> Iterator[_Lines]:
    whole, rest = divmod(flat.size, flat.slice_bytes)
    first = flat.address // LINE
    if whole:
        _, masks = _masks(0, flat.slice_bytes)
        yield _Lines(first, (whole, len(masks)), (lines, 1), masks)
    if rest:
        _, masks = _masks(0, rest)
        yield _Lines(whole * lines + first, (len(masks),), (1,), masks)


class _Pinned:
    """The bytes that set-ups have loaded.

    Attributes:
        shadow: uint32 [slices, lines].
        end: behind the last of them in a slice: what lies there meets none.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self.shadow = np.zeros(shape, np.uint32)
        self.end = 0


@dataclass(frozen=True, slots=True)
class _Issued:
    """A command that has been issued, as far as races need it."""

    index: int
    command: Command
    reads: Sequence[SramPlace]
    writes: Sequence[SramPlace]


_OTHER = {"dma": "npu", "npu": "dma"}


def _too_many(segment: str) -> VerificationFailure:
    return VerificationFailure(
        f"segment '{segment}' has too many commands that share lines of SRAM, and "
        "no tokens that order them",
        hint=way_out("COMPARISONS"),
    )


class _SegmentCheck:
    """Follows the commands of one segment.

    Args:
        program: for tensors and layers.
        segment: of it.
        shape: of shadows, [slices, lines].
        pinned: what set-ups have loaded, of this segment and of others; `set_up` adds to it.
    """

    def __init__(
        self, program: Program, segment: NpuSegment, shape: tuple[int, int], pinned: _Pinned
    ) -> None:
        self.program, self.segment = program, segment
        self.pinned = pinned
        self.lines = shape[1]
        # Which bytes were ever written; then for each engine the last of its commands (counted
        # from 1) that wrote, or touched, each line.
        self.written = np.zeros(shape, np.uint32)
        self.last_write = {engine: np.zeros(shape, np.int32) for engine in _OTHER}
        self.last_touch = {engine: np.zeros(shape, np.int32) for engine in _OTHER}
        self.scratch = np.zeros(shape, np.uint32)
        self.workspace = Written(segment.workspace_bytes)
        self.issued: dict[str, list[_Issued]] = {engine: [] for engine in _OTHER}
        self.position: list[int] = []
        self.known = dict.fromkeys(_OTHER, 0)
        self._cache: dict[SramPlace, tuple[_Lines, ...]] = {}
        self._loaded: set[SramPlace] = set()  # by the set-up
        self._comparisons = Budget(limit("COMPARISONS"), partial(_too_many, segment.name))

    def set_up(self) -> None:
        """Follows the set-up, which has ended before the first run of any segment begins."""
        for index, command in enumerate(self.segment.commands[: self.segment.setup]):
            with self._about(index, command):
                self._set_up(command)

    def _set_up(self, command: Command) -> None:
        self.position.append(0)
        place = kind_of(command).sram_written(command)
        assert place is not None, "a set-up loads"
        self._within(place)
        self._not_pinned(place)
        for lines in self._of(place):
            for shadow in (self.pinned.shadow, self.written):
                view = lines.of(shadow)
                np.bitwise_or(view, lines.masks, out=view)
        self.pinned.end = max(self.pinned.end, self._end(place))
        self._loaded.add(place)

    def _not_pinned(self, place: SramPlace) -> None:
        if place.address >= self.pinned.end:
            return
        if any(np.any(lines.of(self.pinned.shadow) & lines.masks) for lines in self._of(place)):
            raise ValueError("overwrites what a set-up has loaded")

    @contextmanager
    def _about(self, index: int, command: Command) -> Generator[None]:
        try:
            yield
        except ValueError as error:
            kind = type(command).__name__
            raise CommandFailure.of(
                self.segment.name,
                index,
                f"command {index} ({kind}) of segment '{self.segment.name}' {error}",
                self._layer(command),
            ) from None

    def run(self) -> None:
        """Follows a run, after all set-ups."""
        for binding in self.segment.inputs:
            self.workspace.add(binding.address, [self._size(binding)], [1])
        first = self.segment.setup
        for index, command in enumerate(self.segment.commands[first:], first):
            with self._about(index, command):
                self._command(index, command)
        for binding in self.segment.outputs:
            if not self.workspace.hold(binding.address, [self._size(binding)], [1]):
                name = self.program.tensors[binding.tensor].name
                raise VerificationFailure(
                    f"segment '{self.segment.name}' does not write all of its output '{name}'"
                )

    def _layer(self, command: Command) -> str:
        return self.program.layers[command.layer].name

    def _size(self, binding: Binding) -> int:
        """Bytes of an input or output."""
        tensor = self.program.tensors[binding.tensor]
        return int(np.prod(tensor.shape, dtype=np.int64)) * np.dtype(tensor.dtype).itemsize

    def _of(self, place: SramPlace) -> tuple[_Lines, ...]:
        found = self._cache.get(place)
        if found is None:
            if isinstance(place, SramTile):
                found = tuple(_tile_lines(place, self.lines))
            else:
                found = tuple(_flat_lines(place, self.lines))
            self._cache[place] = found
        return found

    def _command(self, index: int, command: Command) -> None:
        engine = ENGINE[type(command)]
        other = _OTHER[engine]
        for token in command.waits:
            if ENGINE[type(self.segment.commands[token])] == other:
                self.known[engine] = max(self.known[engine], self.position[token])
        kind = kind_of(command)
        reads, written = kind.sram_read(command), kind.sram_written(command)
        writes = [] if written is None else [written]
        position = len(self.issued[engine]) + 1
        self.position.append(position)
        self.issued[engine].append(_Issued(index, command, reads, writes))
        self._dram(command)
        for place in reads:
            self._read(place, engine, position)
        for place in writes:
            self._within(place)
            for source in reads:
                if not _is_in_place(command, source, place) and self._overlap(source, place):
                    raise ValueError("overwrites SRAM that it reads")
            self._write(place, engine, position)
        if is_beside(command):
            self._beside()  # its places are known to lie within the shadow by now

    def _beside(self) -> None:
        """The NPU's last two commands run at the same time: neither writes what the other uses."""
        first, second = self.issued["npu"][-2:]
        self._comparisons.take(len(first.reads) + len(second.reads) + 2)
        for mine, other in ((first, second), (second, first)):
            for place in mine.writes:
                if any(self._overlap(place, p) for p in (*other.reads, *other.writes)):
                    kind = type(first.command).__name__
                    raise ValueError(
                        f"is beside command {first.index} ({kind}) of layer "
                        f"'{self._layer(first.command)}', and one writes SRAM that the other uses"
                    )

    def _within(self, place: SramPlace) -> None:
        if self._end(place) > self.segment.sram_bytes:
            raise ValueError("writes beyond the SRAM that its segment declares")

    @staticmethod
    def _end(place: SramPlace) -> int:
        return place.address + place.slice_bytes

    def _read(self, place: SramPlace, engine: str, position: int) -> None:
        if place in self._loaded:
            return  # all of it is there, and who writes it in a run is refused
        if self._end(place) > self.lines * LINE:
            raise _Beyond
        other = _OTHER[engine]
        for lines in self._of(place):
            if np.any(~lines.of(self.written) & lines.masks):
                raise ValueError("reads SRAM that nothing wrote")
            if lines.of(self.last_write[other]).max() > self.known[engine]:
                self._confirm(place, engine, writes=False)
            lines.of(self.last_touch[engine])[...] = position

    def _write(self, place: SramPlace, engine: str, position: int) -> None:
        other = _OTHER[engine]
        self._not_pinned(place)
        for lines in self._of(place):
            if lines.of(self.last_touch[other]).max() > self.known[engine]:
                self._confirm(place, engine, writes=True)
            lines.of(self.last_touch[engine])[...] = position
            lines.of(self.last_write[engine])[...] = position
            view = lines.of(self.written)
            np.bitwise_or(view, lines.masks, out=view)

    def _confirm(self, place: SramPlace, engine: str, *, writes: bool) -> None:
        """A line is shared; it is a race if bytes are."""
        for rival in self.issued[_OTHER[engine]][self.known[engine] :]:
            places = [*rival.writes, *(rival.reads if writes else ())]
            self._comparisons.take(len(places))
            if any(self._overlap(place, p) for p in places):
                kind = type(rival.command).__name__
                raise ValueError(
                    f"races with command {rival.index} ({kind}) of layer "
                    f"'{self._layer(rival.command)}': they share SRAM and no token orders them"
                )

    def _overlap(self, a: SramPlace, b: SramPlace) -> bool:
        if a.address >= self._end(b) or b.address >= self._end(a):
            return False
        for lines in self._of(a):
            view = lines.of(self.scratch)
            np.bitwise_or(view, lines.masks, out=view)
        shared = any(np.any(lines.of(self.scratch) & lines.masks) for lines in self._of(b))
        for lines in self._of(a):
            lines.of(self.scratch)[...] = 0
        return shared

    def _dram(self, command: Command) -> None:
        """Only the DMA engine touches DRAM, in order: what is left is reading before writing."""
        kind = kind_of(command)
        source, target = kind.dram_read(command), kind.dram_written(command)
        if (
            source is not None
            and source.region == "workspace"
            and not self.workspace.hold(*_bytes(source))
        ):
            raise ValueError("reads DRAM that nothing wrote")
        if target is not None:
            self.workspace.add(*_bytes(target))


def _is_in_place(command: Command, source: SramPlace, target: SramPlace) -> bool:
    """Whether a command that reads and writes one tile reads each element before it writes it.

    That is so if its vector program takes the tile element by element, and nothing else reads it.
    """
    if source != target or not isinstance(command, Vector | Dot | Pool):
        return False
    heads = () if isinstance(command, Vector) else (command.x,)
    if isinstance(command, Dot):
        heads = (*heads, command.weight, command.bias)
    return source not in heads and all(
        INSTRUCTIONS[instruction.opcode].elementwise for instruction in command.program
    )


def _bytes(side: DramPlace) -> tuple[int, Sequence[int], Sequence[int]]:
    """(address, extent, strides) of the bytes of a DRAM window."""
    if isinstance(side, DramFlat):
        return side.address, [side.size], [1]
    if side.element == 1:
        return side.address, side.extent, side.strides
    return side.address, (*side.extent, side.element), (*side.strides, 1)
