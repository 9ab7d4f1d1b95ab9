"""State of TFLite networks, beside LiteRT over several runs: drawn ones, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import tflite  # pyright: ignore[reportMissingTypeStubs]
from hypothesis import given, settings
from hypothesis import strategies as st

from furiosa_ir.compiler import compile_model, compile_source
from furiosa_ir.errors import ImportFailure
from furiosa_ir.importers.tflite import import_tflite, subgraphs
from furiosa_ir.importers.tflite.file import FileRecord
from furiosa_ir.importers.tflite.operator_record import OperatorRecord
from furiosa_ir.importers.tflite.subgraphs import called_subgraphs
from furiosa_ir.importers.tflite.variables import assignments
from furiosa_ir.program import Program
from furiosa_ir.runtime.session import Session
from tests.draws import draws
from tests.oracle.litert import Operator, Stream, Subgraph, Tensor, build_model
from tests.oracle.streaming import StreamingNetwork, options

SHAPE = (1, 4)
QUANTISATIONS = ((0.5, 3), (0.5, 3), (0.25, -7), (1.0, 0))


def compiled(model: bytes) -> Program:
    program = compile_source(model).program
    assert program is not None
    return program


def check_runs(model: bytes, inputs: Sequence[np.ndarray], runs: int = 5) -> Program:
    """Compares runs one behind the other with LiteRT's, and again after a reset."""
    program = compiled(model)
    rng = np.random.default_rng(0)
    with Session(program) as session:
        for _ in range(2):
            stream = Stream(model)
            for _ in range(runs):
                feeds = [
                    rng.integers(0, 256, x.shape).astype(np.uint8).view(x.dtype)
                    if x.dtype.itemsize == 1
                    else x
                    for x in inputs
                ]
                results = session.run(feeds).numpy()
                for got, want in zip(results, stream.run(feeds), strict=True):
                    np.testing.assert_array_equal(got, want)
                    assert got.dtype == want.dtype
            session.reset()
    return program


X = np.zeros(SHAPE, np.int8)


class Drawn(StreamingNetwork):
    """Reads and assignments of variables in any order, among ordinary operators."""

    def __init__(self, draw: st.DrawFn) -> None:
        super().__init__(draw(st.integers(0, 1000)))
        self.draw = draw
        self.values = [Tensor("x", SHAPE, np.int8, 0.5, 3)]
        self.floats: list[Tensor] = []
        self.kinds = [self.int8() for _ in range(draw(st.integers(1, 3)))]
        self.handles = [
            self.variable(f"v{i}", kind, self.rng.integers(-128, 128, SHAPE).astype(np.int8))
            for i, kind in enumerate(self.kinds)
        ]
        real = Tensor("real", SHAPE, np.float32)
        start = self.rng.standard_normal(SHAPE) * draw(st.sampled_from((0, 1)))
        self.handles.append(self.variable("f", real, start.astype(np.float32)))
        self.kinds.append(real)

    def int8(self) -> Tensor:
        scale, zero = self.draw(st.sampled_from(QUANTISATIONS))
        return Tensor(self.name("v"), SHAPE, np.int8, scale, zero)

    def step(self) -> None:
        which = self.draw(st.integers(0, len(self.handles) - 1))
        handle, kind = self.handles[which], self.kinds[which]
        real = kind.dtype == np.float32
        pool = self.floats if real else self.values
        match self.draw(st.sampled_from(("read", "assign", "add", "relu", "to", "from"))):
            case "read":
                like = kind if real or self.draw(st.booleans()) else self.int8()
                pool.append(self.read(handle, like))
            case "assign" if pool:
                self.assign(handle, self.draw(st.sampled_from(pool)))
            case "add":
                pair = [self.draw(st.sampled_from(self.values)) for _ in range(2)]
                self.values.append(self.emit("ADD", pair, self.int8(), options("Add"), 2))
            case "relu":
                x = self.draw(st.sampled_from(self.values))
                self.values.append(self.emit("RELU", [x], self.int8(), None, 2))
            case "to":
                x = self.draw(st.sampled_from(self.values))
                result = Tensor(self.name("f"), SHAPE, np.float32)
                self.floats.append(self.emit("DEQUANTIZE", [x], result, options("Dequantize"), 2))
            case "from" if self.floats:
                x = self.draw(st.sampled_from(self.floats))
                self.values.append(self.emit("QUANTIZE", [x], self.int8(), options("Quantize"), 1))
            case _:
                pass


