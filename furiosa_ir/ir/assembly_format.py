"""How operations are written for people: one grammar, from what each operation declares.

    %y = graph.conv %x, %w, %b {strides = array<i64: 2, 2>} : tensor<1x64x112x112x!y> loc("conv1")

    operation  ::= name (leading ","?)? operands? properties? attributes? (":" types)? regions
    leading    ::= the property that LEADING names   `graph.constant #w`, `graph.read_variable @v`
    operands   ::= %x, %w                            their types stand where they are defined
    properties ::= "{" name "=" value, ... "}"       what DEFAULTS has is left out
    attributes ::= "attributes" "{" ... "}"          those that no operation declares
    types      ::= type | "(" type, ... ")"          of the results

A property's 64-bit integers and floats stand without type, lists of them as `[1, 2]`; anything
else is as MLIR has it. The generic form says all of it in full, and is read wherever this is.

Written by hand and not in xDSL's declarative format (0.74), which can neither take an operand's
type from its definition nor leave out what depends on a rank, and wants a line for each operation.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cache
from typing import ClassVar, Self, cast

from typing_extensions import override
from xdsl.dialects.builtin import StringAttr, TensorType
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import IRDLOperation, OpDef, VarResultDef
from xdsl.parser import Parser, UnresolvedOperand
from xdsl.printer import Printer
from xdsl.traits import OpTraitInvT

from furiosa_ir.ir.attribute_values import as_attribute, parse_value, print_value
from furiosa_ir.ir.operation_definition import define

Default = object | Callable[[Sequence[SSAValue], Sequence[Attribute]], object]
"""What a property is where text leaves it out.

A value for `as_attribute`, or a function that makes one of the operands and the results' types;
None where there is none.
"""


class AssemblyOp(IRDLOperation):
    """An operation that is written in the grammar above."""

    LEADING: ClassVar[str | None] = None
    """The property that is written first, without its name."""
    DEFAULTS: ClassVar[Mapping[str, Default]] = {}
    """Property -> what it is where text says nothing of it. The IR always has it."""

    @classmethod
    def __subclasshook__(cls, subclass: type, /) -> bool:
        """Nothing is registered as an operation: `ABCMeta` would ask 200 subclasses for each."""
        return cls in subclass.__mro__

    def __new__(cls, *_: object, **_keywords: object) -> Self:  # pyright: ignore[reportInconsistentConstructor]
        """An operation of a class that is defined by now."""
        define(cls)
        return super().__new__(cls)

    @classmethod
    @override
    def get_irdl_definition(cls) -> OpDef:
        return cls.get_irdl_definition() if define(cls) else super().get_irdl_definition()

    @classmethod
    @override
    def get_trait(cls, trait: type[OpTraitInvT] | OpTraitInvT) -> OpTraitInvT | None:
        define(cls)
        return super().get_trait(trait)

    @classmethod
    @override
    def get_traits_of_type(cls, trait_type: type[OpTraitInvT]) -> list[OpTraitInvT]:
        define(cls)
        return super().get_traits_of_type(trait_type)

    def verification_key(self) -> Hashable | None:
        """What the operation's rules look at: those of one type and key are verified once a module.

        Of attributes and types, which do not change, the `id` will do while the module holds them.
        None: each is verified.
        """
        return None

    def key_holds(self) -> object:
        """What the key has the `id`s of: while it is held, the key means the same.

        None: the key is for one verification only. It has something in it that may change.
        """
        return None

    def print(self, printer: Printer) -> None:
        """Writes what follows the operation's name."""
        separator = " "
        if self.LEADING is not None and self.LEADING in self.properties:
            printer.print_string(separator)
            _print_leading(printer, self.LEADING, self.properties[self.LEADING])
            separator = ", "
        for operand in self.operands:
            printer.print_string(separator)
            printer.print_operand(operand)
            separator = ", "
        self.print_properties(printer)
        print_types(printer, self.result_types)
        for region in self.regions:
            printer.print_string(" ")
            printer.print_region(region)

    def print_properties(self, printer: Printer) -> None:
        """Writes the properties that are not at their defaults, and the other attributes."""
        defaults = default_properties(type(self), self.operands, self.result_types)
        shown = [
            (name, self.properties[name])
            for name in property_order(type(self), self.properties)
            if name != self.LEADING and defaults.get(name) != self.properties[name]
        ]
        if shown:
            printer.print_string(" ")
            with printer.in_braces():
                printer.print_list(shown, lambda entry: _print_entry(printer, *entry))
        printer.print_op_attributes(self.attributes, print_keyword=True)

    @classmethod
    def parse(cls, parser: Parser) -> Self:
        """Reads what follows the operation's name."""
        leading = None if cls.LEADING is None else _parse_leading(parser, cls.LEADING)
        operands: list[SSAValue] = []
        if leading is None:
            operands = parse_operands(parser)
        elif parser.parse_optional_punctuation(",") is not None:
            operands = parse_operands(parser, parser.parse_unresolved_operand())
        return cls.parse_rest(
            parser, operands, {} if leading is None else {str(cls.LEADING): leading}
        )

    @classmethod
    def parse_rest(
        cls,
        parser: Parser,
        operands: Sequence[SSAValue],
        properties: dict[str, Attribute],
        arguments: Sequence[Parser.Argument] | None = None,
    ) -> Self:
        """Reads what follows the operands.

        Args:
            parser: behind the operands.
            operands: what has been read.
            properties: what has been read of them.
            arguments: the region's, where they have been read.
        """
        properties |= parse_properties(parser, properties)
        attributes = parser.parse_optional_attr_dict_with_keyword()
        types = parse_types(parser, needed=_has_results(cls))
        regions = [parser.parse_region(arguments) for _ in cls.get_irdl_definition().regions]
        given = default_properties(cls, operands, types) | properties
        return cls.create(
            operands=operands,
            result_types=types,
            properties={name: given[name] for name in property_order(cls, given)},
            attributes={} if attributes is None else dict(attributes.data),
            regions=regions,
        )


