"""Many tensors and many files beside a model, in a process that may have few files open."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from furiosa_ir.importers.onnx import import_onnx
from furiosa_ir.importers.onnx.external import ExternalData
from tests.conftest import ROOT

COUNT = 1100


def network(folder: Path, files: int) -> Path:
    """The sum of an input and 1,100 tensors that lie in so many files."""
    per_file = -(-COUNT // files)
    tensors: list[TensorProto] = []
    for i in range(COUNT):
        name = f"{i // per_file}.bin"
        offset = 16 * (i % per_file)
        tensor = TensorProto(name=f"t{i}", data_type=TensorProto.FLOAT, dims=[4])
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", name), ("offset", offset), ("length", 16)):
            tensor.external_data.add(key=key, value=str(value))
        with (folder / name).open("ab") as file:
            file.write(np.full(4, i, np.float32).tobytes())
        tensors.append(tensor)
    nodes = [
        helper.make_node("Add", [f"s{i - 1}" if i else "x", f"t{i}"], [f"s{i}"])
        for i in range(COUNT)
    ]
    values = [helper.make_tensor_value_info(n, 1, [4]) for n in ("x", f"s{COUNT - 1}")]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], tensors)
    path = folder / "net.onnx"
    opsets = [helper.make_opsetid("", 13)]
    path.write_bytes(helper.make_model(graph, opset_imports=opsets).SerializeToString())
    return path


@pytest.mark.parametrize("files", [1, COUNT])
def test_descriptors_are_not_used_up(files: int, tmp_path: Path):
    path = network(tmp_path, files)
    code = "from furiosa_ir.tools.furiosa import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "compile", str(path), "-o", str(tmp_path / "net.enf")],
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "FC_CACHE_ENABLED": "1",
            "FC_CACHE_STORE_URL": str(tmp_path / "cache"),
        },
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256)),
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "net.enf").exists()
    assert len(list((tmp_path / "cache").rglob("*.entry"))) == 1


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_file_is_mapped_once_under_all_its_names(tmp_path: Path):
    (tmp_path / "a.bin").write_bytes(np.arange(8, dtype=np.float32).tobytes())
    (tmp_path / "soft.bin").symlink_to("a.bin")
    os.link(tmp_path / "a.bin", tmp_path / "hard.bin")
    external, before = ExternalData(tmp_path), descriptors()
    arrays: list[np.ndarray] = []
    for location in ("a.bin", "soft.bin", "hard.bin", "./a.bin"):
        tensor = TensorProto(name="t", dims=[3])
        for key, value in (("location", location), ("offset", 4)):
            tensor.external_data.add(key=key, value=str(value))
        arrays.append(external.elements(tensor, np.dtype(np.float32)))
    assert descriptors() == before
    assert len({a.ctypes.data for a in arrays}) == 1
    del external
    assert [a.tolist() for a in arrays] == 4 * [[1, 2, 3]]
    with pytest.raises(ValueError, match="read-only"):
        arrays[0][0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        arrays[0].flags.writeable = True


def mapped(name: str) -> bool:
    return name in Path("/proc/self/maps").read_text()


def test_a_mapping_ends_with_its_last_array(tmp_path: Path):
    path = network(tmp_path, 1)
    module = import_onnx(path)
    assert mapped(f"{tmp_path}/0.bin")
    del module
    import gc

    gc.collect()
    assert not mapped(f"{tmp_path}/0.bin")


def test_what_cannot_be_opened_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from furiosa_ir.errors import FuriosaError

    path = network(tmp_path, 2)

    open_file = os.open

    def refuse(place: Path, *arguments: Any) -> int:
        if place.suffix == ".bin":
            raise OSError(24, "Too many open files")
        return open_file(place, *arguments)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(
        FuriosaError, match=r"net.onnx: .*'0.bin' of the tensor 't0' cannot be read"
    ):
        import_onnx(path)
    assert onnx.load(path, load_external_data=False).graph.node
