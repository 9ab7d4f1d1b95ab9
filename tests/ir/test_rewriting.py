"""The rewrite driver: matching, locations, dead operations, bounds; and locations themselves."""

from __future__ import annotations

import sys

import pytest
from xdsl.dialects.builtin import FusedLoc, ModuleOp, TensorType, UnknownLoc, f32, i8
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Region

from furiosa_ir.backends.warboy.passes.assign_target import AssignTarget
from furiosa_ir.backends.warboy.passes.fuse_kernels import FuseKernels
from furiosa_ir.compiler import compile_source
from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.dialects.graph.elementwise import AddOp, ClipOp, ReluOp, TanhOp, UnaryOp
from furiosa_ir.dialects.graph.quantization import StorageCastOp
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.ir.context import make_context
from furiosa_ir.ir.location import fuse, layer_name, name_loc
from furiosa_ir.ir.rewriting import (
    RewriteDriver,
    apply_rules,
    has_one_reader,
    is_dead,
    remove_dead_operations,
    rule,
)
from furiosa_ir.ir.verifier import verify_module
from tests.conftest import DIGITS

TYPE = TensorType(f32, [4])


def chain(*ops: type[GraphOp], results: int = 1) -> ModuleOp:
    """Unary operations one behind the other, layers l0, l1, ..."""
    block = Block(arg_types=[TYPE])
    value = block.args[0]
    for i, cls in enumerate(ops):
        op = cls.make([value], [f32], location=name_loc(f"l{i}"))
        block.add_op(op)
        value = op.results[0]
    block.add_op(ReturnOp(*[value] * results))
    return ModuleOp([FuncOp("main", ([TYPE], [TYPE] * results), Region(block))])


def names(module: ModuleOp) -> list[str]:
    return [op.name for op in module.walk() if isinstance(op, GraphOp)]


@rule(ReluOp, x=ReluOp)
def relu_of_relu(op, rw):
    """relu(relu(x)) = relu(x)."""
    return rw.emit(ReluOp, [op.x.owner.x], [f32])


@rule(ReluOp, x=TanhOp)
def relu_in_front(op, rw):
    """relu(tanh(x)) = tanh(relu(x))."""
    return rw.emit(TanhOp, [rw.emit(ReluOp, [op.x.owner.x], [f32])], [f32])


@rule(TanhOp, x=ReluOp)
def relu_behind(op, rw):
    """tanh(relu(x)) = relu(tanh(x))."""
    return rw.emit(ReluOp, [rw.emit(TanhOp, [op.x.owner.x], [f32])], [f32])


def test_applies_until_none_fits_and_fuses_locations():
    module = chain(TanhOp, ReluOp, ReluOp, ReluOp)
    driver = RewriteDriver([relu_of_relu])
    assert driver.run(module)
    assert driver.applied == {"relu_of_relu": 2}
    assert names(module) == ["graph.tanh", "graph.relu"]
    verify_module(module)
    relu = next(op for op in module.walk() if isinstance(op, ReluOp))
    assert layer_name(relu) == "l1+l2+l3"
    assert isinstance(relu.location, FusedLoc)
    assert not apply_rules(module, relu_of_relu)


def test_operands_keep_what_others_use():
    block = Block(arg_types=[TYPE])
    inner = ReluOp.make([block.args[0]], [f32])
    outer = ReluOp.make([inner.result], [f32])
    block.add_ops([inner, outer, ReturnOp(inner.result, outer.result)])
    module = ModuleOp([FuncOp("main", ([TYPE], [TYPE] * 2), Region(block))])
    apply_rules(module, relu_of_relu)
    verify_module(module)
    assert names(module) == ["graph.relu"] * 2


def test_rules_that_loop_are_named():
    with pytest.raises(CompilationFailure, match="did not come to an end after") as caught:
        apply_rules(chain(TanhOp, ReluOp), relu_in_front, relu_behind)
    assert "'relu_in_front'" in str(caught.value)
    assert "'relu_behind'" in str(caught.value)


def test_a_rule_that_declines_leaves_nothing_behind():
    @rule(ReluOp)
    def declines(op, rw):
        """Emits and thinks better of it."""
        rw.emit(TanhOp, [op.x], [f32])

    module = chain(ReluOp)
    assert not apply_rules(module, declines)
    assert names(module) == ["graph.relu"]


