"""Equal inputs have equal keys from anywhere; anything that matters makes another."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, external_data_helper, helper, numpy_helper

from furiosa_ir.cache import fingerprint
from furiosa_ir.cache.external_data import external_locations
from furiosa_ir.cache.key import Inputs, compile_key
from furiosa_ir.compiler import compile_source
from furiosa_ir.errors import FuriosaError
from furiosa_ir.ir.text import write_module
from furiosa_ir.ir.text_format import constants_path
from furiosa_ir.pipeline_request import Edit, EditKind, PipelineRequest
from tests.conftest import DIGITS

TFLITE, ONNX = DIGITS / "digits_int8.tflite", DIGITS / "digits_qdq_int8.onnx"


def key(source: Path | bytes, target: str = "warboy-2pe", **options: Any) -> str:
    found = compile_key(Inputs(source, target, **options))
    assert found is not None
    return found.digest


def with_external_weights(folder: Path) -> Path:
    """A network of one float product whose weights lie in `weights.bin`."""
    weights = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="product")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 64])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    external_data_helper.convert_model_to_external_data(
        model, location="weights.bin", size_threshold=0
    )
    path = folder / "net.onnx"
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("source", [TFLITE, ONNX])
def test_the_name_and_the_place_do_not_matter(source: Path, tmp_path: Path):
    moved = tmp_path / "another name"
    shutil.copy(source, moved)
    os.utime(moved, (1, 1))
    assert key(source) == key(moved) == key(source.read_bytes())


@pytest.mark.parametrize("source", [TFLITE, ONNX])
def test_every_byte_matters(source: Path, tmp_path: Path):
    keys = {key(source)}
    data = bytearray(source.read_bytes())
    for at in range(0, len(data), len(data) // 20):
        data[at] ^= 1
        keys.add(key(bytes(data)))
        data[at] ^= 1
    assert len(keys) == len(range(0, len(data), len(data) // 20)) + 1


def test_every_option_matters(tmp_path: Path):
    plugin = tmp_path / "plugin.py"
    plugin.write_text("# 1")
    one, two = Edit(EditKind.SKIP, "a"), Edit(EditKind.SKIP, "b")
    edited = [(one, two), (two, one), *((Edit(kind, "a", "b"),) for kind in EditKind)]
    keys = {
        key(TFLITE),
        key(TFLITE, target="warboy"),
        key(TFLITE, batch_size=1),
        key(TFLITE, batch_size=2),
        key(TFLITE, pipeline=PipelineRequest("a")),
        key(TFLITE, pipeline=PipelineRequest("b")),
        *(key(TFLITE, pipeline=PipelineRequest(edits=edits)) for edits in edited),
        key(TFLITE, pipeline=PipelineRequest("a"), plugins=(plugin,)),
    }
    plugin.write_text("# 2")
    keys.add(key(TFLITE, pipeline=PipelineRequest("a"), plugins=(plugin,)))
    (tmp_path / "imported_by_the_plugin.py").touch()
    keys.add(key(TFLITE, pipeline=PipelineRequest("a"), plugins=(plugin,)))
    assert len(keys) == 15


def test_limits_matter(monkeypatch: pytest.MonkeyPatch):
    """What is folded is another program; what is refused is none, also where one is stored."""
    monkeypatch.delenv("FURIOSA_MAX_FOLDED_ELEMENTS", raising=False)
    before = key(ONNX)
    monkeypatch.setenv("FURIOSA_MAX_FOLDED_ELEMENTS", "1000")
    assert key(ONNX) != before
    monkeypatch.setenv("FURIOSA_MAX_FOLDED_ELEMENTS", "lots")
    with pytest.raises(FuriosaError, match="FURIOSA_MAX_FOLDED_ELEMENTS is 'lots'"):
        key(ONNX)


def test_the_compiler_matters(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    before = key(TFLITE)
    fingerprint.compiler_fingerprint.cache_clear()
    assert key(TFLITE) == before
    folder = tmp_path / "onnxruntime-99.0.dist-info"
    folder.mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    fingerprint.compiler_fingerprint.cache_clear()
    try:
        assert key(TFLITE) != before
    finally:
        fingerprint.compiler_fingerprint.cache_clear()


def test_the_fingerprint_is_of_the_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    package = tmp_path / "furiosa_ir"
    shutil.copytree(Path(fingerprint.__file__).parents[1], package)
    monkeypatch.setattr(fingerprint, "__file__", str(package / "cache" / "fingerprint.py"))
    digests: list[str] = []
    for change in (None, "passes/__init__.py", "new_pass.py"):
        if change is not None:
            (package / change).write_text("x = 1\n")
        fingerprint.compiler_fingerprint.cache_clear()
        digests.append(fingerprint.compiler_fingerprint())
    (package / "__pycache__").mkdir(exist_ok=True)
    (package / "__pycache__" / "x.cpython-311.pyc").write_bytes(b"")
    fingerprint.compiler_fingerprint.cache_clear()
    assert fingerprint.compiler_fingerprint() == digests[-1]
    assert len(set(digests)) == 3
    fingerprint.compiler_fingerprint.cache_clear()


def test_installed_versions_are_those_that_python_imports():
    from importlib.metadata import version

    installed = fingerprint.installed_distributions()
    for library in ("xdsl", "numpy", "ml_dtypes", "onnx", "onnxruntime", "tflite", "flatbuffers"):
        assert installed[library] == version(library)


def test_external_data_matters(tmp_path: Path):
    path = with_external_weights(tmp_path)
    before = key(path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for file in (path, tmp_path / "weights.bin"):
        shutil.copy(file, elsewhere)
    assert key(elsewhere / "net.onnx") == before
    data = bytearray((tmp_path / "weights.bin").read_bytes())
    data[-1] ^= 1
    (tmp_path / "weights.bin").write_bytes(data)
    assert key(path) != before


def test_what_plug_ins_may_import_matters(tmp_path: Path):
    folder = tmp_path / "plug"
    (folder / "package" / "inner").mkdir(parents=True)
    (folder / ".git").mkdir()
    plugin, module = folder / "own.py", folder / "package" / "inner" / "rules.py"
    plugin.write_text("import package.inner.rules")
    module.write_text("A = 1")
    before = key(TFLITE, plugins=(plugin,))
    (folder / ".git" / "hook.py").write_text("nobody imports it")
    assert key(TFLITE, plugins=(plugin,)) == before
    moved = shutil.copytree(folder, tmp_path / "moved")
    assert key(TFLITE, plugins=(moved / "own.py",)) == before
    module.rename(module.with_name("other.py"))
    assert key(TFLITE, plugins=(plugin,)) != before
    module.write_text("A = 2")
    assert key(TFLITE, plugins=(plugin,)) != before


def test_a_plug_in_among_too_many_files_has_no_key(tmp_path: Path):
    for i in range(2100):
        (tmp_path / f"f{i}.py").touch()
    assert compile_key(Inputs(TFLITE, "warboy", plugins=(tmp_path / "f0.py",))) is None


def test_a_process_without_threads_has_the_same_keys(monkeypatch: pytest.MonkeyPatch):
    before = key(ONNX)

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert key(ONNX) == before


def test_no_key_where_the_compiler_has_to_say_what_is_wrong(tmp_path: Path):
    path = with_external_weights(tmp_path)
    (tmp_path / "weights.bin").unlink()
    assert compile_key(Inputs(path, "warboy")) is None
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "fifo")
    for name in ("empty", "fifo", "missing", "."):
        assert compile_key(Inputs(tmp_path / name, "warboy")) is None


def test_external_data_outside_of_the_folder_is_not_read(tmp_path: Path):
    inside = tmp_path / "inside"
    inside.mkdir()
    path = with_external_weights(inside)
    (inside / "weights.bin").rename(tmp_path / "weights.bin")
    (inside / "weights.bin").symlink_to(tmp_path / "weights.bin")
    assert compile_key(Inputs(path, "warboy")) is None


def test_external_tensors_are_found_wherever_they_are():
    def external(name: str) -> TensorProto:
        tensor = TensorProto(name=name, dims=[4], data_type=TensorProto.FLOAT)
        tensor.external_data.add(key="location", value=f"{name}.bin")
        tensor.data_location = TensorProto.EXTERNAL
        return tensor

    inner = helper.make_graph([], "inner", [], [], [external("in_subgraph")])
    nodes = [
        helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner),
        helper.make_node("Constant", [], ["k"], value=external("in_attribute")),
    ]
    function = helper.make_function(
        "local",
        "f",
        [],
        ["k"],
        [helper.make_node("Constant", [], ["k"], value=external("in_function"))],
        [helper.make_opsetid("", 13)],
    )
    graph = helper.make_graph(nodes, "g", [], [], [external("plain")])
    model = helper.make_model(graph, functions=[function])
    assert external_locations(model.SerializeToString()) == [
        "in_attribute.bin",
        "in_function.bin",
        "in_subgraph.bin",
        "plain.bin",
    ]
    assert external_locations(b"no model, but a location") is None
    assert external_locations(b"neither") == []


def test_text_and_its_constants_matter(tmp_path: Path):
    module = compile_source(TFLITE, target_ir="graph").module
    path = tmp_path / "net.mlir"
    write_module(module, path)
    before = key(path)
    path.rename(tmp_path / "other.mlir")
    constants_path(path).rename(constants_path(tmp_path / "other.mlir"))
    path = tmp_path / "other.mlir"
    assert key(path) == before
    constants = constants_path(path)
    data = bytearray(constants.read_bytes())
    data[-1] ^= 1
    constants.write_bytes(data)
    assert key(path) != before
    constants.unlink()
    assert key(path) != before


def external_tensor(name: str, location: str, offset: int, count: int) -> TensorProto:
    tensor = TensorProto(name=name, dims=[count], data_type=TensorProto.FLOAT)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    tensor.external_data.add(key="offset", value=str(offset))
    return tensor


def with_tensors(folder: Path, *tensors: TensorProto) -> Path:
    path = folder / "net.onnx"
    path.write_bytes(
        helper.make_model(helper.make_graph([], "g", [], [], tensors)).SerializeToString()
    )
    return path


def test_of_external_data_the_bytes_that_are_used_are_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """16 bytes of 1 TiB; 50 names of one file; tensors that overlap."""
    from furiosa_ir.cache import external_data

    read: list[tuple[str, int, int]] = []
    digest = external_data._digest

    def counting(path: Path, size: int, ranges: list[tuple[int, int]]) -> str:
        read.extend((path.name, begin, end) for begin, end in ranges)
        return digest(path, size, ranges)

    monkeypatch.setattr(external_data, "_digest", counting)
    data = tmp_path / "data.bin"
    with data.open("wb") as file:
        file.truncate(1 << 40)
    names = [f"alias{i}.bin" for i in range(50)]
    for i, name in enumerate(names):
        (tmp_path / name).symlink_to(data) if i % 2 else os.link(data, tmp_path / name)
    tensors = [external_tensor(f"t{i}", n, 4 * (i % 3), 2) for i, n in enumerate(names)]
    path = with_tensors(tmp_path, *tensors, external_tensor("far", "data.bin", 1 << 39, 4))
    before = key(path)
    ((name, *first), (other, *second)) = read
    assert name == other  # whichever of its names
    assert (first, second) == ([0, 16], [1 << 39, (1 << 39) + 16])
    for place, matters in ((0, True), (15, True), (16, False), (1 << 39, True), (1 << 20, False)):
        with data.open("r+b") as file:
            file.seek(place)
            file.write(b"\x01")
        assert (key(path) != before) == matters
        with data.open("r+b") as file:
            file.seek(place)
            file.write(b"\0")
        assert key(path) == before


@pytest.mark.parametrize(
    ("offset", "extra"),
    [(32, {}), (8, {}), (-4, {}), (0, {"offset": "x"}), (1 << 70, {})],
)
def test_tensors_that_no_importer_reads_have_no_key(
    tmp_path: Path, offset: int, extra: dict[str, str]
):
    (tmp_path / "w.bin").write_bytes(bytes(16))
    tensor = external_tensor("t", "w.bin", offset, 4)
    for name, value in extra.items():
        tensor.external_data.add(key=name, value=value)
    assert compile_key(Inputs(with_tensors(tmp_path, tensor), "warboy")) is None


def test_where_a_tensor_lies_matters(tmp_path: Path):
    (tmp_path / "w.bin").write_bytes(bytes(range(64)))
    keys = {key(with_tensors(tmp_path, external_tensor("t", "w.bin", at, 4))) for at in (0, 4, 8)}
    assert len(keys) == 3
