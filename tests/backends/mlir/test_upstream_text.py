"""The text of device functions: what xDSL's printer would write, written once a form."""

from __future__ import annotations

import io
from typing import Any

import pytest
from xdsl.dialects import arith
from xdsl.dialects.builtin import ModuleOp, StringAttr, i32, i64
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Region
from xdsl.printer import Printer

from furiosa_ir.backends.mlir import upstream_text
from furiosa_ir.backends.mlir.upstream_module import loaded_globals
from tests.backends.mlir.segments_of_one import DRAWS, Cases, Draw


def printed(module: ModuleOp) -> str:
    """What xDSL's printer writes."""
    written = io.StringIO()
    Printer(written).print_op(module)
    return f"{written.getvalue().removeprefix('builtin.')}\n"


def written(module: ModuleOp) -> str:
    functions = [op for op in module.ops if isinstance(op, FuncOp)]
    return upstream_text.module_text(loaded_globals(module, functions), functions)


def public(module: ModuleOp) -> ModuleOp:
    """A module without what no text of segments has: names, and functions that are not public."""
    for op in module.walk():
        for value in (*op.results, *(a for r in op.regions for b in r.blocks for a in b.args)):
            value.name_hint = None
        if isinstance(op, FuncOp):
            op.sym_visibility = StringAttr("public")
    return module


def test_it_is_what_the_printer_writes() -> None:
    together, draw = Cases(), Draw(3)
    together.add([draw.case(kind) for kind in DRAWS for _ in range(12)])
    module = public(together.module)
    assert written(module) == printed(module)


def function_of(block: Block, *values: Any) -> FuncOp:
    block.add_op(ReturnOp(*values))
    types = [a.type for a in block.args], [v.type for v in values]
    return FuncOp("npu_0", types, Region(block), "public")


@pytest.mark.parametrize("count", [0, 1, 2])
def test_results_and_operands_that_are_one(count: int) -> None:
    """The same operation on two values, and twice on one; functions of nothing, of one and two."""
    block = Block(arg_types=[i64, i64])
    a, b = block.args
    block.add_ops(ops := [arith.AddiOp(x, y) for x, y in ((a, b), (a, a), (b, a), (b, b))])
    module = ModuleOp([function_of(block, *[op.result for op in ops[:count]])])
    assert written(module) == printed(module)


def test_the_printer_is_asked_once_a_form(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    form = upstream_text._form

    def counted(op: Any, *rest: Any) -> Any:
        asked.append(op.name)
        return form(op, *rest)

    monkeypatch.setattr(upstream_text, "_form", counted)
    block = Block(arg_types=[i64, i32])
    a, b = block.args
    for _ in range(50):
        block.add_op(more := arith.AddiOp(a, a))
        block.add_op(less := arith.MuliOp(b, b))
        a, b = more.result, less.result
    assert written(ModuleOp([function_of(block, a, b)])).count("arith.") == 100
    assert sorted(asked) == ["arith.addi", "arith.muli", "func.return"]
