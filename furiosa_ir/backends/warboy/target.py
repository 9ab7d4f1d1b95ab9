"""The target belongs to the module: an attribute that is set once and read by whoever needs it.

    builtin.module attributes {warboy.target = "warboy-2pe"} { ... }

The pass `assign-target` sets it. `plan-tiles` notes on each function what its plan was made for, by
an attribute of the same name.
"""

from __future__ import annotations

from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation

from furiosa_ir.backends.warboy.machine import Machine, load_machine
from furiosa_ir.errors import CompilationFailure

TARGET = "warboy.target"
"""The attribute of modules and of planned functions: "warboy" or "warboy-2pe"."""


def module_target(module: ModuleOp) -> str | None:
    """What the module is compiled for; None if that is open.

    A module without the attribute whose functions are planned already is for their target.

    Raises:
        CompilationFailure: it is no target, or functions are planned for another.
    """
    target = _target(module)
    for function in module.ops:
        planned = _target(function) if isinstance(function, FuncOp) else None
        if planned is not None and planned != (target := target or planned):
            assert isinstance(function, FuncOp)
            raise CompilationFailure(
                f"@{function.sym_name.data} is planned for '{planned}', "
                f"the module's target is '{target}'",
                hint="begin with IR from before plan-tiles, or with the network",
            )
    return target


def assign_target(module: ModuleOp, target: str) -> None:
    """Sets the module's target.

    Raises:
        CompilationFailure: there is no such target, or the module has another.
    """
    load_machine(target)
    known = module_target(module)
    if known is not None and known != target:
        raise CompilationFailure(
            f"the module's target is '{known}', not '{target}'",
            hint=f"compile it for '{known}', or begin with IR that has no '{TARGET}'",
        )
    module.attributes[TARGET] = StringAttr(target)


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


def note_plan(module: ModuleOp, function: FuncOp) -> None:
    """Notes that a function is planned for the module's target."""
    function.attributes[TARGET] = module.attributes[TARGET]


def _target(op: Operation) -> str | None:
    attribute = op.attributes.get(TARGET)
    if attribute is None:
        return None
    if not isinstance(attribute, StringAttr):
        raise CompilationFailure(f"'{TARGET}' is not a text", hint='write "warboy-2pe"')
    load_machine(attribute.data)
    return attribute.data
