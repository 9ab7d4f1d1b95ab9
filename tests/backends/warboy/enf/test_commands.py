"""Commands as they are declared: any record lies in a file and comes back, and has its places."""

from __future__ import annotations

from dataclasses import fields, replace
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from furiosa_ir.backends.warboy.enf.command_vectors import read_commands, write_commands
from furiosa_ir.backends.warboy.enf.commands import COMMANDS, MODES, OPCODES, kind_of
from furiosa_ir.backends.warboy.enf.records import (
    ORDERS,
    POOL_KINDS,
    REGIONS,
    DramFlat,
    DramTile,
    DramView,
    Load,
    Parameter,
    SramFlat,
    SramTile,
)
from furiosa_ir.backends.warboy.vector_engine import Instruction
from furiosa_ir.errors import FormatFailure

SMALL = st.integers(0, 1 << 15)
NAMES = {
    "order": st.sampled_from(ORDERS),
    "region": st.sampled_from(REGIONS),
    "opcode": st.sampled_from(OPCODES),
    "mode": st.sampled_from(MODES),
    "kind": st.sampled_from(POOL_KINDS),
    "element": st.sampled_from((1, 4, 8)),
}


def values(name: str, hint: Any) -> st.SearchStrategy[Any]:
    """Any value of an attribute, by its declared type."""
    if name in NAMES:
        return NAMES[name]
    if hint is bool:
        return st.booleans()
    if hint is int:
        return SMALL
    arguments = get_args(hint)
    if isinstance(hint, UnionType):
        return st.one_of(*[st.none() if a is type(None) else records(a) for a in arguments])
    if get_origin(hint) is tuple:
        if Ellipsis in arguments:
            inner = SMALL if arguments[0] is int else records(arguments[0])
            return st.lists(inner, max_size=3).map(tuple)
        return st.tuples(*[SMALL] * len(arguments))
    return records(hint)


def records(cls: type[Any]) -> st.SearchStrategy[Any]:
    """Any record of a class."""
    if cls is DramView:  # as many strides as extents, one to eight
        pairs = st.lists(st.tuples(SMALL, st.integers(-1000, 1000)), min_size=1, max_size=8)
        return st.builds(
            lambda region, address, dims, element: DramView(
                region, address, tuple(d[0] for d in dims), tuple(d[1] for d in dims), element
            ),
            NAMES["region"], SMALL, pairs, NAMES["element"],
        )  # fmt: skip
    if cls is Parameter:
        shape = st.lists(SMALL, min_size=1, max_size=4).map(tuple)
        return st.builds(Parameter, records(SramFlat), shape, NAMES["element"])
    if cls is Instruction:
        numbers = st.lists(st.integers(0, 255), max_size=4).map(tuple)
        wide = st.lists(st.integers(-(1 << 63), (1 << 63) - 1), max_size=3).map(tuple)
        return st.builds(
            Instruction, NAMES["opcode"], numbers, wide, NAMES["mode"], NAMES["element"]
        )
    hints = get_type_hints(cls)
    return st.builds(cls, **{f.name: values(f.name, hints[f.name]) for f in fields(cls)})


def commands() -> st.SearchStrategy[Any]:
    """Any command."""
    loads = st.one_of(
        st.builds(Load, records(DramTile), records(SramTile), SMALL, st.just((7, 0))),
        st.builds(Load, records(DramFlat), records(SramFlat), SMALL),
    )
    others = {kind.struct.record for kind in COMMANDS} - {Load}
    return st.one_of(loads, *[records(cls) for cls in sorted(others, key=lambda c: c.__name__)])


@given(st.lists(commands(), max_size=6))
def test_any_commands_come_back_from_a_file(issued: list[Any]) -> None:
    written = write_commands(issued)
    assert read_commands(written) == tuple(issued)
    again = write_commands(read_commands(written))
    assert all(np.array_equal(array, again[name]) for name, array in written.items())
    assert all(array.tobytes() == again[name].tobytes() for name, array in written.items())


@given(st.lists(commands(), min_size=1, max_size=4), st.data())
def test_vectors_that_do_not_fit_each_other_are_refused(
    issued: list[Any], data: st.DataObject
) -> None:
    written = write_commands(issued)
    name = data.draw(st.sampled_from(sorted(n for n, array in written.items() if array.size)))
    shorter = {**written, name: written[name][:-1]}
    with pytest.raises(FormatFailure, match="refer to"):
        read_commands(shorter)
    longer = {**written, name: np.concatenate([written[name], written[name][-1:]])}
    if name != "commands":
        with pytest.raises(FormatFailure, match="refer to"):
            read_commands(longer)


MEANINGLESS = [
    ("commands", ("kind",), "command kind 200 does not exist"),
    ("instructions", ("opcode",), "opcode 200 does not exist"),
    ("instructions", ("mode",), "mode 200 does not exist"),
    ("pools", ("kind",), "pool kind 200 does not exist"),
    ("copies", ("source", "region"), "DRAM region 200 does not exist"),
    ("copies", ("target", "rank"), "a DRAM view has 200 dimensions"),
    ("parameters", ("rank",), "a parameter has 200 dimensions"),
    ("operands", ("order",), "tile order 200 does not exist"),
]


@given(st.lists(commands(), min_size=1, max_size=4))
def test_numbers_that_mean_nothing_are_refused(issued: list[Any]) -> None:
    for vector, field, message in MEANINGLESS:
        written = {name: array.copy() for name, array in write_commands(issued).items()}
        place = written[vector]
        if place.size:
            for name in field:
                place = place[name]
            place[-1] = 200
            with pytest.raises(FormatFailure, match=message):
                read_commands(written)


@given(commands())
def test_places_are_the_records_own(command: Any) -> None:
    """Every tile, and every share of bytes, of SRAM is read or written, and so is DRAM."""
    kind = kind_of(command)
    found: list[Any] = [*kind.sram_read(command), kind.sram_written(command)]
    found += [kind.dram_read(command), kind.dram_written(command)]
    held: list[Any] = []
    for field in fields(command):
        value = getattr(command, field.name)
        held += value if isinstance(value, tuple) else [value]
    held = [item.memory if isinstance(item, Parameter) else item for item in held]
    places = (SramTile, SramFlat, DramTile, DramFlat, DramView)
    want = [item for item in held if isinstance(item, places)]
    assert sorted(map(repr, want)) == sorted(repr(f) for f in found if f is not None)


def test_a_load_is_of_a_tile_or_of_bytes() -> None:
    tile = SramTile(0, (1, 1, 1, 1), (1, 1), "HCW", 1, (0, 0, 0, 0), (1, 1, 1, 1))
    load = Load(DramFlat("constant", 0, 1), SramFlat(0, 1, 32), 0)
    assert kind_of(load).name == "load_flat"
    with pytest.raises(ValueError, match="a tile is not loaded as plain bytes"):
        kind_of(replace(load, target=tile))
