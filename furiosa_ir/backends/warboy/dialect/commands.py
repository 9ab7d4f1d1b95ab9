"""Commands (last stage): one operation for each ENF command, ordered by tokens.

Operands are the tokens to wait for; the result is the command's own:

    %5 = warboy.execute_dot after %4 {x = sram_tile(address = 0, ...), weight = ..., layer = 0}

The two engines ("dma": load,
store, copy_dram; "npu": the rest) work through their commands in order.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import ClassVar, Self

from typing_extensions import override
from xdsl.dialects.func import FuncOp
from xdsl.irdl import prop_def, result_def, traits_def, var_operand_def
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import HasParent, IsTerminator

from furiosa_ir.backends.warboy.dialect.attributes import CommandAttr, TokenType
from furiosa_ir.errors import VerificationFailure
from furiosa_ir.ir.assembly_format import AssemblyOp, parse_operands
from furiosa_ir.ir.operation_definition import irdl_op_definition


class CommandOp(AssemblyOp):
    """What all commands share."""

    KIND: ClassVar[str]
    """The ENF record's name in text."""

    waits = var_operand_def(TokenType)
    token = result_def(TokenType)
    command = prop_def(CommandAttr)

    @override
    def print(self, printer: Printer) -> None:
        from furiosa_ir.backends.warboy.dialect.command_text import print_command  # noqa: PLC0415

        for i, token in enumerate(self.operands):
            printer.print_string(", " if i else " after ")
            printer.print_operand(token)
        command = self.command.data
        printer.print_string(" ")
        if command.kind == self.KIND:
            print_command(command, printer)
        else:
            printer.print_string("command ")
            printer.print_attribute(self.command)
        printer.print_op_attributes(self.attributes, print_keyword=True)

    @classmethod
    @override
    def parse(cls, parser: Parser) -> Self:
        from furiosa_ir.backends.warboy.dialect.command_text import parse_command  # noqa: PLC0415

        operands = [] if parser.parse_optional_keyword("after") is None else parse_operands(parser)
        command = (
            CommandAttr(parse_command(parser, cls.KIND))
            if parser.parse_optional_keyword("command") is None
            else parser.parse_attribute()
        )
        attributes = parser.parse_optional_attr_dict_with_keyword()
        return cls.create(
            operands=operands,
            result_types=[TokenType()],
            properties={"command": command},
            attributes={} if attributes is None else dict(attributes.data),
        )

    @override
    def verification_key(self) -> Hashable | None:
        if self.attributes or not isinstance(self.properties.get("command"), CommandAttr):
            return None
        types = tuple(map(type, self.operand_types)), tuple(map(type, self.result_types))
        return self.command.data.kind, tuple(self.properties), types

    def verify_(self) -> None:
        if self.command.data.kind != self.KIND:
            raise VerificationFailure(f"{self.name}: the command is a {self.command.data.kind}")


@irdl_op_definition
class LoadOp(CommandOp):
    """DMA from DRAM to SRAM."""

    name = "warboy.load"
    KIND: ClassVar[str] = "load"


@irdl_op_definition
class StoreOp(CommandOp):
    """DMA from SRAM to DRAM."""

    name = "warboy.store"
    KIND: ClassVar[str] = "store"


@irdl_op_definition
class CopyDramOp(CommandOp):
    """DMA from DRAM to DRAM."""

    name = "warboy.copy_dram"
    KIND: ClassVar[str] = "copy"


@irdl_op_definition
class ExecuteDotOp(CommandOp):
    """A step of the dot-product engine and the vector engine."""

    name = "warboy.execute_dot"
    KIND: ClassVar[str] = "dot"


@irdl_op_definition
class ExecutePoolOp(CommandOp):
    """A step of the window reduction and the vector engine."""

    name = "warboy.execute_pool"
    KIND: ClassVar[str] = "pool"


@irdl_op_definition
class ExecuteVectorOp(CommandOp):
    """A step of the vector engine."""

    name = "warboy.execute_vector"
    KIND: ClassVar[str] = "vector"


@irdl_op_definition
class BeginRunOp(AssemblyOp):
    """Between a session's set-up, which is done once, and what each run does.

    All commands in front of it have ended when the first one behind it begins; they only load
    constants, to where no run of any segment writes.
    """

    name = "warboy.begin_run"
    traits = traits_def(HasParent(FuncOp))

    @override
    def print(self, printer: Printer) -> None:
        printer.print_op_attributes(self.attributes, print_keyword=True)

    @classmethod
    @override
    def parse(cls, parser: Parser) -> Self:
        # What follows may begin with a value, which is no operand of this one.
        attributes = parser.parse_optional_attr_dict_with_keyword()
        return cls.create(attributes={} if attributes is None else dict(attributes.data))


@irdl_op_definition
class EndOp(AssemblyOp):
    """The end of a segment's commands; its outputs lie in the workspace."""

    name = "warboy.end"
    traits = traits_def(IsTerminator())


COMMANDS: tuple[type[CommandOp], ...] = (
    LoadOp,
    StoreOp,
    CopyDramOp,
    ExecuteDotOp,
    ExecutePoolOp,
    ExecuteVectorOp,
)

COMMAND_OF_KIND = {op.KIND: op for op in COMMANDS}
"""ENF record name -> operation."""
