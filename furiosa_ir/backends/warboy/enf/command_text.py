"""Commands as people read them: `operation  result <- operands`.

Memory is written `sram[address]`, tiles with their window (N, H, W, C), slices Ho x Co
(images x Ho x Co, where each has its own; @ the first of them, if it is not 0) and order.
"""

from __future__ import annotations

from collections.abc import Sequence

from furiosa_ir.backends.warboy.enf.records import (
    Copy,
    Dot,
    DramFlat,
    DramTile,
    DramView,
    Load,
    Pool,
    SramFlat,
    SramTile,
    Store,
    Vector,
)
from furiosa_ir.backends.warboy.vector_engine import Instruction

_MOST_IMMEDIATES = 8


def move_text(command: Load | Store | Copy) -> str:
    """What is moved from where to where."""
    return (
        f"{type(command).__name__.lower():7} {_place(command.target)} <- {_place(command.source)}"
    )


def vector_text(command: Vector) -> str:
    """Operands and program of a `Vector`."""
    return f"vector  {_place(command.result)} <- {_epilogue(command)}"


def pool_text(command: Pool) -> str:
    """Window and program of a `Pool`."""
    window = "x".join(map(str, command.window))
    parts = [f"{command.kind} {window}", _steps(command), f"zp {command.x_zp}"]
    head = " ".join(part for part in parts if part)
    text = f"pool    {_place(command.result)} <- {_place(command.x)} {head}"
    return f"{text} {_epilogue(command)}".rstrip()


def dot_text(command: Dot) -> str:
    """Factors and program of a `Dot`."""
    return f"dot     {_place(command.result)} <- {_factors(command)}"


def _factors(command: Dot) -> str:
    parts = [_place(command.x)]
    if command.weight is not None:
        shape = "x".join(map(str, command.weight_shape))
        parts.append(f"* {_place(command.weight)}({shape})")
    elif command.batched:
        parts.append("* operand 0")
    if command.bias is not None:
        parts.append(f"+ {_place(command.bias)}")
    if command.group > 1:
        parts.append(f"group {command.group}")
    parts += [_steps(command), f"zp {command.x_zp},{command.weight_zp}", _epilogue(command)]
    return " ".join(part for part in parts if part)


def _steps(command: Dot | Pool) -> str:
    """Strides, dilations and padding, where they do something."""
    parts: list[str] = []
    if command.strides != (1, 1):
        parts.append(f"stride {_pair(command.strides)}")
    if command.dilations != (1, 1):
        parts.append(f"dilation {_pair(command.dilations)}")
    if isinstance(command, Dot) and command.input_dilation != (1, 1):
        parts.append(f"input_dilation {_pair(command.input_dilation)}")
    if any(command.pads):
        parts.append(f"pads {','.join(map(str, command.pads))}")
    return " ".join(parts)


def _pair(pair: Sequence[int]) -> str:
    return "x".join(map(str, pair))


def _epilogue(command: Vector | Dot | Pool) -> str:
    operands = [_place(tile) for tile in command.operands]
    operands += [
        f"{_place(p.memory)}({_pair(p.shape)}:i{8 * p.element})" for p in command.parameters
    ]
    first = len(operands) + (0 if isinstance(command, Vector) else 1)
    program = "; ".join(
        f"r{number} = {_instruction(instruction)}"
        for number, instruction in enumerate(command.program, first)
    )
    text = f"({', '.join(operands)})" if operands else ""
    return f"{text} {{{program}}}".strip() if program else text


def _instruction(instruction: Instruction) -> str:
    name = f"{instruction.opcode}.{instruction.mode}" if instruction.mode else instruction.opcode
    registers = ", ".join(f"r{register}" for register in instruction.operands)
    immediates = instruction.immediates
    shown = ", ".join(map(str, immediates[:_MOST_IMMEDIATES]))
    if len(immediates) > _MOST_IMMEDIATES:
        shown += f", ... {len(immediates)} in all"
    return f"{name} {registers}{f' [{shown}]' if shown else ''} -> i{_bits(instruction.element)}"


def _bits(element: int) -> int:
    return 48 if element == 8 else 8 * element


def _place(place: SramTile | SramFlat | DramTile | DramFlat | DramView) -> str:
    match place:
        case SramTile():
            window = "".join(
                f"{'' if i == 0 else ','}{first}+{size}" if first else f"{',' if i else ''}{size}"
                for i, (first, size) in enumerate(zip(place.offset, place.extent, strict=True))
            )
            ho, co = place.slices
            kind = "" if place.element == 1 else f":i{_bits(place.element)}"
            slices = f"{place.images}x{ho}x{co}" if place.images > 1 else f"{ho}x{co}"
            slices += f"@{place.first}" if place.first else ""
            return f"sram[{place.address:#x}]({window}{kind} {slices} {place.order})"
        case SramFlat():
            return f"sram[{place.address:#x}]({place.size} bytes)"
        case DramFlat():
            return f"{place.region}[{place.address:#x}]({place.size} bytes)"
        case DramTile() | DramView():
            extent = ",".join(map(str, place.extent))
            strides = ",".join(map(str, place.strides))
            return f"{place.region}[{place.address:#x}]({extent} strides {strides})"
