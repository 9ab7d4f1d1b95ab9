"""A file is what its content says, whatever it is called."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from furiosa_ir.errors import ImportFailure
from furiosa_ir.importers import load
from furiosa_ir.ir.text import write_module


def source(path: Path | bytes) -> str:
    return load(path).attributes["graph.source"].data


def test_names_do_not_matter(digits: Path, tmp_path: Path) -> None:
    onnx, tflite = tmp_path / "a.tflite", tmp_path / "b.onnx"
    shutil.copy(digits / "digits_qdq_int8.onnx", onnx)
    shutil.copy(digits / "digits_int8.tflite", tflite)
    assert source(onnx) == source(onnx.read_bytes()) == "onnx"
    assert source(tflite) == source(tflite.read_bytes()) == "tflite"


def test_text(digits: Path, tmp_path: Path) -> None:
    module = load(digits / "digits_qdq_int8.onnx")
    path = tmp_path / "network.bin"
    write_module(module, path)
    assert load(path).is_structurally_equivalent(module)


def test_the_batch_size_of_text(digits: Path, tmp_path: Path) -> None:
    path = tmp_path / "network.mlir"
    write_module(load(digits / "digits_int8.tflite"), path)
    for text in (path, path.read_bytes()):
        with pytest.raises(ImportFailure, match="batch size of IR cannot be changed"):
            load(text, batch_size=2)


def test_a_path_as_a_string(digits: Path) -> None:
    assert load(str(digits / "digits_int8.tflite")).attributes["graph.source"].data == "tflite"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "empty"),
        (b"Dear Sir or Madam,", "text file"),
        (b"enf#C\xcb\x11", "compiled program"),
        (b"dfg48\x1d", "vendor's compiler"),
        (b"PK\x03\x04....", "archive"),
        (b"\x00\x01\x02\x03garbage", "not an ONNX model"),
    ],
)
def test_refused(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ImportFailure, match=what) as caught:
        load(path)
    assert str(path) in str(caught.value)
    with pytest.raises(ImportFailure, match=what):
        load(content)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ImportFailure, match="no such file"):
        load(tmp_path / "none.onnx")
    with pytest.raises(ImportFailure, match="directory"):
        load(tmp_path)


@pytest.mark.corpus
@pytest.mark.parametrize("name", ["mnist.enf", "mnist.dfg"])
def test_the_vendors_files(corpus: Callable[[str], Path], name: str) -> None:
    with pytest.raises(ImportFailure, match="not a model"):
        load(corpus(name))
