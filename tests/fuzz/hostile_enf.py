"""ENF files of some KiB that ask for gigabytes or minutes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import flatbuffers
import numpy as np

from furiosa_ir.backends.warboy.enf import flatbuffer, layout
from furiosa_ir.backends.warboy.enf.records import DramTile, Load, Vector
from furiosa_ir.backends.warboy.enf.writer import write_program
from furiosa_ir.backends.warboy.machine import load_machine
from furiosa_ir.program import Program
from tests.backends.warboy.simulator.program_builder import ProgramBuilder
from tests.fuzz.mutators import seal_enf


def _file(body: bytes, sections: bytes = b"") -> bytes:
    data = bytes(layout.HEADER_BYTES) + body
    return seal_enf(data + bytes(-len(data) % layout.SECTION_ALIGNMENT) + sections)


def _slots(builder: flatbuffers.Builder, table: str, offsets: dict[str, int]) -> int:
    """A table with references only."""
    fields = layout.TABLES[table]
    builder.StartObject(len(fields))
    for slot, field in enumerate(fields):
        if field.name in offsets:
            builder.PrependUOffsetTRelativeSlot(slot, offsets[field.name], 0)
    return int(builder.EndObject())


def _references(builder: flatbuffers.Builder, target: int, count: int) -> int:
    builder.StartVector(4, count, 4)
    for _ in range(count):
        builder.PrependUOffsetTRelative(target)
    return int(builder.EndVector())


def _program(builder: flatbuffers.Builder, **offsets: int) -> bytes:
    machine: list[int] = []
    for name, value in load_machine("warboy").parameters().items():
        text = builder.CreateString(name)
        builder.StartObject(2)
        builder.PrependUOffsetTRelativeSlot(0, text, 0)
        builder.PrependInt64Slot(1, value, 0)
        machine.append(builder.EndObject())
    builder.StartVector(4, len(machine), 4)
    for offset in machine:
        builder.PrependUOffsetTRelative(offset)
    offsets["machine"] = builder.EndVector()
    offsets["target"] = builder.CreateString("warboy")
    root = _slots(builder, "Program", offsets)
    builder.FinishSizePrefixed(root, file_identifier=layout.IDENTIFIER)
    return _file(bytes(builder.Output()))


def _shared_vector() -> bytes:
    """Eleven thousand tensors that are one, whose shape has six thousand extents."""
    builder = flatbuffers.Builder(1 << 16)
    shape = builder.CreateNumpyVector(np.ones(6000, np.int64))
    dtype = builder.CreateString("int8")
    tensor = _slots(builder, "Tensor", {"shape": shape, "dtype": dtype})
    return _program(builder, tensors=_references(builder, tensor, 11_000))


def _shared_string() -> bytes:
    """Options of one long name."""
    builder = flatbuffers.Builder(1 << 16)
    name = builder.CreateString("x" * 400_000)
    option = _slots(builder, "Option", {"name": name, "value": name})
    return _program(builder, options=_references(builder, option, 100_000))


def _shared_commands() -> bytes:
    """NPU segments that are one, with fifty thousand commands."""
    builder = flatbuffers.Builder(1 << 16)
    builder.StartVector(12, 50_000, 4)
    for _ in range(50_000):
        builder.Pad(12)
    segment = _slots(builder, "NpuSegment", {"commands": builder.EndVector()})
    outer = _slots(builder, "Segment", {"npu": segment})
    return _program(builder, segments=_references(builder, outer, 20_000))


def _shared_table() -> bytes:
    """A million segments would take twenty fields each."""
    builder = flatbuffers.Builder(1 << 16)
    outer = _slots(builder, "Segment", {"npu": _slots(builder, "NpuSegment", {})})
    return _program(builder, segments=_references(builder, outer, 250_000))


def _shared_section() -> bytes:
    """Sub-models that are one: each is taken in when it first runs."""
    model = {"framework": 0, "model": (0, 500_000)}
    segments = [{"host": {"name": f"host_{i}", **model}} for i in range(4000)]
    return _file(flatbuffer.encode("Program", _row(segments=segments)), bytes(500_000))


def _row(**fields: Any) -> dict[str, Any]:
    machine = {**load_machine("warboy").parameters(), **fields.pop("machine", {})}
    rows = [{"name": name, "value": value} for name, value in machine.items()]
    return {"target": "warboy", "machine": rows, **fields}


def _clock(**machine: int) -> Callable[[], bytes]:
    """A machine of impossible parameters, and one command whose time is asked for."""

    def build() -> bytes:
        program = _copying()
        return write_program(replace(program, machine={**program.machine, **machine}))

    return build


def _copying() -> Program:
    builder = ProgramBuilder()
    builder.output(builder.input((1, 8, 8, 32)))
    return builder.program()


def races(count: int) -> Program:
    """Commands of both engines that touch one line of SRAM, never the same bytes of it."""
    builder = ProgramBuilder()
    x = builder.input((1, 8, 8, 32))
    line = builder.tile((1, 1, 4, 1))
    source = DramTile("workspace", 0, (1, 1, 4, 1), (0, 0, 1, 1), 1)
    builder.commands.append(Load(source, line, 0))
    low = replace(line, extent=(1, 1, 2, 1))
    high = replace(low, offset=(0, 0, 2, 0))
    load = Load(replace(source, extent=(1, 1, 2, 1)), high, 0)
    result = builder.tile((1, 1, 2, 1))
    builder.commands += [load] * count
    builder.commands += [Vector((low,), (), (), result, 0, (1,))] * count
    builder.output(x)
    return builder.program()


PROGRAMS: dict[str, Callable[[], bytes]] = {
    "shared_vector": _shared_vector,
    "shared_string": _shared_string,
    "shared_commands": _shared_commands,
    "shared_table": _shared_table,
    "shared_section": _shared_section,
    "clock_of_2_to_the_62": _clock(clock_hz=1 << 62),
    "dram_of_a_byte_a_second": _clock(dram_bytes_per_second=1),
    "lines_of_one_byte": _clock(mac_width=1),
    "slices_without_a_line": _clock(num_slices=1 << 30, size_actual_sram_slice=1),
}
