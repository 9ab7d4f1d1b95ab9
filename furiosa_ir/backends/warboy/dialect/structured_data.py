"""The text of structured data in attributes: `name(field = value, ...)`, nested.

Plans, address tables and commands are frozen dataclasses. All of them print by the same rule, so a
new kind of data needs no printer and no parser of its own:

    operand_binding(buffer = 3, offset = (0, 0, 0, 0), extent = (1, 56, 56, 64), stage = none)

Values are integers, strings, `true`, `false`, `none`, tuples and structures.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, TypeAlias, Union, cast, get_args, get_origin, get_type_hints

from typing_extensions import override
from xdsl.parser import AttrParser
from xdsl.printer import Printer

Value: TypeAlias = Any
"""int, str, bool, None, a tuple of values, a dataclass or a `Structure`."""


class Structure:
    """Structured data of a kind that this level does not know by type (an ENF command, say).

    Attributes:
        kind: its name.
        record: what `of` made it of, which says the same as its fields; None of what text says.
    """

    __slots__ = ("_fields", "_names", "kind", "record")

    def __init__(self, kind: str, fields: tuple[tuple[str, Value], ...]) -> None:
        self.kind = kind
        self.record: Value = None
        self._names: tuple[str, ...] = ()
        self._fields: tuple[tuple[str, Value], ...] | None = fields

    @classmethod
    def of(cls, record: Value, without: str | None = None) -> Structure:
        """Of a dataclass, but for one of its fields; the others are listed when they are asked for.

        A network has hundreds of commands, and most are neither printed nor compared.
        """
        kind, names = _members(cast("type[Any]", type(record)))
        made = cls(kind, ())
        made.record, made._fields = record, None
        made._names = tuple([name for name in names if name != without])
        return made

    @property
    def fields(self) -> tuple[tuple[str, Value], ...]:
        """(name, value) in order."""
        if self._fields is None:
            self._fields = tuple((n, _structure(getattr(self.record, n))) for n in self._names)
        return self._fields

    @override
    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Structure):
            return NotImplemented
        return self.kind == other.kind and self.fields == other.fields

    @override
    def __hash__(self) -> int:
        return hash((self.kind, self.fields))

    @override
    def __repr__(self) -> str:
        return f"Structure({self.kind!r}, {self.fields!r})"


def _structure(value: Value) -> Value:
    if isinstance(value, tuple):
        items = cast("tuple[Value, ...]", value)
        if items and (isinstance(items[0], tuple) or is_dataclass(items[0])):
            return tuple(_structure(item) for item in items)
        return items
    return Structure.of(value) if is_dataclass(value) else value


@cache
def kind_name(cls: type[Any]) -> str:
    """How a dataclass is called in text: `SramTile` -> `sram_tile`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()


@cache
def _members(cls: type[Any]) -> tuple[str, tuple[str, ...]]:
    return kind_name(cls), tuple(f.name for f in fields(cls))


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
            return f'"{_SPECIAL.sub(_escaped, value)}"'
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


_SPECIAL = re.compile(r'[^ -~]|["\\]')


def _escaped(found: re.Match[str]) -> str:
    """A character as the bytes that it has, as the printer writes those of other strings."""
    return "".join(f"\\{byte:02X}" for byte in found[0].encode())


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
        if name in members:
            parser.raise_error(f"{kind} has '{name}' twice")
        parser.parse_punctuation("=")
        members[name] = parse_value(parser, types)
    cls = types.get(kind)
    if cls is None:
        return Structure(kind, tuple(members.items()))
    try:
        return made(cls, members)
    except ValueError as error:
        parser.raise_error(str(error))


def made(cls: type[Any], members: Mapping[str, Value]) -> Any:
    """Structured data of a known kind.

    Args:
        cls: the dataclass.
        members: its fields by name.

    Raises:
        ValueError: a field is missing, has another type, or there is no such field; one sentence.
    """
    known = _fields(cls)
    try:
        # Defaults are for code: text that leaves a field out has lost it.
        if len(members) == len(known) and all(known[n].accepts(v) for n, v in members.items()):
            return cls(**members)
    except KeyError:
        pass
    kind = kind_name(cls)
    for name, value in members.items():
        if name not in known:
            raise ValueError(f"{kind} has no '{name}' (it has {', '.join(known)})")
        if not known[name].accepts(value):
            raise ValueError(
                f"'{name}' of {kind} is {_text(value)}, and must be {_described(known[name].hint)}"
            )
    missing = next(n for n in known if n not in members)
    raise ValueError(f"{kind} lacks its '{missing}'")


@dataclass(frozen=True, slots=True)
class _Field:
    hint: Any
    accepts: Callable[[Value], bool]


@cache
def _fields(cls: type[Any]) -> dict[str, _Field]:
    hints = get_type_hints(cls)
    return {f.name: _Field(hints[f.name], _acceptor(hints[f.name])) for f in fields(cls)}


def _acceptor(hint: Any) -> Callable[[Value], bool]:
    """Whether a value is of a type as a dataclass declares it; a bool is no int."""
    arguments = get_args(hint)
    if isinstance(hint, UnionType) or get_origin(hint) is Union:
        choices = [_acceptor(a) for a in arguments]
        return lambda value: any(accepts(value) for accepts in choices)
    if get_origin(hint) is tuple:
        parts = [_acceptor(a) for a in arguments if a is not Ellipsis]
        is_open = arguments[-1] is Ellipsis

        def accepts_tuple(value: Value) -> bool:
            if type(value) is not tuple:
                return False
            items = cast("tuple[Value, ...]", value)
            if is_open:
                return all(map(parts[0], items))
            return len(items) == len(parts) and all(
                accepts(item) for accepts, item in zip(parts, items, strict=True)
            )

        return accepts_tuple
    return lambda value: type(value) is hint


def _described(hint: Any) -> str:
    arguments = get_args(hint)
    if isinstance(hint, UnionType) or get_origin(hint) is Union:
        return " or ".join(map(_described, arguments))
    if get_origin(hint) is tuple:
        count = "" if arguments[-1] is Ellipsis else f" of {len(arguments)}"
        return f"a tuple{count}, each {_described(arguments[0])}"
    return _NAMES.get(hint) or kind_name(hint)


_NAMES: dict[Any, str] = {
    int: "an integer",
    str: "a string",
    bool: "true or false",
    type(None): "none",
}
