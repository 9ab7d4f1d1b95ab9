"""Host segments: how many interpreters there are, what a failure names, crashes in a child."""

from __future__ import annotations

import errno
import gc
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from furiosa_ir import native_process
from furiosa_ir.compiler import compile_model, compile_source
from furiosa_ir.errors import ExecutionFailure, FuriosaError, ImportFailure
from furiosa_ir.native_process import SHARED
from furiosa_ir.program import HostSegment, Program
from furiosa_ir.program import Tensor as TensorRecord
from furiosa_ir.runtime import Session, session
from furiosa_ir.runtime.engines import host_engine
from furiosa_ir.runtime.host import MakeEngine, TFLiteEngine, hides_state, layer_of
from furiosa_ir.runtime.isolation import IsolatedEngine
from tests.importers.onnx.networks import network
from tests.importers.onnx.old_opsets import by_onnxruntime
from tests.importers.tflite.single import options
from tests.oracle.litert import Operator, Tensor, build_model, run_reference
from tests.oracle.streaming import StreamingNetwork
from tests.runtime.programs import host_program

LEAST = -(2**31)
A = np.array([7, -7, 9, LEAST], np.int32)
B = np.array([4, 4, 5, 3], np.int32)
CRASH = np.array([1, 1, 1, -1], np.int32)
"""A % CRASH divides -2**31 by -1, which the processor answers with SIGFPE."""


def remainder_network() -> bytes:
    """TFLite: c = a + b, m = c % b; no operator of it is the NPU's."""
    a, b, c, m = (Tensor(name, (4,), np.int32) for name in ("a", "b", "c", "remainder"))
    zero = Tensor.constant("zero", np.zeros(4, np.int32))
    return build_model(
        [
            Operator("MAXIMUM", [a, a], [c], options("MaximumMinimum")),
            Operator("FLOOR_MOD", [c, b], [m], options("FloorMod")),
            Operator("ADD", [m, zero], [Tensor("y", (4,), np.int32)], options("Add")),
        ]
    )


def counting_network() -> bytes:
    """TFLite: y counts up by x each time it runs, in a variable tensor."""
    operator = Operator(
        "SVDF",
        [
            Tensor("x", (1, 1), np.float32),
            Tensor.constant("feature", np.ones((1, 1), np.float32)),
            Tensor.constant("time", np.ones((1, 4), np.float32)),
            None,
            Tensor("state", (1, 4), np.float32, is_variable=True),
        ],
        [Tensor("y", (1, 1), np.float32)],
        options("SVDF", rank=1),
    )
    return build_model([operator])


def counting_program() -> Program:
    program = compile_source(counting_network()).program
    assert program is not None
    return program


def in_threads(count: int, work: Callable[[], object]) -> None:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def interpreters_of(running: Session) -> list[TFLiteEngine]:
    loaded = running._loaded
    assert loaded is not None
    return [e for e in loaded.hosts.values() if isinstance(e, TFLiteEngine)]


def test_there_are_no_more_interpreters_than_workers() -> None:
    model = remainder_network()
    (expected,) = run_reference(model, [A, B])
    wrong: list[np.ndarray] = []
    with session.create(compile_model(model), worker_num=3) as running:

        def work() -> None:
            for _ in range(50):
                (result,) = running.run({"a": A, "b": B}).numpy()
                if not np.array_equal(result, expected):
                    wrong.append(result)

        in_threads(8, work)
        engines = interpreters_of(running)
        assert engines
        assert all(1 <= len(engine._pool._idle) <= 3 for engine in engines)
    assert not wrong


def test_runs_of_a_network_with_state_go_one_after_another() -> None:
    with Session(counting_program(), worker_num=4) as running:
        seen: list[float] = []
        in_threads(
            4, lambda: seen.append(running.run(np.ones((1, 1), np.float32))[0].numpy().item())
        )
        assert sorted(seen) == [1, 2, 3, 4]


