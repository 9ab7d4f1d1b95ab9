"""Attributes of the `warboy` dialect, one a kind of table; `structured_data` prints them all."""

from __future__ import annotations

from typing import Any

from xdsl.ir import Data, ParametrizedAttribute, TypeAttribute
from xdsl.irdl import irdl_attr_definition
from xdsl.parser import AttrParser
from xdsl.printer import Printer

from furiosa_ir.backends.warboy.dialect.plan import (
    PLAN_TYPES,
    CopyPlan,
    KernelAddresses,
    KernelPlan,
    KernelViews,
    LayerTable,
    MemoryAddresses,
    MemoryPlan,
)
from furiosa_ir.backends.warboy.dialect.structured_data import (
    Structure,
    kind_name,
    parse_value,
    print_value,
)

VIEW = "warboy.view"
"""Of an argument, and of a movement outside of kernels: its view, a string."""

PART = "warboy.part"
"""Attribute of kernels that are parts of one: its number. They are one layer of a program."""

GROUP = "warboy.group"
"""Attribute of kernels that are planned as if only those with this number were there."""

MEMORY = "warboy.memory"
"""Of a function: its `MemoryAttr`, from `plan-tiles` to `schedule`."""

ADDRESSES = "warboy.addresses"
"""Of a function: its `AddressesAttr`, from `allocate` on."""

CONSTANTS = "warboy.constants"
"""Of a function that is scheduled: the constants in the order of the constant section."""

LAYERS = "warboy.layers"
"""Of a function that is scheduled: its `LayersAttr`."""

_TYPES: dict[str, type[Any]] = {kind_name(cls): cls for cls in PLAN_TYPES}


def _parse(parser: AttrParser, *expected: type[Any]) -> Any:
    with parser.in_angle_brackets():
        value = parse_value(parser, _TYPES)
    if not isinstance(value, expected):
        names = " or ".join(kind_name(cls) for cls in expected)
        parser.raise_error(f"expected {names}")
    return value


def _print(value: object, printer: Printer) -> None:
    with printer.in_angle_brackets():
        print_value(value, printer)


@irdl_attr_definition
class ViewsAttr(Data[KernelViews]):
    """`#warboy.views<("NCHW", none) -> "NCHW">`: of a kernel's operands and its result."""

    name = "warboy.views"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> KernelViews:
        with parser.in_angle_brackets():
            operands = parser.parse_comma_separated_list(
                AttrParser.Delimiter.PAREN, lambda: _parse_view(parser)
            )
            parser.parse_punctuation("->")
            return KernelViews(tuple(operands), parser.parse_str_literal())

    def print_parameter(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string(self.data.text)


def _parse_view(parser: AttrParser) -> str | None:
    if parser.parse_optional_keyword("none") is not None:
        return None
    return parser.parse_str_literal()


@irdl_attr_definition
class PlanAttr(Data[KernelPlan | CopyPlan]):
    """`#warboy.plan<kernel_plan(...)>`: a kernel's plan (planned stage)."""

    name = "warboy.plan"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> KernelPlan | CopyPlan:
        return _parse(parser, KernelPlan, CopyPlan)

    def print_parameter(self, printer: Printer) -> None:
        _print(self.data, printer)


@irdl_attr_definition
class MemoryAttr(Data[MemoryPlan]):
    """`#warboy.memory<memory_plan(...)>`: a function's buffers and live ranges (planned stage)."""

    name = "warboy.memory"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> MemoryPlan:
        return _parse(parser, MemoryPlan)

    def print_parameter(self, printer: Printer) -> None:
        _print(self.data, printer)


@irdl_attr_definition
class AddressesAttr(Data[KernelAddresses | MemoryAddresses]):
    """`#warboy.addresses<...>`: of a kernel's areas or a function's buffers (scheduled stage)."""

    name = "warboy.addresses"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> KernelAddresses | MemoryAddresses:
        return _parse(parser, KernelAddresses, MemoryAddresses)

    def print_parameter(self, printer: Printer) -> None:
        _print(self.data, printer)


@irdl_attr_definition
class LayersAttr(Data[LayerTable]):
    """`#warboy.layers<layer_table(...)>`: the rows of a segment's report (commands)."""

    name = "warboy.layers"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> LayerTable:
        return _parse(parser, LayerTable)

    def print_parameter(self, printer: Printer) -> None:
        _print(self.data, printer)


@irdl_attr_definition
class CommandAttr(Data[Structure]):
    """`#warboy.command<dot(x = sram_tile(...), ...)>`: an ENF command without layer and waits.

    The fields are those of `backends.warboy.enf.records`, which this level does not know.
    """

    name = "warboy.command"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> Structure:
        return _parse(parser, Structure)

    def print_parameter(self, printer: Printer) -> None:
        _print(self.data, printer)


@irdl_attr_definition
class TokenType(ParametrizedAttribute, TypeAttribute):
    """`!warboy.token`: that a command is complete."""

    name = "warboy.token"
