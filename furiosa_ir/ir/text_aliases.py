"""Aliases of IR text (`#a = ...`, `!t = ...`), which may stand for much more than they are.

An alias of eight times an alias of eight times ... is a graph of a few objects, but whoever
prints, hashes or compares it visits every path through it: 558 bytes of text have no end.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from typing_extensions import override
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr
from xdsl.ir import Attribute, Data, ParametrizedAttribute

from furiosa_ir.errors import ImportFailure
from furiosa_ir.limits import Budget, limit, way_out


def attribute_parts(attribute: Attribute) -> Iterator[Attribute]:
    """The attributes that an attribute (or type) directly consists of."""
    match attribute:
        case ArrayAttr():
            yield from attribute
        case DictionaryAttr():
            yield from attribute.data.values()
        case ParametrizedAttribute():
            yield from attribute.parameters
        case Data():
            parts: object = cast("Data[object]", attribute).data
            if isinstance(parts, tuple):
                for part in cast("tuple[object, ...]", parts):
                    if isinstance(part, Attribute):
                        yield part
        case _:
            return


_DEFINITION = 4
"""Attributes that a definition counts as, beside those in it: its line takes as long to parse."""


class AliasTable(dict[str, Attribute]):
    """Name -> what it stands for; every look-up takes from a budget what that holds.

    Raises:
        ImportFailure: on a look-up, that all of them hold more than ALIASED_ATTRIBUTES; on a
            definition, that it nests deeper than NESTING.
    """

    def __init__(self) -> None:
        super().__init__()
        self._budget = Budget(limit("ALIASED_ATTRIBUTES"), _too_many)
        # id -> (attributes that it holds, itself included; levels). This table keeps them alive.
        self._sizes: dict[int, tuple[int, int]] = {}

    @override
    def __getitem__(self, name: str) -> Attribute:
        value = super().__getitem__(name)
        self._budget.take(self._sizes[id(value)][0])
        return value

    @override
    def __setitem__(self, name: str, value: Attribute) -> None:
        super().__setitem__(name, value)
        size, levels = self._sizes[id(value)] = self._size(value)
        if levels > limit("NESTING"):
            raise ImportFailure(f"the alias {name} is nested too deeply", hint=way_out("NESTING"))
        self._budget.take(size + _DEFINITION)

    def _size(self, attribute: Attribute) -> tuple[int, int]:
        """What an attribute holds; the text bounds how deep it is above the aliases in it."""
        known = self._sizes.get(id(attribute))
        if known is not None:
            return known
        size, levels = 1, 0
        for part in attribute_parts(attribute):
            part_size, part_levels = self._size(part)
            size, levels = size + part_size, max(levels, part_levels)
        return size, levels + 1


def _too_many() -> ImportFailure:
    return ImportFailure(
        "its aliases stand for too many attributes", hint=way_out("ALIASED_ATTRIBUTES")
    )
