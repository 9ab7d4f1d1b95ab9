"""A wrong rewrite below the schedule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from furiosa_ir.backends.warboy.dialect.attributes import CommandAttr
from furiosa_ir.backends.warboy.dialect.commands import ExecuteDotOp
from furiosa_ir.backends.warboy.dialect.structured_data import Structure
from furiosa_ir.ir.passes import RewritePass
from furiosa_ir.ir.rewriting import Rewrite, rule


@rule
def other_zero_point(op: ExecuteDotOp, rw: Rewrite) -> Any:
    """A command of the layer whose channels are 32 reads its padding as something else."""
    command = op.command.data
    values = dict(command.fields)
    if values["x_zp"] != -128 or values["pads"] == (0, 0, 0, 0):
        return None
    values["x_zp"] = 5
    properties = {"command": CommandAttr(Structure(command.kind, tuple(values.items())))}
    made = ExecuteDotOp.create(
        operands=list(op.operands),
        result_types=[op.token.type],
        properties=properties,
        attributes=dict(op.attributes),
    )
    made.location = op.location
    return rw.insert(made).token


@dataclass(frozen=True)
class WrongCommand(RewritePass):
    """Rewrites commands."""

    name = "test-wrong-command"
    rules = (other_zero_point,)
