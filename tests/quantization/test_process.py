"""The quantisers' libraries run in a process of their own: what ends it is one sentence here."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from furiosa_ir.errors import FuriosaError
from furiosa_ir.quantization import quantize
from tests.importers.onnx.networks import network
from tests.importers.tflite.single import options
from tests.oracle.litert import Operator, Tensor, build_model
from tests.test_native_process import ABORTS

node = helper.make_node


def with_a_relu(model: onnx.ModelProto) -> onnx.ModelProto:
    """The network with another output, so that there is something to quantise."""
    model.graph.node.append(node("Relu", ["x"], ["r"]))
    model.graph.output.append(helper.make_tensor_value_info("r", TensorProto.FLOAT, None))
    return model


CASES = {
    "Split": with_a_relu(ABORTS["Split 1 2"]),
    "Unique": with_a_relu(ABORTS["Unique"]),
    "QLinearSigmoid": with_a_relu(
        network(
            [node("QLinearSigmoid", ["c", "s", "z", "t"], ["y"], domain="com.microsoft")],
            {"x": [1, 3, 8, 8]},
            {"y": (None, TensorProto.UINT8)},
            {
                "c": np.zeros(4, np.uint8),
                "s": np.array(0.1, np.float32),
                "z": np.array(0, np.uint8),
                "t": np.array(0.1, np.float32),
            },
            domains={"com.microsoft": 1},
        )
    ),
}


def chosen() -> onnx.ModelProto:
    """A network in which onnxruntime aborts if the condition chooses nothing."""
    nodes = [
        node("Relu", ["x"], ["y"]),
        node("Compress", ["m", "c"], ["d"], axis=1),
        node("Unique", ["d"], ["u"], axis=0),
        node("Size", ["u"], ["z"]),
    ]
    inputs = {"x": [1, 4], "m": [3, 4], "c": ([4], TensorProto.BOOL)}
    return network(nodes, inputs, {"y": None, "z": (None, TensorProto.INT64)})


def samples(last: bool) -> dict[str, np.ndarray[Any, Any]]:
    """Five of them; in the last one the condition chooses everything, or nothing."""
    c = np.ones((5, 4), np.bool_)
    c[4] = last
    return {"x": np.ones((5, 4), np.float32), "m": np.ones((5, 3, 4), np.float32), "c": c}


def furiosa(folder: Path, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), cwd=folder, capture_output=True, text=True, check=False, **options
    )


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-P", "-m", "furiosa_ir.tools.furiosa", *arguments]


QUANTIZE = ("quantize", "n.onnx", "--calibration", "d.npz", "-o", "q.onnx")


@pytest.mark.parametrize("case", CASES)
def test_what_aborts_is_refused(case: str, tmp_path: Path) -> None:
    """In a process of its own: it was ended with exit code 134."""
    onnx.save(CASES[case], tmp_path / "n.onnx")
    np.savez(tmp_path / "d.npz", x=np.ones((2, 3, 8, 8), np.float32))
    done = furiosa(tmp_path, *QUANTIZE)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "q.onnx").exists()


@pytest.mark.parametrize("interface", ["furiosa quantize", "quantize"])
def test_a_later_sample_that_aborts(interface: str, tmp_path: Path) -> None:
    onnx.save(chosen(), tmp_path / "n.onnx")
    data = samples(False)
    sentence = "n.onnx: the process that quantised the network was ended by SIGABRT"
    if interface == "quantize":
        with pytest.raises(FuriosaError, match=sentence):
            quantize(tmp_path / "n.onnx", data, tmp_path / "q.onnx")
    else:
        np.savez(tmp_path / "d.npz", **data)
        done = furiosa(tmp_path, *QUANTIZE)
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1] == f"ERROR: {sentence}"
    assert not (tmp_path / "q.onnx").exists()
    quantize(tmp_path / "n.onnx", samples(True), tmp_path / "q.onnx")
    assert (tmp_path / "q.onnx").exists()


def test_litert_too(tmp_path: Path) -> None:
    """-2**31 divided by -1 is no int32: the processor raises SIGFPE."""
    y, m = Tensor("y", (4,), np.float32), Tensor("m", (4,), np.int32)
    x, a, b = Tensor("x", (4,), np.float32), *(Tensor(n, (4,), np.int32) for n in "ab")
    operators = [
        Operator("RELU", [x], [y]),
        Operator("FLOOR_MOD", [a, b], [m], options("FloorMod")),
    ]
    (tmp_path / "n.tflite").write_bytes(build_model(operators))
    divisors = np.full((5, 4), 3, np.int32)
    divisors[4] = -1
    data = {
        "x": np.ones((5, 4), np.float32),
        "a": np.full((5, 4), -(2**31), np.int32),
        "b": divisors,
    }
    with pytest.raises(FuriosaError, match=r"quantised the network was ended by SIGFPE"):
        quantize(tmp_path / "n.tflite", data, tmp_path / "q.tflite")
    assert not (tmp_path / "q.tflite").exists()


def test_memory_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [node("ConstantOfShape", ["n"], ["c"]), node("Add", ["c", "x"], ["y"])]
    size = {"n": np.array([1 << 28], np.int64)}
    onnx.save(network(nodes, {"x": [1]}, {"y": None}, size), tmp_path / "n.onnx")
    monkeypatch.setenv("FURIOSA_MAX_QUANTIZER_BYTES", str(768 << 20))
    with pytest.raises(FuriosaError):
        quantize(tmp_path / "n.onnx", np.ones((1, 1), np.float32), tmp_path / "q.onnx")


def test_what_is_logged_reaches_this_process(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And the progress; a level that nobody wants does not."""
    nodes = [node("ConvTranspose", ["x", "w", "b"], ["y"], group=2)]
    constants = {"w": np.ones((4, 1, 1, 1), np.float32), "b": np.ones(2, np.float32)}
    onnx.save(network(nodes, {"x": [1, 4, 8, 8]}, {"y": None}, constants), tmp_path / "n.onnx")
    steps: list[tuple[str, int, int]] = []
    data = np.ones((3, 1, 4, 8, 8), np.float32)
    with caplog.at_level(logging.WARNING, "furiosa_ir"):
        quantize(tmp_path / "n.onnx", data, tmp_path / "q.onnx", on_step=lambda *s: steps.append(s))
    assert [r.name for r in caplog.records] == ["furiosa_ir.quantization.onnx"]
    assert "has one scale for its weight" in caplog.text
    assert ("Calibrating", 2, 3) in steps
    assert steps[-1] == ("Comparing with the float network", 3, 3)


