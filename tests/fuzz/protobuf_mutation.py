"""Mutations of a protobuf message that keep it parseable: its fields, not its bytes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tests.fuzz.values import REALS, integer, text

_REALS = (FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_DOUBLE)
_WEIGHTS = {"AttributeProto": 6, "TensorProto": 6, "NodeProto": 4, "Dimension": 3}
"""How often messages of a kind are changed: what is inside of operators is where code is."""
_UNSIGNED = (FieldDescriptor.TYPE_UINT32, FieldDescriptor.TYPE_UINT64)
_LARGEST_LIST = 64
"""Lists are not made longer than this: what is long costs time and finds nothing new."""


def mutate_message(message: Message, rng: random.Random) -> None:
    """Changes one to three places of a message."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        messages = [message, *_messages(message)]
        kinds = sorted({m.DESCRIPTOR.name for m in messages})
        (kind,) = rng.choices(kinds, [_WEIGHTS.get(k, 1) for k in kinds])
        target = rng.choice([m for m in messages if m.DESCRIPTOR.name == kind])
        rng.choice((_change_field, _change_field, _change_field, _transplant))(
            target, messages, rng
        )


def _messages(message: Message) -> Iterator[Message]:
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for part in value if field.is_repeated else (value,):
                yield part
                yield from _messages(part)


def _change_field(target: Message, messages: list[Message], rng: random.Random) -> None:
    present = [field for field, _ in target.ListFields()]
    if not present or rng.random() < 0.15:
        present = list(target.DESCRIPTOR.fields)
    field = rng.choice(present)
    if field.is_repeated:
        _change_list(getattr(target, field.name), field, messages, rng)
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        target.ClearField(field.name)
        if rng.random() < 0.5:
            getattr(target, field.name).SetInParent()
    elif rng.random() < 0.1:
        target.ClearField(field.name)
    else:
        _set(target, field, _scalar(field, getattr(target, field.name), messages, rng))


def _change_list(
    items: Any, field: FieldDescriptor, messages: list[Message], rng: random.Random
) -> None:
    action = rng.choice(("delete", "duplicate", "swap", "change", "add"))
    if items and action == "delete":
        del items[rng.randrange(len(items))]
    elif len(items) > 1 and action == "swap":
        i, j = rng.randrange(len(items)), rng.randrange(len(items))
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            one = type(items[i])()
            one.CopyFrom(items[i])
            items[i].CopyFrom(items[j])
            items[j].CopyFrom(one)
        else:
            items[i], items[j] = items[j], items[i]
    elif len(items) >= _LARGEST_LIST:
        return
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        if items and action == "duplicate":
            items.add().CopyFrom(items[rng.randrange(len(items))])
        elif action == "add":
            items.add()
    elif items and action in ("change", "swap"):
        i = rng.randrange(len(items))
        items[i] = _scalar(field, items[i], messages, rng)
    else:
        items.append(
            items[rng.randrange(len(items))]
            if items and action == "duplicate"
            else _scalar(field, field.default_value or _zero(field), messages, rng)
        )


def _zero(field: FieldDescriptor) -> Any:
    if field.type == FieldDescriptor.TYPE_STRING:
        return ""
    return b"" if field.type == FieldDescriptor.TYPE_BYTES else 0


def _set(target: Message, field: FieldDescriptor, value: Any) -> None:
    try:
        setattr(target, field.name, value)
    except ValueError:  # beyond the field's range, or no value of a closed enum
        target.ClearField(field.name)


def _scalar(field: FieldDescriptor, old: Any, messages: list[Message], rng: random.Random) -> Any:
    if field.type == FieldDescriptor.TYPE_STRING:
        return (
            rng.choice(_strings(messages) or [""]) if rng.random() < 0.8 else text(_str(old), rng)
        )
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _bytes(old, rng)
    if field.type in _REALS:
        return rng.choice(REALS)
    if field.type == FieldDescriptor.TYPE_ENUM:
        return rng.choice(field.enum_type.values).number
    bits = 31 if field.type in (FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_UINT32) else 63
    least = 0 if field.type in _UNSIGNED else -(1 << bits)
    return max(least, min(integer(int(old), rng), (1 << bits) - 1))


def _bytes(old: bytes, rng: random.Random) -> bytes:
    if not old or rng.random() < 0.3:
        return old[: rng.randrange(len(old) + 1)] + rng.randbytes(rng.choice((0, 1, 4, 8)))
    changed = bytearray(old)
    changed[rng.randrange(len(changed))] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
    return bytes(changed)


def _strings(messages: list[Message]) -> list[str]:
    found: list[str] = []
    for message in messages:
        for field, value in message.ListFields():
            if field.type == FieldDescriptor.TYPE_STRING:
                found.extend(map(_str, value if field.is_repeated else (value,)))
    return found


def _str(value: str | bytes) -> str:
    """protobuf hands out bytes where a string of the file is not UTF-8."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _transplant(target: Message, messages: list[Message], rng: random.Random) -> None:
    """The content of another message of the same kind, from anywhere in the whole."""
    alike = [m for m in messages if m.DESCRIPTOR is target.DESCRIPTOR and m is not target]
    if alike:
        copy = type(target)()
        copy.CopyFrom(rng.choice(alike))
        target.CopyFrom(copy)
