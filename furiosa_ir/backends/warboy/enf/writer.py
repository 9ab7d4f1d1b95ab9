"""Writes ENF 1."""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from furiosa_ir.backends.warboy.enf import layout
from furiosa_ir.backends.warboy.enf.command_vectors import write_commands
from furiosa_ir.backends.warboy.enf.flatbuffer import Row, encode
from furiosa_ir.backends.warboy.enf.records import NpuSegment
from furiosa_ir.backends.warboy.enf.section import Section, section_chunks, section_size
from furiosa_ir.files import whole_file
from furiosa_ir.numerics.array import Array
from furiosa_ir.program import Binding, DeviceSegment, HostSegment, Program, Tensor


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
    return {
        "name": segment.name,
        "inputs": _bindings(segment.inputs),
        "outputs": _bindings(segment.outputs),
        "workspace_bytes": segment.workspace_bytes,
        "sram_bytes": segment.sram_bytes,
        "constants": sections.add(segment.constants),
        **write_commands(segment.commands),
        "sram_bound": segment.sram_bound,
        "workspace_bound": segment.workspace_bound,
        "setup": segment.setup,
    }


def _bindings(bindings: Sequence[Binding]) -> Array:
    # Zeros first: the padding between fields is part of the file.
    structs = np.zeros(len(bindings), layout.BINDING)
    structs["address"] = [binding.address for binding in bindings]
    structs["tensor"] = [binding.tensor for binding in bindings]
    return structs
