"""Each rule of docs/enf.md, section 12: files that break it are refused, by both readers.

The small reader says which rule; `furiosa_ir` says it in a sentence. What makes a program valid
(V) is refused by `furiosa_ir` alone.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from examples.enf_reader import reader
from furiosa_ir.backends.warboy.checker import check_program
from furiosa_ir.backends.warboy.enf import layout, writer
from furiosa_ir.backends.warboy.enf.reader import read_program
from furiosa_ir.backends.warboy.enf.records import (
    Copy,
    Dot,
    DramView,
    Load,
    Pool,
    SramTile,
    Store,
    Vector,
)
from furiosa_ir.backends.warboy.enf.writer import write_program
from furiosa_ir.errors import FormatFailure, FuriosaError
from furiosa_ir.program import HostSegment, Program, Tensor, Variable
from tests.backends.warboy.enf.vector_builder import Builder, op
from tests.conftest import ROOT
from tests.fuzz.hostile_enf import PROGRAMS
from tests.runtime.programs import onnx_model

PAGE = (ROOT / "docs" / "enf.md").read_text(encoding="utf-8")
RULES = re.findall(r"^\* \*\*([FBPSCIEV]\d+)\*\*", PAGE, re.MULTILINE)
LIMITS = (0, 0, -128, 127)

Files = Iterator[bytes]
_MAKERS: dict[str, Callable[[], Files]] = {}


def breaks(rule: str) -> Callable[[Callable[[], Files]], Callable[[], Files]]:
    """Declares what makes files that break a rule, and no other before it."""

    def declare(make: Callable[[], Files]) -> Callable[[], Files]:
        _MAKERS[rule] = make
        return make

    return declare


# A program with everything in it ----------------------------------------------------------


@cache
def whole() -> Program:
    """All commands, a set-up, two segments, a host segment, a variable."""
    b = Builder("warboy-2pe")
    weight = b.constant(np.ones((8, 1, 1, 8), np.int8), pin=True)
    x = np.zeros((1, 4, 4, 8), np.int8)
    tile = b.input(x, (2, 2))
    bias = b.constant(np.zeros(8, np.int32))
    steps: Any = ((1, 1), (1, 1), (1, 1), (0, 0, 0, 0), 1, 0, 0, False)
    factors = (b.parameter([1] * 8), b.parameter([1] * 8, "int8"))
    table = b.parameter(np.arange(256) - 128, "int8")
    program = (op("rescale", 0, 1, 2, immediates=LIMITS, mode="even"), op("lookup", 4, 3))
    made = b.tile((1, 4, 4, 8), (2, 2), "HWC")
    parameters = (*factors, table)
    shape = (8, 1, 1, 8)
    b.add(Dot(tile, weight, shape, bias, *steps, (), parameters, program, made, 0))
    pooled = b.tile((1, 4, 4, 8), (2, 2), element=4, first=64)
    window = ((3, 3), (1, 1), (1, 1), (1, 1, 1, 1), 0)
    b.add(Pool(tile, "sum", *window, (), (), (), pooled, 0, beside=True))
    state = b.tensor("state", "int32", (1, 4, 4, 8))
    kept = b.tensor("kept", "int32", (1, 4, 4, 8))
    before = b.bind(state)
    old = b.load(before, b.tile(before.extent, element=4))
    b.store(b.vector([pooled, old], [op("add", 0, 1, to=4)]), kept)
    b.variables = [Variable("state", state, kept, bytes(512))]
    y = b.output(made)
    at, room = b.here.outputs[-1].address, b.room(128)
    view = DramView("workspace", at, (128,), (1,), 1)
    b.add(Copy(view, replace(view, address=room), 0))
    host = b.tensor("z", "int8", (1, 4, 4, 8))
    b.segment()
    b.host(HostSegment("host_1", "onnx", (y,), (host,), onnx_model(np.int8, (1, 4, 4, 8)), ()))
    b.outputs.append(host)
    return b.program()


def first(kind: type[Any], program: Program | None = None) -> tuple[int, Any]:
    """The number of the first command of a kind, and the command."""
    commands = (program or whole()).segments[0].commands  # type: ignore[union-attr]
    return next((i, c) for i, c in enumerate(commands) if isinstance(c, kind))


def with_segment(**fields: Any) -> Program:
    npu, *others = whole().segments
    return replace(whole(), segments=(replace(npu, **fields), *others))


def with_command(number: int, command: Any) -> bytes:
    commands = list(whole().segments[0].commands)  # type: ignore[union-attr]
    commands[number] = command
    return write_program(with_segment(commands=tuple(commands)))


def changed(record: type[Any], **fields: Any) -> bytes:
    """The first command of a kind with other fields."""
    number, command = first(record)
    return with_command(number, replace(command, **fields))


def moved(**fields: Any) -> bytes:
    """The input's load with another tile."""
    number, command = load_tile()
    return with_command(number, replace(command, target=replace(command.target, **fields)))


