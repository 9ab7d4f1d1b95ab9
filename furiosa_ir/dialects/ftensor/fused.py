"""Operations of `ftensor` that a machine carries out in one go, like a fused `linalg.generic`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self, cast

from typing_extensions import override
from xdsl.dialects.builtin import TensorType, UnknownLoc
from xdsl.ir import Operation, SSAValue
from xdsl.irdl import region_def, result_def, var_operand_def
from xdsl.parser import Parser
from xdsl.printer import Printer

from furiosa_ir.dialects.ftensor.base import TensorOp
from furiosa_ir.ir.assembly_format import AssemblyOp, defined_value, print_types
from furiosa_ir.numerics.array import Array


class FusedOp(AssemblyOp):
    """What the kernels of every machine share: tensors in (parameters among them), one tensor out.

    The region holds the `ftensor` operations; its block arguments are the operands, and its
    terminator yields the result. Text binds the arguments where it names the operands:

        %y = machine.kernel %x = %image, %weight = %w {plan = ...} : tensor<1x16x8x8xi8> {
          ...
        }
    """

    inputs = var_operand_def(TensorType)
    result = result_def(TensorType)
    body = region_def("single_block")

    @override
    def print(self, printer: Printer) -> None:
        block = self.body.block
        bound = len(block.args) == len(self.operands) and all(
            a.type == v.type and isinstance(a.location, UnknownLoc)
            for a, v in zip(block.args, self.operands, strict=True)
        )
        if not bound:
            super().print(printer)
            return
        for i, (argument, operand) in enumerate(zip(block.args, self.operands, strict=True)):
            printer.print_string(", " if i else " ")
            printer.print_ssa_value(argument)
            printer.print_string(" = ")
            printer.print_operand(operand)
        self.print_properties(printer)
        print_types(printer, self.result_types)
        printer.print_string(" ")
        printer.print_region(self.body, print_entry_block_args=False)

    @classmethod
    @override
    def parse(cls, parser: Parser) -> Self:
        operands: list[SSAValue] = []
        arguments: list[Parser.Argument] = []
        named = parser.parse_optional_unresolved_operand()
        while named is not None:
            if parser.parse_optional_punctuation("=") is None:
                # Plain operands; the region's header has the arguments.
                operands.append(defined_value(parser, named))
            else:
                operand = defined_value(parser, parser.parse_unresolved_operand())
                operands.append(operand)
                arguments.append(parser.Argument(named.span, operand.type))
            another = parser.parse_optional_punctuation(",") is not None
            named = parser.parse_unresolved_operand() if another else None
        if arguments and len(arguments) != len(operands):
            parser.raise_error("some operands stand for arguments, and some do not")
        return cls.parse_rest(parser, operands, {}, arguments or None)

    @property
    def operations(self) -> list[TensorOp]:
        """The body without its terminator."""
        return [op for op in self.body.block.ops if isinstance(op, TensorOp)]

    @property
    def yielded(self) -> SSAValue:
        """The value that the body yields."""
        return cast("Operation", self.body.block.last_op).operands[0]

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        """The result's elements: the body, operation by operation."""
        values: dict[SSAValue, Array] = dict(zip(self.body.block.args, operands, strict=True))
        for op in self.operations:
            arrays = op.evaluate(*[values[v] for v in op.operands])
            values.update(zip(op.results, arrays, strict=True))
        return [values[self.yielded]]
