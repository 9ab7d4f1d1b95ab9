"""What must hold for a command beside that its places in memory exist.

Each rule raises ValueError with a clause that says what is wrong. `validation` looks at memory.
"""

from __future__ import annotations

from math import prod
from typing import Any

from furiosa_ir.backends.warboy.enf.records import (
    POOL_KINDS,
    Dot,
    Pool,
    SramFlat,
    Vector,
)
from furiosa_ir.backends.warboy.enf.shapes import accumulator_shape
from furiosa_ir.backends.warboy.vector_engine.instruction import RegisterType
from furiosa_ir.backends.warboy.vector_engine.program import result_register

MOST_PADDING = 1 << 12
"""Of a window on each side, and of an input dilation."""
GREATEST_STEP = (1 << 31) - 1
"""Of strides and dilations."""


def same_elements(command: Any) -> None:
    """Source and target of a DMA are windows of one shape, of elements of one size."""
    source, target = command.source, command.target
    if source.extent != target.extent or source.element != target.element:
        raise ValueError("source and target differ in shape or element")


def same_bytes(command: Any) -> None:
    """Source and target of a `Load` are as many bytes."""
    if command.source.size != command.target.size:
        raise ValueError("source and target differ in size")


def vector_rule(command: Vector) -> None:
    """There are operands, and the program makes the result of them."""
    if not command.operands:
        raise ValueError("it has no operands")
    _makes_its_result(command)


def pool_rule(command: Pool) -> None:
    """The window fits, and the program makes the result of its accumulators."""
    _window(command)
    if command.kind not in POOL_KINDS:
        raise ValueError(f"there is no pool of kind '{command.kind}'")
    if min(command.window) < 1 or prod(command.window) > 1 << 22:
        raise ValueError("its window is out of range")
    if min(command.pads) < 0:
        raise ValueError("its padding is negative")
    element = 1 if command.kind == "max" else 4
    _makes_its_result(command, RegisterType(accumulator_shape(command), element))


def dot_rule(command: Dot) -> None:
    """Factors fit each other, and the program makes the result of their accumulators."""
    _window(command)
    if not -128 <= command.weight_zp <= 127:
        raise ValueError("a zero point is not an int8")
    spread = command.input_dilation
    if min(spread) < 1 or max(spread) > MOST_PADDING:
        raise ValueError("an input dilation is out of range")
    if min(command.pads) < 0 and spread == (1, 1):
        raise ValueError("its padding is negative without an input dilation")
    if command.batched:
        _batched(command)
    else:
        outputs, _, _, inner = shape = command.weight_shape
        if min(shape) < 1 or command.group < 1 or outputs % command.group:
            raise ValueError("its weight's shape does not fit its groups")
        if inner * command.group != command.x.extent[3]:
            raise ValueError("its weight does not fit the input's channels")
        if command.weight is None or command.weight.size != prod(shape):
            raise ValueError("its weight's size is not that of its shape")
    accumulator = accumulator_shape(command)
    bias: SramFlat | None = command.bias
    if bias is not None and bias.size != 4 * accumulator[3]:
        raise ValueError("its bias does not fit its channels")
    _makes_its_result(command, RegisterType(accumulator, 4))


def _window(command: Dot | Pool) -> None:
    if command.x.element != 1:
        raise ValueError("its input is not int8")
    if not -128 <= command.x_zp <= 127:
        raise ValueError("a zero point is not an int8")
    if min(*command.strides, *command.dilations) < 1:
        raise ValueError("a stride or dilation is not positive")
    steps = (*command.strides, *command.dilations)
    if max(steps) > GREATEST_STEP or max(map(abs, command.pads)) > MOST_PADDING:
        raise ValueError("a stride, dilation or padding is out of range")


def _batched(command: Dot) -> None:
    if command.weight is not None or not command.operands:
        raise ValueError("its second factor is not an operand")
    n, h, _, c = command.x.extent
    second = command.operands[0]
    if (second.extent[0], second.extent[1], second.extent[3]) != (n, h, c):
        raise ValueError("its factors' shapes do not fit")
    if second.element != 1:
        raise ValueError("its second factor is not int8")


def _makes_its_result(command: Vector | Dot | Pool, *accumulator: RegisterType) -> None:
    registers = [*accumulator]
    registers += [RegisterType(tile.extent, tile.element) for tile in command.operands]
    registers += [RegisterType(p.shape, p.element) for p in command.parameters]
    shape, element = result_register(command.program, registers)
    if shape != command.result.extent or element != command.result.element:
        raise ValueError(
            f"its program makes {shape} elements of {element} bytes, its result holds "
            f"{command.result.extent} of {command.result.element}"
        )
