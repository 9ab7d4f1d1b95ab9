"""What must hold between the segments of a program: who makes each tensor, and when.

Segments run in the order of the file. A tensor is an input of the network or the result of one
segment, and whoever reads it comes later. A variable's is there before the first segment.
"""

from __future__ import annotations

from furiosa_ir.errors import VerificationFailure
from furiosa_ir.program import Program


def check_dataflow(program: Program) -> None:
    """Checks that every tensor is made once, before it is read; indices must be in range.

    Raises:
        VerificationFailure: segments are out of order, missing or cyclic, or a tensor is made
            twice.
    """
    maker: dict[int, str] = {}
    for index in program.inputs:
        _make(program, maker, index, "the network's inputs")
    for variable in program.variables:
        _make(program, maker, variable.before, f"the variable '{variable.name}'")
    for segment in program.segments:
        what = f"segment '{segment.name}'"
        for index in segment.reads:
            _require_made(program, maker, index, f"{what} reads")
        for index in segment.makes:
            _make(program, maker, index, what)
    for index in program.outputs:
        _require_made(program, maker, index, "the network returns")
    for variable in program.variables:
        what = f"the variable '{variable.name}' takes"
        _require_made(program, maker, variable.after, what)


def _make(program: Program, maker: dict[int, str], index: int, what: str) -> None:
    if index in maker:
        name = program.tensors[index].name
        by = f"{maker[index]} and {what}" if maker[index] != what else f"{what}, twice"
        raise VerificationFailure(f"tensor '{name}' is bound by {by}")
    maker[index] = what


def _require_made(program: Program, maker: dict[int, str], index: int, what: str) -> None:
    if index not in maker:
        name = program.tensors[index].name
        raise VerificationFailure(
            f"{what} tensor '{name}', which no segment before has made",
            hint="its segments are out of order or incomplete: compile the network again",
        )
