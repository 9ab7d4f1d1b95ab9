"""State as values: what lies between the reads and the assignments of variables is one graph."""

from __future__ import annotations

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue

from furiosa_ir.dialects.graph.quantization import StorageCastOp
from furiosa_ir.dialects.graph.variables import (
    AssignVariableOp,
    ReadVariableOp,
    variables_of,
)
from furiosa_ir.ir.rewrite_watch import step
from furiosa_ir.ir.shaped_operation import element_of
from furiosa_ir.ir.value_tracking import note_replaced


def forward_variables(module: ModuleOp, main: FuncOp) -> None:
    """Reads each variable of `@main` once, first of all, and assigns it once, last of all.

    A read behind an assignment is the value assigned (MLIR's store-to-load forwarding; a function
    of one block needs no more), so what is left in between depends on nothing but its operands and
    may be cut and ordered at will. A variable that is read behind assignments only, or not at all,
    keeps nothing, and goes.

        %a = graph.read_variable @v : tensor<4xi8>
        %b = graph.add %a, %x : tensor<4xi8>
        graph.assign_variable @v, %b
        %c = graph.read_variable @v : tensor<4xi8>
        %d = graph.relu %c : tensor<4xi8>

    becomes

        %a = graph.read_variable @v : tensor<4xi8>
        %b = graph.add %a, %x : tensor<4xi8>
        %d = graph.relu %b : tensor<4xi8>
        graph.assign_variable @v, %b
    """
    variables = variables_of(module)
    if not variables:
        return
    block = main.body.block
    held: dict[str, SSAValue] = {}
    reads: dict[str, ReadVariableOp] = {}
    assignments: dict[str, AssignVariableOp] = {}
    for op in list(block.ops):
        if isinstance(op, ReadVariableOp) and op.result.first_use is None:
            op.detach()
            op.erase()
        elif isinstance(op, AssignVariableOp):
            held[op.symbol] = op.x
            op.detach()
            if op.symbol in assignments:  # nobody sees what it assigned
                assignments[op.symbol].erase()
            assignments[op.symbol] = op
        elif isinstance(op, ReadVariableOp) and op.symbol in held:
            with step("forward_variable", op) as done:
                done.values.append(_replace(op, held[op.symbol]))
        elif isinstance(op, ReadVariableOp):
            held[op.symbol] = op.result
            reads[op.symbol] = op
    for read in reversed(reads.values()):  # the last of them is moved first
        read.detach()
        assert block.first_op is not None
        block.insert_op_before(read, block.first_op)
    for name, assignment in assignments.items():
        if name in reads:
            assert block.last_op is not None
            block.insert_op_before(assignment, block.last_op)
        else:
            assignment.erase()
    for name, variable in variables.items():
        if name not in reads:
            variable.detach()
            variable.erase()


def _replace(read: ReadVariableOp, value: SSAValue) -> SSAValue:
    block = read.parent
    assert block is not None
    if value.type != read.result.type:  # the same stored integers, quantised otherwise
        cast = StorageCastOp.make([value], [element_of(read.result)], location=read.location)
        block.insert_op_before(cast, read)
        value = cast.result
    note_replaced(read.result, value)
    read.result.replace_all_uses_with(value)
    read.detach()
    read.erase()
    return value
