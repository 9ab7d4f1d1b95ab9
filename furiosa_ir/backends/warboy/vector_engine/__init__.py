"""The vector engine: which instructions it has, what they mean, and how programs of them run.

An instruction is declared once, in the module of its family: `arithmetic` (element by element),
`along_axes`. From `INSTRUCTIONS` follow its number in a file, what the reader and the checker
refuse, its text, how kernels come by it (`dialect.vector_operations`) and how it is simulated. To
add one: `docs/adding-an-instruction.md`. Nothing here knows the IR.
"""

from furiosa_ir.backends.warboy.vector_engine import along_axes, arithmetic
from furiosa_ir.backends.warboy.vector_engine.instruction import (
    INSTRUCTIONS,
    Instruction,
    VectorInstruction,
)

__all__ = ["INSTRUCTIONS", "Instruction", "VectorInstruction", "along_axes", "arithmetic"]