@st.composite
def networks(draw: st.DrawFn) -> Drawn:
    net = Drawn(draw)
    for _ in range(draw(st.integers(3, 12))):
        net.step()
    for value in (*net.values, *net.floats):  # each is a result of its own
        if value.dtype == np.int8:
            net.emit("RELU", [value], net.int8(), None, 2)
        else:
            net.emit("QUANTIZE", [value], net.int8(), options("Quantize"), 1)
    return net


@settings(max_examples=draws(20))
@given(networks())
def test_drawn_networks_are_litert_run_by_run(net: Drawn) -> None:
    check_runs(net.model(), [X], 3)


def first(*operators: Operator) -> bytes:
    """Operators behind a CALL_ONCE of subgraph 1, which assigns -9, 0, 5, 7 to the variable v."""
    once = Operator("CALL_ONCE", [], [], options("CallOnce", initSubgraphIndex=1))
    here, there = handle("v"), handle("v")
    beginning = [there, assign(there, INITIAL)]
    del here
    return build_model([once, *operators], [Subgraph(beginning, [], [])])


INITIAL = Tensor.constant("initial", np.array([[-9, 0, 5, 7]], np.int8), 0.5, 3)


def handle(name: str, container: str = "") -> Operator:
    table = options("VarHandle", container=container, sharedName=name)
    return Operator("VAR_HANDLE", [], [Tensor(f"{name}/handle", (), np.void)], table)


def read(of: Operator, result: Tensor) -> Operator:
    return Operator("READ_VARIABLE", of.outputs, [result], options("ReadVariable"))


def assign(of: Operator, value: Tensor) -> Operator:
    return Operator("ASSIGN_VARIABLE", [*of.outputs, value], [], options("AssignVariable"))


def int8(name: str, shape: Sequence[int] = SHAPE) -> Tensor:
    return Tensor(name, shape, np.int8, 0.5, 3)


def add(a: Tensor, b: Tensor, result: Tensor) -> Operator:
    return Operator("ADD", [a, b], [result], options("Add"), 2)


def test_what_no_run_assigns_is_a_constant() -> None:
    """Weights that are variables, as networks that nobody froze have them."""
    v, x, kept, y = handle("v"), int8("x"), int8("kept"), int8("y")
    program = check_runs(first(v, read(v, kept), add(x, kept, y)), [X])
    assert program.variables == ()
    (only,) = program.segments
    assert only.name == "npu_0"
    assert len(only.inputs) == 1


@pytest.mark.parametrize(
    ("dtype", "start", "scale", "segments"),
    [
        (np.int8, 0.0, 0.25, ["npu_0"]),
        (np.uint8, 0.0, 0.25, ["npu_0"]),
        (np.int8, 0.3, 0.25, ["host_0", "npu_1", "host_2"]),  # not zeros before the first run
        (np.int8, 0.0, 0.26, ["host_0", "npu_1", "host_2"]),  # other integers come back
    ],
)
def test_floats_that_stand_for_integers_are_kept_as_integers(
    dtype: type[np.generic], start: float, scale: float, segments: list[str]
) -> None:
    """As a quantiser leaves a ring buffer: in float, between QUANTIZE and DEQUANTIZE."""
    net = StreamingNetwork(0)
    kept = Tensor("kept", SHAPE, np.float32)
    handle = net.variable("v", kept, np.full(SHAPE, start, np.float32))
    x, old, new, y = (
        Tensor(name, SHAPE, dtype, s, 7)
        for name, s in (("x", 0.5), ("old", scale), ("new", 0.25), ("y", 0.5))
    )
    net.emit("QUANTIZE", [net.read(handle, kept)], old, options("Quantize"), 1)
    net.emit("ADD", [x, old], new, options("Add"), 2)
    real = net.emit("DEQUANTIZE", [new], Tensor("real", SHAPE, np.float32), options("Dequantize"))
    net.assign(handle, real)
    net.emit("MUL", [new, x], y, options("Mul"), 2)
    program = check_runs(net.model(), [X.view(dtype)], 8)
    assert [s.name for s in program.segments] == segments


def test_what_a_run_assigns_before_it_reads_is_no_state() -> None:
    v, x, kept, y = handle("never initialised"), int8("x"), int8("kept"), int8("y")
    assert (
        check_runs(build_model([v, assign(v, x), read(v, kept), add(x, kept, y)]), [X]).variables
        == ()
    )


