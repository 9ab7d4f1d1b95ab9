"""The vector program of a kernel: its body's operations as instructions on numbered registers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from xdsl.ir import SSAValue

from furiosa_ir.backends.warboy.dialect.kernels import DotOp, KernelOp, PoolOp
from furiosa_ir.backends.warboy.dialect.vector_operations import (
    immediates_of,
    instruction_of,
    mode_of,
)
from furiosa_ir.backends.warboy.planning.geometry import element_bytes
from furiosa_ir.backends.warboy.planning.kernel_views import longer_axes
from furiosa_ir.backends.warboy.planning.views import LETTERS
from furiosa_ir.backends.warboy.vector_engine import Instruction
from furiosa_ir.backends.warboy.vector_engine.elements import LIMITS
from furiosa_ir.dialects.ftensor import TensorOp
from furiosa_ir.ir.shaped_operation import shape_of


def vector_program(
    kernel: KernelOp, view: str, tiles: Sequence[int], parameters: Sequence[int]
) -> tuple[Instruction, ...]:
    """The kernel's program.

    Args:
        kernel: its body.
        view: the view of the result; values of lower rank have its last letters.
        tiles: numbers of the operands that are tiles of the program, in the command's order.
        parameters: numbers of the operands that are its parameters, in the command's order.
    """
    args = kernel.body.block.args
    registers: dict[SSAValue, int] = {}
    operations = kernel.operations
    if isinstance(kernel, DotOp | PoolOp):
        registers[operations[0].results[0]] = 0
        operations = operations[1:]
    count = len(registers)
    for index in (*tiles, *parameters):
        registers[args[index]] = count
        count += 1
    program: list[Instruction] = []
    for op in operations:
        result = op.results[0]
        program.append(
            Instruction(
                instruction_of(op).name,
                tuple(registers[v] for v in op.operands),
                immediates_of(op, partial(_axes, view, op)),
                mode_of(op),
                element_bytes(result),
            )
        )
        registers[result] = count
        count += 1
    if not program and isinstance(kernel, DotOp | PoolOp) and (tiles or parameters):
        # The last register is the result, so the accumulator has to become it.
        element = element_bytes(kernel.result)
        program.append(Instruction("clamp", (0,), LIMITS[min(element, 4)], "", element))
    return tuple(program)


def _axes(view: str, op: TensorOp, axes: Sequence[int]) -> tuple[int, ...]:
    """Axes of an operation's first operand as axes of (N, H, W, C)."""
    missing = len(view) - len(shape_of(op.operands[0]))
    return tuple(sorted({LETTERS.index(view[a + missing]) for a in longer_axes(op, axes)}))
