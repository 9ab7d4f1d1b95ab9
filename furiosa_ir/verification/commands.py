"""IR that is commands already: nothing but the simulator gives them meaning.

Where the source's text holds commands, there are no kernels to compare them with; the program must
have the very commands and constants that the text has.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from xdsl.dialects.builtin import ModuleOp

from furiosa_ir.backends.warboy.assembly import assemble_program
from furiosa_ir.backends.warboy.dialect.commands import CommandOp
from furiosa_ir.backends.warboy.enf.records import NpuSegment
from furiosa_ir.backends.warboy.enf.section import section_view
from furiosa_ir.program import Program, Provenance
from furiosa_ir.verification.comparison import Coverage, Disagreement


def has_commands(module: ModuleOp) -> bool:
    """Whether a module's segments are commands."""
    return any(isinstance(op, CommandOp) for op in module.walk())


def program_of(module: ModuleOp) -> Program:
    """The program that a module of commands is, without a file's header.

    Raises:
        CompilationFailure: a host segment cannot be written in its framework.
    """
    nowhere = Provenance("", {}, "", (), "", "")
    return assemble_program(module, nowhere)


def check_same_commands(program: Program, source: Program, coverage: Coverage) -> None:
    """Compares a program with the commands that its source's text holds.

    Raises:
        Disagreement: they differ; it names the first command.
    """
    if len(program.segments) != len(source.segments):
        raise Disagreement(
            f"the result does not agree: {len(program.segments)} segments instead of "
            f"{len(source.segments)}",
            hint="level enf",
        )
    for got, want in zip(program.segments, source.segments, strict=True):
        if isinstance(got, NpuSegment) and isinstance(want, NpuSegment):
            _check_segment(program, got, want, coverage)
        elif got != replace(want, name=got.name):
            raise Disagreement(
                f"the result does not agree: host segment {got.name} differs", hint="level enf"
            )


def _check_segment(program: Program, got: NpuSegment, want: NpuSegment, coverage: Coverage) -> None:
    for number, (mine, theirs) in enumerate(zip(got.commands, want.commands, strict=False)):
        coverage.commands += 1
        if mine != theirs:
            raise Disagreement(
                f"the result does not agree: command {number} of {got.name} is another than the "
                "source's",
                layer=program.layers[mine.layer].name or None,
                hint="level enf",
            )
    mine, theirs = (np.frombuffer(section_view(s.constants), np.uint8) for s in (got, want))
    coverage.elements += theirs.size
    whole = replace(got, constants=want.constants) == want
    if not whole or not np.array_equal(mine, theirs):
        raise Disagreement(
            f"the result does not agree: constants, addresses or commands of {got.name} differ",
            hint="level enf",
        )
