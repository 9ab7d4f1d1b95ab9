"""Single changes of a program's records: immediates, addresses, pads, constants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from furiosa_ir.backends.warboy.enf.records import (
    Command,
    Copy,
    Dot,
    DramFlat,
    DramTile,
    Load,
    NpuSegment,
    Pool,
    SramTile,
    Store,
    Vector,
)
from furiosa_ir.backends.warboy.enf.section import section_view
from furiosa_ir.backends.warboy.vector_engine import INSTRUCTIONS, Instruction
from furiosa_ir.program import Program

Change = Callable[[np.random.Generator], Program]

_KINDS = {
    "rescale": ("zero point", "zero point", "clamp bound", "clamp bound"),
    "clamp": ("clamp bound", "clamp bound"),
    "divide": ("zero point", "clamp bound", "clamp bound"),
}
_ROUNDINGS = list(INSTRUCTIONS["rescale"].modes)


@dataclass(frozen=True)
class Site:
    """Something that can be changed; see `ir_mutations.Site`. `change` makes a new program."""

    kind: str
    what: str
    change: Change


def sites(program: Program) -> list[Site]:
    """All places of a program where one number can be another."""
    found: list[Site] = []
    for index, segment in enumerate(program.segments):
        if isinstance(segment, NpuSegment):
            for number, command in enumerate(segment.commands):
                found += _of_command(program, index, segment, number, command)
    return found


def _of_command(
    program: Program, index: int, segment: NpuSegment, number: int, command: Command
) -> list[Site]:
    found: list[Site] = []
    name = type(command).__name__.lower()

    def site(kind: str, changed: Callable[[np.random.Generator], Command]) -> None:
        def change(rng: np.random.Generator) -> Program:
            commands = list(segment.commands)
            commands[number] = changed(rng)
            return _with_segment(program, index, replace(segment, commands=tuple(commands)))

        found.append(Site(kind, name, change))

    if isinstance(command, Dot | Pool | Vector):
        for at, instruction in enumerate(command.program):
            for place, kind in enumerate(_KINDS.get(instruction.opcode, ())):
                site(kind, lambda rng, at=at, place=place: _immediate(command, at, place, rng))
            if instruction.opcode == "rescale":
                site("rounding", lambda rng, at=at: _rounding(command, at, rng))
        for at, tile in enumerate(command.operands):
            if tile.offset != (0, 0, 0, 0):
                site("slice offset", lambda _, at=at: _operand(command, at))
    if isinstance(command, Dot | Pool):
        site("zero point", lambda rng: replace(command, x_zp=_step(command.x_zp, rng)))
        if any(command.pads):
            site("pads", lambda _: replace(command, pads=_shifted(command.pads)))
    if isinstance(command, Load | Store | Copy):
        site("address", lambda rng: _moved(command, rng))
    if isinstance(command, Load) and isinstance(command.source, DramFlat):
        source = command.source

        def constant(rng: np.random.Generator) -> Program:
            data = np.frombuffer(section_view(segment.constants), np.uint8).copy()
            at = source.address + int(rng.integers(source.size))
            data[at] = (int(data[at]) + int(rng.choice((-1, 1)))) % 256
            return _with_segment(program, index, replace(segment, constants=data.data))

        found.append(Site("constant", name, constant))
    return found


def _with_segment(program: Program, index: int, segment: NpuSegment) -> Program:
    segments = list(program.segments)
    segments[index] = segment
    return replace(program, segments=tuple(segments))


def _step(value: int, rng: np.random.Generator, low: int = -128, high: int = 127) -> int:
    step = int(rng.choice((-1, 1)))
    return value + (step if low <= value + step <= high else -step)


def _with_instruction(
    command: Dot | Pool | Vector, at: int, instruction: Instruction
) -> Dot | Pool | Vector:
    program = list(command.program)
    program[at] = instruction
    return replace(command, program=tuple(program))


def _immediate(
    command: Dot | Pool | Vector, at: int, place: int, rng: np.random.Generator
) -> Command:
    instruction = command.program[at]
    values = list(instruction.immediates)
    wide = abs(values[place]) > 128
    limit = (1 << 31) - 2
    values[place] = _step(values[place], rng, *((-limit, limit) if wide else (-128, 127)))
    return _with_instruction(command, at, replace(instruction, immediates=tuple(values)))


def _rounding(command: Dot | Pool | Vector, at: int, rng: np.random.Generator) -> Command:
    instruction = command.program[at]
    others = [m for m in _ROUNDINGS if m != instruction.mode]
    mode = others[int(rng.integers(len(others)))]
    return _with_instruction(command, at, replace(instruction, mode=mode))


def _operand(command: Dot | Pool | Vector, at: int) -> Command:
    tile = command.operands[at]
    axis = next(i for i, o in enumerate(tile.offset) if o)
    offset = list(tile.offset)
    offset[axis] -= 1
    moved: SramTile = replace(tile, offset=(offset[0], offset[1], offset[2], offset[3]))
    operands = list(command.operands)
    operands[at] = moved
    return replace(command, operands=tuple(operands))


def _shifted(pads: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """One row (or column) of padding from one side to the other."""
    moved = list(pads)
    source = next(i for i, p in enumerate(pads) if p > 0)
    moved[source] -= 1
    moved[(source + 2) % 4] += 1
    return moved[0], moved[1], moved[2], moved[3]


def _moved(command: Load | Store | Copy, rng: np.random.Generator) -> Command:
    """The DRAM side one element (or 64 bytes, of parameters) on."""
    side = command.target if isinstance(command, Store) else command.source
    step = 64 if isinstance(side, DramFlat) else side.element
    address = max(0, side.address + step * int(rng.choice((-1, 1))))
    if isinstance(command, Store):
        return replace(command, target=replace(command.target, address=address))
    if isinstance(command, Copy):
        return replace(command, source=replace(command.source, address=address))
    assert isinstance(side, DramTile | DramFlat)
    return replace(command, source=replace(side, address=address))