def test_dead_operations_go():
    module = chain(ReluOp)
    block = next(iter(module.ops)).regions[0].block
    dead = TanhOp.make([block.args[0]], [f32])
    deader = TanhOp.make([dead.result], [f32])
    block.insert_ops_before([dead, deader], block.last_op)
    assert remove_dead_operations(module)
    assert names(module) == ["graph.relu"]
    assert not remove_dead_operations(module)


def test_terminators_are_not_dead():
    kernels = compile_source(DIGITS / "digits_int8.tflite", target_ir="ftensor").module
    AssignTarget("warboy").apply(make_context(), kernels)
    FuseKernels().apply(make_context(), kernels)
    before = [op.name for op in kernels.walk()]
    assert "warboy.yield" in before
    remove_dead_operations(kernels)
    assert [op.name for op in kernels.walk()] == before
    yielded = [op for op in kernels.walk() if op.name == "warboy.yield"]
    assert not any(map(is_dead, yielded))


def test_root_patterns_may_be_abstract_or_several():
    seen = []

    @rule((UnaryOp, AddOp))
    def look(op, rw):
        """Sees every unary operation."""
        seen.append(op.name)

    apply_rules(chain(ReluOp, TanhOp, ClipOp), look)
    assert seen == ["graph.relu", "graph.tanh", "graph.clip"]


def test_types_must_not_change():
    @rule(ReluOp)
    def retypes(op, rw):
        """Wrong."""
        return rw.emit(StorageCastOp, [op.x], [i8])

    with pytest.raises(CompilationFailure, match="layer 'l0': rule 'retypes' replaces a value of"):
        apply_rules(chain(ReluOp), retypes)


def test_the_number_of_results_must_fit():
    @rule(ReluOp)
    def wrong(op, rw):
        """Wrong."""
        return []

    with pytest.raises(CompilationFailure, match="returns 0 values for the 1 results"):
        apply_rules(chain(ReluOp), wrong)


def test_unknown_operands_are_refused_where_the_rule_is_declared():
    with pytest.raises(TypeError, match="has no operand 'y'"):
        rule(ReluOp, y=ReluOp)(lambda op, rw: None)


def test_rules_are_data():
    assert relu_in_front.pattern == "graph.relu(x = graph.tanh)"
    assert relu_in_front.description == "relu(tanh(x)) = tanh(relu(x))."
    assert (
        rule(UnaryOp, x=(ReluOp, ClipOp))(lambda op, rw: None).pattern
        == "UnaryOp(x = graph.relu | graph.clip)"
    )


def test_also_adds_a_layer():
    @rule(TanhOp)
    def with_others(op, rw):
        """Names the next operation too."""
        if len(op.location.name) and layer_name(op) == "l0":
            rw.also(next(iter(op.result.uses)).operation)
            return rw.emit(TanhOp, [op.x], [f32])
        return None

    module = chain(TanhOp, ReluOp)
    apply_rules(module, with_others)
    assert layer_name(next(op for op in module.walk() if isinstance(op, TanhOp))) == "l1+l0"


def test_what_is_dead():
    """What leads to nothing; however long what leads to a result is, that is no recursion."""
    module = chain(*[ReluOp] * 5000)
    first = next(op for op in module.walk() if isinstance(op, ReluOp))
    assert not is_dead(first)
    assert has_one_reader(first.result)
    second = TanhOp.make([first.result], [f32])
    third = TanhOp.make([second.result], [f32])
    first.parent.insert_ops_after([second, third], first)
    assert is_dead(second)
    assert has_one_reader(first.result)
    assert not has_one_reader(third.result)


def test_visiting_is_fast():
    """Rules of other roots cost nothing, and an operation is looked at once.

    What is done is counted, in lines of Python: a clock says more of who else is working.
    """
    module = chain(*[TanhOp] * 1000)

    def lines(rules: int) -> int:
        count = 0

        def trace(frame, event, _):
            nonlocal count
            count += event == "line"
            return trace

        driver = [rule(ReluOp, x=TanhOp)(lambda op, rw: None) for _ in range(rules)]
        apply_rules(module, *driver)
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            apply_rules(module, *driver)
        finally:
            sys.settrace(before)
        return count

    one, forty = lines(1), lines(40)
    assert forty / 1000 < 60
    assert forty - one < 1000  # less than a line an operation


def test_fuse():
    a, b = name_loc("a"), name_loc("b")
    assert fuse() == UnknownLoc()
    assert fuse(a) is a
    assert fuse(a, UnknownLoc(), a) == a
    assert fuse(fuse(a, b), b, fuse(b, a)) == fuse(a, b)
    assert name_loc("") == UnknownLoc()
