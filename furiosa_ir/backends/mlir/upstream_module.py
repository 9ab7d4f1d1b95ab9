"""The device segments of a module in linalg, and the globals that they load."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from furiosa_ir.backends.mlir.dialect import GlobalLoadOp, GlobalOp
from furiosa_ir.ir.constants import Constant
from furiosa_ir.ir.segments import body_of, is_npu


def device_functions(module: ModuleOp) -> list[FuncOp]:
    """The functions of a module's device segments, in order."""
    return [f for f in module.ops if isinstance(f, FuncOp) and is_npu(f)]


def loaded_globals(module: ModuleOp, functions: Sequence[FuncOp]) -> list[GlobalOp]:
    """The globals that some of a module's functions load, in the module's order."""
    loaded = {
        op.global_.string_value()
        for function in functions
        for op in body_of(function).ops
        if isinstance(op, GlobalLoadOp)
    }
    return [op for op in module.ops if isinstance(op, GlobalOp) and op.sym_name.data in loaded]


def parameters_of(globals_: Iterable[GlobalOp]) -> list[Constant]:
    """The constants that globals hold."""
    return [op.initial_value.data for op in globals_]