def load_tile() -> tuple[int, Load]:
    commands = whole().segments[0].commands  # type: ignore[union-attr]
    return next(
        (i, c) for i, c in enumerate(commands) if isinstance(getattr(c, "target", 0), SramTile)
    )


def vector_of(operands: Any, program: Any, parameters: Any = (), **tile: Any) -> bytes:
    """A program of its own with one vector."""
    b = Builder()
    given = [b.input(np.ones(shape, dtype)) for shape, dtype in operands]
    made = [b.parameter(*p) for p in parameters]
    b.output(b.vector(given, program, made, **tile))
    return write_program(b.program())


def instruction(*program: Any, parameters: Any = (), dtype: str = "int8", **tile: Any) -> bytes:
    tile.setdefault("shape", (1, 2, 3, 4))
    return vector_of([((1, 2, 3, 4), dtype)], program, parameters, **tile)


# The file ----------------------------------------------------------------------------------


def bytes_of(edit: Callable[[bytearray], Any], *, sealed: bool = True) -> bytes:
    """The whole program's file after an edit of its bytes."""
    data = bytearray(write_program(whole()))
    data = edit(data) or data
    if sealed:
        data[3:7] = zlib.crc32(data[10:]).to_bytes(4, "little")
    return bytes(data)


def put(at: int, code: str, value: int) -> Callable[[bytearray], None]:
    return lambda data: struct.pack_into(f"<{code}", data, at, value)


@breaks("F1")
def _() -> Files:
    yield b""
    yield b"ELF" + bytes(100)
    yield bytes_of(put(0, "B", ord("E")), sealed=False)


@breaks("F2")
def _() -> Files:
    yield write_program(whole())[:9]
    yield write_program(whole())[:19]


@breaks("F3")
def _() -> Files:
    yield bytes_of(put(3, "B", 1), sealed=False)
    yield write_program(whole())[:-1]
    yield bytes_of(put(200, "B", 77), sealed=False)


def versioned(version: bytes) -> bytes:
    data = bytearray(write_program(whole()))
    data[7:10] = version
    return bytes(data)  # the checksum begins behind it


@breaks("F4")
def _() -> Files:
    for version in (b"\1\0\0", b"\1\2\0", b"\1\1\1", b"\2\1\0", b"\0\1\1"):
        yield versioned(version)


@breaks("F5")
def _() -> Files:
    yield bytes_of(put(10, "B", 1))
    yield bytes_of(put(15, "B", 255))


@breaks("F6")
def _() -> Files:
    yield bytes_of(put(16, "I", 1 << 31))
    yield bytes_of(put(16, "I", 7))
    yield bytes_of(put(24, "I", 0x32464E45))  # "ENF2"


# The FlatBuffer ----------------------------------------------------------------------------


def root() -> tuple[int, int]:
    """Where the root table and its vtable lie in the file."""
    data = write_program(whole())
    table = 20 + struct.unpack_from("<I", data, 20)[0]
    return table, table - struct.unpack_from("<i", data, table)[0]


@breaks("B1")
def _() -> Files:
    table, vtable = root()
    for offset in (0, 2, 1 << 31, 0xFFFFFFFC):
        yield bytes_of(put(20, "I", offset))
    slot = struct.unpack_from("<H", write_program(whole()), vtable + 4)[0]
    yield bytes_of(put(table + slot, "I", 0))


@breaks("B2")
def _() -> Files:
    table, _ = root()
    for distance in (table, 1 << 30, -(1 << 30), 1):
        yield bytes_of(put(table, "i", distance))


