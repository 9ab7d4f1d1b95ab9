"""The vector program of a kernel: its body's operations as instructions on numbered registers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from xdsl.ir import SSAValue

from furiosa_ir.backends.warboy.dialect.kernels import DotOp, KernelOp, PoolOp
from furiosa_ir.backends.warboy.enf.records import Instruction
from furiosa_ir.backends.warboy.planning.geometry import element_bytes
from furiosa_ir.backends.warboy.planning.kernel_views import reduced_axes
from furiosa_ir.backends.warboy.planning.views import LETTERS
from furiosa_ir.dialects.ftensor import arithmetic, contraction, movement
from furiosa_ir.ir.shaped_operation import ints, shape_of

_I32 = (-(1 << 31), (1 << 31) - 1)


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
        immediates, mode = _IMMEDIATES[type(op)](op, view)
        operands = tuple(registers[v] for v in op.operands)
        result = op.results[0]
        program.append(
            Instruction(_OPCODES[type(op)], operands, immediates, mode, element_bytes(result))
        )
        registers[result] = count
        count += 1
    if not program and isinstance(kernel, DotOp | PoolOp) and (tiles or parameters):
        # The last register is the result, so the accumulator has to become it.
        element = element_bytes(kernel.result)
        limits = (-128, 127) if element == 1 else _I32
        program.append(Instruction("clamp", (0,), limits, "", element))
    return tuple(program)


def _axes(view: str, rank: int, axes: Sequence[int]) -> tuple[int, ...]:
    """Axes of a value of that rank as axes of (N, H, W, C)."""
    missing = len(view) - rank
    return tuple(sorted({LETTERS.index(view[axis + missing]) for axis in axes}))


def _rescale(op: arithmetic.RescaleOp, view: str) -> tuple[tuple[int, ...], str]:
    del view
    values = (op.input_zp, op.output_zp, op.minimum, op.maximum)
    return tuple(v.value.data for v in values), op.rounding.data


def _none(op: object, view: str) -> tuple[tuple[int, ...], str]:
    del op, view
    return (), ""


def _divide(op: arithmetic.DivideOp, view: str) -> tuple[tuple[int, ...], str]:
    del view
    return tuple(v.value.data for v in (op.output_zp, op.minimum, op.maximum)), ""


def _clamp(op: arithmetic.ClampOp, view: str) -> tuple[tuple[int, ...], str]:
    del view
    return (op.minimum.value.data, op.maximum.value.data), ""


def _reduce(op: contraction.ReduceOp, view: str) -> tuple[tuple[int, ...], str]:
    axes = _axes(view, len(shape_of(op.x)), reduced_axes(op))
    return (op.x_zp.value.data, *axes), op.kind.data


def _gather(op: movement.GatherOp, view: str) -> tuple[tuple[int, ...], str]:
    axis = _axes(view, len(shape_of(op.x)), [op.axis.value.data])
    return (*axis, *ints(op.indices)), ""


def _interpolate(op: movement.InterpolateOp, view: str) -> tuple[tuple[int, ...], str]:
    axis = _axes(view, len(shape_of(op.x)), [op.axis.value.data])
    tables = (ints(t) for t in (op.lower, op.upper, op.lower_weight, op.upper_weight))
    return (*axis, len(ints(op.lower)), *(v for table in tables for v in table)), ""


_IMMEDIATES: dict[type[Any], Callable[[Any, str], tuple[tuple[int, ...], str]]] = {
    arithmetic.RescaleOp: _rescale,
    arithmetic.AddOp: _none,
    arithmetic.SubOp: _none,
    arithmetic.MulOp: _none,
    arithmetic.MinimumOp: _none,
    arithmetic.MaximumOp: _none,
    arithmetic.DivideOp: _divide,
    arithmetic.ClampOp: _clamp,
    arithmetic.LookupOp: _none,
    contraction.ReduceOp: _reduce,
    movement.GatherOp: _gather,
    movement.InterpolateOp: _interpolate,
}
"""Operation -> its immediates and mode (`enf.records.Instruction`)."""

_OPCODES = {cls: cls.name.removeprefix("ftensor.") for cls in _IMMEDIATES}
