"""Operators that call subgraphs: what is known is inlined, what is not runs whole on the host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from flatbuffers import flexbuffers
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from furiosa_ir.compiler import compile_model
from furiosa_ir.errors import ImportFailure
from furiosa_ir.importers.tflite import import_tflite
from furiosa_ir.ir.shaped_operation import DYNAMIC, shape_of
from furiosa_ir.runtime import session
from tests.draws import draws
from tests.importers.tflite.single import main_of, names_of, options, vector
from tests.oracle.litert import Operator, Subgraph, Tensor, build_model, run_reference

F32, I32, BOOL = np.float32, np.int32, np.bool_


def floats(name: str, *shape: int) -> Tensor:
    return Tensor(name, shape, F32)


def quantized(name: str, *shape: int) -> Tensor:
    return Tensor(name, shape, np.int8, 0.05, 3)


def composite(index: int) -> Any:
    """The options of a composite that is subgraph `index`."""
    attributes = bytes(flexbuffers.Dumps({}))
    return options(
        "StableHLOComposite",
        name=b"f",
        decompositionSubgraphIndex=index,
        compositeAttributes=np.frombuffer(attributes, np.uint8),
    )


def check(model: bytes, arrays: Sequence[np.ndarray]) -> None:
    """Compiled and run, the network gives what LiteRT gives."""
    want = run_reference(model, arrays)
    with session.create(compile_model(model), compiler_hints=False) as s:
        for result, reference in zip(s.run(list(arrays)), want, strict=True):
            assert result.numpy().shape == reference.shape
            np.testing.assert_array_equal(result.numpy(), reference)


class Calls:
    """Draws operators that call subgraphs, which may call others."""

    def __init__(self, data: DataObject, x: Tensor) -> None:
        self.draw, self.like = data.draw, x
        self.subgraphs: list[Subgraph] = []
        self.names = 0
        self.inside = 0

    def tensor(self) -> Tensor:
        self.names += 1
        like = self.like
        return Tensor(f"t{self.names}", like.shape, like.dtype, like.scale, like.zero_point)

    def constant(self, array: Any) -> Tensor:
        self.names += 1
        return Tensor.constant(f"c{self.names}", np.array(array))

    def operator(self, x: Tensor, depth: int) -> list[Operator]:
        """Operators whose last result is of the type of x."""
        kinds = ["ADD", "RELU", "ADD"] if depth == 0 else ["IF", "WHILE", "STABLEHLO_COMPOSITE"]
        kind, y = self.draw(st.sampled_from(kinds)), self.tensor()
        match kind:
            case "ADD":
                return [Operator("ADD", [x, x], [y], options("Add"), 2)]
            case "RELU":
                return [Operator("RELU", [x], [y], None, 2)]
            case "STABLEHLO_COMPOSITE":
                index = self.subgraph(depth - 1)
                return [Operator(kind, [x], [y], composite(index))]
            case "IF":
                before, condition = self.condition()
                then, otherwise = self.subgraph(depth - 1), self.subgraph(depth - 1)
                o = options("If", thenSubgraphIndex=then, elseSubgraphIndex=otherwise)
                return [*before, Operator(kind, [condition, x], [y], o)]
            case _:
                return [self.while_(x, y, depth)]

    def condition(self) -> tuple[list[Operator], Tensor]:
        """Constant, computed from constants, or an input."""
        taken = self.draw(st.booleans())
        c = self.constant(taken)
        # Only the network has an input of its own for it.
        match self.draw(st.integers(0, 1 if self.inside else 2)):
            case 0:
                return [], c
            case 1:
                self.names += 1
                no = Tensor(f"t{self.names}", (), BOOL)
                return [Operator("LOGICAL_NOT", [c], [no])], no
            case _:
                return [], Tensor("condition", (), BOOL)

    def while_(self, x: Tensor, y: Tensor, depth: int) -> Operator:
        rounds = self.draw(st.integers(0, 3))
        i, go, next_i = Tensor("i", (), I32), Tensor("go", (), BOOL), Tensor("next", (), I32)
        inside, held = self.tensor(), self.tensor()
        self.inside += 1
        body = self.operator(inside, depth - 1)
        self.inside -= 1
        less = Operator("LESS", [i, self.constant(np.int32(rounds))], [go])
        add = Operator("ADD", [i, self.constant(np.int32(1))], [next_i], options("Add"))
        condition = self.add(Subgraph([less], [i, held], [go]))
        loop = self.add(Subgraph([*body, add], [i, inside], [next_i, body[-1].outputs[-1]]))
        o = options("While", condSubgraphIndex=condition, bodySubgraphIndex=loop)
        self.names += 1
        last = Tensor(f"t{self.names}", (), I32)
        return Operator("WHILE", [self.constant(np.int32(0)), x], [last, y], o)

    def subgraph(self, depth: int) -> int:
        x = self.tensor()
        operators: list[Operator] = []
        y = x
        self.inside += 1
        for _ in range(self.draw(st.integers(1, 2))):
            operators += self.operator(y, depth)
            y = operators[-1].outputs[-1]
        self.inside -= 1
        return self.add(Subgraph(operators, [x], [y]))

    def add(self, subgraph: Subgraph) -> int:
        self.subgraphs.append(subgraph)
        return len(self.subgraphs)


@settings(max_examples=draws(25))
@given(st.data())
def test_calls_of_all_kinds(data: DataObject):
    x = data.draw(st.sampled_from([floats("x", 2, 3), quantized("x", 2, 3)]))
    calls = Calls(data, x)
    operators = calls.operator(x, data.draw(st.integers(1, 2)))
    model = build_model(operators, calls.subgraphs)
    arrays = [np.arange(-3, 3).reshape(2, 3).astype(x.dtype)]
    if any(t is not None and t.name == "condition" for o in operators for t in o.inputs):
        arrays.insert(0, np.array(data.draw(st.booleans())))
    check(model, arrays)


def conv(x: Tensor, y: Tensor) -> Operator:
    """A convolution of int8."""
    w = Tensor.constant("w", np.arange(8, dtype=np.int8).reshape(2, 2, 1, 2), 0.01)
    bias = Tensor.constant("b", np.array([5, -5], I32), 0.01 * 0.05)
    o = options("Conv2D", strideH=1, strideW=1, padding=0, dilationHFactor=1, dilationWFactor=1)
    return Operator("CONV_2D", [x, w, bias], [y], o, 3)


def test_a_known_branch_is_its_operators_on_the_npu():
    x, y, z, inside, out = (quantized(n, 1, 4, 4, 2) for n in ("x", "y", "z", "in", "out"))
    branch = Subgraph([conv(inside, out)], [inside], [out])
    condition = Tensor.constant("true", np.array([True]))
    o = options("If", thenSubgraphIndex=1, elseSubgraphIndex=2)
    operators = [conv(x, y), Operator("IF", [condition, y], [z], o)]
    other = Subgraph([Operator("RELU", [inside], [out], None, 2)], [inside], [out])
    model = build_model(operators, [branch, other])
    module = import_tflite(model)
    assert names_of(module) == ["conv", "conv"]
    check(model, [np.arange(-16, 16, dtype=np.int8).reshape(1, 4, 4, 2)])


def test_one_subgraph_called_twice_keeps_its_own_layers():
    x, y, z, inside, out = (floats(n, 2) for n in ("x", "y", "z", "in", "out"))
    double = Subgraph([Operator("ADD", [inside, inside], [out], options("Add"))], [inside], [out])
    calls = [Operator("STABLEHLO_COMPOSITE", [a], [b], composite(1)) for a, b in ((x, y), (y, z))]
    module = import_tflite(build_model(calls, [double]))
    assert names_of(module) == ["add", "add"]
    assert [str(op.location) for op in main_of(module).body.block.ops][:2] == [
        'loc("y/out")',
        'loc("z/out")',
    ]


@pytest.mark.parametrize("kind", ["STABLEHLO_COMPOSITE", "IF"])
def test_a_subgraph_that_reads_the_bytes_otherwise_is_no_inline_code(kind: str):
    """LiteRT hands bytes over; a subgraph of another scale computes with its own."""
    x, y = quantized("x", 4), quantized("y", 4)
    inside = Tensor("in", (4,), np.int8, 0.5, -7)
    out = Tensor("out", (4,), np.int8, 1 / 256, -128)
    logistic = Subgraph([Operator("LOGISTIC", [inside], [out], None, 2)], [inside], [out])
    if kind == "IF":
        o = options("If", thenSubgraphIndex=1, elseSubgraphIndex=1)
        call = Operator(kind, [Tensor.constant("c", np.array(False)), x], [y], o)
    else:
        call = Operator(kind, [x], [y], composite(1))
    model = build_model([call], [logistic])
    assert names_of(import_tflite(model)) == [kind]
    check(model, [np.array([-128, -3, 5, 127], np.int8)])


def result_shapes(model: bytes) -> list[tuple[int, ...]]:
    terminator = main_of(import_tflite(model)).body.block.last_op
    assert terminator is not None
    return [shape_of(v) for v in terminator.operands]


def shaped(builtin: str, x: Tensor, y: Tensor) -> Operator:
    """CONCATENATION of x with itself, or SUM without its last dimension."""
    if builtin == "SUM":
        return Operator("SUM", [x, vector("axis", 1)], [y], options("Reducer"))
    return Operator("CONCATENATION", [x, x], [y], options("Concatenation", axis=0))


@pytest.mark.parametrize("kinds", ["CC", "CS", "SS", "C-"])
def test_the_shapes_of_an_if_are_those_of_its_branches(kinds: str):
    """Whatever the file says: here nothing."""
    x, y, inside, out = floats("x", 2, 3), floats("y"), floats("in"), floats("out")
    names = {"C": "CONCATENATION", "S": "SUM"}
    branches = [
        Subgraph([shaped(names[k], inside, out)], [inside], [out])
        if k in names
        else Subgraph([Operator("ABS", [inside], [out])], [inside], [out])
        for k in kinds
    ]
    o = options("If", thenSubgraphIndex=1, elseSubgraphIndex=2)
    model = build_model([Operator("IF", [Tensor("c", (), BOOL), x], [y], o)], branches)
    expected = {"CC": [(4, 3)], "SS": [(2,)], "C-": [(DYNAMIC, 3)]}
    if kinds in expected:
        assert result_shapes(model) == expected[kinds]
        for condition in (True, False):
            check(model, [np.array(condition), np.arange(6, dtype=F32).reshape(2, 3)])


def test_the_shapes_that_a_while_changes_are_open():
    grown, same = floats("grown", 1, 3), floats("same", 2, 2)
    a, b, c, d = floats("a", 1, 3), floats("b", 2, 2), floats("c"), floats("d", 2, 2)
    i, go, next_i = Tensor("i", (), I32), Tensor("go", (), BOOL), Tensor("j", (), I32)
    limit = Operator("LESS", [i, Tensor.constant("n", np.int32(2))], [go])
    step = Operator("ADD", [i, Tensor.constant("one", np.int32(1))], [next_i], options("Add"))
    body = [shaped("CONCATENATION", a, c), Operator("ABS", [b], [d]), step]
    subgraphs = [Subgraph([limit], [i, a, b], [go]), Subgraph(body, [i, a, b], [next_i, c, d])]
    results = [Tensor("n", (), I32), floats("g"), floats("s")]
    o = options("While", condSubgraphIndex=1, bodySubgraphIndex=2)
    start = Tensor.constant("zero", np.int32(0))
    model = build_model([Operator("WHILE", [start, grown, same], results, o)], subgraphs)
    assert result_shapes(model) == [(), (DYNAMIC, 3), (2, 2)]
    check(model, [np.ones((1, 3), F32), np.arange(4, dtype=F32).reshape(2, 2)])


def test_subgraphs_that_are_no_use():
    x, y, inside, out = (floats(n, 2) for n in ("x", "y", "in", "out"))

    def message(operators: Sequence[Operator], inputs: Sequence[Tensor], index: int = 1) -> str:
        call = Operator("STABLEHLO_COMPOSITE", [x], [y], composite(index))
        with pytest.raises(ImportFailure) as caught:
            import_tflite(build_model([call], [Subgraph(operators, inputs, [out])]))
        assert caught.value.layer is not None
        return caught.value.message

    double = Operator("ADD", [inside, inside], [out], options("Add"))
    assert "subgraph 7 does not exist" in message([double], [inside], 7)
    assert "subgraph 0 calls itself" in message([double], [inside], 0)
    again = Operator("STABLEHLO_COMPOSITE", [inside], [out], composite(1))
    assert "subgraph 1 calls itself" in message([again], [inside])
    forever = Operator(
        "IF",
        [Tensor("c", (), BOOL), inside],
        [out],
        options("If", thenSubgraphIndex=1, elseSubgraphIndex=1),
    )
    assert "has 2 inputs, 1 are given" in message([forever], [forever.inputs[0] or x, inside])


@pytest.mark.parametrize("kind", ["STABLEHLO_COMPOSITE", "IF", "WHILE"])
def test_calls_do_not_make_a_small_file_large(kind: str, monkeypatch: pytest.MonkeyPatch):
    """Forty subgraphs, each of which calls the next one twice: 2^40 operators."""
    x, y, inside, between, out = (floats(n, 2) for n in ("x", "y", "in", "between", "out"))
    c = Tensor.constant("c", np.array(True))

    def call(index: int, a: Tensor, b: Tensor) -> Operator:
        if kind == "STABLEHLO_COMPOSITE":
            return Operator(kind, [a], [b], composite(index))
        if kind == "WHILE":
            o = options("While", condSubgraphIndex=index, bodySubgraphIndex=index)
            return Operator(kind, [a], [b], o)
        return Operator(
            "IF", [c, a], [b], options("If", thenSubgraphIndex=index, elseSubgraphIndex=index)
        )

    subgraphs = [
        Subgraph([call(i, inside, between), call(i, between, out)], [inside], [out])
        for i in range(2, 41)
    ]
    subgraphs.append(Subgraph([Operator("ABS", [inside], [out])], [inside], [out]))
    model = build_model([call(1, x, y)], subgraphs)
    assert len(model) < 1 << 16
    if kind == "WHILE":
        import_tflite(model)  # each subgraph is carried once
        return
    monkeypatch.setenv("FURIOSA_MAX_FUNCTION_BYTES", str(1 << 20))
    with pytest.raises(ImportFailure, match="make the network too large") as caught:
        import_tflite(model)
    assert "FURIOSA_MAX_FUNCTION_BYTES" in str(caught.value)