@breaks("B3")
def _() -> Files:
    for length in (2, 5, 0xFFFE):
        yield bytes_of(put(root()[1], "H", length))


@breaks("B4")
def _() -> Files:
    for length in (3, 0xFFFF):
        yield bytes_of(put(root()[1] + 2, "H", length))


@breaks("B5")
def _() -> Files:
    for place in (2, 3, 1000):
        yield bytes_of(put(root()[1] + 4, "H", place))


@breaks("B6")
def _() -> Files:
    _, vtable = root()
    place = struct.unpack_from("<H", write_program(whole()), vtable + 6)[0]
    yield bytes_of(put(vtable + 6, "H", place - 2 if place > 8 else place + 2))


def strings() -> int:
    """Where the target's string lies in the file, its count in front."""
    return write_program(whole()).index(b"warboy-2pe")


@breaks("B7")
def _() -> Files:
    yield bytes_of(put(strings() - 4, "I", 1 << 20))
    yield bytes_of(put(strings() - 4, "I", 0xFFFFFFFF))


@breaks("B8")
def _() -> Files:
    """A vector of 8-byte elements begins 4 bytes earlier, where a small count happens to be."""
    data = write_program(whole())
    end = 20 + struct.unpack_from("<I", data, 16)[0]
    for at in range(24, end - 4, 4):
        offset = struct.unpack_from("<I", data, at)[0]
        if not 8 <= offset < end - at:
            continue
        edited = bytes_of(put(at, "I", offset - 4))
        try:
            reader.load(edited)
        except reader.Refused as error:
            if str(error) == "B8":
                yield edited
                return
        except (struct.error, IndexError):
            continue


@breaks("B9")
def _() -> Files:
    yield bytes_of(put(strings(), "B", 0xFF))


@breaks("B10")
def _() -> Files:
    for name in ("shared_vector", "shared_string", "shared_commands", "shared_table"):
        yield PROGRAMS[name]()


# The program -------------------------------------------------------------------------------


@breaks("P1")
def _() -> Files:
    yield write_program(replace(whole(), target="renegade"))
    yield write_program(replace(whole(), target=""))


def with_machine(**values: int) -> bytes:
    return write_program(replace(whole(), machine=whole().machine | values))


@breaks("P2")
def _() -> Files:
    for name in ("num_slices", "size_actual_sram_slice", "size_dram"):
        yield with_machine(**{name: 0})
        yield with_machine(**{name: -1})
        left = {k: v for k, v in whole().machine.items() if k != name}
        yield write_program(replace(whole(), machine=left))


@breaks("P3")
def _() -> Files:
    yield with_machine(mac_width=64)
    yield with_machine(num_slices=1 << 20)


@breaks("P4")
def _() -> Files:
    with patch.object(layout, "FRAMEWORKS", ("a", "b", "onnx")):
        yield write_program(whole())


def with_tensor(**fields: Any) -> bytes:
    tensors = list(whole().tensors)
    tensors.append(replace(Tensor("more", "int8", (1,)), **fields))
    return write_program(replace(whole(), tensors=tuple(tensors)))


@breaks("P5")
def _() -> Files:
    yield with_tensor(dtype="int9")
    yield with_tensor(shape=(1, -2))
    yield with_tensor(scale=float("nan"))
    yield with_tensor(scale=float("inf"))


@breaks("P6")
def _() -> Files:
    yield write_program(replace(whole(), inputs=(99,)))
    yield write_program(replace(whole(), outputs=(99,)))
    (variable,) = whole().variables
    yield write_program(replace(whole(), variables=(replace(variable, after=99),)))
    npu, host = whole().segments
    yield write_program(replace(whole(), segments=(npu, replace(host, inputs=(99,)))))
    binding = replace(npu.inputs[0], tensor=99)
    yield write_program(with_segment(inputs=(binding, *npu.inputs[1:])))


@breaks("P7")
def _() -> Files:
    row = writer._segment_row
    with patch.object(writer, "_segment_row", lambda *_: {}):
        yield write_program(whole())
    both: dict[str, Any] = {}

    def of_both(*arguments: Any) -> dict[str, Any]:
        both.update(row(*arguments))
        return dict(both)

    with patch.object(writer, "_segment_row", of_both):
        yield write_program(whole())


