"""Writes ENF 1."""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from furiosa_ir.backends.warboy.enf import layout
from furiosa_ir.backends.warboy.enf.flatbuffer import Row, encode
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
from furiosa_ir.backends.warboy.enf.section import Section, section_chunks, section_size
from furiosa_ir.files import whole_file
from furiosa_ir.numerics.array import Array
from furiosa_ir.program import DeviceSegment, HostSegment, Program, Tensor

_ORDER = {name: i for i, name in enumerate(layout.ORDERS)}
_REGION = {name: i for i, name in enumerate(layout.REGIONS)}
_OPCODE = {name: i for i, name in enumerate(layout.OPCODES)}
_MODE = {name: i for i, name in enumerate(layout.MODES)}
_KIND = {name: i for i, name in enumerate(layout.COMMAND_KINDS)}
_NOTHING = (0, 0, 0)


def write_program(program: Program) -> bytes:
    """The bytes of an ENF file; the same program gives the same bytes."""
    file = io.BytesIO()
    write_sections(program, file)
    return file.getvalue()


def write_sections(program: Program, file: BinaryIO) -> None:
    """Writes an ENF file, section by section; the checksum comes last, at its place in front.

    Args:
        program: the program.
        file: an empty file that can be sought in.
    """
    sections = _Sections()
    body = encode("Program", _program_row(program, sections))
    checksum = 0
    file.write(layout.MAGIC + bytes(4) + layout.VERSION)
    for part in _parts(body, sections.sections):
        checksum = zlib.crc32(part, checksum)
        file.write(part)
    file.seek(len(layout.MAGIC))
    file.write(checksum.to_bytes(4, "little"))


def _parts(body: bytes, sections: Sequence[Section]) -> Iterator[memoryview | bytes]:
    """Everything that the checksum covers, in order."""
    yield bytes(layout.HEADER_BYTES - 10)
    yield body
    size = layout.HEADER_BYTES + len(body)
    for section in sections:
        padding = -size % layout.SECTION_ALIGNMENT
        yield bytes(padding)
        yield from section_chunks(section)
        size += padding + section_size(section)


def save_program(program: Program, path: str | os.PathLike[str]) -> None:
    """Writes an ENF file; whoever reads `path` meanwhile finds the old file or the new one.

    Constants go from where they lie to the file: memory for a few MiB of them is all it takes.

    Raises:
        OSError: the folder cannot be written to.
    """
    with whole_file(Path(path)) as file:
        write_sections(program, file)


