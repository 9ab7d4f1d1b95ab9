"""A program as text, one line a command."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from furiosa_ir.backends.warboy.enf.records import (
    Command,
    Copy,
    Dot,
    DramFlat,
    DramTile,
    DramView,
    Load,
    NpuSegment,
    Pool,
    SramFlat,
    SramTile,
    Store,
    Vector,
)
from furiosa_ir.backends.warboy.enf.section import section_size
from furiosa_ir.backends.warboy.vector_engine import Instruction
from furiosa_ir.program import HostSegment, Program, Tensor

_MOST_IMMEDIATES = 8


def disassemble(program: Program) -> Iterator[str]:
    """The program's lines, without line ends: a head, then each segment with its commands.

    A command's line is `index  operation  operands  ; waits  layer`. Memory is written
    `sram[address]`, tiles with their window (N, H, W, C), slices Ho x Co and order.
    """
    yield f"program {program.target}"
    if program.compiler:
        yield f"compiler {program.compiler}"
    if program.source_hash:
        yield f"source {program.source_framework} {program.source_hash}"
    for index in program.inputs:
        yield f"input {_tensor(program.tensors[index])}"
    for tensor in program.output_tensors:
        yield f"output {_tensor(tensor)}"
    for variable in program.variables:
        before, after = program.tensors[variable.before], program.tensors[variable.after]
        yield f"variable {_tensor(replace(before, name=variable.name))} <- {after.name}"
    for segment in program.segments:
        yield ""
        if isinstance(segment, NpuSegment):
            yield from _npu(program, segment)
        elif isinstance(segment, HostSegment):
            yield from _host(program, segment)


def _tensor(tensor: Tensor) -> str:
    shape = "x".join("?" if size < 0 else str(size) for size in tensor.shape)
    quantised = f" scale {tensor.scale:.9g} zp {tensor.zero_point}" if tensor.scale else ""
    return f"{tensor.name}: {tensor.dtype}[{shape}]{quantised}"


def _host(program: Program, segment: HostSegment) -> Iterator[str]:
    size = memoryview(segment.model).nbytes
    yield f"host segment {segment.name}: {segment.framework} model of {size} bytes"
    for word, indices in (("input", segment.inputs), ("output", segment.outputs)):
        for index in indices:
            yield f"    {word} {_tensor(program.tensors[index])}"
    for operator, layer, hint, reason in segment.operators:
        yield f"    {operator} '{layer}': Hint [{hint}]: {reason}"


def _npu(program: Program, segment: NpuSegment) -> Iterator[str]:
    constants = section_size(segment.constants)
    yield (
        f"npu segment {segment.name}: workspace {segment.workspace_bytes}, "
        f"sram {segment.sram_bytes}, constants {constants} bytes"
    )
    for word, bindings in (("input", segment.inputs), ("output", segment.outputs)):
        for binding in bindings:
            tensor = _tensor(program.tensors[binding.tensor])
            yield f"    {word} {tensor} at workspace[{binding.address:#x}]"
    width = len(str(len(segment.commands)))
    for index, command in enumerate(segment.commands):
        waits = f"waits {','.join(map(str, command.waits))}  " if command.waits else ""
        layer = program.layers[command.layer].name
        yield f"    {index:{width}}  {_command(command)}  ; {waits}{layer}"


def _command(command: Command) -> str:
    match command:
        case Load(source=source, target=target):
            return f"load    {_place(target)} <- {_place(source)}"
        case Store(source=source, target=target):
            return f"store   {_place(target)} <- {_place(source)}"
        case Copy(source=source, target=target):
            return f"copy    {_place(target)} <- {_place(source)}"
        case Vector():
            return f"vector  {_place(command.result)} <- {_epilogue(command)}"
        case Pool():
            window = "x".join(map(str, command.window))
            parts = [f"{command.kind} {window}", _steps(command), f"zp {command.x_zp}"]
            head = " ".join(part for part in parts if part)
            text = f"pool    {_place(command.result)} <- {_place(command.x)} {head}"
            return f"{text} {_epilogue(command)}".rstrip()
        case Dot():
            return f"dot     {_place(command.result)} <- {_dot(command)}"


def _dot(command: Dot) -> str:
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
            return f"sram[{place.address:#x}]({window}{kind} {ho}x{co} {place.order})"
        case SramFlat():
            return f"sram[{place.address:#x}]({place.size} bytes)"
        case DramFlat():
            return f"{place.region}[{place.address:#x}]({place.size} bytes)"
        case DramTile() | DramView():
            extent = ",".join(map(str, place.extent))
            strides = ",".join(map(str, place.strides))
            return f"{place.region}[{place.address:#x}]({extent} strides {strides})"
