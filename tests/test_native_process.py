"""What native code does to a stranger's nodes costs a child, never the compiler's process."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from furiosa_ir import native_process
from furiosa_ir.compiler import compile_model
from furiosa_ir.errors import FormatFailure, ImportFailure
from furiosa_ir.importers.onnx import import_onnx
from furiosa_ir.interpreter import run_module
from furiosa_ir.native_onnx import infer_shapes, output_types, run_model
from furiosa_ir.native_process import SHARED, NativeCrash, NativeRefusal
from furiosa_ir.runtime import session
from tests.external_tensors import INITIALIZER, put
from tests.fuzz.seeds import DIGITS
from tests.importers.onnx.networks import imported, network

node = helper.make_node
X, Y = {"x": [1, 3, 8, 8]}, {"y": None}


def strings(name: str, count: int) -> TensorProto:
    return helper.make_tensor(name, TensorProto.STRING, [count], [b"a"] * count)


def split_strings(parts: int, results: int) -> onnx.ModelProto:
    """A Split of a constant that says it makes another number of parts than it has results."""
    outputs = [f"s{i}" for i in range(results)]
    nodes = [node("Split", ["c"], outputs, num_outputs=parts), node("Size", ["s0"], ["y"])]
    model = network(nodes, X, {"y": (None, TensorProto.INT64)}, opset=18)
    model.graph.initializer.append(strings("c", 6))
    return model


ABORTS = {
    **{f"Split {n} {m}": split_strings(n, m) for n, m in ((1, 2), (1, 3), (2, 3))},
    "Unique": network(
        [node("Unique", ["c"], ["u"], axis=0), node("Shape", ["u"], ["y"])],
        X,
        {"y": (None, TensorProto.INT64)},
        {"c": np.zeros((3, 0), np.float32)},
    ),
}


@pytest.mark.parametrize("case", ABORTS)
def test_what_aborts_is_refused_with_a_sentence(case: str) -> None:
    with pytest.raises(ImportFailure, match=r"the operator '\w+',? was ended by SIG") as got:
        import_onnx(ABORTS[case].SerializeToString())
    assert got.value.layer


@pytest.mark.parametrize("operator", ["QLinearSigmoid", "QLinearLeakyRelu"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
@pytest.mark.parametrize("variable", [False, True])
@pytest.mark.parametrize("first", ["z", ""])
def test_a_zero_point_left_out_is_zero(
    operator: str, dtype: type[Any], variable: bool, first: str
) -> None:
    """Left out at the end, it is as if written as 0 (onnxruntime ends its process then)."""
    code = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    constants = {
        "s": np.array(0.1, np.float32),
        "t": np.array(1 / 64, np.float32),
        "z": np.array(3, dtype),
        "0": np.array(0, dtype),
    }
    inputs: dict[str, Any] = {"x": ([2, 8], code)}
    given: list[np.ndarray] = [np.arange(-8, 8).astype(dtype).reshape(2, 8)]
    if variable:
        inputs["s"] = ([], TensorProto.FLOAT)
        given.append(constants.pop("s"))
    results: list[Any] = []
    for names_ in (["x", "s", first, "t"], ["x", "s", first or "0", "t", "0"]):
        one = node(operator, names_, ["y"], domain="com.microsoft")
        used = {k: v for k, v in constants.items() if k in names_}
        model = network([one], inputs, {"y": (None, code)}, used, domains={"com.microsoft": 1})
        with session.create(compile_model(model.SerializeToString())) as running:
            results.append(running.run(given)[0].numpy())
        np.testing.assert_array_equal(run_module(imported(model), given)["y"], results[-1])
    np.testing.assert_array_equal(results[0], results[1])
    assert len(np.unique(results[0])) > 2


def test_an_int8_network_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **_2: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr(native_process.subprocess, "Popen", refuse)
    SHARED.close()
    for path in sorted(DIGITS.glob("*.onnx")):
        compile_model(path.read_bytes())


def identity(count: int = 4) -> bytes:
    return network([node("Identity", ["x"], ["y"])], {"x": [count]}, Y).SerializeToString()


def test_results_and_types() -> None:
    given = np.arange(4, dtype=np.float32)
    ((got,), seconds) = run_model(identity(), [given])
    np.testing.assert_array_equal(got, given)
    assert 0 <= seconds < 5
    assert output_types(identity()) == [("y", "tensor(float)", [4])]
    inferred = onnx.ModelProto.FromString(infer_shapes(identity()))
    assert inferred.graph.output[0].type.tensor_type.shape.dim[0].dim_value == 4


def test_a_refusal_is_the_librarys_and_the_process_goes_on() -> None:
    with pytest.raises(NativeRefusal, match="invalid dimensions"):
        run_model(identity(), [np.ones(5, np.float32)])
    model = onnx.ModelProto.FromString(identity())
    put(model, INITIALIZER, "secret")
    with pytest.raises(FormatFailure, match="another file"):
        run_model(model.SerializeToString(), [])


def test_time_is_limited() -> None:
    """A Loop of 2^60 rounds."""
    body = helper.make_graph(
        [node("Identity", ["go"], ["on"]), node("Identity", ["v"], ["w"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, [1]),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("w", TensorProto.FLOAT, [1]),
        ],
    )
    loop = node("Loop", ["n", "", "x"], ["y"], body=body)
    model = network([loop], {"x": [1]}, {"y": [1]}, {"n": np.array(1 << 60, np.int64)})
    with pytest.raises(NativeCrash, match="not done after 0 s") as caught:
        run_model(model.SerializeToString(), [np.ones(1, np.float32)], seconds=0)
    assert caught.value.hint is not None
    assert "FURIOSA_MAX_NATIVE_SECONDS" in caught.value.hint
    run_model(identity(), [np.ones(4, np.float32)])


def test_memory_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FURIOSA_MAX_NATIVE_BYTES", str(256 << 20))
    model = network(
        [node("ConstantOfShape", ["n"], ["y"])], {"n": ([1], TensorProto.INT64)}, {"y": [None]}
    )
    with pytest.raises((NativeRefusal, NativeCrash)):
        run_model(model.SerializeToString(), [np.array([1 << 28], np.int64)])
    (got,), _ = run_model(model.SerializeToString(), [np.array([1 << 22], np.int64)])
    assert got.shape == (1 << 22,)


def test_one_that_was_killed_is_replaced() -> None:
    run_model(identity(), [np.ones(4, np.float32)])
    idle = SHARED._idle._idle  # to kill what nobody else can name
    assert idle
    for child in idle:
        os.kill(child.process.pid, signal.SIGKILL)
        os.waitid(os.P_PID, child.process.pid, os.WEXITED | os.WNOWAIT)
    run_model(identity(), [np.ones(4, np.float32)])


def test_one_that_is_stopped_is_an_error_of_one_call() -> None:
    """Nobody waits ten minutes for it."""
    SHARED.close()
    run_model(identity(), [np.ones(4, np.float32)])
    for child in SHARED._idle._idle:
        os.kill(child.process.pid, signal.SIGSTOP)
    started = time.monotonic()
    with pytest.raises(NativeCrash, match="did not answer because it is stopped"):
        run_model(identity(), [np.ones(4, np.float32)])
    assert time.monotonic() - started < 250
    run_model(identity(), [np.ones(4, np.float32)])


def test_an_interrupted_call_ends_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    SHARED.close()
    run_model(identity(), [np.ones(4, np.float32)])
    (child,) = SHARED._idle._idle

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(native_process.Child, "_await_message", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_model(identity(), [np.ones(4, np.float32)])
    assert child.process.poll() is not None