@breaks("P8")
def _() -> Files:
    add = writer._Sections.add
    for edit in (
        lambda offset, size: (offset + 1, size),
        lambda offset, size: (offset, size + (1 << 20)),
        lambda offset, size: (offset + (1 << 62), size),
        lambda offset, size: (0, 8512),
    ):
        with patch.object(writer._Sections, "add", lambda *a, edit=edit: edit(*add(*a))):
            yield write_program(whole())
    yield PROGRAMS["shared_section"]()


@breaks("P9")
def _() -> Files:
    npu, host = whole().segments
    yield write_program(replace(whole(), inputs=(0, 0)))
    yield write_program(replace(whole(), inputs=()))
    yield write_program(replace(whole(), segments=(host, npu)))
    yield write_program(replace(whole(), segments=(npu, host, host)))
    (variable,) = whole().variables
    unmade = len(whole().tensors)
    with_one = replace(whole(), tensors=(*whole().tensors, Tensor("no", "int32", (1, 4, 4, 8))))
    yield write_program(replace(with_one, outputs=(unmade,)))
    yield write_program(replace(with_one, variables=(replace(variable, after=unmade),)))


# NPU segments ------------------------------------------------------------------------------


@breaks("S1")
def _() -> Files:
    yield write_program(with_segment(workspace_bytes=1 << 40))
    yield with_machine(size_dram=1000)


@breaks("S2")
def _() -> Files:
    yield write_program(with_segment(sram_bytes=(256 << 10) + 32))


@breaks("S3")
def _() -> Files:
    npu = whole().segments[0]
    tensors = list(whole().tensors)
    shapes = ({"shape": (1, -1)}, {"shape": (1, 0)}, {"shape": (0, 1 << 62, 1 << 62)})
    for fields in ({"dtype": "float32"}, {"dtype": "int16"}, *shapes):
        tensors[npu.inputs[0].tensor] = replace(whole().tensors[npu.inputs[0].tensor], **fields)
        yield write_program(replace(whole(), tensors=tuple(tensors)))
    beyond = replace(npu.inputs[0], address=npu.workspace_bytes)  # type: ignore[attr-defined]
    yield write_program(with_segment(inputs=(beyond, *npu.inputs[1:])))


@breaks("S4")
def _() -> Files:
    yield write_program(with_segment(setup=1000))


def with_vectors(edit: Callable[[dict[str, Any]], Any]) -> bytes:
    """The program after an edit of its commands' vectors."""

    def write(commands: Sequence[Any]) -> dict[str, Any]:
        vectors = made(commands)
        edit(vectors)
        return vectors

    made = writer.write_commands
    with patch.object(writer, "write_commands", write):
        return write_program(whole())


@breaks("S5")
def _() -> Files:
    names = ("waits", "load_tiles", "dots", "operands", "parameters", "instructions", "registers")
    for name in (*names, "immediates"):
        yield with_vectors(lambda v, n=name: v.update({n: v[n][:-1]}))
        yield with_vectors(lambda v, n=name: v.update({n: np.concatenate([v[n], v[n][-1:]])}))


@breaks("S6")
def _() -> Files:
    yield changed(Dot, layer=99)


@breaks("S7")
def _() -> Files:
    def set_to(vector: str, value: int, *fields: str) -> bytes:
        def edit(vectors: dict[str, Any]) -> None:
            place = vectors[vector]
            for field in fields[:-1]:
                place = place[field]
            place[fields[-1]] = value

        return with_vectors(edit)

    yield set_to("commands", 7, "kind")
    yield set_to("load_tiles", 2, "target", "order")
    yield set_to("load_tiles", 2, "source", "region")
    yield set_to("copies", 2, "source", "region")
    yield set_to("pools", 2, "kind")
    yield set_to("instructions", 12, "opcode")
    yield set_to("instructions", 9, "mode")
    for rank in (0, 9):
        yield set_to("copies", rank, "source", "rank")
    for rank in (0, 5):
        yield set_to("parameters", rank, "rank")


# Commands ----------------------------------------------------------------------------------


@breaks("C1")
def _() -> Files:
    yield write_program(with_segment(setup=2))