@cache
def _declared(cls: type[IRDLOperation]) -> tuple[str, ...]:
    return tuple(cls.get_irdl_definition().properties)


@cache
def _has_results(cls: type[IRDLOperation]) -> bool:
    """Whether each operation of a class has a result."""
    return any(not isinstance(r, VarResultDef) for _, r in cls.get_irdl_definition().results)


def property_order(cls: type[IRDLOperation], given: Mapping[str, Attribute]) -> list[str]:
    """The names of properties as they are written: as declared, then those that are not."""
    declared = _declared(cls)
    return [n for n in declared if n in given] + [n for n in given if n not in declared]


def default_properties(
    cls: type[AssemblyOp], operands: Sequence[SSAValue], types: Sequence[Attribute]
) -> dict[str, Attribute]:
    """What an operation's properties are where text says nothing of them."""
    made: dict[str, Attribute] = {}
    for name, default in cls.DEFAULTS.items():
        value = default(operands, types) if callable(default) else default
        if value is not None:
            made[name] = as_attribute(value)
    return made


def repeated(number: int, *, less: int = 0, times: int = 1) -> Default:
    """A default: that number for each dimension of the first operand.

    Args:
        number: the entry.
        less: how many dimensions have none (batch and channels have no stride).
        times: entries of a dimension (two, where there is a begin and an end).
    """

    def of(operands: Sequence[SSAValue], _types: Sequence[Attribute]) -> list[int] | None:
        shape = _shape(operands[0].type) if operands else None
        return None if shape is None else [number] * (max(len(shape) - less, 0) * times)

    return of


def result_shape(_operands: Sequence[SSAValue], types: Sequence[Attribute]) -> list[int] | None:
    """A default: the shape of the first result."""
    shape = _shape(types[0]) if types else None
    return None if shape is None else list(shape)


def in_order(operands: Sequence[SSAValue], _types: Sequence[Attribute]) -> list[int]:
    """A default: each operand's number."""
    return list(range(len(operands)))


def _shape(kind: Attribute) -> Sequence[int] | None:
    if not isinstance(kind, TensorType):
        return None
    return cast("TensorType[Attribute]", kind).get_shape()


def print_types(printer: Printer, types: Sequence[Attribute]) -> None:
    """Writes the types of an operation's results, if it has any."""
    if not types:
        return
    printer.print_string(" : ")
    if len(types) == 1:
        printer.print_attribute(types[0])
    else:
        with printer.in_parens():
            printer.print_list(types, printer.print_attribute)


def parse_types(parser: Parser, *, needed: bool = False) -> Sequence[Attribute]:
    """Reads the types of an operation's results.

    Args:
        parser: behind the operation's attributes.
        needed: whether the operation has results whatever it computes.
    """
    if parser.parse_optional_punctuation(":") is None:
        if needed:
            parser.raise_error("':' and the result's type expected")
        return ()
    types = parser.parse_optional_comma_separated_list(parser.Delimiter.PAREN, parser.parse_type)
    return [parser.parse_type()] if types is None else types


def parse_operands(parser: Parser, first: UnresolvedOperand | None = None) -> list[SSAValue]:
    """Reads operands that stand without their types, as many as there are.

    Args:
        parser: in front of them.
        first: the first one, where it has been read.
    """
    named = first or parser.parse_optional_unresolved_operand()
    operands: list[SSAValue] = []
    while named is not None:
        operands.append(defined_value(parser, named))
        another = parser.parse_optional_punctuation(",") is not None
        named = parser.parse_unresolved_operand() if another else None
    return operands


def defined_value(parser: Parser, named: UnresolvedOperand) -> SSAValue:
    """The value that an operand names.

    Raises:
        ParseError: nothing above defines it.
    """
    values = parser.ssa_values.get(named.operand_name)
    if values is None:
        parser.raise_error(f"{named.span.text} is not defined above", named.span)
    if named.index >= len(values):
        parser.raise_error(f"{named.span.text} has no value {named.index}", named.span)
    return values[named.index]


def parse_properties(parser: Parser, known: Mapping[str, Attribute]) -> dict[str, Attribute]:
    """Reads the properties in braces, if there are any; none may be of those known already."""
    made: dict[str, Attribute] = {}

    def entry() -> None:
        name = parser.parse_optional_str_literal()
        if name is None:
            name = parser.parse_identifier()
        if name in made or name in known:
            parser.raise_error(f"the property '{name}' is there twice")
        parser.parse_punctuation("=")
        made[name] = parse_value(parser)

    parser.parse_optional_comma_separated_list(parser.Delimiter.BRACES, entry)
    return made


def _print_leading(printer: Printer, name: str, value: Attribute) -> None:
    if name == "sym_name" and isinstance(value, StringAttr):
        printer.print_symbol_name(value.data)
    else:
        printer.print_attribute(value)


def _parse_leading(parser: Parser, name: str) -> Attribute:
    return parser.parse_symbol_name() if name == "sym_name" else parser.parse_attribute()


def _print_entry(printer: Printer, name: str, value: Attribute) -> None:
    printer.print_identifier_or_string_literal(name)
    printer.print_string(" = ")
    print_value(printer, value)
