"""IR that the interpreter has no meaning of: commands already, when the source is text.

There are no operations to compare a program with then; it must have the very commands and constants
that the text has.
"""

from __future__ import annotations

from dataclasses import replace

from xdsl.dialects.builtin import ModuleOp

from furiosa_ir.backends import backend_for
from furiosa_ir.backends.target import backend_of
from furiosa_ir.comparison import Coverage, Disagreement
from furiosa_ir.program import DeviceSegment, HostSegment, Program, Provenance


def has_commands(module: ModuleOp) -> bool:
    """Whether a module's segments are commands."""
    verification = backend_of(module).verification
    return verification is not None and verification().has_commands(module)


def program_of(module: ModuleOp) -> Program:
    """The program that a module of commands is, without a file's header.

    Raises:
        CompilationFailure: a host segment cannot be written in its framework.
    """
    return backend_of(module).assemble(module, Provenance("", {}, "", (), "", ""))


def check_same_commands(program: Program, source: Program, coverage: Coverage) -> None:
    """Compares a program with the commands that its source's text holds.

    Raises:
        Disagreement: they differ; it names the first command.
    """
    backend = backend_for(program.target)
    level = f"level {backend.container.name}"
    if len(program.segments) != len(source.segments):
        raise Disagreement(
            f"the result does not agree: {len(program.segments)} segments instead of "
            f"{len(source.segments)}",
            hint=level,
        )
    for got, want in zip(program.segments, source.segments, strict=True):
        verification = backend.verification
        if (
            verification is not None
            and isinstance(got, DeviceSegment)
            and isinstance(want, DeviceSegment)
        ):
            verification().check_same_segment(program, got, want, coverage)
        elif got != replace(want, name=got.name):
            what = "host segment" if isinstance(got, HostSegment) else "segment"
            raise Disagreement(f"the result does not agree: {what} {got.name} differs", hint=level)