@dataclass
class _Sections:
    """The sections of a file.

    Attributes:
        sections: in order.
        end: bytes from the first section to where the next one begins.
    """

    sections: list[Section] = field(default_factory=list[Section])
    end: int = 0

    def add(self, data: Section) -> tuple[int, int]:
        """Appends a section; its (offset, size) from the first section on."""
        offset, size = self.end, section_size(data)
        self.end += -(-size // layout.SECTION_ALIGNMENT) * layout.SECTION_ALIGNMENT
        self.sections.append(data)
        return offset, size


def _segment_row(segment: DeviceSegment | HostSegment, sections: _Sections) -> Row:
    if isinstance(segment, HostSegment):
        return {"host": _host_row(segment, sections)}
    assert isinstance(segment, NpuSegment), "a segment of another backend"
    return {"npu": _npu_row(segment, sections)}


def _program_row(program: Program, sections: _Sections) -> Row:
    return {
        "target": program.target,
        "machine": [{"name": k, "value": v} for k, v in program.machine.items()],
        "tensors": [_tensor_row(tensor) for tensor in program.tensors],
        "inputs": _u32(program.inputs),
        "outputs": _u32(program.outputs),
        "segments": [_segment_row(segment, sections) for segment in program.segments],
        "layers": [
            {
                "name": layer.name,
                "operator": layer.operator,
                "segment": layer.segment,
                "macs": layer.macs,
                "weight_bytes": layer.weight_bytes,
            }
            for layer in program.layers
        ],
        "compiler": program.compiler,
        "options": [{"name": k, "value": v} for k, v in program.options.items()],
        "pipeline": program.pipeline,
        "source_hash": program.source_hash,
        "source_framework": program.source_framework,
        "resumed": [
            {"passes": r.passes, "text": layout.TEXT_STATES.index(r.text)} for r in program.resumed
        ]
        or None,
        "output_names": [{"name": name} for name in program.output_names] or None,
        "variables": [
            {
                "name": variable.name,
                "before": variable.before,
                "after": variable.after,
                "initial": sections.add(variable.initial),
            }
            for variable in program.variables
        ]
        or None,
    }


def _u32(values: Iterable[int]) -> Array:
    return np.array(list(values), "<u4")


def _tensor_row(tensor: Tensor) -> Row:
    return {
        "name": tensor.name,
        "dtype": tensor.dtype,
        "shape": np.array(tensor.shape, "<i8"),
        "scale": tensor.scale,
        "zero_point": tensor.zero_point,
    }


def _host_row(segment: HostSegment, sections: _Sections) -> Row:
    names = ("operator", "layer", "hint", "reason")
    return {
        "name": segment.name,
        "framework": layout.FRAMEWORKS.index(segment.framework),
        "inputs": _u32(segment.inputs),
        "outputs": _u32(segment.outputs),
        "model": sections.add(segment.model),
        "operators": [dict(zip(names, row, strict=True)) for row in segment.operators],
    }


def _npu_row(segment: NpuSegment, sections: _Sections) -> Row:
    packed = _Packed()
    for command in segment.commands:
        packed.add(command)
    return {
        "name": segment.name,
        "inputs": _structs([(b.address, b.tensor) for b in segment.inputs], layout.BINDING),
        "outputs": _structs([(b.address, b.tensor) for b in segment.outputs], layout.BINDING),
        "workspace_bytes": segment.workspace_bytes,
        "sram_bytes": segment.sram_bytes,
        "constants": sections.add(segment.constants),
        "commands": _structs(packed.commands, layout.COMMAND),
        "waits": _u32(packed.waits),
        "load_tiles": _structs(packed.load_tiles, layout.LOAD_TILE),
        "load_flats": _structs(packed.load_flats, layout.LOAD_FLAT),
        "stores": _structs(packed.stores, layout.STORE),
        "copies": _structs(packed.copies, layout.COPY),
        "vectors": _structs(packed.vectors, layout.VECTOR),
        "dots": _structs(packed.dots, layout.DOT),
        "pools": _structs(packed.pools, layout.POOL),
        "operands": _structs(packed.operands, layout.SRAM_TILE),
        "parameters": _structs(packed.parameters, layout.PARAMETER),
        "instructions": _structs(packed.instructions, layout.INSTRUCTION),
        "registers": np.array(packed.registers, "<u2"),
        "immediates": np.array(packed.immediates, "<i8"),
    }


def _structs(rows: Sequence[tuple[Any, ...]], dtype: np.dtype[Any]) -> Array:
    # Zeros first: the padding between fields is part of the file.
    array = np.zeros(len(rows), dtype)
    if rows:
        array[:] = rows
    return array


class _Packed:
    """The commands of a segment as rows of structs."""

    def __init__(self) -> None:
        self.commands: list[tuple[Any, ...]] = []
        self.waits: list[int] = []
        self.load_tiles: list[tuple[Any, ...]] = []
        self.load_flats: list[tuple[Any, ...]] = []
        self.stores: list[tuple[Any, ...]] = []
        self.copies: list[tuple[Any, ...]] = []
        self.vectors: list[tuple[Any, ...]] = []
        self.dots: list[tuple[Any, ...]] = []
        self.pools: list[tuple[Any, ...]] = []
        self.operands: list[tuple[Any, ...]] = []
        self.parameters: list[tuple[Any, ...]] = []
        self.instructions: list[tuple[Any, ...]] = []
        self.registers: list[int] = []
        self.immediates: list[int] = []

    def add(self, command: Command) -> None:
        kind = self._add(command)
        self.commands.append((command.layer, len(command.waits), _KIND[kind]))
        self.waits += command.waits

    def _add(self, command: Command) -> str:
        match command:
            case Load(source=DramTile() as source, target=SramTile() as target):
                self.load_tiles.append((_dram_tile(source), _sram_tile(target)))
                return "load_tile"
            case Load(source=DramFlat() as source, target=SramFlat() as target):
                place = (source.address, source.size, _REGION[source.region])
                self.load_flats.append((place, _sram_flat(target)))
                return "load_flat"
            case Store(source=source, target=target):
                self.stores.append((_sram_tile(source), _dram_tile(target)))
                return "store"
            case Copy(source=source, target=target):
                self.copies.append((_dram_view(source), _dram_view(target)))
                return "copy"
            case Vector():
                self.vectors.append((_sram_tile(command.result), *self._counts(command)))
                return "vector"
            case Dot():
                self.dots.append(self._dot(command))
                return "dot"
            case Pool():
                self.pools.append(self._pool(command))
                return "pool"
            case Load():
                raise ValueError("a Load moves a tile to a tile or bytes to bytes")

    def _counts(self, command: Vector | Dot | Pool) -> tuple[int, int, int]:
        """Appends what varies in length; (operands, parameters, instructions)."""
        self.operands += [_sram_tile(tile) for tile in command.operands]
        for p in command.parameters:
            shape = (*p.shape, *[0] * (4 - len(p.shape)))
            self.parameters.append((_sram_flat(p.memory), shape, len(p.shape), p.element))
        for i in command.program:
            counts = len(i.operands), len(i.immediates)
            self.instructions.append((_OPCODE[i.opcode], _MODE[i.mode], i.element, *counts))
            self.registers += i.operands
            self.immediates += i.immediates
        return len(command.operands), len(command.parameters), len(command.program)

    def _dot(self, c: Dot) -> tuple[Any, ...]:
        return (
            _sram_tile(c.x),
            _sram_tile(c.result),
            _NOTHING if c.weight is None else _sram_flat(c.weight),
            _NOTHING if c.bias is None else _sram_flat(c.bias),
            c.weight_shape,
            c.strides,
            c.dilations,
            c.input_dilation,
            c.pads,
            c.group,
            c.x_zp,
            c.weight_zp,
            *self._counts(c),
            c.weight is not None,
            c.bias is not None,
            c.batched,
        )

    def _pool(self, c: Pool) -> tuple[Any, ...]:
        return (
            _sram_tile(c.x),
            _sram_tile(c.result),
            c.window,
            c.strides,
            c.dilations,
            c.pads,
            c.x_zp,
            *self._counts(c),
            layout.POOL_KINDS.index(c.kind),
        )


def _sram_tile(t: SramTile) -> tuple[Any, ...]:
    return t.address, t.shape, t.slices, t.offset, t.extent, _ORDER[t.order], t.element


def _sram_flat(f: SramFlat) -> tuple[int, int, int]:
    return f.address, f.slice_bytes, f.size


def _dram_tile(t: DramTile) -> tuple[Any, ...]:
    return t.address, t.extent, t.strides, _REGION[t.region], t.element


def _dram_view(v: DramView) -> tuple[Any, ...]:
    rank = len(v.extent)
    rest = [0] * (layout.DRAM_RANK - rank)
    region = _REGION[v.region]
    return v.address, (*v.extent, *rest), (*v.strides, *rest), rank, region, v.element
