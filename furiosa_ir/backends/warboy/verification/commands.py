"""IR that is commands already: nothing but the simulator gives them meaning."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
from xdsl.dialects.builtin import ModuleOp

from furiosa_ir.backends.warboy.dialect.commands import CommandOp
from furiosa_ir.backends.warboy.enf.records import NpuSegment
from furiosa_ir.backends.warboy.enf.section import section_view
from furiosa_ir.comparison import Coverage, Disagreement
from furiosa_ir.program import DeviceSegment, Program


def has_commands(module: ModuleOp) -> bool:
    """Whether a module's segments are commands."""
    return any(isinstance(op, CommandOp) for op in module.walk())


def check_same_segment(
    program: Program, made: DeviceSegment, source: DeviceSegment, coverage: Coverage
) -> None:
    """Compares a segment with the commands and constants that its source's text holds.

    Raises:
        Disagreement: they differ; it names the first command.
    """
    got, want = cast("NpuSegment", made), cast("NpuSegment", source)
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
