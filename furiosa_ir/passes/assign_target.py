"""`assign-target`: what the module is compiled for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp

from furiosa_ir.backends import default_backend, target
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.ir.passes import Pass
from furiosa_ir.ir.pipeline import Phase


@dataclass(frozen=True)
class AssignTarget(Pass):
    """Gives the module its target, which the passes that need the machine read from there.

    `--target-npu` puts this pass in front of a pipeline. A module that has the target already stays
    as it is; one with another is refused.

        builtin.module { ... }

    becomes, by `assign-target{npu=TARGET}`,

        builtin.module attributes {furiosa.target = "TARGET"} { ... }
    """

    name = "assign-target"
    npu: str

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        target.assign_target(op, self.npu)


def with_target(
    phases: Sequence[Phase],
    module: ModuleOp,
    given: str | None,
    *,
    is_needed: bool = False,
) -> tuple[Phase, ...]:
    """The phases with `assign-target` in front, where the module needs it.

    It does if a target is given that it does not have yet, or if none is known and a pass (or what
    follows) reads it: that is the one place where the default target applies.

    Args:
        phases: what is about to run.
        module: what it will run on.
        given: the target that the command names, if it does.
        is_needed: whether what follows the phases reads the target.

    Raises:
        CompilationFailure: the module has another target than the one given, or the pipeline
            assigns another.
    """
    passes = [what for phase in phases for what in phase.resolve()]
    known = target.module_target(module)
    if given is not None and known not in (None, given):
        target.assign_target(module, given)
    assigned = next((p.npu for p in passes if isinstance(p, AssignTarget)), None)
    if given is not None and assigned not in (None, given):
        raise CompilationFailure(
            f"the pipeline assigns the target '{assigned}', not '{given}'",
            hint="leave one of them out",
        )
    if known is not None or assigned is not None:
        return tuple(phases)
    if given is None and not is_needed and not any(what.reads_target for what in passes):
        return tuple(phases)
    first = AssignTarget(given or default_backend().default_target)
    if not phases:
        return (Phase("", "the target", (first,)),)
    return (replace(phases[0], passes=(first, *phases[0].passes)), *phases[1:])
