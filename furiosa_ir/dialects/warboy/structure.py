"""The text of structured data in attributes: `name(field = value, ...)`, nested.

Plans, address tables and commands are frozen dataclasses. All of them print by the same rule, so a
new kind of data needs no printer and no parser of its own:

    port(view = "NCHW", buffer = 3, offset = (0, 0, 0, 0), extent = (1, 56, 56, 64), stage = none)

Values are integers, strings, `true`, `false`, `none`, tuples and structures.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, TypeAlias, cast

from xdsl.parser import AttrParser
from xdsl.printer import Printer

Value: TypeAlias = Any
"""int, str, bool, None, a tuple of values, a dataclass or a `Structure`."""


@dataclass(frozen=True, slots=True)
class Structure:
    """Structured data of a kind that this level does not know by type (an ENF command, say).

    Attributes:
        kind: its name.
        fields: (name, value) in order.
    """

    kind: str
    fields: tuple[tuple[str, Value], ...]


def kind_name(cls: type[Any]) -> str:
    """How a dataclass is called in text: `SramTile` -> `sram_tile`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()


def print_value(value: Value, printer: Printer) -> None:
    """Prints one value."""
    printer.print_string(_text(value))


def _text(value: Value) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
        case tuple():
            items = cast("tuple[Value, ...]", value)
            return "(" + ", ".join(_text(item) for item in items) + ")"
        case Structure():
            return _structure_text(value.kind, value.fields)
        case _ if is_dataclass(value):
            members = tuple((f.name, getattr(value, f.name)) for f in fields(value))
            return _structure_text(kind_name(type(value)), members)
        case _:
            raise TypeError(f"no text for a {type(value).__name__}")


def _structure_text(kind: str, members: tuple[tuple[str, Value], ...]) -> str:
    inside = ", ".join(f"{name} = {_text(value)}" for name, value in members)
    return f"{kind}({inside})"


def parse_value(parser: AttrParser, types: Mapping[str, type[Any]]) -> Value:
    """Parses one value.

    Args:
        parser: at the value's first token.
        types: dataclasses by their text name; other structures become `Structure`.
    """
    number = parser.parse_optional_integer(allow_boolean=False)
    if number is not None:
        return number
    text = parser.parse_optional_str_literal()
    if text is not None:
        return text
    if parser.parse_optional_punctuation("(") is not None:
        items: list[Value] = []
        while parser.parse_optional_punctuation(")") is None:
            if items:
                parser.parse_punctuation(",")
            items.append(parse_value(parser, types))
        return tuple(items)
    name = parser.parse_identifier()
    if name in ("true", "false"):
        return name == "true"
    if name == "none":
        return None
    return _parse_structure(parser, name, types)


def _parse_structure(parser: AttrParser, kind: str, types: Mapping[str, type[Any]]) -> Value:
    members: dict[str, Value] = {}
    parser.parse_punctuation("(")
    while parser.parse_optional_punctuation(")") is None:
        if members:
            parser.parse_punctuation(",")
        name = parser.parse_identifier()
        parser.parse_punctuation("=")
        members[name] = parse_value(parser, types)
    cls = types.get(kind)
    if cls is None:
        return Structure(kind, tuple(members.items()))
    try:
        return cls(**members)
    except TypeError as error:
        parser.raise_error(f"{kind}: {error}")
