"""Programs as JSON, for backends that want no format of their own.

Records are objects that say which one they are; bytes are base64. What is read is of the types that
the records declare, and follows the rules of every program (`program_rules`): what is in a device
segment beyond its fields' types, its backend has to check.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, Union, cast, get_args, get_origin, get_type_hints

from furiosa_ir.errors import FormatFailure, VerificationFailure
from furiosa_ir.program import (
    Binding,
    HostSegment,
    Layer,
    Program,
    Resumption,
    Tensor,
    Variable,
)

_RECORDS = (Program, Tensor, Binding, HostSegment, Layer, Resumption, Variable)


def to_json(program: Program) -> str:
    """A program as JSON; the same one gives the same text."""
    return json.dumps(program, default=_plain)


def from_json(text: str | bytes, records: Sequence[type] = ()) -> Program:
    """The program of JSON.

    Args:
        text: what `to_json` makes.
        records: the backend's own dataclasses: its `DeviceSegment`, and what that holds. Fields are
            of records, str, int, float, bool, bytes, tuples and dicts of these, or `object` for
            what JSON has.

    Raises:
        FormatFailure: it is no JSON, or another program could not be.
    """
    # numpy: whoever looks at the head of a file in the same module has no time for it.
    from furiosa_ir.program_rules import check_program  # noqa: PLC0415

    try:
        program = _Reader((*_RECORDS, *records)).read(Program, _loaded(text), "the program")
        check_program(program)
    except (ValueError, RecursionError) as error:
        raise FormatFailure(f"it is no JSON of a program: {error}") from error
    except VerificationFailure as failure:
        raise FormatFailure(failure.message, hint=failure.hint) from None
    return program


def _loaded(text: str | bytes) -> object:
    """What JSON has; ValueError also if halves of a character are in it, which no text can hold."""
    # Of bytes, json would take such halves, and other encodings than UTF-8.
    text = text if isinstance(text, str) else text.decode()
    found: object = json.loads(text)
    if "\\ud" in text.lower():  # escaped
        json.dumps(found, ensure_ascii=False).encode()
    return found


def _plain(value: Any) -> object:
    if isinstance(value, bytes | memoryview):
        return base64.b64encode(cast("bytes", value)).decode()
    if not is_dataclass(value):
        raise TypeError(f"a program as JSON cannot hold a {type(value).__name__}")
    held = {field.name: getattr(value, field.name) for field in fields(value)}
    return {"record": type(value).__name__, **held}


@cache
def _types(record: type) -> dict[str, Any]:
    return get_type_hints(record)


class _Reader:
    """Makes records of what JSON has, by the types of their fields; ValueError says what differs.

    Args:
        records: all there are.
    """

    def __init__(self, records: Sequence[type]) -> None:
        self._records = {record.__name__: record for record in records}

    def read(self, kind: Any, given: object, where: str) -> Any:
        origin, arguments = get_origin(kind) or kind, get_args(kind)
        if origin in (Union, UnionType):
            if bytes in arguments:
                return self.read(bytes, given, where)
            return self._record(arguments, given, where)
        if origin is tuple:
            return self._tuple(arguments, given, where)
        if origin is dict:
            rows = _of(dict, given, where).items()
            return {name: self.read(arguments[1], v, f"{where}.{name}") for name, v in rows}
        if is_dataclass(origin):
            return self._record((origin,), given, where)
        read: Callable[[object, str], object] = _PLAIN[origin]
        return read(given, where)

    def _tuple(self, arguments: Sequence[Any], given: object, where: str) -> tuple[Any, ...]:
        rows = _of(list, given, where)
        if arguments[-1] is ...:
            arguments = [arguments[0]] * len(rows)
        if len(arguments) != len(rows):
            raise ValueError(f"{where} has {len(rows)} elements, not {len(arguments)}")
        pairs = zip(arguments, rows, strict=True)
        return tuple(self.read(kind, row, f"{where}[{i}]") for i, (kind, row) in enumerate(pairs))

    def _record(self, kinds: Sequence[Any], given: object, where: str) -> Any:
        held = dict(_of(dict, given, where))
        name = held.pop("record", None)
        record = self._records.get(name) if isinstance(name, str) else None
        if record is None or not issubclass(record, tuple(kinds)):
            raise ValueError(f"{where} is no {' or '.join(k.__name__ for k in kinds)}")
        types = _types(record)
        if held.keys() != types.keys():
            raise ValueError(f"{where} has other fields than a {name}")
        return record(**{n: self.read(types[n], v, f"{where}.{n}") for n, v in held.items()})


def _of(kind: type, given: object, where: str) -> Any:
    # A bool is an int to Python, and to nobody else.
    if not isinstance(given, kind) or (isinstance(given, bool) and kind is not bool):
        raise ValueError(f"{where} is of type {type(given).__name__}, not {kind.__name__}")
    return given


def _float(given: object, where: str) -> float:
    return float(given) if type(given) is int else _of(float, given, where)


def _bytes(given: object, where: str) -> bytes:
    try:
        return base64.b64decode(_of(str, given, where), validate=True)
    except binascii.Error:
        raise ValueError(f"{where} is no base64") from None


_PLAIN: Mapping[Any, Callable[[object, str], object]] = {
    **{kind: lambda given, where, kind=kind: _of(kind, given, where) for kind in (str, int, bool)},
    float: _float,
    bytes: _bytes,
    object: lambda given, _: given,
}