@breaks("C2")
def _() -> Files:
    number, command = load_tile()
    for element in (0, 2, 3, 16):
        yield moved(element=element)
        source = replace(command.source, element=element)
        yield with_command(number, replace(command, source=source))
    number, copy = first(Copy)
    yield with_command(number, replace(copy, source=replace(copy.source, element=2)))
    parameter = first(Dot)[1].parameters[0]
    parameters = (replace(parameter, element=2), *first(Dot)[1].parameters[1:])
    yield changed(Dot, parameters=parameters)


@breaks("C3")
def _() -> Files:
    yield moved(slices=(0, 2))
    yield moved(slices=(2, 0))
    yield moved(slices=(64, 3))
    yield moved(first=125)
    yield moved(images=2)
    yield moved(images=0)


@breaks("C4")
def _() -> Files:
    yield moved(offset=(0, 1, 0, 0))
    yield moved(offset=(-1, 0, 0, 0))
    yield moved(extent=(1, 0, 4, 8))
    yield moved(extent=(1, 4, -4, 8))
    yield moved(shape=(1, 4, 4, 7))


@breaks("C5")
def _() -> Files:
    yield moved(address=load_tile()[1].target.address + 1)
    yield moved(address=256 << 10)
    yield moved(address=(256 << 10) - 32)
    number, command = first(Load)
    flat = replace(command.target, address=(256 << 10))
    yield with_command(number, replace(command, target=flat))


@breaks("C6")
def _() -> Files:
    memory = first(Dot)[1].parameters[0].memory
    for fields in ({"slice_bytes": 0}, {"slice_bytes": 33}, {"size": 1 << 20}, {"size": 0}):
        yield with_parameter(memory=replace(memory, **fields))


@breaks("C7")
def _() -> Files:
    number, command = load_tile()
    for fields in (
        {"address": 1 << 40},
        {"strides": (128, 32, 8, -1)},
        {"strides": (128, 1 << 40, 8, 1)},
        {"extent": (1, 4, 4, 0)},
        {"region": "constant", "address": 1 << 12},
    ):
        source = replace(command.source, **fields)
        yield with_command(number, replace(command, source=source))
    flat_number, flat = first(Load)
    source = replace(flat.source, address=1 << 30)
    yield with_command(flat_number, replace(flat, source=source))
    number, copy = first(Copy)
    yield with_command(number, replace(copy, target=replace(copy.target, address=1 << 63)))


@breaks("C8")
def _() -> Files:
    number, copy = first(Copy)
    source = replace(copy.source, extent=(1,))
    target = replace(source, region="constant", address=0)
    yield with_command(number, replace(copy, target=target, source=source))


def with_parameter(**fields: Any) -> bytes:
    one, *others = first(Dot)[1].parameters
    return changed(Dot, parameters=(replace(one, **fields), *others))


@breaks("C9")
def _() -> Files:
    yield with_parameter(shape=(1, 1, 8))
    yield with_parameter(shape=(1, 1, 0, 8))
    yield with_parameter(shape=(1, 1, 1, 7))
    yield with_parameter(shape=(255,))
    yield with_parameter(element=8)


@breaks("C10")
def _() -> Files:
    number, command = load_tile()
    source = replace(command.source, extent=(1, 4, 4, 7))
    yield with_command(number, replace(command, source=source))
    yield moved(extent=(1, 4, 3, 8))
    number, copy = first(Copy)
    yield with_command(number, replace(copy, target=replace(copy.target, extent=(127,))))
    number, flat = first(Load)
    yield with_command(number, replace(flat, source=replace(flat.source, size=63)))
    number, store = first(Store)
    target = replace(store.target, element=8, strides=(0, 8, 8, 8))
    yield with_command(number, replace(store, target=target))


@breaks("C11")
def _() -> Files:
    yield changed(Vector, operands=())


@breaks("C12")
def _() -> Files:
    wide = first(Vector)[1].operands[0]
    for kind in (Dot, Pool):
        yield changed(kind, x=wide)
        for fields in (
            {"x_zp": 128},
            {"x_zp": -129},
            {"strides": (0, 1)},
            {"dilations": (1, -1)},
            {"pads": (4097, 0, 0, 0)},
        ):
            yield changed(kind, **fields)


