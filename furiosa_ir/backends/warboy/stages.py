"""How far an NPU segment is: which of the passes that it cannot do without it still lacks."""

from __future__ import annotations

from typing import cast

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp

from furiosa_ir import stages
from furiosa_ir.backends.warboy.dialect.attributes import ADDRESSES, LAYERS, MEMORY, VIEW
from furiosa_ir.backends.warboy.dialect.kernels import MOVEMENT, KernelOp
from furiosa_ir.dialects.ftensor import TensorOp
from furiosa_ir.dialects.ftensor.arithmetic import ConstantOp
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.ir.location import layer_name
from furiosa_ir.ir.segments import body_of


def require(module: ModuleOp, what: str) -> None:
    """Refuses a pass whose predecessors have not run, or that has been taken already.

    Args:
        module: at any level.
        what: a pass that a program needs.

    Raises:
        CompilationFailure: one is missing, or it is too late; the message names the pass and where
            that can be seen.
    """
    stages.require(module, what)
    for function in module.ops:
        if isinstance(function, FuncOp) and LAYERS in function.attributes:
            raise CompilationFailure(
                f"'{what}' comes too late: @{function.sym_name.data} is scheduled already"
            )


def missing_in_segment(function: FuncOp) -> tuple[str, str, str | None] | None:
    """The first needed pass that a lowered segment lacks, where that can be seen, and the layer."""
    if LAYERS in function.attributes:
        return None
    name = f"@{function.sym_name.data}"
    operations = [op for op in body_of(function).ops if type(op) is not ReturnOp]
    # There are few classes of operations, and to ask each operation for its own takes long.
    kinds = {type(op) for op in operations}
    movements = {kind for kind in kinds if issubclass(kind, MOVEMENT)}
    kernels = {kind for kind in kinds if issubclass(kind, KernelOp)}
    outside = {
        k for k in kinds - movements if issubclass(k, TensorOp) and not issubclass(k, ConstantOp)
    }
    for op in operations:
        if type(op) in outside:
            return (
                "fuse-kernels",
                f"'{op.name}' stands in {name} outside of a kernel",
                layer_name(op),
            )
    for op in operations:
        kind = type(op)
        if (kind in movements and VIEW not in op.attributes) or (
            kind in kernels and cast("KernelOp", op).views is None
        ):
            return "assign-views", f"'{op.name}' in {name} has no views", layer_name(op)
    for op in operations:
        if type(op) in kernels and cast("KernelOp", op).plan is None:
            return "plan-tiles", f"'{op.name}' in {name} has no plan", layer_name(op)
    if MEMORY not in function.attributes:
        return "plan-tiles", f"{name} has no '{MEMORY}'", None
    if ADDRESSES not in function.attributes:
        return "allocate", f"{name} has no '{ADDRESSES}'", None
    return "schedule", f"{name} has no commands", None