@pytest.fixture(params=["in the process", "isolated"])
def isolated(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setenv("FURIOSA_HOST_ISOLATION", str(int(request.param == "isolated")))
    return request.param == "isolated"


@pytest.mark.usefixtures("isolated")
def test_a_failing_tflite_operator_is_named() -> None:
    with session.create(compile_model(remainder_network())) as running:
        with pytest.raises(ExecutionFailure, match="LiteRT failed: ") as caught:
            running.run({"a": A, "b": B * 0})
        assert caught.value.layer == "remainder"
        np.testing.assert_array_equal(running.run({"a": A, "b": B})[0].numpy(), A % B)


@pytest.mark.usefixtures("isolated")
def test_a_failing_onnx_operator_is_named() -> None:
    shape = [4]
    graph = helper.make_graph(
        [
            helper.make_node("Neg", ["a"], ["n"], name="negation"),
            helper.make_node("Div", ["n", "b"], ["c"], name="first division"),
            helper.make_node("Div", ["c", "n"], ["d"], name="second division"),
        ],
        "g",
        [helper.make_tensor_value_info(n, TensorProto.INT32, shape) for n in "ab"],
        [helper.make_tensor_value_info("d", TensorProto.INT32, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    ones, zeros = np.ones(4, np.int32), np.zeros(4, np.int32)
    with session.create(compile_model(model.SerializeToString())) as running:
        for a, b, layer in ((ones, zeros, "first division"), (zeros, ones, "second division")):
            with pytest.raises(ExecutionFailure, match="onnxruntime failed: ") as caught:
                running.run([a, b])
            assert caught.value.layer == layer
        np.testing.assert_array_equal(running.run([ones, ones])[0].numpy(), ones)


def test_of_several_operators_all_are_named() -> None:
    rows = tuple(("Add", f"add {i}", 0, "") for i in range(6))
    segment = HostSegment("host_0", "tflite", (), (), b"", rows[:1])
    assert layer_of(segment) == "add 0"
    segment = HostSegment("host_0", "tflite", (), (), b"", rows)
    assert layer_of(segment) == "host_0 (add 0, add 1, add 2, add 3 and 2 more)"
    assert layer_of(HostSegment("host_0", "tflite", (), (), b"", ())) == "host_0"


def test_a_crash_is_an_error_of_one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FURIOSA_HOST_ISOLATION", "1")
    with session.create(compile_model(remainder_network()), worker_num=1) as running:
        for _ in range(2):
            np.testing.assert_array_equal(running.run([A, B])[0].numpy(), A % B)
            with pytest.raises(ExecutionFailure, match="was ended by SIGFPE") as caught:
                running.run([A, CRASH])
            assert "remainder" in str(caught.value.layer)
    assert not children()


def test_isolated_results_are_the_same(
    monkeypatch: pytest.MonkeyPatch, digits: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    program = compile_model(digits / "digits_qdq_int8.onnx")
    with np.load(digits / "digits_inputs.npz") as inputs:
        x = next(inputs[k] for k in inputs.files if inputs[k].ndim > 1)
    with session.create(program) as running:
        desc = running.input(0)
        x = np.resize(x, desc.shape).astype(desc.numpy_dtype)
        (expected,) = running.run(x).numpy()
    monkeypatch.setenv("FURIOSA_HOST_ISOLATION", "1")
    running = session.create(program)
    (result,) = running.run(x).numpy()
    assert result.dtype == expected.dtype
    np.testing.assert_array_equal(result, expected)
    result[:] = 0  # the caller's own
    assert children()
    running.close()
    assert not children()
    assert capfd.readouterr().err == ""


def test_strings_and_empty_arrays_reach_the_child() -> None:
    shape: list[int | str] = ["n"]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["a"], ["b"], name="same")],
        "g",
        [helper.make_tensor_value_info("a", TensorProto.STRING, shape)],
        [helper.make_tensor_value_info("b", TensorProto.STRING, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    segment = HostSegment("host_0", "onnx", (0,), (1,), model.SerializeToString(), ())
    for given in (["a", "", "é"], []):
        array = np.array(given, object)
        (result,) = IsolatedEngine(segment).run([array])
        np.testing.assert_array_equal(result, array)
        assert result.shape == array.shape


def test_without_processes_the_layer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    segment = HostSegment("host_0", "onnx", (), (), b"", (("Add", "sum", 0, ""),))
    with pytest.raises(
        ExecutionFailure,
        match="layer 'sum': the process that ran the operator on the host cannot be started",
    ):
        IsolatedEngine(segment).run([])


def test_the_switch_is_0_or_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FURIOSA_HOST_ISOLATION", "yes")
    with pytest.raises(FuriosaError, match=r"FURIOSA_HOST_ISOLATION is 'yes' \(set it to 0 or 1\)"):
        Session(counting_program())


def children() -> list[int]:
    """The processes that this one started and has not waited for."""
    gc.collect()  # tracebacks of earlier tests hold sessions
    SHARED.close()  # those that compiling and verifying left idle
    found: list[int] = []
    for task in Path(f"/proc/{os.getpid()}/task").iterdir():
        found += map(int, (task / "children").read_text().split())
    return found


def test_a_result_of_another_shape_than_the_file_says() -> None:
    """The importer knows the shapes of what is modelled; a program may hold other sub-models."""
    x, y = TensorRecord("x", "int32", (1, 1, 4)), TensorRecord("y", "int32", (4,))
    axes = Tensor.constant("axes", np.array([1], np.int32))
    tensors = [Tensor("x", (1, 1, 4), np.int32), axes], [Tensor("y", (4,), np.int32)]
    model = build_model([Operator("REDUCE_PROD", *tensors, options("Reducer", keepDims=True))])
    with pytest.raises(ImportFailure, match=r"makes \[1, 1, 4\], the file says \[4\]"):
        compile_model(model)
    with Session(host_program(model, "tflite", [x], [y])) as running:
        message = r"'y' is declared with shape \[4\], but the framework makes \[1, 1, 4\]"
        with pytest.raises(ExecutionFailure, match=message) as caught:
            running.run([np.ones((1, 1, 4), np.int32)])
    assert caught.value.layer == "y"


def test_an_idle_child_that_was_killed_costs_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FURIOSA_HOST_ISOLATION", "1")
    with session.create(compile_model(remainder_network()), worker_num=1) as running:
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV):
            np.testing.assert_array_equal(running.run([A, B])[0].numpy(), A % B)
            for child in children():
                os.kill(child, number)
                os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        np.testing.assert_array_equal(running.run([A, B])[0].numpy(), A % B)


def test_the_session_counts_and_not_its_children(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that is killed, idle or amidst a run, costs no state."""
    monkeypatch.setenv("FURIOSA_HOST_ISOLATION", "1")
    one = np.ones((1, 1), np.float32)
    with Session(counting_program()) as running:
        assert [running.run(one)[0].numpy().item() for _ in range(2)] == [1, 2]
        for child in children():
            os.kill(child, signal.SIGKILL)
            os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        assert [running.run(one)[0].numpy().item() for _ in range(2)] == [3, 4]
    network = StreamingNetwork(0)
    count = Tensor("count", (4,), np.int32)
    handle = network.variable("count", count, np.zeros(4, np.int32))
    a = Tensor("a", (4,), np.int32)
    b = Tensor("b", (4,), np.int32)
    more = Tensor("more", (4,), np.int32)
    network.emit("ADD", [network.read(handle, count), a], more, options("Add"))
    network.assign(handle, more)
    network.emit("FLOOR_MOD", [more, b], Tensor("m", (4,), np.int32), options("FloorMod"))
    with session.create(compile_model(network.model())) as running:
        np.testing.assert_array_equal(running.run([A, B])[0].numpy(), A % B)
        with pytest.raises(ExecutionFailure, match="was ended by SIGFPE"):
            running.run([0 * A, CRASH])
        again = running.run([np.ones(4, np.int32), B])[0].numpy()
        np.testing.assert_array_equal(again, (A + 1) % B)


def stop(child: int) -> None:
    """Stops a child, and waits until it is: on a busy machine it goes on for a while."""
    os.kill(child, signal.SIGSTOP)
    os.waitid(os.P_PID, child, os.WSTOPPED | os.WNOWAIT)


@pytest.mark.parametrize("size", [4, 1 << 20])  # the larger one fills the socket
def test_a_stopped_child_is_an_error_of_one_run(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setenv("FURIOSA_HOST_ISOLATION", "1")
    shape: list[int | str] = ["n"]
    a = np.arange(size, dtype=np.int32)
    engine = IsolatedEngine(negation(shape))
    np.testing.assert_array_equal(engine.run([a])[0], -a)
    (child,) = children()
    stop(child)
    with pytest.raises(ExecutionFailure, match="did not answer because it is stopped") as caught:
        engine.run([a])
    assert caught.value.layer == "negation"
    assert not children()
    np.testing.assert_array_equal(engine.run([a])[0], -a)


@pytest.mark.parametrize("size", [4, 1 << 20])
def test_a_child_that_does_not_answer_is_an_error_of_one_run(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Where nobody can see that it is stopped, the bound counts."""
    monkeypatch.setattr(native_process.Child, "_is_stopped", lambda _: False)
    monkeypatch.setenv("FURIOSA_MAX_HOST_SECONDS", "15")  # a child takes some to start
    a = np.arange(size, dtype=np.int32)
    engine = IsolatedEngine(negation(["n"]))
    np.testing.assert_array_equal(engine.run([a])[0], -a)
    (child,) = children()
    stop(child)
    message = r"did not answer for 15 s \(FURIOSA_MAX_HOST_SECONDS sets the limit of 15 s"
    with pytest.raises(ExecutionFailure, match=message) as caught:
        engine.run([a])
    assert caught.value.layer == "negation"
    assert not children()
    np.testing.assert_array_equal(engine.run([a])[0], -a)


def negation(shape: list[int | str]) -> HostSegment:
    graph = helper.make_graph(
        [helper.make_node("Neg", ["a"], ["b"], name="negation")],
        "g",
        [helper.make_tensor_value_info("a", TensorProto.INT32, shape)],
        [helper.make_tensor_value_info("b", TensorProto.INT32, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    rows = (("Neg", "negation", 0, ""),)
    return HostSegment("host_0", "onnx", (0,), (1,), model.SerializeToString(), rows)


@pytest.mark.parametrize("make", [host_engine, IsolatedEngine])
def test_a_sub_model_with_a_state_of_its_own_is_refused(make: MakeEngine) -> None:
    """Programs of older versions have such."""
    x, y = (TensorRecord(name, "float32", (1, 1)) for name in "xy")
    (hiding,) = host_program(counting_network(), "tflite", [x], [y]).segments
    assert isinstance(hiding, HostSegment)
    with pytest.raises(ExecutionFailure, match="'host_0' keeps a state of its own") as caught:
        make(hiding)
    assert caught.value.hint == "compile the network again"


@pytest.mark.parametrize("cut", [8, 16, 40, 100, 300])
def test_a_segment_that_is_no_model_hides_no_state(cut: int) -> None:
    """Whoever asks does not fail: LiteRT says what is wrong with it when it is to run."""
    (whole,) = counting_program().segments
    assert isinstance(whole, HostSegment)
    assert not hides_state(whole)
    empty = flatbuffer_without_graphs()
    for model in (bytes(whole.model[:cut]), empty, empty[:cut]):
        segment = HostSegment("host_0", "tflite", (), (), model, ())
        assert not hides_state(segment)
        with pytest.raises(ExecutionFailure):
            host_engine(segment).run([])


def flatbuffer_without_graphs() -> bytes:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    builder = flatbuffers.Builder(64)
    schema.ModelStart(builder)
    builder.Finish(schema.ModelEnd(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


@pytest.mark.parametrize("rounds", [0, 1, 3])
def test_what_a_loop_collects_in_no_rounds_is_onnxruntimes(rounds: int) -> None:
    node: Any = helper.make_node
    info: Any = helper.make_tensor_value_info
    float_, int_, bool_ = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
    body = helper.make_graph(
        [
            node("Add", ["a", "a"], ["b"]),
            node("Identity", ["go"], ["on"]),
            node("Identity", ["b"], ["c"]),
        ],
        "body",
        [info("i", int_, []), info("go", bool_, []), info("a", float_, None)],
        [info("on", bool_, []), info("b", float_, None), info("c", float_, None)],
    )
    loop = node("Loop", ["n", "", "x"], ["last", "all"], body=body)
    inputs: dict[str, Any] = {"x": ([2, 3], float_), "n": ([], int_)}
    model = network([loop], inputs, {"all": (["k", 2, 3], float_), "last": [2, 3]})
    arrays = [np.ones((2, 3), np.float32), np.array(rounds)]
    with session.create(model.SerializeToString(), compiler_hints=False) as running:
        got = running.run(arrays).numpy()
    for result, want in zip(got, by_onnxruntime(model, arrays), strict=True):
        np.testing.assert_array_equal(result, want)
        assert result.shape == want.shape
