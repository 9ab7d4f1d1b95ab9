"""What IREE adds to upstream's dialects and we need: constants that lie beside the module.

    util.global private @c0 = #flow.parameter.named<"model"::"9f86..."> : tensor<64x3x3x16xi8>
    %w = util.global.load @c0 : tensor<64x3x3x16xi8>

`ParameterAttr` holds the elements, as `graph.blob` does: text names them by their digest, and the
safetensors file beside it has them under that name, which IREE reads as it is
(`--parameters=model=net.safetensors`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Self

from typing_extensions import override
from xdsl.dialects.builtin import StringAttr, SymbolNameConstraint, SymbolRefAttr, TensorType
from xdsl.ir import Attribute, Data, Dialect
from xdsl.irdl import (
    IRDLOperation,
    VarConstraint,
    base,
    irdl_attr_definition,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
)
from xdsl.parser import AttrParser, Parser
from xdsl.printer import Printer
from xdsl.traits import MemoryReadEffect, NoMemoryEffect, SymbolOpInterface

from furiosa_ir.errors import FuriosaError, VerificationFailure
from furiosa_ir.ir.constants import Constant, TextAlias, constant_of_digest
from furiosa_ir.ir.element_types import element_of_dtype
from furiosa_ir.ir.shaped_operation import AnyTensor, tensor_type

SCOPE = "model"
"""What IREE calls the file of parameters."""


def type_of(constant: Constant) -> AnyTensor:
    """The type of a constant's tensor.

    Raises:
        FuriosaError: its elements are none that lowerings make.
    """
    if constant.dtype.kind != "i":
        raise FuriosaError(f"a parameter has no elements of {constant.dtype.name}")
    return tensor_type(element_of_dtype(constant.dtype), constant.shape)


@irdl_attr_definition
class ParameterAttr(Data[Constant], TextAlias):
    """`#flow.parameter.named<"model"::"sha256"> : tensor<2xi8>`: elements beside the text."""

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
            constant = constant_of_digest(parser, parser.parse_str_literal())
        parser.parse_punctuation(":")
        if parser.parse_type() != type_of(constant):
            parser.raise_error(f"the parameter is of {type_of(constant)}")
        return constant

    def print_parameter(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string(f'"{SCOPE}"::"{self.data.digest}"')
        printer.print_string(" : ")
        printer.print_attribute(type_of(self.data))


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
    def of(cls, name: str, constant: Constant) -> Self:
        """The private global of a constant."""
        return cls.create(
            properties={
                "sym_name": StringAttr(name),
                "sym_visibility": StringAttr("private"),
                "type": type_of(constant),
                "initial_value": ParameterAttr(constant),
            }
        )

    @override
    def verify_(self) -> None:
        if self.type != type_of(self.initial_value.data):
            raise VerificationFailure(f"{self.name}: its parameter is of another type")

    @override
    def print(self, printer: Printer) -> None:
        if self.sym_visibility is not None:
            printer.print_string(f" {self.sym_visibility.data}")
        printer.print_string(f" @{self.sym_name.data} = ")
        printer.print_attribute(self.initial_value)
        printer.print_op_attributes(self.attributes)

    @classmethod
    @override
    def parse(cls, parser: Parser) -> Self:
        visibility = parser.parse_optional_keyword("private")
        name = parser.parse_symbol_name()
        parser.parse_punctuation("=")
        value = parser.parse_attribute()
        if not isinstance(value, ParameterAttr):
            parser.raise_error("a global's value is a #flow.parameter.named")
        attributes = parser.parse_optional_attr_dict()
        type_ = type_of(value.data)
        properties: dict[str, Attribute] = {
            "sym_name": name,
            "type": type_,
            "initial_value": value,
        }
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


@irdl_op_definition
class OptimizationBarrierOp(IRDLOperation):
    """A tensor, which is made before anything is done with it: nothing is fused across."""

    name = "util.optimization_barrier"

    T: ClassVar = VarConstraint("T", base(TensorType))

    x = operand_def(T)
    result = result_def(T)

    assembly_format = "$x attr-dict `:` type($x)"


Flow = Dialect("flow", [], [ParameterAttr])
Util = Dialect("util", [GlobalOp, GlobalLoadOp, OptimizationBarrierOp], [])
