"""The planner's input as JSON: dataclasses of a fixed list, by name. Nothing else is ever made."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from typing import Any, cast

from furiosa_ir.backends.warboy.dialect.plan import (
    Allocation,
    CopyPlan,
    Move,
    OperandBinding,
    ParameterBinding,
    Runs,
    Stage,
)
from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.planning.buffers import Storage
from furiosa_ir.backends.warboy.planning.geometry import Geometry, WindowShape
from furiosa_ir.backends.warboy.planning.layouts import Layout
from furiosa_ir.backends.warboy.planning.tiles import Task
from furiosa_ir.backends.warboy.planning.workload import Workload

_TYPES: dict[str, type[Any]] = {
    each.__name__: each
    for each in (
        *(Allocation, CopyPlan, Move, OperandBinding, ParameterBinding, Runs, Stage, Machine),
        *(Storage, Geometry, WindowShape, Layout, Workload, Task),
    )
}
_COLLECTIONS: dict[str, type[Any]] = {"list": list, "tuple": tuple, "frozenset": frozenset}


def encode(value: object) -> bytes:
    """JSON of dataclasses of the list, collections, numbers and text.

    Raises:
        TypeError: something else is in it.
    """
    return json.dumps(_plain(value)).encode()


def decode(data: bytes) -> Any:
    """What `encode` was given.

    Raises:
        KeyError, TypeError, ValueError: it is no such JSON.
    """
    return _made(json.loads(data))


def _plain(value: object) -> object:
    if value is None or isinstance(value, int | float | str):
        return value
    name = type(value).__name__
    if isinstance(value, dict):
        items = cast("dict[object, object]", value).items()
        return ["dict", *([_plain(k), _plain(v)] for k, v in items)]
    if _COLLECTIONS.get(name) is type(value):
        return [name, *map(_plain, cast("tuple[object, ...]", value))]
    if is_dataclass(value) and _TYPES.get(name) is type(value):
        return [name, *(_plain(getattr(value, field.name)) for field in fields(value))]
    raise TypeError(f"{name} is no plain data")


def _made(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    name, *parts = cast("list[Any]", value)
    if name == "dict":
        return {_made(k): _made(v) for k, v in parts}
    made = [_made(part) for part in parts]
    return _COLLECTIONS[name](made) if name in _COLLECTIONS else _TYPES[name](*made)
