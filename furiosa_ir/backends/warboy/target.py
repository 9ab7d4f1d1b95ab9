"""The machine that a module is compiled for."""

from __future__ import annotations

from xdsl.dialects.builtin import ModuleOp

from furiosa_ir.backends.target import module_target
from furiosa_ir.backends.warboy.machine import Machine, load_machine
from furiosa_ir.errors import CompilationFailure


def machine_of(module: ModuleOp) -> Machine:
    """The machine that the module is compiled for.

    Raises:
        CompilationFailure: the module has no target, or no sound one.
    """
    target = module_target(module)
    if target is None:
        raise CompilationFailure(
            "the module has no target", hint="put assign-target{npu=...} into the pipeline"
        )
    return load_machine(target)
