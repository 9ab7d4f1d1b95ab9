"""The rewrite driver: matching, locations, dead operations, bounds; and locations themselves."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import pytest
from xdsl.dialects.builtin import FusedLoc, ModuleOp, TensorType, UnknownLoc, f32, i8
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Region

from furiosa_ir.backends.warboy.passes.fuse_kernels import FuseKernels
from furiosa_ir.compiler import compile_source
from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.dialects.graph.convolution import ConvOp
from furiosa_ir.dialects.graph.elementwise import AddOp, ClipOp, ReluOp, TanhOp, UnaryOp
from furiosa_ir.dialects.graph.functions import AbsOp
from furiosa_ir.dialects.graph.movement import ConcatOp
from furiosa_ir.dialects.graph.quantization import StorageCastOp
from furiosa_ir.dialects.graph.structure import ConstantOp
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.ir.context import make_context
from furiosa_ir.ir.location import fuse, layer_name, name_loc
from furiosa_ir.ir.passes import all_passes
from furiosa_ir.ir.rewriting import (
    Rewrite,
    RewriteDriver,
    Rule,
    has_one_reader,
    is_dead,
    remove_dead_operations,
    rule,
)
from furiosa_ir.ir.verifier import verify_module
from furiosa_ir.passes.assign_target import AssignTarget
from furiosa_ir.plugins import is_ours
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


def apply_rules(module: ModuleOp, *rules: Rule) -> bool:
    return RewriteDriver(rules).run(module)


@rule
def relu_of_relu(_: ReluOp, x: ReluOp, rw: Rewrite):
    """relu(relu(x)) = relu(x)."""
    return rw.emit(ReluOp, [x.x], [f32])


@rule
def relu_in_front(_: ReluOp, x: TanhOp, rw: Rewrite):
    """relu(tanh(x)) = tanh(relu(x))."""
    return rw.emit(TanhOp, [rw.emit(ReluOp, [x.x], [f32])], [f32])


@rule
def relu_behind(_: TanhOp, x: ReluOp, rw: Rewrite):
    """tanh(relu(x)) = relu(tanh(x))."""
    return rw.emit(ReluOp, [rw.emit(TanhOp, [x.x], [f32])], [f32])


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
    @rule
    def declines(op: ReluOp, rw: Rewrite):
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

    @rule
    def look(op: UnaryOp | AddOp, _: Rewrite):
        """Sees every unary operation."""
        seen.append(op.name)

    apply_rules(chain(ReluOp, TanhOp, ClipOp), look)
    assert seen == ["graph.relu", "graph.tanh", "graph.clip"]


def test_types_must_not_change():
    @rule
    def retypes(op: ReluOp, rw: Rewrite):
        """Wrong."""
        return rw.emit(StorageCastOp, [op.x], [i8])

    with pytest.raises(CompilationFailure, match="layer 'l0': rule 'retypes' replaces a value of"):
        apply_rules(chain(ReluOp), retypes)


def test_the_number_of_results_must_fit():
    @rule
    def wrong(_op: ReluOp, _: Rewrite):
        """Wrong."""
        return []

    with pytest.raises(CompilationFailure, match="returns 0 values for the 1 results"):
        apply_rules(chain(ReluOp), wrong)


def no_operand(op: ReluOp, y: ReluOp, rw: Rewrite):
    """It is called x."""


def no_sequence(op: ConcatOp, inputs: ReluOp, rw: Rewrite):
    """Of several values."""


def a_sequence(op: ReluOp, x: Sequence[ReluOp], rw: Rewrite):
    """Of one value."""


def no_class(op: ReluOp, x: int, rw: Rewrite):
    """Not an operation."""


def no_annotation(op, rw: Rewrite):
    """Of what, nobody knows."""


def no_rewrite(op: ReluOp):
    """Takes no `Rewrite`."""


def no_name(op: Unheard, rw: Rewrite):  # noqa: F821
    """Of a class that is not there."""


def stars(op: ReluOp, *rw: Rewrite):
    """Of any number."""


def keyword(op: ReluOp, *, rw: Rewrite):
    """By name."""


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (no_operand, "graph.relu has no operand 'y' (['x'])"),
        (no_sequence, "'inputs' of graph.concat is variadic: annotate it with Sequence[...]"),
        (a_sequence, "'x' of graph.relu is one value: annotate it with a class or a union of"),
        (no_class, "'x' is not annotated with classes of operations"),
        (no_annotation, "'op' is not annotated with classes of operations"),
        (stars, "its parameters have no stars"),
        (keyword, "its parameters have no stars"),
        (no_rewrite, "it takes a root operation first and a Rewrite last"),
        (no_name, "its annotations name 'Unheard', which its module does not have"),
    ],
)
def test_what_declares_no_rule_is_refused_where_it_stands(function, message):
    with pytest.raises(TypeError) as caught:
        rule(function)
    assert str(caught.value).startswith(f"rule {function.__name__}: {message}")


def test_rules_are_data():
    assert relu_in_front.pattern == "graph.relu(x = graph.tanh)"
    assert relu_in_front.description == "relu(tanh(x)) = tanh(relu(x))."

    @rule
    def abstract(op: UnaryOp, x: ReluOp | ClipOp, rw: Rewrite):
        """Alternatives."""

    assert abstract.pattern == "UnaryOp(x = graph.relu | graph.clip)"


def test_rules_receive_what_they_match():
    """One operation of an operand, several of a variadic one; what is left out matches nothing.

    Locations join those of all of them.
    """
    seen = []

    @rule
    def joins(op: ConcatOp, inputs: Sequence[ReluOp | TanhOp], rw: Rewrite):
        """concat(f(x), ...) = x."""
        seen.append([op, *inputs])
        return rw.emit(AddOp, [inputs[0].x, inputs[1].x], [f32])

    @rule
    def adds(op: AddOp, a: AddOp, b: ReluOp | ClipOp, rw: Rewrite):
        """Two operands, either of its own kind."""
        seen.append([op, a, b])
        return rw.emit(ReluOp, [a.a], [f32])

    @rule
    def biased(op: ConvOp, bias: ConstantOp, rw: Rewrite):
        """An optional operand."""
        seen.append([op, bias])

    block = Block(arg_types=[TYPE, TensorType(f32, [1, 1, 4, 4]), TensorType(f32, [1, 1, 3, 3])])
    x, image, kernel = block.args
    relu = ReluOp.make([x], [f32], location=name_loc("l0"))
    tanh = TanhOp.make([x], [f32], location=name_loc("l1"))
    absolute = AbsOp.make([x], [f32])
    concat = ConcatOp.make([[relu.result, tanh.result]], [f32], axis=0, location=name_loc("l2"))
    other = ConcatOp.make([[relu.result, absolute.result]], [f32], axis=0)
    first = AddOp.make([x, x], [f32], location=name_loc("l3"))
    second = AddOp.make([first.result, relu.result], [f32], location=name_loc("l4"))
    bare = AddOp.make([relu.result, first.result], [f32])
    window = {"strides": [1, 1], "pads": [0] * 4, "dilations": [1, 1], "group": 1}
    layouts = {"layout": "NCHW", "kernel_layout": "OIHW"}
    conv = ConvOp.make([image, kernel, None], [f32], **layouts, **window)
    results = [concat, other, second, bare, conv]
    block.add_ops(
        [relu, tanh, absolute, first, *results, ReturnOp(*[r.results[0] for r in results])]
    )
    types = [r.results[0].type for r in results]
    function = FuncOp("main", ([a.type for a in block.args], types), Region(block))
    driver = RewriteDriver([adds, biased])
    driver.run(ModuleOp([function]))
    assert driver.applied == {"adds": 1}
    assert seen == [[second, first, relu]]
    made = next(op for op in block.ops if layer_name(op) == "l3+l0+l4")
    assert isinstance(made, ReluOp)
    seen.clear()
    with pytest.raises(CompilationFailure, match="replaces a value of"):
        RewriteDriver([joins]).run(function)
    assert seen == [[concat, relu, tanh]]


def test_the_older_form_goes_on_working():
    """Classes in the decorator; the function takes the root and the `Rewrite`."""

    @rule(ReluOp, x=(TanhOp, ReluOp))
    def older(op, rw):
        """relu(f(x)) = relu(x)."""
        return rw.emit(ReluOp, [op.x.owner.x], [f32])

    assert older.pattern == "graph.relu(x = graph.tanh | graph.relu)"
    module = chain(TanhOp, ReluOp, ReluOp)
    assert apply_rules(module, older)
    assert names(module) == ["graph.relu"]
    with pytest.raises(TypeError, match="has no operand 'y'"):
        rule(ReluOp, y=ReluOp)(lambda op, rw: None)
    with pytest.raises(TypeError, match="what stands for x is no class of operations"):
        rule(ReluOp, x=int)(lambda op, rw: None)
    with pytest.raises(TypeError, match="takes the root operation and a Rewrite, no more"):
        rule(ReluOp, x=ReluOp)(relu_of_relu.function)
    with pytest.raises(TypeError, match="a rule is a function, not 7"):
        rule(7)


def test_rules_of_the_package_are_annotated():
    rules = [r for cls in all_passes().values() for r in cls.rule_list() if is_ours(r.function)]
    assert len(rules) > 40
    assert [r.name for r in rules if r.of_root] == []
    assert [r.name for r in rules if not r.description] == []


def test_locations_of_others_are_fused():
    @rule
    def with_others(op: TanhOp, rw: Rewrite):
        """Names the next operation too."""
        if len(op.location.name) and layer_name(op) == "l0":
            rw.fuse_locations(next(iter(op.result.uses)).operation)
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

        driver = [relu_in_front] * rules
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
