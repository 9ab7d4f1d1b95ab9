"""The text of device functions that upstream's tools read: what xDSL's printer writes, but at once.

A body's operations are alike thousands of times but for the names of values. So the printer is
asked once for each operation of some types and properties, and the rest is names put into that
form. Values have numbers alone: names would differ between what a compile made and what text has
brought; and no attribute of ours is written that a function has.
"""

from __future__ import annotations

import io
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import cast

from typing_extensions import override
from xdsl.dialects.builtin import IntegerType
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Operation, Region, SSAValue
from xdsl.printer import Printer

from furiosa_ir.backends.mlir.dialect import (
    SCOPE,
    GlobalLoadOp,
    GlobalOp,
    ParameterAttr,
    type_of,
)
from furiosa_ir.backends.mlir.segment import text_of
from furiosa_ir.ir.segments import body_of

_STEP = "  "
"""What is inside of something stands so much further to the right."""


def module_text(globals_: Iterable[GlobalOp], functions: Iterable[FuncOp]) -> str:
    """The text of a module of these globals and functions."""
    return text_of(map(global_text, globals_), map(function_text, functions))


def function_text(function: FuncOp) -> str:
    """A public function of some symbol, as it stands in a module; without a line's end behind it.

    Args:
        function: in upstream's dialects.
    """
    return _Writer().function(function)


def global_text(op: GlobalOp) -> str:
    """The line that declares a global in a module."""
    constant = op.initial_value.data
    element = cast("IntegerType", type_of(constant).element_type)
    type_ = "x".join([*map(str, constant.shape), f"i{element.width.data}"])
    value = f'#{ParameterAttr.name}<"{SCOPE}"::"{constant.digest}"> : tensor<{type_}>'
    return f"{_STEP}{op.name} private @{op.sym_name.data} = {value}"


@dataclass(frozen=True, slots=True)
class _Form:
    """The text of operations of one kind.

    Attributes:
        text: with a `%s` for each of `places`.
        places: the number of a value, among results and then operands; of a region, less than 0.
        holds: what the form was found by, which must not become another object.
    """

    text: str
    places: tuple[int, ...]
    holds: object


class _Texts:
    """Texts of attributes and types, each printed once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Attribute, str]] = {}

    def of(self, attribute: Attribute) -> str:
        known = self._known.get(id(attribute))
        if known is None:
            written = io.StringIO()
            Printer(written).print_attribute(attribute)
            known = self._known[id(attribute)] = attribute, written.getvalue()
        return known[1]


class _FormPrinter(Printer):
    """Prints a mark where there is a value or a region, and remembers which."""

    def __init__(self, written: io.StringIO, texts: _Texts) -> None:
        super().__init__(written)
        self.found: list[SSAValue | Region] = []
        self._texts = texts

    @override
    def print_attribute(self, attribute: Attribute) -> None:
        self.print_string(self._texts.of(attribute))

    @override
    def print_ssa_value(self, value: SSAValue) -> str:
        self.print_string(f"%{_MARK}")
        self.found.append(value)
        return ""

    @override
    def print_region(
        self,
        region: Region,
        print_entry_block_args: bool = True,
        print_empty_block: bool = True,
        print_block_terminators: bool = True,
    ) -> None:
        self.print_string(_MARK)
        self.found.append(region)


_MARK = "\0"
"""Strings in text have it escaped."""


class _Writer:
    """Writes operations, whose values it numbers as it comes to them.

    Values are found by their `id`: xDSL hashes them by a method in Python.
    """

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self._forms: dict[Hashable, _Form] = {}
        self._texts = _Texts()

    def function(self, function: FuncOp) -> str:
        body, signature = body_of(function), function.function_type
        given = ", ".join(self._argument(value) for value in body.args)
        types = ", ".join(self._texts.of(type_) for type_ in signature.outputs)
        several = f"({types})" if len(signature.outputs) != 1 else types
        made = f" -> {several}" if types else ""
        inner = _STEP * 2
        lines = [f"{_STEP}func.func public @{function.sym_name.data}({given}){made} {{"]
        lines += [f"{inner}{self.operation(op, inner)}" for op in body.ops]
        return "\n".join([*lines, f"{_STEP}}}"])

    def operation(self, op: Operation, indent: str) -> str:
        """The text of an operation; its second line and those behind it are indented."""
        names = self._names
        for result in op.results:
            names[id(result)] = str(len(names))
        if isinstance(op, GlobalLoadOp):  # hardly two of which are alike
            symbol, type_ = op.global_.string_value(), self._texts.of(op.result.type)
            return f"%{names[id(op.result)]} = {op.name} @{symbol} : {type_}"
        values = (*op.results, *op._operands)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        found = [*map(id, values)]
        key = _key(op, values, found)
        form = self._forms.get(key)
        if form is None:
            form = self._forms[key] = _form(op, values, self._texts)
        if not op.regions:
            return form.text % tuple([names[found[place]] for place in form.places])
        written = (
            names[found[place]] if place >= 0 else self._region(op.regions[-1 - place], indent)
            for place in form.places
        )
        return form.text % tuple(written)

    def _region(self, region: Region, indent: str) -> str:
        block, inner = region.block, indent + _STEP
        lines = ["{"]
        if block.args:
            lines.append(f"{indent}^bb0({', '.join(map(self._argument, block.args))}):")
        lines += [f"{inner}{self.operation(op, inner)}" for op in block.ops]
        return "\n".join([*lines, f"{indent}}}"])

    def _argument(self, value: SSAValue) -> str:
        name = self._names[id(value)] = str(len(self._names))
        return f"%{name}: {self._texts.of(value.type)}"


def _key(op: Operation, values: Sequence[SSAValue], found: Sequence[int]) -> Hashable:
    """What an operation's text follows from, but for names; objects by their `id`.

    Args:
        op: the operation.
        values: its results and operands.
        found: the `id` of each.
    """
    held, alike = op.properties, ()
    if len(set(found)) < len(found):
        alike = tuple(found.index(value) for value in found)
    types = [id(value.type) for value in values]
    more = tuple(op.attributes.items())
    return type(op), len(op.results), alike, more, *types, *held, *map(id, held.values())


def _form(op: Operation, values: Sequence[SSAValue], texts: _Texts) -> _Form:
    written = io.StringIO()
    printer = _FormPrinter(written, texts)
    printer.print_op(op)
    text = written.getvalue().replace("%", "%%").replace(_MARK, "%s")
    places = [
        values.index(found) if isinstance(found, SSAValue) else -1 - op.regions.index(found)
        for found in printer.found
    ]
    holds = [value.type for value in values], [*op.properties.values()]
    return _Form(text, tuple(places), holds)
