"""The vector engine's instructions on whole arrays, in integers: always right, not the fastest.

Each one is the `ftensor` operation of its name. `lines` has a faster way for the usual programs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from furiosa_ir.backends.warboy.enf.records import Instruction
from furiosa_ir.backends.warboy.simulator.memory import DTYPES
from furiosa_ir.errors import ExecutionFailure
from furiosa_ir.numerics import fixed_point
from furiosa_ir.numerics.array import Array
from furiosa_ir.numerics.fixed_point import Rounding

_BINARY = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "minimum": np.minimum,
    "maximum": np.maximum,
}


def run_program(program: Sequence[Instruction], registers: Sequence[Array]) -> Array:
    """The last register after `program`, or register 0 if it is empty.

    Args:
        program: instructions.
        registers: accumulator, operands, parameters; int8, int32 or int64.
    """
    if not program:
        return registers[0]
    values = list(registers)
    for instruction in program:
        values.append(execute(instruction, [values[i] for i in instruction.operands]))
    return values[-1]


def execute(instruction: Instruction, operands: Sequence[Array]) -> Array:
    """One instruction."""
    dtype = DTYPES[instruction.element]
    immediates = instruction.immediates
    match instruction.opcode:
        case "rescale":
            input_zp, output_zp, minimum, maximum = immediates
            x, multiplier, shift = operands
            check_factor(multiplier, shift)
            return fixed_point.rescale(
                x,
                multiplier,
                shift,
                input_zero_point=input_zp,
                output_zero_point=output_zp,
                rounding=cast("Rounding", instruction.mode),
                minimum=minimum,
                maximum=maximum,
                dtype=dtype,
            )
        case "add" | "sub" | "mul" | "minimum" | "maximum":
            a, b = (o.astype(dtype, copy=False) for o in operands)
            return _BINARY[instruction.opcode](a, b)
        case "divide":
            return _divide(operands[0], operands[1], immediates).astype(dtype)
        case "clamp":
            minimum, maximum = immediates
            limits = np.iinfo(operands[0].dtype)
            low, high = max(minimum, int(limits.min)), min(maximum, int(limits.max))
            return np.clip(operands[0], low, high)
        case "lookup":
            x, table = operands
            # Seen as bytes, -128..-1 are 128..255: rotate the table instead of shifting x.
            return np.take(np.roll(table, 128), x.view(np.uint8)).astype(dtype, copy=False)
        case "reduce":
            x_zp, *axes = immediates
            if instruction.mode == "max":
                return operands[0].max(tuple(axes), keepdims=True).astype(dtype, copy=False)
            x = operands[0].astype(dtype) - x_zp
            return x.sum(tuple(axes), dtype=dtype, keepdims=True)
        case "gather":
            axis, *indices = immediates
            return np.take(operands[0], indices, axis)
        case "interpolate":
            return _interpolate(operands[0].astype(dtype), immediates)
        case opcode:
            raise ExecutionFailure(f"the vector engine has no instruction '{opcode}'")


def check_factor(multiplier: Array, shift: Array) -> None:
    """Checks a rescale's factor: 32-bit multipliers, shifts from 0 to 62.

    Raises:
        ExecutionFailure: they are others.
    """
    if shift.min() < 0 or shift.max() > fixed_point.MAX_SHIFT:
        raise ExecutionFailure("a rescale's shift is not within 0 and 62")
    if multiplier.min() < -(1 << 31) or multiplier.max() >= 1 << 31:
        raise ExecutionFailure("a rescale's multiplier has more than 32 bits")


def _divide(a: Array, b: Array, immediates: Sequence[int]) -> Array:
    output_zp, minimum, maximum = immediates
    if np.any(b <= 0):
        raise ExecutionFailure("a divisor is not positive")
    quotient, remainder = np.divmod(a.astype(np.int64), b.astype(np.int64))
    twice = remainder * 2
    up = (twice > b) | ((twice == b) & (quotient & 1 == 1))
    return np.clip(quotient + up + output_zp, minimum, maximum)


def _interpolate(x: Array, immediates: Sequence[int]) -> Array:
    axis, n, *tables = immediates
    lower, upper, lower_weight, upper_weight = (
        np.array(tables[i * n : (i + 1) * n], np.int64) for i in range(4)
    )
    wide = [1] * x.ndim
    wide[axis] = n
    low = lower_weight.astype(x.dtype).reshape(wide)
    high = upper_weight.astype(x.dtype).reshape(wide)
    result = np.take(x, lower, axis)
    result *= low
    above = np.take(x, upper, axis)
    above *= high
    result += above
    return result
