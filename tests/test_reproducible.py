"""The same input compiles to the same bytes; every phase's text is the same IR again."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from furiosa_ir.compiler import LEVELS, compile_model, compile_source
from furiosa_ir.ir.equivalence import difference
from furiosa_ir.ir.text import read_module, write_module

SMALL_CORPUS = (
    "ad_fc_ae_int8.tflite",
    "ad_fc_ae_qdq_i8.onnx",
    "ic_resnet8_int8.tflite",
    "ic_resnet8_qdq_i8.onnx",
    "kws_dscnn_int8.tflite",
    "kws_dscnn_qdq_i8.onnx",
    "vww_mbv1_025_96_int8.tflite",
    "vww_mbv1_025_96_qdq_i8.onnx",
    "sww_streaming_int8.tflite",
    "mnist_resnet_int8.tflite",
    "person_detect_int8_qdimfix.tflite",
    "mbv1_025_128_qat_u8.tflite",
    "mbv1_050_128_qdq_st.onnx",
    "mnist8_fp32.onnx",
)
BUNDLED = ("digits_int8.tflite", "digits_qdq_int8.onnx")


def in_a_new_process(path: Path, seed: str) -> str:
    """SHA-256 of the program that another interpreter with another hash seed compiles."""
    code = (
        "import hashlib, sys; from furiosa_ir.compiler import compile_model; "
        "print(hashlib.sha256(compile_model(sys.argv[1])).hexdigest())"
    )
    environment = os.environ | {"PYTHONHASHSEED": seed}
    return subprocess.run(
        [sys.executable, "-c", code, str(path)],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


@pytest.mark.parametrize("name", BUNDLED)
def test_same_bytes_twice_and_in_two_processes(digits: Path, name: str) -> None:
    path = digits / name
    first = compile_model(path)
    assert compile_model(path) == first
    digest = hashlib.sha256(first).hexdigest()
    assert {in_a_new_process(path, seed) for seed in ("1", "2")} == {digest}


@pytest.mark.parametrize("name", BUNDLED)
def test_bytes_and_path_compile_alike(digits: Path, name: str) -> None:
    path = digits / name
    assert compile_model(path.read_bytes()) == compile_model(path)


def check_every_level(path: Path, folder: Path) -> None:
    """Each level's text parses to the same IR, and compiles on to the same program."""
    program = compile_model(path)
    for level in LEVELS[:-1]:
        module = compile_source(path, target_ir=level).module
        text = folder / f"{level}.mlir"
        write_module(module, text)
        assert difference(module, read_module(text)) is None
        assert compile_model(text) == program


@pytest.mark.parametrize("name", BUNDLED)
def test_every_level_as_text(digits: Path, name: str, tmp_path: Path) -> None:
    check_every_level(digits / name, tmp_path)


@pytest.mark.corpus
@pytest.mark.parametrize("name", SMALL_CORPUS)
def test_every_level_of_the_corpus_as_text(models: Path, name: str, tmp_path: Path) -> None:
    check_every_level(models / "trained" / name, tmp_path)
