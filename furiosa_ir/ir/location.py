"""Locations: which layer of the network an operation came from, kept through every rewrite.

Importers give each operation the `NameLoc` of its framework node. What a rewrite makes of several
operations carries the `FusedLoc` of all of them. Location attributes are shared objects: a network
of 1000 layers makes 1000 of them, not one for each operation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import cast

from xdsl.dialects.builtin import (
    UNKNOWN_LOC,
    ArrayAttr,
    CallSiteLoc,
    FileLineColLoc,
    FusedLoc,
    LocationAttr,
    NameLoc,
    NoneAttr,
    StringAttr,
    UnknownLoc,
)
from xdsl.ir import Operation

_NO_METADATA = NoneAttr()


@lru_cache(maxsize=65536)
def name_loc(name: str) -> LocationAttr:
    """The location of the layer `name`; an unnamed layer is nowhere."""
    return NameLoc(StringAttr(name), _NO_METADATA) if name else UNKNOWN_LOC


def fuse(*locations: LocationAttr) -> LocationAttr:
    """One location for several: nested ones are flattened, unknown ones and repetitions dropped."""
    if len(locations) == 1 and not isinstance(locations[0], FusedLoc):
        return locations[0]
    parts = list(dict.fromkeys(leaf for location in locations for leaf in _leaves(location)))
    match parts:
        case []:
            return UNKNOWN_LOC
        case [single]:
            return single
        case _:
            return FusedLoc(tuple(parts), _NO_METADATA)


def _leaves(location: LocationAttr) -> Iterator[LocationAttr]:
    if isinstance(location, FusedLoc):
        for part in cast("ArrayAttr[LocationAttr]", location.locations):
            yield from _leaves(part)
    elif not isinstance(location, UnknownLoc):
        yield location


def location_names(location: LocationAttr) -> tuple[str, ...]:
    """The names in a location, in order, each once; `file:line` stands in for a missing name."""
    return tuple(dict.fromkeys(_names(location)))


def _names(location: LocationAttr) -> Iterator[str]:
    match location:
        case NameLoc():
            yield location.desc.data
        case FusedLoc():
            for part in cast("ArrayAttr[LocationAttr]", location.locations):
                yield from _names(part)
        case CallSiteLoc():
            yield from _names(cast("LocationAttr", location.callee))
        case FileLineColLoc():
            yield f"{location.filename.data}:{location.line.data}"
        case _:
            return


def layer_names(op: Operation) -> tuple[str, ...]:
    """The names of the framework layers that an operation came from, in order, each once."""
    return location_names(op.location)


def layer_name(op: Operation) -> str:
    """The name of an operation's layer for people: its layers' names joined by "+", or ""."""
    return "+".join(layer_names(op))


def fused_location(ops: Iterable[Operation]) -> LocationAttr:
    """The location of what several operations become together.

    An operation without operands (a constant) is data, not a layer: it adds no name.
    """
    return fuse(*(op.location for op in ops if op.operands))
