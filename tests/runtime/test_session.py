"""Sessions: what they take, give and refuse."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import furiosa.runtime.session as documented
from furiosa.runtime import sync
from furiosa_ir.backends.warboy.enf.writer import write_program
from furiosa_ir.errors import ExecutionFailure, FormatFailure, FuriosaError
from furiosa_ir.program import Tensor
from furiosa_ir.runtime import DataType, session
from furiosa_ir.runtime.device import target_of
from furiosa_ir.runtime.session import Session
from tests.oracle.litert import run_reference
from tests.runtime.programs import copy_program, copy_then_host, host_program, onnx_model

SHAPE = (1, 2, 3, 4)


@pytest.fixture
def copying() -> Session:
    return session.create(write_program(copy_program("int8")))


@pytest.fixture
def two_inputs() -> Session:
    a, b = Tensor("a", "float32", (1, 3, 4, 4)), Tensor("b", "int64", (2,))
    return Session(host_program(b"", "onnx", [a, b], [Tensor("y", "float32", (1, 10))]))


def elements(dtype: str) -> np.ndarray:
    info = np.iinfo(dtype)
    return np.random.default_rng(0).integers(info.min, info.max + 1, SHAPE, dtype)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_the_npu_keeps_every_byte(dtype: str) -> None:
    x = elements(dtype)
    with session.create(write_program(copy_program(dtype))) as s:
        (result,) = s.run(x)
    np.testing.assert_array_equal(result.numpy(), x)
    assert result.numpy().dtype == dtype
    assert not np.shares_memory(result.numpy(), x)


def test_segments_run_in_order_and_outputs_go_by_name() -> None:
    program = copy_then_host(
        "int8", onnx_model(np.int8, SHAPE), "onnx", Tensor("negated", "int8", SHAPE)
    )
    x = elements("int8")
    with session.create(write_program(program)) as s:
        negated, copied = s.run({"x": x})
        np.testing.assert_array_equal(negated.numpy(), -x)
        np.testing.assert_array_equal(copied.numpy(), x)
        (only,) = s.run_with(["copied"], {"x": x})
        np.testing.assert_array_equal(only.numpy(), x)
        swapped = s.run_with(["copied", "negated"], {"x": x}).numpy()
        np.testing.assert_array_equal(swapped[1], -x)


def test_a_tflite_segment_computes_what_litert_does(digits: Path) -> None:
    model = (digits / "digits_int8.tflite").read_bytes()
    with np.load(digits / "digits_inputs.npz") as inputs:
        x = next(array for array in inputs.values() if array.ndim > 1)
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model)
    (into,), (out,) = interpreter.get_input_details(), interpreter.get_output_details()
    x = np.resize(x, into["shape"]).astype(into["dtype"])
    program = host_program(
        model,
        "tflite",
        [Tensor("x", np.dtype(into["dtype"]).name, tuple(int(n) for n in into["shape"]))],
        [Tensor("y", np.dtype(out["dtype"]).name, tuple(int(n) for n in out["shape"]))],
    )
    with Session(program) as s:
        np.testing.assert_array_equal(s.run(x)[0].numpy(), run_reference(model, [x])[0])


@pytest.mark.corpus
def test_the_optimised_resolver_stands_in_where_the_reference_lacks_a_version(
    corpus: Callable[[str], Path],
) -> None:
    model = corpus("ssd_mbv2_fpnlite_256_int8.tflite").read_bytes()
    outputs = [Tensor(f"y{i}", "float32", (1, 6820, n)) for i, n in enumerate((81, 4, 4))]
    program = host_program(model, "tflite", [Tensor("x", "uint8", (1, 256, 256, 3))], outputs)
    with Session(program) as s:
        results = s.run(np.zeros((1, 256, 256, 3), np.uint8))
    assert [r.shape for r in results] == [t.shape for t in outputs]


def test_the_api_of_the_vendor(two_inputs: Session, capsys: pytest.CaptureFixture[str]) -> None:
    s = two_inputs
    assert (s.input_num, s.output_num) == (2, 1)
    desc = s.input(0)
    assert (desc.name, desc.shape, desc.dtype) == ("a", (1, 3, 4, 4), DataType.FLOAT32)
    assert (desc.format, desc.size, len(desc), desc.ndim) == ("NCHW", 192, 48, 4)
    assert (desc.stride(1), desc.dim(2), desc.numpy_dtype) == (16, 4, np.float32)
    assert s.inputs() == [s.input(0), s.input(1)]
    assert s.outputs() == [s.output(0)]
    s.print_summary()
    assert capsys.readouterr().out == (
        "Inputs:\n"
        "{0: TensorDesc(shape=(1, 3, 4, 4), dtype=FLOAT32, format=NCHW, size=192, len=48), "
        "1: TensorDesc(shape=(2,), dtype=INT64, format=?, size=16, len=2)}\n"
        "Outputs:\n"
        "{0: TensorDesc(shape=(1, 10), dtype=FLOAT32, format=??, size=40, len=10)}\n"
    )
    assert documented.create is session.create


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (np.zeros(SHAPE, np.float32), "the input 'x' is of dtype float32, the network takes int8"),
        (np.zeros((2, 3, 4), np.int8), r"shape \[2, 3, 4\], the network takes \[1, 2, 3, 4\]"),
        ([], "takes 1 inputs, 0 were given"),
        ([np.zeros(SHAPE, np.int8)] * 2, "takes 1 inputs, 2 were given"),
        ({"y": np.zeros(SHAPE, np.int8)}, "there is no input 'y'; the inputs are 'x'"),
        ({}, "the input 'x' is missing"),
        ([[[1, 2], [3]]], "the input 'x' is not an array"),
    ],
)
def test_wrong_inputs_are_named(copying: Session, inputs: object, message: str) -> None:
    with pytest.raises(ExecutionFailure, match=message):
        copying.run(inputs)  # pyright: ignore[reportArgumentType]


def test_other_misuse_is_named(copying: Session) -> None:
    x = elements("int8")
    with pytest.raises(ExecutionFailure, match="there is no output 'z'"):
        copying.run_with(["z"], {"x": x})
    with pytest.raises(ExecutionFailure, match="there is no input 1"):
        copying.input(1)
    with pytest.raises(ExecutionFailure, match="there is no output -1"):
        copying.output(-1)
    copying.close()
    copying.close()
    with pytest.raises(ExecutionFailure, match="the session is closed"):
        copying.run(x)


def test_bad_arguments_and_files_are_named(tmp_path: Path) -> None:
    enf = write_program(copy_program("int8"))
    with pytest.raises(ExecutionFailure, match="not of batch size 2"):
        session.create(enf, batch_size=2)
    session.create(enf, batch_size=1).close()
    for arguments in ({"batch_size": 0}, {"worker_num": 0}, {"worker_num": 1.5}, {"device": "gpu"}):
        with pytest.raises(ExecutionFailure):
            session.create(enf, **arguments)  # pyright: ignore[reportArgumentType]
    damaged = tmp_path / "damaged.enf"
    damaged.write_bytes(enf[:-5])
    with pytest.raises(FormatFailure):
        session.create(damaged)
    for path in (tmp_path / "missing.onnx", tmp_path):
        with pytest.raises(FuriosaError):
            session.create(path)


def test_a_program_is_found_by_path_too(tmp_path: Path) -> None:
    path = tmp_path / "program"
    path.write_bytes(write_program(copy_program("int8")))
    x = elements("int8")
    with session.create(str(path)) as s:
        np.testing.assert_array_equal(s.run([x])[0].numpy(), x)
    with sync.create_runner(path) as runner:
        (y,) = runner.run(x)
        np.testing.assert_array_equal(y, x)


def test_inputs_need_not_be_contiguous(copying: Session) -> None:
    x = elements("int8").transpose(0, 2, 1, 3).copy().transpose(0, 2, 1, 3)
    assert not x.flags.c_contiguous
    np.testing.assert_array_equal(copying.run(x)[0].numpy(), x)


def test_many_threads_run_one_session() -> None:
    program = copy_then_host(
        "int8", onnx_model(np.int8, SHAPE), "onnx", Tensor("negated", "int8", SHAPE)
    )
    failures: list[int] = []
    with session.create(write_program(program)) as s:

        def work(seed: int) -> None:
            x = np.random.default_rng(seed).integers(-128, 128, SHAPE, np.int8)
            for _ in range(20):
                negated, copied = s.run(x).numpy()
                if not (np.array_equal(negated, -x) and np.array_equal(copied, x)):
                    failures.append(seed)

        threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failures


def test_without_litert_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    x, y = Tensor("x", "int8", (2,)), Tensor("y", "int8", (2,))
    with (
        Session(host_program(b"", "tflite", [x], [y])) as s,
        pytest.raises(ExecutionFailure, match=r"furiosa-ir\[litert\]"),
    ):
        s.run(np.zeros(2, np.int8))


@pytest.mark.parametrize("framework", ["onnx", "tflite"])
def test_a_broken_sub_model_is_one_sentence(framework: str) -> None:
    x, y = Tensor("x", "int8", (2,)), Tensor("y", "int8", (2,))
    with (
        Session(host_program(b"nonsense", framework, [x], [y])) as s,
        pytest.raises(ExecutionFailure, match="refuses the host segment") as caught,
    ):
        s.run(np.zeros(2, np.int8))
    assert "\n" not in str(caught.value)


def test_hints_are_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    x, y = Tensor("x", "int8", (2,)), Tensor("y", "int8", (2,))
    Session(host_program(b"", "onnx", [x], [y])).print_hints()
    assert capsys.readouterr().err == (
        "Hint [1]: argmax cannot be accelerated by Warboy; it runs on the host\n"
    )


@pytest.mark.parametrize(
    ("device", "target"),
    [
        (None, None),
        ("warboy(2)*1", "warboy-2pe"),
        ("warboy(1)*2", "warboy"),
        ("warboy*1", "warboy"),
        ("npu:0:0-1", "warboy-2pe"),
        ("npu0pe1", "warboy"),
        ("npu:0:1", "warboy"),
        ("warboy", "warboy"),
    ],
)
def test_devices_are_targets(device: str | None, target: str | None) -> None:
    assert target_of(device) == target


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    """It used to wait for somebody to write."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FuriosaError, match="pipe"):
        session.create(tmp_path / "pipe")