@breaks("C13")
def _() -> Files:
    yield changed(Pool, window=(0, 3))
    yield changed(Pool, window=(1 << 12, 1 << 11))
    yield changed(Pool, pads=(1, -1, 1, 1))


@breaks("C14")
def _() -> Files:
    yield changed(Dot, weight_zp=128)
    yield changed(Dot, input_dilation=(0, 1))
    yield changed(Dot, input_dilation=(1, 4097))
    yield changed(Dot, pads=(0, -1, 0, 0))


@breaks("C15")
def _() -> Files:
    for fields in (
        {"weight_shape": (8, 1, 0, 8)},
        {"weight_shape": (8, 1, 1, 9)},
        {"weight_shape": (8, 2, 1, 8)},
        {"group": 0},
        {"group": 2},
        {"group": 3, "weight_shape": (8, 1, 1, 3)},
        {"weight": None},
    ):
        yield changed(Dot, **fields)


@breaks("C16")
def _() -> Files:
    dot = first(Dot)[1]
    yield changed(Dot, batched=True)
    yield changed(Dot, batched=True, weight=None)
    yield changed(Dot, batched=True, weight=None, operands=(first(Vector)[1].operands[0],))
    other = replace(dot.x, extent=(1, 3, 4, 8))
    yield changed(Dot, batched=True, weight=None, operands=(other,))
    yield changed(Dot, batched=True, weight=None, operands=(replace(dot.x, extent=(1, 4, 4, 7)),))


@breaks("C17")
def _() -> Files:
    yield changed(Pool, window=(7, 3))
    yield changed(Pool, dilations=(1, 3))
    one_row = replace(first(Dot)[1].x, extent=(1, 1, 4, 8))
    yield changed(Dot, x=one_row, pads=(-1, 0, 0, 0), input_dilation=(2, 1))


@breaks("C18")
def _() -> Files:
    yield changed(Dot, bias=replace(first(Dot)[1].bias, size=28))
    yield changed(Dot, bias=first(Dot)[1].weight)


@breaks("C19")
def _() -> Files:
    result = first(Dot)[1].result
    yield changed(Dot, result=replace(result, extent=(1, 4, 4, 7)))
    yield changed(Dot, program=())
    yield changed(Dot, strides=(2, 1))
    yield changed(Pool, kind="max")


# Instructions ------------------------------------------------------------------------------


@breaks("I1")
def _() -> Files:
    yield instruction(op("add", 0))
    yield instruction(op("clamp", 0, 0, immediates=(1, 2)))
    yield instruction(op("add", 0, 1))
    yield instruction(op("add", 0, 0, immediates=(1,)))
    yield instruction(op("clamp", 0, immediates=(1,)))
    yield instruction(op("add", 0, 0, mode="even"))
    yield instruction(op("reduce", 0, immediates=(0, 1), mode="even"), shape=(1, 1, 3, 4))
    yield instruction(op("reduce", 0, immediates=(0, 1)), shape=(1, 1, 3, 4))
    yield changed(Dot, program=(op("add", 0, 0, to=2), op("add", 0, 0)))


TABLE = (np.zeros(256), "int8")


@breaks("I2")
def _() -> Files:
    yield instruction(op("lookup", 0, 1), parameters=[(3, "int8")])
    yield instruction(op("lookup", 0, 1, to=4), parameters=[TABLE], element=4)
    yield instruction(op("add", 0, 1), parameters=[TABLE])
    yield instruction(op("lookup", 1, 1), parameters=[TABLE])


@breaks("I3")
def _() -> Files:
    yield instruction(op("add", 0, 1), parameters=[([1, 2, 3],)])
    shapes = [((1, 1, 3, 4), "int8"), ((1, 2, 3, 4), "int8")]
    rescale = op("rescale", 0, 1, 1, immediates=LIMITS, mode="up")
    yield vector_of(shapes, [rescale], shape=(1, 2, 3, 4))


