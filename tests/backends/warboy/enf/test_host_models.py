"""A program's ONNX sub-models hold all of their data: no program makes a host read a file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from furiosa.runtime import session
from furiosa_ir.backends.warboy.enf.reader import read_program
from furiosa_ir.backends.warboy.enf.writer import write_program
from furiosa_ir.errors import FormatFailure, FuriosaError
from furiosa_ir.onnxruntime_session import onnx_session
from furiosa_ir.program import Program, Tensor
from tests.external_tensors import INITIALIZER, places, put
from tests.runtime.programs import host_program

X, Y = (Tensor(name, "float32", (8,)) for name in "xy")


def adding() -> onnx.ModelProto:
    """y = x + w, where nobody has said yet what w is."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [8]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def program_of(model: bytes) -> bytes:
    return write_program(host_program(model, "onnx", [X], [Y]))


def test_the_attack_as_it_was_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The outputs held a file of whoever ran the program in that directory."""
    secret = np.arange(8, dtype=np.float32)
    (tmp_path / "secret").write_bytes(secret.tobytes())
    monkeypatch.chdir(tmp_path)
    model = adding()
    put(model, INITIALIZER, "secret").name = "w"
    data = program_of(model.SerializeToString())
    with pytest.raises(FuriosaError, match="'w' of an ONNX model lies in another file") as caught:
        session.create(data).run(np.zeros(8, np.float32))
    assert "host_0" in str(caught.value)
    # Nor does a program that was never read: its records were made by hand.
    with pytest.raises(FormatFailure, match="another file"):
        onnx_session(model.SerializeToString())


@pytest.mark.parametrize("location", ["secret", "*/_ORT_MEM_ADDR_/*"])
def test_refused_on_reading_wherever_the_tensor_is(location: str) -> None:
    for place in places():
        model = adding()
        put(model, place, location)
        with pytest.raises(FormatFailure, match="'lies elsewhere' of an ONNX model"):
            read_program(program_of(model.SerializeToString()))
    assert len(places()) > 100


def test_a_model_that_onnxruntime_alone_understands_is_refused() -> None:
    """Its own format has external data as well, and `onnx` cannot look into it."""
    with pytest.raises(FormatFailure, match="onnxruntime's own format"):
        read_program(program_of(b"\x18\0\0\0ORTM" + bytes(64)))


def test_what_may_hold_a_location_and_is_no_model_is_refused() -> None:
    with pytest.raises(FormatFailure, match="not an ONNX model"):
        read_program(program_of(b"\xff location"))


def test_a_name_is_no_location() -> None:
    model = adding()
    model.graph.name = "location"
    w = model.graph.initializer.add()
    w.name, w.data_type, w.raw_data = "w", TensorProto.FLOAT, np.ones(8, np.float32).tobytes()
    w.dims.append(8)
    data = program_of(model.SerializeToString())
    assert isinstance(read_program(data), Program)
    results = session.create(data).run(np.zeros(8, np.float32)).numpy()
    np.testing.assert_array_equal(results[0], np.ones(8))


def test_a_program_without_external_data_is_read_without_onnx(tmp_path: Path) -> None:
    """Sessions start fast: neither onnx nor protobuf is loaded to look."""
    plain = host_program(adding().SerializeToString(), "onnx", [X], [Y])
    (tmp_path / "p.enf").write_bytes(write_program(plain))
    code = (
        "import sys\nfrom furiosa_ir.backends.warboy.enf.reader import read_program\n"
        f"read_program(open({str(tmp_path / 'p.enf')!r}, 'rb').read())\n"
        "print([m for m in ('onnx', 'google.protobuf', 'onnxruntime') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