def test_arrays_of_another_byte_order(tmp_path: Path) -> None:
    onnx.save(network([node("Relu", ["x"], ["y"])], {"x": [1, 4]}, {"y": None}), tmp_path / "n")
    data = np.arange(8, dtype=np.float32).reshape(2, 4)
    reports = [quantize(tmp_path / "n", d, tmp_path / "q") for d in (data, data.astype(">f4"))]
    assert reports[0].outputs == reports[1].outputs


def test_a_file_that_is_an_open_descriptor(tmp_path: Path) -> None:
    onnx.save(chosen(), tmp_path / "n.onnx")
    np.savez(tmp_path / "d.npz", **samples(True))
    with (tmp_path / "n.onnx").open("rb") as source, (tmp_path / "d.npz").open("rb") as data:
        done = furiosa(
            tmp_path,
            *("quantize", "/dev/stdin", "--calibration", f"/dev/fd/{data.fileno()}"),
            *("-o", "q.onnx"),
            stdin=source,
            pass_fds=[data.fileno()],
        )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "q.onnx").exists()


@pytest.mark.usefixtures("signals_of_a_terminal")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_child_ends_with_its_parent(tmp_path: Path, number: signal.Signals) -> None:
    """And temporary files are gone, too, if the parent can see to it."""
    onnx.save(chosen(), tmp_path / "n.onnx")
    data = samples(True)
    np.savez(tmp_path / "d.npz", **{k: np.repeat(v, 4000, 0) for k, v in data.items()})
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    running = subprocess.Popen(
        command(*QUANTIZE),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(temporary)},
    )
    assert running.stderr is not None
    for line in running.stderr:
        if b"Calibrating" in line:
            break
    (child,) = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    running.send_signal(number)
    running.communicate()
    assert running.returncode == (-9 if number == signal.SIGKILL else 128 + number)
    deadline = time.monotonic() + 120
    while Path(f"/proc/{child}/exe").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert not (tmp_path / "q.onnx").exists()
    if number != signal.SIGKILL:
        assert not list(temporary.glob("furiosa.*"))


PLUGIN = """\
import logging
print("to nobody's harm")
logging.getLogger("furiosa_ir.plugin").warning("it is in %s", __import__("os").getpid())
"""


def test_plug_ins_are_loaded_in_the_child(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "plugin.py").write_text(PLUGIN)
    onnx.save(chosen(), tmp_path / "n.onnx")
    quantize(
        tmp_path / "n.onnx",
        samples(True),
        tmp_path / "q.onnx",
        plugins=[tmp_path / "plugin.py"],
    )
    (record,) = [r for r in caplog.records if r.name == "furiosa_ir.plugin"]
    assert int(record.getMessage().rpartition(" ")[2]) != os.getpid()
    (tmp_path / "plugin.py").write_text("raise ValueError('no')")
    with pytest.raises(FuriosaError, match=r"plugin\.py:1: the plug-in does not load: ValueError"):
        quantize(
            tmp_path / "n.onnx",
            samples(True),
            tmp_path / "q.onnx",
            plugins=[tmp_path / "plugin.py"],
        )
