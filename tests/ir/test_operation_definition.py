"""Classes of operations are defined when they are needed, once; those of others at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from xdsl.dialects.builtin import StringAttr, TensorType, i8
from xdsl.ir import Block
from xdsl.irdl import operand_def, prop_def, result_def
from xdsl.traits import SymbolOpInterface
from xdsl.utils.exceptions import PyRDLOpDefinitionError

from furiosa_ir.ir.operation_definition import irdl_op_definition
from furiosa_ir.ir.shaped_operation import ShapedOp


def declared(module: str, **body: object) -> type[Any]:
    members = {
        "__module__": module,
        "__annotations__": {},
        "name": "test.op",
        "x": operand_def(TensorType),
        "mode": prop_def(StringAttr),
        "result": result_def(TensorType),
        **body,
    }
    return irdl_op_definition(type("Op", (ShapedOp,), members))


def made(cls: type[Any]) -> Any:
    kind = TensorType(i8, [2])
    block = Block(arg_types=[kind])
    return cls.create(
        operands=list(block.args), result_types=[kind], properties={"mode": StringAttr("a")}
    )


@pytest.mark.parametrize("module", ["furiosa_ir.dialects.test", "plugin.operations"])
def test_accessors_are_there_when_an_operation_is(module: str) -> None:
    cls = declared(module)
    is_ours = module.startswith("furiosa_ir")
    assert ("get_irdl_definition" in vars(cls)) != is_ours
    op = made(cls)
    assert "get_irdl_definition" in vars(cls)
    assert (op.x.type, op.result.type, op.mode) == (op.x.type, op.x.type, StringAttr("a"))


def test_a_definition_is_asked_for_before_there_are_operations() -> None:
    cls = declared("furiosa_ir.dialects.test")
    assert [name for name, _ in cls.get_irdl_definition().operands] == ["x"]
    assert cls.get_irdl_definition() is cls.get_irdl_definition()


def test_threads_define_a_class_once() -> None:
    for _ in range(20):
        cls = declared("furiosa_ir.dialects.test")
        with ThreadPoolExecutor(8) as pool:
            ops = list(pool.map(made, [cls] * 16))
        assert len({id(type(op).get_irdl_definition()) for op in ops}) == 1
        assert all(op.mode == StringAttr("a") for op in ops)


def test_what_is_wrong_with_a_plug_ins_class_is_said_at_once() -> None:
    with pytest.raises(PyRDLOpDefinitionError):
        declared("plugin.operations", other=5)


def test_traits_are_asked_for_before_there_are_operations() -> None:
    """As a language server does, which has made none."""
    assert not declared("furiosa_ir.dialects.test").has_trait(SymbolOpInterface)
    assert declared("furiosa_ir.dialects.test").get_trait(SymbolOpInterface()) is None
    assert declared("furiosa_ir.dialects.test").get_traits_of_type(SymbolOpInterface) == []
