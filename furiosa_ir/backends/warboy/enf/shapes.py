"""Shapes of accumulators and registers, which commands leave unsaid."""

from __future__ import annotations

from collections.abc import Sequence

from furiosa_ir.backends.warboy.enf.records import Dot, Instruction, Pool, Shape4


def accumulator_shape(command: Dot | Pool) -> Shape4:
    """(N, H, W, C) of a kernel's accumulators.

    Raises:
        ValueError: the kernel does not fit its input window.
    """
    n, h, w, c = command.x.extent
    if isinstance(command, Pool):
        kernel, spread, outputs = command.window, (1, 1), c
    else:
        if command.batched:
            return n, h, w, command.operands[0].extent[2]
        outputs, *kernel, _ = command.weight_shape
        spread = command.input_dilation
    top, left, bottom, right = command.pads
    extents: list[int] = []
    for i, (size, before, after) in enumerate(((h, top, bottom), (w, left, right))):
        padded = (size - 1) * spread[i] + 1 + before + after
        room = padded - ((kernel[i] - 1) * command.dilations[i] + 1)
        if room < 0:
            raise ValueError(f"a window of {kernel[i]} does not fit {padded} elements")
        extents.append(room // command.strides[i] + 1)
    return n, extents[0], extents[1], outputs


def instruction_shape(
    instruction: Instruction, operands: Sequence[tuple[int, ...]]
) -> tuple[int, ...]:
    """The shape of an instruction's result.

    Raises:
        ValueError: its operands do not fit together.
    """
    immediates = instruction.immediates
    match instruction.opcode:
        case "clamp" | "lookup":
            return operands[0]
        case "reduce":
            axes = immediates[1:]
            return tuple(1 if i in axes else size for i, size in enumerate(operands[0]))
        case "gather" | "interpolate":
            axis = immediates[0]
            size = len(immediates) - 1 if instruction.opcode == "gather" else immediates[1]
            return *operands[0][:axis], size, *operands[0][axis + 1 :]
        case opcode:
            shape = broadcast(operands)
            if opcode == "rescale" and shape != operands[0]:
                raise ValueError("a multiplier is larger than what it rescales")
            return shape


def broadcast(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """numpy's broadcasting rule.

    Raises:
        ValueError: the shapes do not fit together.
    """
    rank = max(map(len, shapes))
    result = [1] * rank
    for shape in shapes:
        for i, size in enumerate(shape, rank - len(shape)):
            if size != 1:
                if result[i] not in (1, size):
                    raise ValueError(f"shapes {shapes[0]} and {shape} do not broadcast")
                result[i] = size
    return tuple(result)
