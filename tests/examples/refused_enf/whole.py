"""A program with everything in it, edits of it, and how files that break a rule are declared."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from furiosa_ir.backends.warboy.enf.records import (
    Copy,
    Dot,
    DramView,
    Load,
    Pool,
    SramTile,
)
from furiosa_ir.backends.warboy.enf.writer import write_program
from furiosa_ir.program import HostSegment, Program, Variable
from tests.backends.warboy.enf.vector_builder import Builder, op
from tests.conftest import ROOT
from tests.runtime.programs import onnx_model

PAGE = (ROOT / "docs" / "enf.md").read_text(encoding="utf-8")
RULES = re.findall(r"^\* \*\*([FBPSCIEV]\d+)\*\*", PAGE, re.MULTILINE)
LIMITS = (0, 0, -128, 127)

Files = Iterator[bytes]
MAKERS: dict[str, Callable[[], Files]] = {}


def breaks(rule: str) -> Callable[[Callable[[], Files]], Callable[[], Files]]:
    """Declares what makes files that break a rule, and no other before it."""

    def declare(make: Callable[[], Files]) -> Callable[[], Files]:
        MAKERS[rule] = make
        return make

    return declare


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


def bytes_of(edit: Callable[[bytearray], Any], *, sealed: bool = True) -> bytes:
    """The whole program's file after an edit of its bytes."""
    data = bytearray(write_program(whole()))
    data = edit(data) or data
    if sealed:
        data[3:7] = zlib.crc32(data[10:]).to_bytes(4, "little")
    return bytes(data)


def put(at: int, code: str, value: int) -> Callable[[bytearray], None]:
    return lambda data: struct.pack_into(f"<{code}", data, at, value)