def test_a_result_that_is_read_an_input_that_is_kept_a_constant_that_is_assigned() -> None:
    v, x, kept = handle("v"), int8("x"), int8("kept")
    assert [len(p.segments) for p in [check_runs(first(v, read(v, kept), assign(v, x)), [X])]] == [
        0
    ]
    other = Tensor.constant("other", np.array([[1, 2, 3, 4]], np.int8), 0.5, 3)
    y = int8("y")
    check_runs(first(v, read(v, kept), add(kept, x, y), assign(v, other)), [X])


def test_a_variable_is_its_container_and_its_name() -> None:
    a, b, again = handle("v"), handle("v", "other"), handle("v")
    x, one, two, three, y = int8("x"), int8("one"), int8("two"), int8("three"), int8("y")
    model = first(
        a, b, again,
        assign(b, x),
        read(a, one), assign(again, x), read(b, two), read(a, three),
        add(one, two, y), add(y, three, int8("z")),
    )  # fmt: skip
    (variable,) = check_runs(model, [X]).variables
    assert variable.name == "v"


def variable_tensor(*users: Callable[[Tensor, Tensor], Operator]) -> bytes:
    """An SVDF, with further operators that take its state and its result."""
    state = Tensor("state", (1, 8), np.float32, is_variable=True)
    x, y = Tensor("x", (1, 3), np.float32), Tensor("y", (1, 2), np.float32)
    rng = np.random.default_rng(0)
    feature, time = (
        Tensor.constant(name, rng.standard_normal(shape).astype(np.float32))
        for name, shape in (("feature", (2, 3)), ("time", (2, 4)))
    )
    svdf = Operator("SVDF", [x, feature, time, None, state], [y], options("SVDF", rank=1))
    before = [make(state, y) for make in users[:1]]
    return build_model([*before, svdf, *(make(state, y) for make in users[1:])])


def test_a_variable_tensor_is_state_whoever_takes_it() -> None:
    x = np.ones((1, 3), np.float32)

    def double(name: str) -> Callable[[Tensor, Tensor], Operator]:
        return lambda state, _: Operator(
            "ADD", [state, state], [Tensor(name, (1, 8), np.float32)], options("Add")
        )

    (variable,) = check_runs(variable_tensor(), [x]).variables
    assert variable.name == "state"
    check_runs(variable_tensor(double("before")), [x])
    check_runs(variable_tensor(double("before"), double("behind")), [x])


def test_a_branch_known_at_import_may_keep_state() -> None:
    yes = Tensor.constant("condition", np.array([True]))
    v, x, y = handle("v"), int8("x"), int8("y")
    inner, kept, sum_ = int8("inner"), int8("kept"), int8("sum")
    then = Subgraph([v, read(v, kept), add(inner, kept, sum_), assign(v, sum_)], [inner], [sum_])
    start = handle("v")
    other = int8("other")
    once = Operator("CALL_ONCE", [], [], options("CallOnce", initSubgraphIndex=1))
    condition = options("If", thenSubgraphIndex=2, elseSubgraphIndex=3)
    inside = [
        Subgraph([start, assign(start, INITIAL)], [], []),
        then,
        Subgraph([], [other], [other]),
    ]
    model = build_model([once, Operator("IF", [yes, x], [y], condition)], inside)
    (variable,) = check_runs(model, [X]).variables
    assert variable.name == "v"
    # Whether another runs, only its data say.
    asked = Tensor("condition", (1,), np.bool_)
    model = build_model([once, Operator("IF", [asked, x], [y], condition)], inside)
    with pytest.raises(ImportFailure, match="IF calls a subgraph that keeps state from run to run"):
        import_tflite(model)


V = handle("v")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            build_model([V, read(V, int8("kept")), add(int8("x"), int8("kept2"), int8("y"))]),
            "reads the variable 'v', which nothing has assigned",
        ),
        (
            first(V, assign(V, int8("x", (1, 5))), read(V, int8("y"))),
            r"assigns i8\[1, 5\], but the variable 'v' is i8\[1, 4\], and state keeps its shape",
        ),
        (
            first(V, assign(V, Tensor("x", SHAPE, np.int16)), read(V, int8("y"))),
            r"assigns i16\[1, 4\], but the variable 'v' is i8\[1, 4\]",
        ),
        (
            first(V, Operator("RELU", V.outputs, [int8("y")], None, 2)),
            "the handle 'v/handle' of a variable is given to something else than READ_VARIABLE",
        ),
        (
            build_model([read(handle("v"), int8("y"))]),
            "no VAR_HANDLE before it makes the tensor 'v/handle'",
        ),
    ],
)  # fmt: skip
def test_what_litert_refuses_or_no_session_can_keep(model: bytes, message: str) -> None:
    with pytest.raises(ImportFailure, match=message):
        import_tflite(model)