@breaks("I4")
def _() -> Files:
    def limited(*limits: int, name: str = "rescale", to: int = 1) -> bytes:
        parameters = [(1,), (1, "int8")][: 2 if name == "rescale" else 1]
        operands = range(1 + len(parameters))
        mode = "up" if name == "rescale" else ""
        made = op(name, *operands, immediates=limits, mode=mode, to=to)
        return instruction(made, parameters=parameters, element=to)

    for limits in (
        (0, 0, 5, 4),
        (0, 0, -129, 127),
        (0, 0, -128, 128),
        (1 << 31, 0, -128, 127),
        (0, -(1 << 31) - 1, -128, 127),
    ):
        yield limited(*limits)
        yield limited(*limits[1:], name="divide") if limits[0] == 0 else limited(*limits)
    yield limited(0, 1, -(1 << 63), 0, to=8)
    yield limited(0, -1, 0, (1 << 63) - 1, to=8)


@breaks("I5")
def _() -> Files:
    for limits in ((5, 4), (128, 300), (-300, -129)):
        yield instruction(op("clamp", 0, immediates=limits))
    yield instruction(op("clamp", 0, immediates=(0, 1), to=4), element=4)


@breaks("I6")
def _() -> Files:
    yield instruction(op("lookup", 0, 1), parameters=[TABLE], dtype="int32", element=1)


@breaks("I7")
def _() -> Files:
    for axes in ((), (4,), (-1,), (1, 1)):
        reduced = op("reduce", 0, immediates=(0, *axes), mode="sum")
        yield instruction(reduced, shape=(1, 1, 3, 4))
    yield instruction(op("reduce", 0, mode="sum"))


@breaks("I8")
def _() -> Files:
    for numbers in ((), (2,), (4, 0), (-1, 0), (2, 3), (2, -1)):
        yield instruction(op("gather", 0, immediates=numbers), shape=(1, 2, 1, 4))
    yield instruction(op("gather", 0, immediates=(2, 0), to=4), shape=(1, 2, 1, 4), element=4)


@breaks("I9")
def _() -> Files:
    good = (2, 1, 0, 0, 1, 1)
    for numbers in (
        (),
        (2,),
        (2, 0),
        (2, -1),
        (4, *good[1:]),
        good[:-1],
        (*good, 1),
        (2, 1, 3, 0, 1, 1),
        (2, 1, 0, -1, 1, 1),
    ):
        yield instruction(op("interpolate", 0, immediates=numbers), shape=(1, 2, 1, 4))


# What makes a program valid ----------------------------------------------------------------


@breaks("V1")
def _() -> Files:
    with_two = writer._program_row

    def twice(field: str) -> bytes:
        def row(*arguments: Any) -> Any:
            made = with_two(*arguments)
            made[field] = [*made[field], *made[field][:1]]
            return made

        with patch.object(writer, "_program_row", row):
            return write_program(replace(whole(), options={"a": "b"}))

    yield twice("machine")
    yield twice("options")
    yield with_machine(unknown=1)
    yield with_machine(vector_lanes=0)
    yield write_program(
        replace(whole(), machine={k: v for k, v in whole().machine.items() if k != "num_pe"})
    )
    yield with_machine(clock_hz=1 << 40)


@breaks("V2")
def _() -> Files:
    yield write_program(replace(whole(), source_framework="caffe"))
    yield write_program(replace(whole(), layers=(replace(whole().layers[0], segment=7),)))
    yield with_tensor(scale=-1.0)
    yield with_tensor(shape=(1,) * 65)
    yield write_program(replace(whole(), output_names=("one",)))


@breaks("V3")
def _() -> Files:
    (variable,) = whole().variables
    yield write_program(replace(whole(), variables=(replace(variable, initial=bytes(511)),)))
    yield write_program(replace(whole(), variables=(replace(variable, after=0),)))
    tensors = (*whole().tensors, Tensor("again", "int4", (1,)))
    other = Variable("state", len(tensors) - 1, len(tensors) - 1, bytes(1))
    yield write_program(replace(whole(), tensors=tensors, variables=(variable, other)))
    named = replace(other, name="other")
    yield write_program(replace(whole(), tensors=tensors, variables=(variable, named)))


@breaks("V4")
def _() -> Files:
    from onnx import ModelProto

    npu, host = whole().segments
    foreign = replace(host, model=b"0123ORTM" + bytes(50))
    yield write_program(replace(whole(), segments=(npu, foreign)))
    model = ModelProto.FromString(bytes(host.model))  # type: ignore[attr-defined]
    tensor = model.graph.initializer.add()
    tensor.name, tensor.data_location = "w", 1
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    yield write_program(
        replace(whole(), segments=(npu, replace(host, model=model.SerializeToString())))
    )


