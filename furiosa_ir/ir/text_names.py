"""Names in IR text: of values, after the layers that make them, and of aliases, after the values.

A name that text gave a value stays. Else a function's argument is called as the network calls it,
a result as its layer, what a layer's constant is to it (`%conv1_weight`, `%conv1_shift`), and what
is inside of a kernel as its operation. Names are unique where they can be seen.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import cast

from xdsl.dialects.builtin import (
    DictionaryAttr,
    FileLineColLoc,
    FusedLoc,
    LocationAttr,
    ModuleOp,
    NameLoc,
    StringAttr,
    TensorType,
)
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, BlockArgument, Operation, Region, SSAValue, TypeAttribute
from xdsl.irdl import IRDLOperation, OperandDef
from xdsl.traits import IsolatedFromAbove

from furiosa_ir.ir.constants import TextAlias
from furiosa_ir.ir.location import layer_names, location_names
from furiosa_ir.ir.text_aliases import attribute_parts

_LONGEST = 32
"""Letters of a name that is made here."""

_LONGEST_LOCATION = 40
"""Letters of a layer's name that text repeats at each of its operations."""

_INVALID = re.compile(r"[^A-Za-z0-9]+")
_TAIL = 80
"""Letters at the end of a name in which a quantiser's are looked for."""
_QUANTISER = re.compile(r"_(?:Dequantize|Quantize)Linear(?:_\w+|/\w+)?$")
"""What onnxruntime's quantiser calls the nodes that it adds around a layer."""


class Names:
    """The names of everything in a module.

    Attributes:
        values: of each value, without its `%`.
        types: alias -> type, in order; without `!`.
        constants: alias -> attribute, in order; without `#`.
        locations: alias -> location, in order; without `#`.
        forward: operations that use what is defined below them, or nowhere: only the generic form
            can say so.
    """

    def __init__(self, module: Operation) -> None:
        self.values: dict[SSAValue, str] = {}
        self.types: dict[str, Attribute] = {}
        self.constants: dict[str, Attribute] = {}
        self.locations: dict[str, Attribute] = {}
        self.forward: set[Operation] = set()
        self._alias_of: dict[Hashable, str] = {}
        self._alias_counts: dict[tuple[bool, str], int] = {}
        self._roles = _roles(module)
        self._seen: set[int] = set()
        self._operation(module, _Scope())

    def alias(self, attribute: Attribute) -> str | None:
        """The alias of a constant, a type or a location; None if it has none."""
        return self._alias_of.get(_alias_key(attribute))

    def _operation(self, op: Operation, scope: _Scope) -> None:
        if any(operand not in self.values for operand in op.operands):
            self.forward.add(op)
        if op.results:
            name = self._result_name(op, scope)
            for result in op.results:
                self._value(result, name, scope)
        self._location(op.location)
        is_isolated = op.has_trait(IsolatedFromAbove, value_if_unregistered=False)
        for region in op.regions:
            inner = _Scope() if is_isolated else _Scope(scope)
            inner.is_kernel = not (is_isolated or isinstance(op, ModuleOp))
            self._region(op, region, inner)
        name = self.values[op.results[0]] if op.results else ""
        name = _mnemonic(op) if name[:1].isdigit() else name
        for attributes in (op.properties, op.attributes):
            for key, attribute in attributes.items():
                self._aliases(attribute, name or key.rpartition(".")[2])

    def _region(self, op: Operation, region: Region, scope: _Scope) -> None:
        named = argument_names(op) if isinstance(op, FuncOp) else ()
        for block in region.blocks:
            for i, argument in enumerate(block.args):
                name = named[i] if i < len(named) and block is region.blocks.first else None
                self._value(argument, name or self._roles.get(argument), scope)
                self._location(argument.location)
        for block in region.blocks:
            for inner in block.ops:
                self._operation(inner, scope)

    def _result_name(self, op: Operation, scope: _Scope) -> str | None:
        if not isinstance(op.results[0].type, TensorType):
            return None
        if scope.is_kernel:
            return _mnemonic(op)
        role = self._roles.get(op.results[0]) if not op.operands else None
        return role or layer_label(op) or None

    def _value(self, value: SSAValue, name: str | None, scope: _Scope) -> None:
        name = scope.unique(value.name_hint or name)
        self.values[value] = name
        maker = value.owner
        if name[0].isdigit() and isinstance(maker, Operation):
            name = _mnemonic(maker)
        self._aliases(value.type, name)

    def _aliases(self, attribute: Attribute, name: str) -> None:
        """Names what is to be named of an attribute or a type, and what it consists of."""
        if id(attribute) in self._seen:
            return
        self._seen.add(id(attribute))  # the module keeps it alive
        if isinstance(attribute, TextAlias) and attribute.needs_alias:
            if attribute.alias_key not in self._alias_of:
                table = self.types if isinstance(attribute, TypeAttribute) else self.constants
                self._alias(table, f"{name}{attribute.ALIAS_SUFFIX}", attribute)
            return
        for part in attribute_parts(attribute):
            self._aliases(part, name)

    def _location(self, location: LocationAttr) -> None:
        if id(location) in self._seen:
            return
        self._seen.add(id(location))
        is_short = isinstance(location, NameLoc) and len(location.desc.data) <= _LONGEST_LOCATION
        if is_short or not isinstance(location, NameLoc | FusedLoc) or location in self._alias_of:
            return
        self._alias(self.locations, label_of(location_names(location)) or "loc", location)

    def _alias(self, table: dict[str, Attribute], name: str, attribute: Attribute) -> None:
        # `#` names both constants and locations; MLIR reserves names with a point for dialects.
        others = (table,) if table is self.types else (self.constants, self.locations)
        base = _INVALID.sub("_", name).strip("_") or "a"
        base = name = f"n{base}" if base[0].isdigit() else base
        # Where thousands are called alike, none is tried twice.
        key = (table is self.types, base)
        count = self._alias_counts.get(key, 1)
        while any(name in other for other in others):
            name = f"{base}_{count}"
            count += 1
        self._alias_counts[key] = count
        table[name] = attribute
        self._alias_of[_alias_key(attribute)] = name


