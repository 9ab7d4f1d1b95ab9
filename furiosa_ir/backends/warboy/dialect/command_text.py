"""What the text of a command leaves out: fields that are as they are in nearly every command.

    %5 = warboy.execute_dot after %4 {x = sram_tile(address = 0, shape = (1, 8, 8, 1), ...), ...}

Most tiles are a whole buffer, most windows move by one, most bytes are 8-bit elements. The IR has
every field, and the generic form shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, cast

from xdsl.parser import Parser
from xdsl.printer import Printer

from furiosa_ir.backends.warboy.dialect.structured_data import (
    Structure,
    Value,
    kind_name,
    parse_value,
    print_value,
)
from furiosa_ir.backends.warboy.enf import records

Default = Value | Callable[[Mapping[str, Value]], Value]
"""A field's value, or one that follows from the other fields."""

_PROGRAM: Mapping[str, Default] = {"operands": (), "parameters": (), "program": (), "beside": False}
_WINDOW: Mapping[str, Default] = {
    "strides": (1, 1),
    "dilations": (1, 1),
    "pads": (0, 0, 0, 0),
    "x_zp": 0,
}

_DEFAULTS: Mapping[type[Any], Mapping[str, Default]] = {
    records.SramTile: {
        "element": 1,
        "offset": (0, 0, 0, 0),
        "extent": lambda given: given.get("shape"),
        "images": 1,
        "first": 0,
    },
    records.SramFlat: {"slice_bytes": 32},
    records.DramTile: {"element": 1},
    records.DramFlat: {"region": "constant"},
    records.DramView: {"element": 1},
    records.Parameter: {"shape": (1, 1, 1, 1), "element": 1},
    records.Instruction: {"immediates": (), "mode": "", "element": 1},
    records.Load: {},
    records.Store: {},
    records.Copy: {},
    records.Vector: _PROGRAM,
    records.Pool: {**_PROGRAM, **_WINDOW},
    records.Dot: {
        **_PROGRAM,
        **_WINDOW,
        "bias": None,
        "input_dilation": (1, 1),
        "group": 1,
        "weight_zp": 0,
        "batched": False,
    },
}
_OF_KIND = {kind_name(cls): cls for cls in _DEFAULTS}
_FIELDS = {
    kind_name(cls): tuple(f.name for f in fields(cls) if f.name != "waits") for cls in _DEFAULTS
}


def print_command(command: Structure, printer: Printer) -> None:
    """Writes a command's fields in braces."""
    with printer.in_braces():
        for i, (name, value) in enumerate(_shortened(command).fields):
            printer.print_string(f"{', ' if i else ''}{name} = ")
            print_value(value, printer)


def parse_command(parser: Parser, kind: str) -> Structure:
    """Reads what `print_command` writes of a command of that kind."""
    members: dict[str, Value] = {}

    def entry() -> None:
        name = parser.parse_identifier()
        if name in members:
            parser.raise_error(f"{kind} has '{name}' twice")
        parser.parse_punctuation("=")
        members[name] = parse_value(parser, {})

    parser.parse_comma_separated_list(parser.Delimiter.BRACES, entry)
    return cast("Structure", _completed(Structure(kind, tuple(members.items()))))


def _shortened(value: Value) -> Value:
    """The value without what `_completed` puts back."""
    if isinstance(value, tuple):
        return tuple(map(_shortened, cast("tuple[Value, ...]", value)))
    if not isinstance(value, Structure):
        return value
    given = dict(value.fields)
    if tuple(given) != _FIELDS.get(value.kind):
        return Structure(value.kind, tuple((n, _shortened(v)) for n, v in value.fields))
    defaults = _DEFAULTS[_OF_KIND[value.kind]]
    shown = tuple(
        (name, _shortened(field))
        for name, field in value.fields
        if name not in defaults or not _same(_default(defaults[name], given), field)
    )
    return Structure(value.kind, shown)


def _completed(value: Value) -> Value:
    """The value with the fields that its text left out, in their places."""
    if isinstance(value, tuple):
        return tuple(map(_completed, cast("tuple[Value, ...]", value)))
    if not isinstance(value, Structure):
        return value
    given = {name: _completed(field) for name, field in value.fields}
    if value.kind in _OF_KIND:
        defaults = _DEFAULTS[_OF_KIND[value.kind]]
        missing = [name for name in defaults if name not in given]
        if missing:
            full = given | {name: _default(defaults[name], given) for name in missing}
            order = [n for n in _FIELDS[value.kind] if n in full]
            given = {n: full[n] for n in [*order, *(n for n in full if n not in order)]}
    return Structure(value.kind, tuple(given.items()))


def _default(default: Default, given: Mapping[str, Value]) -> Value:
    return default(given) if callable(default) else default


def _same(default: Value, field: Value) -> bool:
    """Equal, and of one type: `false` is no 0."""
    return type(default) is type(field) and default == field
