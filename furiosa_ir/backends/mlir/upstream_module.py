"""The device segments of a module as one of upstream's dialects alone: no attribute of ours."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import cast

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, Operation, Region, SSAValue, TypeAttribute
from xdsl.printer import Printer

from furiosa_ir.backends.mlir.dialect import GlobalLoadOp, GlobalOp
from furiosa_ir.ir.constants import Constant
from furiosa_ir.ir.segments import body_of, is_npu


def device_functions(module: ModuleOp) -> list[FuncOp]:
    """The functions of a module's device segments, in order."""
    return [f for f in module.ops if isinstance(f, FuncOp) and is_npu(f)]


def upstream_module(module: ModuleOp, functions: Sequence[FuncOp]) -> ModuleOp:
    """A module of public functions, which are copies, and of the globals that they load.

    Args:
        module: in linalg; not changed.
        functions: some of its functions.
    """
    globals_ = {op.sym_name.data: op for op in module.ops if isinstance(op, GlobalOp)}
    loaded: dict[str, Operation] = {}
    made: list[Operation] = []
    for function in functions:
        body = body_of(function)
        for op in body.ops:
            if isinstance(op, GlobalLoadOp):
                name = op.global_.string_value()
                loaded.setdefault(name, globals_[name].clone())
        made.append(FuncOp(function.sym_name.data, function.function_type, _copy(body), "public"))
    return ModuleOp([*(loaded[name] for name in globals_ if name in loaded), *made])


def _copy(body: Block) -> Region:
    block = Block(arg_types=[cast("TypeAttribute", a.type) for a in body.args])
    values: dict[SSAValue, SSAValue] = dict(zip(body.args, block.args, strict=True))
    for op in body.ops:
        # Names would differ between what a compile made and what text has brought.
        block.add_op(op.clone(value_mapper=values, clone_name_hints=False))
    return Region(block)


def upstream_text(module: ModuleOp) -> str:
    """The text that upstream's tools read: each global in a line, and everything in its place."""
    written = io.StringIO()
    Printer(written).print_op(module)
    return written.getvalue()


def parameters_of(module: ModuleOp) -> list[Constant]:
    """The constants that lie beside an upstream module, in its order."""
    return [op.initial_value.data for op in module.ops if isinstance(op, GlobalOp)]
