"""Files that somebody else wrote, on the command line: one sentence, and no control characters."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from onnx import helper

from furiosa_ir.runtime import session
from furiosa_ir.tools.furiosa import main
from tests import bounded
from tests.conftest import DIGITS
from tests.importers.onnx.networks import network

TFLITE = DIGITS / "digits_int8.tflite"
EVIL = "\x1b[2J\x1b]0;owned\x07"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def refusal(*arguments: object) -> str:
    result = run(*arguments)
    assert result.exit_code == 1, result.output
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("ERROR: ")]
    assert line.isprintable()
    return line


def evil_network() -> bytes:
    """A network whose every name would clear the terminal."""
    x, y = f"x{EVIL}", f"y{EVIL}"
    node = helper.make_node("Det", [x], [y], name=f"layer{EVIL}\nERROR: no")
    return network([node], {x: [1, 2, 2]}, {y: [1]}).SerializeToString()


def test_names_of_a_model_do_not_reach_the_terminal(tmp_path: Path) -> None:
    model, program, inputs = tmp_path / "m.onnx", tmp_path / "m.enf", tmp_path / "in.npz"
    model.write_bytes(evil_network())
    np.savez(inputs, np.ones((1, 2, 2), np.float32))
    outputs = [
        run("compile", model, "-o", program),
        run("inspect", program),
        run("inspect", program, "--json"),
        run("inspect", program, "--disassemble"),
        run("run", program, "--inputs", inputs),
    ]
    for result in outputs:
        assert result.exit_code == 0, result.output
        assert "\x1b" not in result.output
        assert "\x07" not in result.output
        assert not any(line.startswith("ERROR") for line in result.stderr.splitlines())
    assert any("owned" in result.output for result in outputs)


def test_a_refusal_shows_no_names_as_they_are(tmp_path: Path) -> None:
    model = tmp_path / "m.onnx"
    node = helper.make_node("Relu", [f"nowhere{EVIL}"], ["y"], name=f"layer{EVIL}\nERROR: no")
    model.write_bytes(network([node], {"x": [1]}, {"y": None}).SerializeToString())
    assert "owned" in refusal("compile", model, "-o", tmp_path / "o.enf")


@pytest.mark.parametrize("what", ["pipe", "/dev/zero", "folder"])
def test_what_is_no_file(tmp_path: Path, what: str) -> None:
    path = tmp_path / what.strip("/").replace("/", "_")
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    else:
        path = Path(what)
    assert str(path) in refusal("compile", path, "-o", tmp_path / "o.enf")
    if what != "pipe":  # which might be what somebody pipes in
        assert str(path) in refusal("inspect", path)


def test_a_malformed_limit_names_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FC_CACHE_ENABLED", "0")
    monkeypatch.setenv("FURIOSA_MAX_RANK", "lots")
    message = refusal("compile", TFLITE, "-o", tmp_path / "o.enf")
    assert "FURIOSA_MAX_RANK is 'lots', not a positive whole number" in message


def test_a_limit_can_be_lowered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FC_CACHE_ENABLED", "0")
    monkeypatch.setenv("FURIOSA_MAX_TENSOR_ELEMENTS", "50")
    assert "FURIOSA_MAX_TENSOR_ELEMENTS" in refusal("compile", TFLITE, "-o", tmp_path / "o.enf")


@pytest.fixture(scope="module")
def zeros() -> bytes:
    """An archive of a megabyte with a gigabyte of zeros, `other`."""
    archive = io.BytesIO()
    np.savez_compressed(archive, other=np.zeros(1 << 28, np.int32))
    return archive.getvalue()


@pytest.mark.parametrize("name", ["other", "image", "arr_0"])
def test_an_archive_is_not_unpacked_before_its_names_and_sizes_are_looked_at(
    name: str, tmp_path: Path, zeros: bytes
) -> None:
    model, path = DIGITS / "digits_int8.tflite", tmp_path / "in.npz"
    with session.create(model) as running:
        assert [desc.name for desc in running.inputs()] == ["image"]
    path.write_bytes(zeros.replace(b"other.npy", f"{name}.npy".encode()))
    message = bounded.refusal("run", model, "--inputs", path)
    assert str(path) in message
    assert ("no array for the input" if name == "other" else "more than the inputs") in message


def test_only_the_inputs_of_an_archive_are_unpacked(tmp_path: Path, zeros: bytes) -> None:
    model, path = DIGITS / "digits_int8.tflite", tmp_path / "in.npz"
    with session.create(model) as running:
        (desc,) = running.inputs()
    path.write_bytes(zeros)
    with zipfile.ZipFile(path, "a") as archive, archive.open(f"{desc.name}.npy", "w") as member:
        np.save(member, np.zeros(desc.shape, desc.numpy_dtype))
    done = bounded.furiosa("run", model, "--inputs", path)
    assert done.code == 0, done


@pytest.mark.parametrize("cached", ["0", "1"])
def test_a_loop_of_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cached: str) -> None:
    """In the place of a model, its external data, an array file or an output."""
    monkeypatch.setenv("FC_CACHE_ENABLED", cached)
    monkeypatch.setenv("FC_CACHE_STORE_URL", f"file://{tmp_path}/cache")
    loop, other, model = tmp_path / "a", tmp_path / "b", tmp_path / "m.onnx"
    loop.symlink_to(other)
    other.symlink_to(loop)
    node = helper.make_node("Add", ["x", "w"], ["y"])
    weights = {"w": np.ones(400, np.float32)}
    proto = network([node], {"x": [400]}, {"y": [400]}, weights)
    (tensor,) = proto.graph.initializer
    tensor.ClearField("raw_data")
    tensor.ClearField("float_data")
    tensor.data_location = tensor.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "a"
    model.write_bytes(proto.SerializeToString())
    messages = [
        refusal("compile", model, "-o", tmp_path / "o.enf"),
        refusal("compile", loop, "-o", tmp_path / "o.enf"),
        refusal("compile", loop, "-o", other),
        refusal("compile", TFLITE, "-o", loop),
        refusal("inspect", loop),
        refusal("run", TFLITE, "--inputs", loop),
    ]
    assert not any("internal error" in message for message in messages)
