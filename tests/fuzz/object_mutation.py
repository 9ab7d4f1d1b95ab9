"""Mutations of a tree of Python objects: dictionaries, lists, numpy arrays and plain objects."""

from __future__ import annotations

import random
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np

from tests.fuzz.values import REALS, integer, text

_LARGEST_LIST = 256
_Place = tuple[Any, Callable[[Any], None]]
"""A value, and what puts another one in its place."""


def mutate_object(root: Any, rng: random.Random) -> None:
    """Changes one to three values of the tree in place."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        places = list(_places(root))
        if not places:
            return
        value, put = rng.choice(places)
        put(_changed(value, places, rng))


def _places(node: Any) -> list[_Place]:
    """Every place of the tree, deep ones included."""
    found: list[_Place] = []
    members: list[tuple[Any, Callable[[Any], None]]] = []
    if isinstance(node, dict):
        members = [(v, lambda new, k=k: node.__setitem__(k, new)) for k, v in node.items()]
    elif isinstance(node, list):
        members = [(v, lambda new, i=i: node.__setitem__(i, new)) for i, v in enumerate(node)]
    elif hasattr(node, "__dict__"):
        members = [(v, lambda new, k=k: setattr(node, k, new)) for k, v in vars(node).items()]
    for value, put in members:
        found.append((value, put))
        found.extend(_places(value))
    return found


def _changed(value: Any, places: list[_Place], rng: random.Random) -> Any:
    if rng.random() < 0.1:
        alike = [v for v, _ in places if type(v) is type(value)]
        return deepcopy(rng.choice(alike))
    match value:
        case bool():
            return not value
        case int():
            return integer(value, rng)
        case float():
            return rng.choice(REALS)
        case str():
            names = [v for v, _ in places if isinstance(v, str)]
            return rng.choice(names) if rng.random() < 0.5 else text(value, rng)
        case bytes():
            return value[: rng.randrange(len(value) + 1)]
        case np.ndarray():
            return _changed_array(value, rng)
        case list():
            return _changed_list(value, rng)
        case tuple():
            return tuple(_changed_list(list(value), rng, fixed=True))
        case _:
            return None if rng.random() < 0.3 else value


def _changed_list(items: list[Any], rng: random.Random, *, fixed: bool = False) -> list[Any]:
    items = list(items)
    if not items:
        return items
    i, j = rng.randrange(len(items)), rng.randrange(len(items))
    action = "change" if fixed else rng.choice(("delete", "duplicate", "swap", "change", "change"))
    if action == "delete":
        del items[i]
    elif action == "duplicate" and len(items) < _LARGEST_LIST:
        items.insert(j, deepcopy(items[i]))
    elif action == "swap":
        items[i], items[j] = items[j], items[i]
    elif isinstance(items[i], int | float):
        items[i] = integer(int(items[i]) if np.isfinite(items[i]) else 0, rng)
    return items


def _changed_array(array: Any, rng: random.Random) -> Any:
    """An array of another length, or with one element (or a field of it) changed."""
    if array.size == 0 or array.ndim != 1:
        return array
    i, j = rng.randrange(array.size), rng.randrange(array.size)
    action = rng.choice(("delete", "duplicate", "swap", "change", "change", "change", "change"))
    if action == "delete":
        return np.delete(array, i)
    if action == "duplicate" and array.size < _LARGEST_LIST:
        return np.concatenate([array[: j + 1], array[i : i + 1], array[j + 1 :]])
    array = array.copy()
    if action == "swap":
        array[[i, j]] = array[[j, i]]
        return array
    element = array[i : i + 1]
    while element.dtype.names:
        element = element[rng.choice(element.dtype.names)]
    element = element.reshape(-1)
    at = rng.randrange(element.size)
    if element.dtype.kind == "f":
        element[at] = rng.choice(REALS)
    else:
        bits = 8 * element.dtype.itemsize
        wrapped = integer(int(element[at]), rng) & ((1 << bits) - 1)
        element[at] = np.array([wrapped], f"u{element.dtype.itemsize}").view(element.dtype)[0]
    return array
