"""What a plug-in's functions return is checked where it arrives, and named by file and line."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from onnx import helper
from xdsl.dialects import test
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, TensorType, f32
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Region
from xdsl.irdl import irdl_op_definition

from furiosa_ir import plugins
from furiosa_ir.dialects.ftensor import arithmetic, i48, movement
from furiosa_ir.dialects.graph.elementwise import UnaryOp
from furiosa_ir.dialects.graph.evaluation import evaluate, evaluate_table
from furiosa_ir.dialects.quant import uniform
from furiosa_ir.errors import FuriosaError
from furiosa_ir.host_kernels.onnx_model import attributes_of
from furiosa_ir.importers.imported import imported
from furiosa_ir.importers.onnx.tensors import attribute_value
from furiosa_ir.ir.location import name_loc
from furiosa_ir.ir.rewriting import RewriteDriver, rule
from furiosa_ir.lowering import registry
from furiosa_ir.lowering.function import lower_function
from furiosa_ir.lowering.registry import EXACT, Lowering, refusal

INT8 = uniform(np.dtype(np.int8), np.array([0.5]), np.array([3]))


@irdl_op_definition
class MineOp(UnaryOp):
    """An operation that is nobody's but this file's."""

    name = "graph.test_mine"
    RETURNED: ClassVar[Any] = None

    def evaluate(self, *operands: Any) -> Any:
        returned = type(self).RETURNED
        return returned(*operands) if callable(returned) else returned


def block(element: Any = f32, returned: Any = None) -> tuple[Block, MineOp]:
    MineOp.RETURNED = returned
    value = test.TestOp(result_types=[tensor(element)])
    op = MineOp.make([value.results[0]], [element], location=name_loc("mine"))
    return Block([value, op]), op


def tensor(element: Any) -> Any:
    return TensorType(element, [4])


def assert_named(error: pytest.ExceptionInfo[FuriosaError], function: Any, what: str) -> None:
    line = inspect.getsourcelines(function)[1]
    text = str(error.value)
    assert f"{Path(__file__).name}:{line}: " in text
    assert "the plug-in's " in text
    assert what in text


@pytest.mark.parametrize(
    ("returned", "what"),
    [
        (None, "None"),
        (7, "a value of type int"),
        ([], "an empty list"),
        (["x"], "1 of type str"),
        ([None], "1 of type NoneType"),
        ([[1, [2, 3]]], "1 of type list"),
        (np.zeros(4), "an array of shape [4]"),
        ([np.zeros(4), np.zeros(4)], "2 of type ndarray"),
        ([np.zeros(3)], "shape [3], not [4]"),
        ([1.0], "shape [], not [4]"),
        ((n for n in [np.zeros(4)]), "a value of type generator"),
    ],
)
def test_evaluate_returns_an_array_for_each_result(returned: Any, what: str):
    _block, op = block(returned=returned)
    with pytest.raises(FuriosaError) as error:
        evaluate(op, [np.zeros(4)])
    assert_named(error, MineOp.evaluate, what)
    assert "layer 'mine'" in str(error.value)


def test_evaluate_may_return_what_numpy_makes_of_it():
    _block, op = block(returned=([1.0, 2, 3, 4],))
    assert evaluate(op, [np.zeros(4)])[0].tolist() == [1, 2, 3, 4]
    _block, op = block(returned=lambda x: [np.float64(2)])
    assert evaluate_table(op, [np.arange(256.0)], 256).tolist() == [2] * 256


def test_a_table_has_an_element_for_each():
    _block, op = block(returned=lambda x: [x[:7]])
    with pytest.raises(FuriosaError) as error:
        evaluate_table(op, [np.arange(256.0)], 256)
    assert_named(error, MineOp.evaluate, "shape [7] for 256 elements")


def test_operands_are_read_only_and_exceptions_have_a_layer(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(plugins, "_untracked", {__name__})

    def in_place(x: Any) -> Any:
        x += 1
        return [x]

    _block, op = block(returned=in_place)
    operand = np.zeros(4)
    with pytest.raises(FuriosaError, match=r"layer 'mine'.*read-only.* in 'in_place'"):
        evaluate(op, [operand])
    assert not operand.any()


@pytest.mark.parametrize("shapes", [None, 3, (4,), [("x",)], [(4,), (4,)], [(4.0,)]])
def test_a_shape_rule_returns_shapes(shapes: Any, monkeypatch: pytest.MonkeyPatch):
    def rule_(self: MineOp) -> Any:
        return shapes

    monkeypatch.setattr(MineOp, "result_shapes", rule_)
    with pytest.raises(FuriosaError) as error:
        block()
    assert_named(error, rule_, "not a shape for each result")


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda op, emit: None, "a value of type NoneType"),
        (lambda op, emit: 3, "a value of type int"),
        (lambda op, emit: [emit.operand(op.x)] * 2, "2 values for 1 results"),
        (
            lambda op, emit: emit.emit(arithmetic.AddOp, [emit.operand(op.x)] * 2, i48),
            "tensor<4xi48>, not tensor<4xi8>",
        ),
        (
            lambda op, emit: emit.emit(movement.ReshapeOp, [emit.operand(op.x)], shape=[2, 2]),
            "tensor<2x2xi8>, not tensor<4xi8>",
        ),
    ],
)
def test_a_lowering_returns_integers_of_the_results_shape(
    make: Any, what: str, monkeypatch: pytest.MonkeyPatch
):
    lowering = Lowering(MineOp, (EXACT,), (), make)
    monkeypatch.setitem(registry._LOWERINGS, (MineOp.name, EXACT), lowering)
    body = Block(arg_types=[tensor(INT8)])
    op = MineOp.make([body.args[0]], [INT8], location=name_loc("mine"))
    body.add_ops([op, ReturnOp(op.result)])
    nothing = ArrayAttr([DictionaryAttr({})])
    types = ([tensor(INT8)], [tensor(INT8)])
    function = FuncOp("npu_1", types, Region(body), arg_attrs=nothing, res_attrs=nothing)
    with pytest.raises(FuriosaError) as error:
        lower_function(function, EXACT)
    assert_named(error, make, what)
    assert "layer 'mine'" in str(error.value)


def test_a_constraint_returns_a_hint(monkeypatch: pytest.MonkeyPatch):
    def constraint(_op: MineOp) -> Any:
        return "not today"

    lowering = Lowering(MineOp, (EXACT,), (constraint,), lambda op, emit: emit.operand(op.x))
    monkeypatch.setitem(registry._LOWERINGS, (MineOp.name, EXACT), lowering)
    _block, op = block(INT8)
    with pytest.raises(FuriosaError) as error:
        refusal(op, EXACT)
    assert_named(error, constraint, "a value of type str, not a Hint or None")


@pytest.mark.parametrize("returned", [7, "x", [3], {}])
def test_a_rule_returns_values(returned: Any):
    def rule_(_op: MineOp, _rw: Any) -> Any:
        return returned

    body, _op = block()
    body.add_op(ReturnOp(_op.result))
    function = FuncOp("main", ([], [tensor(f32)]), Region(body))
    with pytest.raises(FuriosaError) as error:
        RewriteDriver([rule(MineOp)(rule_)]).run(function)
    assert_named(error, rule_, f"a value of type {type(returned).__name__}")


@pytest.mark.parametrize("returned", [None, 7, "x", [3]])
def test_an_import_function_returns_values(returned: Any):
    def from_onnx(_node: object) -> Any:
        return returned

    with pytest.raises(FuriosaError) as error:
        imported(from_onnx, None, "com.example::Mine")
    assert_named(error, from_onnx, f"a value of type {type(returned).__name__}")


def test_texts_that_are_not_utf8_are_not_changed():
    attributes = {"a": b"\xff", "b": [b"x", b"\xfe"], "c": "ü"}
    node = helper.make_node("One", ["x"], ["y"], domain="com.example", **attributes)
    want = {"a": b"\xff", "b": ["x", b"\xfe"], "c": "ü"}
    assert {a.name: attribute_value(a) for a in node.attribute} == want
    assert attributes_of(node) == want