def test_only_constants_are_there_before_the_first_run() -> None:
    there = handle("v")
    x = int8("x")
    relu = Operator("EXP", [INITIAL], [int8("computed")], options("Exp"))
    v = handle("v")
    main = [
        Operator("CALL_ONCE", [], [], options("CallOnce", initSubgraphIndex=1)),
        v, assign(v, x), read(v, int8("y")),
    ]  # fmt: skip
    beginning = [there, relu, assign(there, relu.outputs[0])]
    with pytest.raises(
        ImportFailure, match="CALL_ONCE computes the initial elements of the variab"
    ):
        import_tflite(build_model(main, [Subgraph(beginning, [], [])]))
    beginning = [there, assign(there, INITIAL)]
    late = [*main[1:], main[0]]
    with pytest.raises(ImportFailure, match="CALL_ONCE initialises the variable 'v' behind operat"):
        import_tflite(build_model(late, [Subgraph(beginning, [], [])]))


def test_a_batch_of_streams_is_refused() -> None:
    model = StreamingNetwork(0)
    x = int8("x")
    v = model.variable("v", x, INITIAL.data)
    model.assign(v, model.binary("ADD", x, model.read(v, x), -5, 5))
    model.read(v, x)
    data = model.model()
    message = r"cannot change the batch size: the network keeps state from run to run \('v'\)"
    with pytest.raises(ImportFailure, match=message):
        compile_model(data, batch_size=2)
    compile_model(data, batch_size=1)


def test_state_of_nothing_is_limited() -> None:
    """LiteRT fills variable tensors with zeros: a file of some bytes may ask for gigabytes."""
    state = Tensor("state", (1 << 14, 1 << 13), np.float32, is_variable=True)
    x = Tensor("x", (1, 1), np.float32)
    model = build_model(
        [Operator("ADD", [x, state], [Tensor("y", state.shape, np.float32)], options("Add"))]
    )
    with pytest.raises(
        ImportFailure, match=r"keeps too much from run to run \(FURIOSA_MAX_STATE_B"
    ):
        import_tflite(model)


def test_what_is_assigned_first_may_be_moved_often() -> None:
    """A chain of moves once ended as 'the arguments of ASSIGN_VARIABLE make no sense'."""
    there, v, x, kept, y = handle("v"), handle("v"), int8("x"), int8("kept"), int8("y")
    order = Tensor.constant("order", np.array([1, 0], np.int32))
    value, moves = INITIAL, list[Operator]()
    for i in range(1500):
        moved = int8(f"moved{i}", SHAPE if i % 2 else SHAPE[::-1])
        moves.append(Operator("TRANSPOSE", [value, order], [moved], options("Transpose"), 2))
        value = moved
    once = Operator("CALL_ONCE", [], [], options("CallOnce", initSubgraphIndex=1))
    beginning = Subgraph([there, *moves, assign(there, value)], [], [])
    last = Operator("RELU", [y], [int8("z")], None, 2)
    main = [once, v, read(v, kept), add(x, kept, y), assign(v, y), last]
    check_runs(build_model(main, [beginning]), [X])


def test_subgraphs_are_looked_through_once_for_what_they_assign(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each loop of a network looked through the same body: 640 KB took 5 s, in their product."""
    v, x, y = handle("v"), int8("x"), int8("y")
    go, held, end, result = (Tensor(n, (), np.bool_) for n in ("go", "held", "end", "result"))
    table = options("While", condSubgraphIndex=1, bodySubgraphIndex=2)
    loops = [Operator("WHILE", [go], [Tensor(f"loop{i}", (), np.bool_)], table) for i in range(20)]
    condition = Subgraph([Operator("LOGICAL_NOT", [held], [end])], [held], [end])
    nots = [Operator("LOGICAL_NOT", [held], [Tensor(f"n{i}", (), np.bool_)]) for i in range(50)]
    body = Subgraph([*nots, Operator("LOGICAL_NOT", [held], [result])], [held], [result])
    data = build_model([v, assign(v, x), read(v, y), *loops], [condition, body])
    file = FileRecord(tflite.Model.GetRootAs(data, 0), data)
    asked: list[str] = []

    def called(record: OperatorRecord) -> tuple[int, ...]:
        asked.append(record.op_type)
        return called_subgraphs(record)

    monkeypatch.setattr(subgraphs, "called_subgraphs", called)
    assert list(assignments(file)) == [("", "v")]
    assert len(asked) < 100
