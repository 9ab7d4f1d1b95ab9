"""The target belongs to the module: an attribute that is set once and read by whoever needs it.

    builtin.module attributes {furiosa.target = "warboy-2pe"} { ... }

The pass `assign-target` sets it. A pass that plans for a machine notes on each function for which,
by an attribute of the same name.
"""

from __future__ import annotations

from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation

from furiosa_ir.backends import Backend, backend_for, default_backend
from furiosa_ir.errors import CompilationFailure

TARGET = "furiosa.target"
"""The attribute of modules and of planned functions: one of `backends.targets`."""


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
                hint="begin with IR from before it was planned, or with the network",
            )
    return target


def assign_target(module: ModuleOp, target: str) -> None:
    """Sets the module's target.

    Raises:
        CompilationFailure: there is no such target, or the module has another.
    """
    backend_for(target)
    known = module_target(module)
    if known is not None and known != target:
        raise CompilationFailure(
            f"the module's target is '{known}', not '{target}'",
            hint=f"compile it for '{known}', or begin with IR that has no '{TARGET}'",
        )
    module.attributes[TARGET] = StringAttr(target)


def backend_of(module: ModuleOp) -> Backend:
    """The backend that the module is compiled by: its target's, else the default one.

    Raises:
        CompilationFailure: as `module_target`.
    """
    target = module_target(module)
    return default_backend() if target is None else backend_for(target)


def note_plan(module: ModuleOp, function: FuncOp) -> None:
    """Notes that a function is planned for the module's target."""
    function.attributes[TARGET] = module.attributes[TARGET]


def _target(op: Operation) -> str | None:
    attribute = op.attributes.get(TARGET)
    if attribute is None:
        other = next((name for name in op.attributes if name.endswith(".target")), None)
        if other is not None:  # what older text calls it
            raise CompilationFailure(f"'{other}' names no target", hint=f"call it '{TARGET}'")
        return None
    if not isinstance(attribute, StringAttr):
        raise CompilationFailure(f"'{TARGET}' is not a text", hint="write one of the targets")
    backend_for(attribute.data)
    return attribute.data
