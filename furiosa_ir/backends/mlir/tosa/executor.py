"""TOSA programs do not run here: they are for other tools."""

from __future__ import annotations

from collections.abc import Mapping

from furiosa_ir.errors import FuriosaError
from furiosa_ir.numerics.array import Array
from furiosa_ir.program import Program


class NoExecutor:
    """What a session of a TOSA program finds.

    Raises:
        FuriosaError: always.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        raise FuriosaError(
            "a program of the target 'tosa' is text for other tools, and runs in none of ours",
            hint="write it with -o net.mlir; --target-npu iree-cpu compiles the same arithmetic",
        )

    def run_segment(self, index: int, inputs: Mapping[int, Array]) -> dict[int, Array]:
        """Is never called."""
        raise NotImplementedError
