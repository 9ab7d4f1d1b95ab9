"""What IREE adds to upstream's dialects and we need: constants that lie beside the module.

    util.global private @c0 = #flow.parameter.named<"model"::"9f86..."> : tensor<64x3x3x16xi8>
    %w = util.global.load @c0 : tensor<64x3x3x16xi8>

`ParameterAttr` holds the elements, as `graph.blob` does: text names them by their digest, and the
safetensors file beside it has them under that name, which IREE reads as it is
(`--parameters=model=net.safetensors`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from typing_extensions import override
from xdsl.dialects.builtin import StringAttr, SymbolNameConstraint, SymbolRefAttr, TensorType
from xdsl.ir import Attribute, Data, Dialect
from xdsl.irdl import (
    IRDLOperation,
    irdl_attr_definition,
    irdl_op_definition,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
)
from xdsl.parser import AttrParser, Parser
from xdsl.printer import Printer
from xdsl.traits import MemoryReadEffect, NoMemoryEffect, SymbolOpInterface

from furiosa_ir.ir.constants import Constant, TextAlias, constant_of_digest

SCOPE = "model"
"""What IREE calls the file of parameters."""


@irdl_attr_definition
class ParameterAttr(Data[Constant], TextAlias):
    """`#flow.parameter.named<"model"::"sha256">`: elements in the file of parameters."""

    name = "flow.parameter.named"

    @property
    @override
    def needs_alias(self) -> bool:
        return False

    @override
    def text_constants(self) -> Iterable[Constant]:
        return (self.data,)

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> Constant:
        with parser.in_angle_brackets():
            parser.parse_str_literal()
            parser.parse_punctuation(":")
            parser.parse_punctuation(":")
            return constant_of_digest(parser, parser.parse_str_literal())

    def print_parameter(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string(f'"{SCOPE}"::"{self.data.digest}"')


@irdl_op_definition
class GlobalOp(IRDLOperation):
    """A tensor of the module: one whose elements are a parameter."""

    name = "util.global"

    sym_name = prop_def(SymbolNameConstraint())
    sym_visibility = opt_prop_def(StringAttr)
    type = prop_def(Attribute)
    initial_value = prop_def(ParameterAttr)

    traits = traits_def(SymbolOpInterface(), NoMemoryEffect())

    @classmethod
    def of(cls, name: str, constant: Constant, type_: TensorType[Attribute]) -> Self:
        """The private global of a constant."""
        return cls.create(
            properties={
                "sym_name": StringAttr(name),
                "sym_visibility": StringAttr("private"),
                "type": type_,
                "initial_value": ParameterAttr(constant),
            }
        )

    @override
    def print(self, printer: Printer) -> None:
        if self.sym_visibility is not None:
            printer.print_string(f" {self.sym_visibility.data}")
        printer.print_string(f" @{self.sym_name.data} = ")
        printer.print_attribute(self.initial_value)
        printer.print_string(" : ")
        printer.print_attribute(self.type)
        printer.print_op_attributes(self.attributes)

    @classmethod
    @override
    def parse(cls, parser: Parser) -> Self:
        visibility = parser.parse_optional_keyword("private")
        name = parser.parse_symbol_name()
        parser.parse_punctuation("=")
        value = parser.parse_attribute()
        parser.parse_punctuation(":")
        type_ = parser.parse_type()
        attributes = parser.parse_optional_attr_dict()
        properties = {"sym_name": name, "type": type_, "initial_value": value}
        if visibility is not None:
            properties["sym_visibility"] = StringAttr(visibility)
        return cls.create(properties=properties, attributes=attributes)


@irdl_op_definition
class GlobalLoadOp(IRDLOperation):
    """The tensor that a global holds."""

    name = "util.global.load"

    global_ = prop_def(SymbolRefAttr, prop_name="global")
    result = result_def(TensorType)

    traits = traits_def(MemoryReadEffect())

    assembly_format = "$global attr-dict `:` type($result)"


Flow = Dialect("flow", [], [ParameterAttr])
Util = Dialect("util", [GlobalOp, GlobalLoadOp], [])
