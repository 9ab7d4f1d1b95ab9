"""`graph-fuse-tables`: expressions of one 8-bit value become one lookup."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue

from furiosa_ir.dialects.graph.base import GraphOp, is_from_tflite, quantization_of
from furiosa_ir.dialects.graph.elementwise import BinaryOp, TableOp, UnaryOp
from furiosa_ir.dialects.graph.quantization import DequantizeOp, QuantizeOp
from furiosa_ir.ir.passes import RewritePass
from furiosa_ir.ir.rewriting import Rewrite, Rule, rule
from furiosa_ir.ir.shaped_operation import element_of
from furiosa_ir.passes.elementwise_expression import Expression, find_expression, is_byte


def _emit(expression: Expression, op: GraphOp, rw: Rewrite) -> SSAValue:
    rw.fuse_locations(*expression.steps)
    return rw.emit(
        TableOp,
        [expression.source],
        [element_of(op.results[0])],
        table=expression.table(),
        function=expression.text(),
    )


@rule
def quantize_of_expression(op: QuantizeOp, x: UnaryOp | BinaryOp, rw: Rewrite) -> SSAValue | None:
    """Q(f(g(DQ(x)))) = table of x, for float functions of one quantised value and scalars."""
    if not is_byte(op.result) or all(isinstance(v.owner, DequantizeOp) for v in x.operands):
        return None  # one operator between Q and DQ stays what it is
    expression = find_expression(op.result)
    return None if expression is None else _emit(expression, op, rw)


@rule
def chain(op: UnaryOp | BinaryOp | QuantizeOp, rw: Rewrite) -> SSAValue | None:
    """f(g(x)) = table of x, for quantised operators in a row, as x * sigmoid(x)."""
    if not is_byte(op.results[0]) or quantization_of(op.operands[0]) is None:
        return None
    expression = find_expression(op.results[0])
    if expression is None or (len(expression.steps) == 1 and not isinstance(op, BinaryOp)):
        return None
    return _emit(expression, op, rw)


ISLAND_RULES = (quantize_of_expression,)


@dataclass(frozen=True)
class FuseTables(RewritePass):
    """Fuses quantised elementwise operators of one value into one table of its 256 results.

        %1 = graph.sigmoid %x : tensor<1x8x!quant.uniform<i8:f32, 0.00390625:-128>>
        %2 = graph.mul %x, %1 : tensor<1x8x!quant.uniform<i8:f32, 0.25>>

    becomes

        %2 = graph.table %x {table = #table, function = "mul(x, sigmoid(x))"}
             : tensor<1x8x!quant.uniform<i8:f32, 0.25>>

    Every step rounds as it did. An operator whose value others use too stays for them; x does not
    change by that, and one lookup costs what another does.

    `ftensor-fuse-tables` comes to the same commands for most networks, but too late for those with
    a step that the NPU has no arithmetic for: a SiLU whose sigmoid has 16 bits, x to the power of a
    function of x. The partition would leave these on the host, and cut the network in three.
    """

    name = "graph-fuse-tables"
    rules = (chain,)

    def rules_for(self, module: ModuleOp) -> tuple[Rule, ...]:
        # How TFLite's operators round, only their lowerings know: there `ftensor-fuse-tables` does
        # the same on integers.
        return () if is_from_tflite(module) else self.rules
