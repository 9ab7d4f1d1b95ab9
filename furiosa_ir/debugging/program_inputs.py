"""The inputs of a program, which says less of them than a network does."""

from __future__ import annotations

import numpy as np

from furiosa_ir.debugging.inputs import DebuggingInput
from furiosa_ir.errors import FuriosaError
from furiosa_ir.numerics.element_types import BY_NAME
from furiosa_ir.program import Program


def inputs_of_program(program: Program) -> list[DebuggingInput]:
    """The inputs of a program; floats are drawn between -1 and 1.

    Raises:
        FuriosaError: one has elements that cannot be drawn, or an open extent.
    """
    found: list[DebuggingInput] = []
    for index in program.inputs:
        tensor = program.tensors[index]
        if tensor.dtype not in BY_NAME or min(tensor.shape, default=0) < 0:
            raise FuriosaError(f"the input '{tensor.name}' is {tensor.dtype}{list(tensor.shape)}")
        dtype = np.dtype(BY_NAME[tensor.dtype].dtype)
        low, high = -1.0, 1.0
        if dtype.kind in "iu" and dtype.itemsize == 1:
            low, high = float(np.iinfo(dtype).min), float(np.iinfo(dtype).max)
        elif dtype.kind in "iu":
            low, high = 0.0, 1.0
        found.append(DebuggingInput(tensor.name, tuple(tensor.shape), dtype, low, high))
    return found