def _alias_key(attribute: Attribute) -> Hashable:
    return attribute.alias_key if isinstance(attribute, TextAlias) else attribute


def _mnemonic(op: Operation) -> str:
    return op.name.rpartition(".")[2]


class _Scope:
    """The names that can be seen in a region."""

    def __init__(self, outer: _Scope | None = None) -> None:
        self._outer = outer
        self._taken: set[str] = set()
        self._counts: dict[str, int] = {}
        self.next_number: int = 0 if outer is None else outer.next_number
        self.is_kernel = False

    def unique(self, name: str | None) -> str:
        """The name, with a number behind it where it is taken; None is a number alone."""
        if name is None:
            self.next_number += 1
            return str(self.next_number - 1)
        found, count = name, self._counts.get(name, 1)
        while self.is_taken(found):
            found = f"{name}_{count}"
            count += 1
        self._counts[name] = count
        self._taken.add(found)
        return found

    def is_taken(self, name: str) -> bool:
        """Whether something that can be seen has that name."""
        return name in self._taken or (self._outer is not None and self._outer.is_taken(name))


def argument_names(function: FuncOp) -> list[str | None]:
    """What the network calls a function's arguments, as names of values."""
    entries = cast("Sequence[DictionaryAttr]", function.arg_attrs or ())
    return [_given_name(entry.data) for entry in entries]


def _given_name(entry: Mapping[str, Attribute]) -> str | None:
    name = entry.get("graph.name")
    return (label_of(tuple(name.data.split("+"))) or None) if isinstance(name, StringAttr) else None


def layer_label(op: Operation) -> str:
    """A layer's name as that of a value; "" where it has none."""
    return "" if isinstance(op.location, FileLineColLoc) else label_of(layer_names(op))


@lru_cache(maxsize=65536)
def label_of(names: tuple[str, ...]) -> str:
    """What a value of several layers is called: as the first that a quantiser did not add."""
    own = [name for name in names if _without_quantiser(name) == name] or list(names)
    if not own:
        return ""
    # LiteRT's converter joins the names of what it fuses.
    text = _without_quantiser(own[0].partition(";")[0])
    label = _INVALID.sub("_", text).strip("_")
    if len(label) > _LONGEST:
        label = label[-_LONGEST:]
        label = (label.partition("_")[2] or label).strip("_")
    return f"n{label}" if label[:1].isdigit() else label


def _without_quantiser(name: str) -> str:
    # Names are a file's: what is looked through is bounded.
    begin = max(0, len(name) - _TAIL)
    return name[:begin] + _QUANTISER.sub("", name[begin:])


def _roles(module: Operation) -> dict[SSAValue, str]:
    """What constants and arguments of kernels are to the operation that takes them first."""
    roles: dict[SSAValue, str] = {}
    for op in module.walk(reverse=False):
        arguments = _kernel_arguments(op)
        for inner in op.regions[0].blocks[0].ops if arguments else ():
            for operand, role in _operand_roles(inner):
                if isinstance(operand, BlockArgument):
                    roles.setdefault(operand, role)
        layer = layer_label(op)
        if not layer:
            continue
        pairs = (
            ((v, roles.get(a)) for v, a in zip(op.operands, arguments, strict=True))
            if arguments
            else _operand_roles(op)
        )
        for operand, role in pairs:
            maker = operand.owner
            if role and isinstance(maker, Operation) and not maker.operands:
                roles.setdefault(operand, f"{layer}_{role}")
    return roles


def _kernel_arguments(op: Operation) -> Sequence[BlockArgument]:
    if len(op.regions) != 1 or not op.operands or len(op.regions[0].blocks) != 1:
        return ()
    arguments = op.regions[0].blocks[0].args
    return arguments if len(arguments) == len(op.operands) else ()


def _operand_roles(op: Operation) -> Iterator[tuple[SSAValue, str]]:
    names = _operand_names(type(op))
    return zip(op.operands, names, strict=False)


@lru_cache(maxsize=1024)
def _operand_names(cls: type[Operation]) -> tuple[str, ...]:
    """The names of an operation's operands, up to the first that stands for several."""
    if not issubclass(cls, IRDLOperation):
        return ()
    names: list[str] = []
    for name, definition in cls.get_irdl_definition().operands:
        names.append(name)
        if type(definition) is not OperandDef:
            # An optional operand is the last; of several, no one is called by their name.
            return tuple(names if type(definition).__name__.startswith("Opt") else names[:-1])
    return tuple(names)