@breaks("V5")
def _() -> Files:
    yield write_program(with_segment(sram_bound=1 << 20))
    yield write_program(with_segment(workspace_bound=1 << 20))


@breaks("V6")
def _() -> Files:
    yield changed(Dot, waits=(99,))
    number, _ = first(Dot)
    yield changed(Dot, waits=(number,))
    yield changed(Dot, waits=(0,))
    yield with_command(0, replace(first(Load)[1], waits=(0,)))


@breaks("V7")
def _() -> Files:
    number, copy = first(Copy)
    yield with_command(number, replace(copy, target=replace(copy.target, strides=(0,))))
    number, store = first(Store)
    strides = (0, 128, 32, 3)
    yield with_command(number, replace(store, target=replace(store.target, strides=strides)))


@breaks("V8")
def _() -> Files:
    yield changed(Dot, beside=True)
    yield changed(Pool, result=replace(first(Pool)[1].result, first=0))
    yield changed(Pool, result=replace(first(Pool)[1].result, first=62))
    yield changed(Vector, beside=True)


@breaks("V9")
def _() -> Files:
    x = first(Dot)[1].x
    yield changed(Dot, x=replace(x, address=x.address + 2048))


@breaks("V10")
def _() -> Files:
    yield write_program(with_segment(sram_bytes=64))


@breaks("V11")
def _() -> Files:
    yield changed(Dot, waits=())
    yield changed(Store, waits=())


@breaks("V12")
def _() -> Files:
    x = first(Dot)[1].x
    yield changed(Dot, result=replace(x, order="HWC"))
    yield changed(Dot, result=x)
    b = Builder()
    tile = b.input(np.ones((1, 2, 3, 4), np.int8))
    b.vector([tile], [op("gather", 0, immediates=(3, 3, 2, 1, 0))], result=tile)
    b.output(tile)
    yield write_program(b.program())


@breaks("V13")
def _() -> Files:
    pinned = first(Load)[1].target
    yield moved(address=pinned.address)


@breaks("V14")
def _() -> Files:
    b = Builder("warboy-2pe")
    x = b.input(np.ones((1, 2, 2, 4), np.int8))
    y = b.input(np.ones((1, 2, 2, 4), np.int8), first=64)
    result = b.tile((1, 2, 2, 4), first=0)
    b.add(Vector((x,), (), (), result, 0))
    other = replace(y, address=b.tile((1, 2, 2, 4)).address)
    b.add(Vector((result,), (), (), other, 0, beside=True))
    b.output(result)
    yield write_program(b.program())


@breaks("V15")
def _() -> Files:
    number, copy = first(Copy)
    source = replace(copy.source, address=copy.target.address)
    yield with_command(number, replace(copy, source=source))


@breaks("V16")
def _() -> Files:
    yield changed(Store, target=replace(first(Store)[1].target, address=0))


MUST = [rule for rule in RULES if rule[0] in "FBPSCI"]
VALID = [rule for rule in RULES if rule[0] == "V"]


def test_the_whole_program_is_fine() -> None:
    data = write_program(whole())
    reader.load(data)
    check_program(read_program(data))


def test_each_rule_of_the_page_has_files() -> None:
    assert len(set(RULES)) == len(RULES)
    assert sorted(_MAKERS) == sorted(MUST + VALID)
    assert [rule for rule in RULES if rule[0] == "E"] == ["E1", "E2", "E3"]  # vectors run into them


@pytest.mark.parametrize("rule", MUST)
def test_what_must_be_refused_is(rule: str) -> None:
    files = list(_MAKERS[rule]())
    assert files
    for data in files:
        with pytest.raises(reader.Refused, match=f"^{rule}$"):
            reader.load(data)
        with pytest.raises(FormatFailure) as failure:
            read_program(data)
        assert "\n" not in str(failure.value)


@pytest.mark.parametrize("rule", VALID)
def test_what_is_not_valid_is_refused_by_furiosa_ir(rule: str) -> None:
    files = list(_MAKERS[rule]())
    assert files
    for data in files:
        with pytest.raises(FuriosaError):
            check_program(read_program(data))
