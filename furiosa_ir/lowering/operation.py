"""One operation on its own, lowered: how the interpreter gets LiteRT's arithmetic."""

from __future__ import annotations

from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Region, SSAValue

from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.dialects.graph.structure import ConstantOp
from furiosa_ir.ir.rewrite_watch import unheard_rewrites
from furiosa_ir.lowering.function import lower_function
from furiosa_ir.lowering.registry import find_lowering


def lower_operation(op: GraphOp, numerics: str) -> FuncOp | None:
    """The `ftensor` function of an operation's variable operands; None if it has no lowering.

    Its constraints are not asked: they say what the machine can do, not what the operator means.
    """
    if find_lowering(op, numerics) is None:
        return None
    block = Block()
    values: dict[SSAValue, SSAValue] = {}
    for operand in op.operands:
        if isinstance(operand.owner, ConstantOp):
            if operand not in values:
                constant = operand.owner.clone()
                block.add_op(constant)
                values[operand] = constant.results[0]
        else:
            # One argument for each operand, so that callers need not look for repetitions.
            values[operand] = block.insert_arg(operand.type, len(block.args))
    copy = op.clone(values)
    block.add_op(copy)
    block.add_op(ReturnOp(*copy.results))
    function = FuncOp(
        "operation",
        (block.arg_types, op.result_types),
        Region(block),
        arg_attrs=ArrayAttr([DictionaryAttr({})] * len(block.args)),
        res_attrs=ArrayAttr([DictionaryAttr({})] * len(op.results)),
    )
    with unheard_rewrites():
        lower_function(function, numerics)
    return function
