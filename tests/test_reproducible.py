"""The same input compiles to the same bytes; every phase's text is the same IR again."""

from __future__ import annotations

import importlib.metadata
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from numpy._core._multiarray_umath import __cpu_dispatch__ as cpu_features
from onnx import helper

from furiosa_ir.backends import default_backend
from furiosa_ir.backends.warboy.enf.reader import read_program
from furiosa_ir.backends.warboy.enf.writer import write_program
from furiosa_ir.compiler import compile_model, compile_source
from furiosa_ir.ir.equivalence import difference
from furiosa_ir.ir.text import read_module, write_module
from tests.conftest import ROOT
from tests.draws import mostly_slow
from tests.reproducible_networks import computed_constants, digests

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


OLD_PROCESSOR = {
    "NPY_DISABLE_CPU_FEATURES": " ".join(cpu_features),
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX512F",
    "OPENBLAS_CORETYPE": "Nehalem",
}
"""numpy, the C library and BLAS without what this processor has and the oldest do not."""

ELSEWHERE: dict[str, tuple[dict[str, str], Sequence[str]]] = {
    "another place": (
        {"PYTHONHASHSEED": "1", "LC_ALL": "C", "LANG": "tr_TR.UTF-8", "TZ": "Asia/Seoul"}
        | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        [],
    ),
    "without assertions": (
        {"PYTHONHASHSEED": "2", "PYTHONOPTIMIZE": "1", "LC_ALL": "POSIX", "PYTHONUTF8": "0"}
        | {"TZ": "<-11>+11", "OMP_NUM_THREADS": "8", "OPENBLAS_NUM_THREADS": "8"},
        ["bytes"],
    ),
    "without docstrings": (
        {"PYTHONHASHSEED": "random", "PYTHONOPTIMIZE": "2"}
        | {"PYTHONMALLOC": "malloc", "TEST_UMASK": "077"},
        [],
    ),
    "an old processor": (OLD_PROCESSOR, []),
}
"""(environment variables, arguments) of processes that compile."""


@pytest.fixture(scope="module")
def here() -> dict[str, str]:
    return digests()


@pytest.mark.filterwarnings("ignore::ImportWarning")
@pytest.mark.parametrize("where", mostly_slow(ELSEWHERE, "another place", "an old processor"))
def test_programs_are_the_same_elsewhere(here: dict[str, str], where: str, tmp_path: Path) -> None:
    variables, arguments = ELSEWHERE[where]
    done = subprocess.run(
        [sys.executable, "-m", "tests.reproducible_networks", *arguments],
        env=os.environ | variables | {"PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    there = dict(line.rsplit(" ", 1) for line in done.stdout.splitlines())
    assert there == here


def test_programs_are_the_same_in_threads_at_once(here: dict[str, str]) -> None:
    with ThreadPoolExecutor(4) as pool:
        for there in pool.map(lambda _: digests(), range(4)):
            assert there == here


@pytest.mark.parametrize("name", BUNDLED)
def test_bytes_and_path_compile_alike(digits: Path, name: str, tmp_path: Path) -> None:
    path = digits / name
    program = compile_model(path)
    assert compile_model(path) == program
    assert compile_model(path.read_bytes()) == program
    elsewhere = tmp_path / "a name that says nothing"
    elsewhere.write_bytes(path.read_bytes())
    os.utime(elsewhere, (0, 0))
    assert compile_model(elsewhere) == program


@pytest.mark.parametrize("name", BUNDLED)
def test_programs_tell_nothing_of_where_they_were_made(
    digits: Path, name: str, tmp_path: Path
) -> None:
    folder = tmp_path / "telltale"
    folder.mkdir()
    path = folder / f"telltale{Path(name).suffix}"
    path.write_bytes((digits / name).read_bytes())
    program = compile_model(path)
    years = [str(year).encode() for year in range(2024, 2040)]
    packages = ("ai-edge-litert", "flatbuffers", "onnx", "onnxruntime", "xdsl")
    versions = [importlib.metadata.version(package).encode() for package in packages]
    for secret in (b"telltale", str(ROOT).encode(), socket.gethostname().encode(), *years):
        assert secret not in program
    for version in versions:
        # As a text of its own: the digits alone may well be somewhere among the weights.
        assert len(version).to_bytes(4, "little") + version + b"\0" not in program


def without_source(program: bytes) -> bytes:
    """The program but for the hash of the file it was made from."""
    return write_program(replace(read_program(program), source_hash=""))


def reordered(messages: Any, order: np.random.Generator) -> None:
    """Puts the elements of a repeated protobuf field into another order."""
    copies = [type(message).FromString(message.SerializeToString()) for message in messages]
    del messages[:]
    messages.extend(copies[i] for i in order.permutation(len(copies)))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["digits_qdq_int8.onnx", "computed constants"])
def test_the_order_of_what_has_names_says_nothing(digits: Path, name: str, seed: int) -> None:
    data = computed_constants() if " " in name else (digits / name).read_bytes()
    model, order = onnx.load_from_string(data), np.random.default_rng(seed)
    model = onnx.shape_inference.infer_shapes(model)
    want = compile_model(model.SerializeToString())
    for key in "abc":
        model.metadata_props.add(key=key, value=str(seed))
    extra = helper.make_opsetid("com.microsoft", 1)
    model.opset_import.append(extra)
    for messages in (
        model.graph.initializer,
        model.graph.value_info,
        model.opset_import,
        model.metadata_props,
        *(node.attribute for node in model.graph.node),
    ):
        reordered(messages, order)
    shuffled = model.SerializeToString()
    assert without_source(compile_model(shuffled)) == without_source(want)


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_tensors_in_a_tflite_file_says_nothing(digits: Path, seed: int) -> None:
    data = (digits / "digits_int8.tflite").read_bytes()
    model, order = schema.ModelT.InitFromPackedBuf(data), np.random.default_rng(seed)
    (graph,) = model.subgraphs
    place = order.permutation(len(graph.tensors))
    graph.tensors = [graph.tensors[i] for i in np.argsort(place)]
    for node in (graph, *graph.operators):
        for field in ("inputs", "outputs"):
            indices = [-1 if i < 0 else int(place[i]) for i in getattr(node, field)]
            setattr(node, field, indices)
    # The first buffer is the empty one.
    buffers = [0, *(1 + order.permutation(len(model.buffers) - 1))]
    model.buffers = [model.buffers[i] for i in np.argsort(buffers)]
    for tensor in graph.tensors:
        tensor.buffer = int(buffers[tensor.buffer])
    codes = order.permutation(len(model.operatorCodes))
    model.operatorCodes = [model.operatorCodes[i] for i in np.argsort(codes)]
    for operator in graph.operators:
        operator.opcodeIndex = int(codes[operator.opcodeIndex])
    for entry in model.metadata or ():
        entry.buffer = int(buffers[entry.buffer])
    for signature in model.signatureDefs or ():
        for item in (*signature.inputs, *signature.outputs):
            item.tensorIndex = int(place[item.tensorIndex])
    builder = flatbuffers.Builder(len(data))
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    shuffled = compile_model(bytes(builder.Output()))
    assert without_source(shuffled) == without_source(compile_model(data))


def check_every_level(path: Path, folder: Path) -> None:
    """Each level's text parses to the same IR, and compiles on to the same program.

    But that the program says so.
    """
    program = read_program(compile_model(path))
    for level in default_backend().levels:
        module = compile_source(path, target_ir=level).module
        text = folder / f"{level}.mlir"
        write_module(module, text)
        assert difference(module, read_module(text)) is None
        resumed = read_program(compile_model(text))
        assert resumed.resumed[0].text == "unedited"
        assert sorted(resumed.pipeline.split(",")) == sorted(program.pipeline.split(","))
        assert replace(resumed, resumed=(), pipeline=program.pipeline) == program


@pytest.mark.parametrize("name", BUNDLED)
def test_every_level_as_text(digits: Path, name: str, tmp_path: Path) -> None:
    check_every_level(digits / name, tmp_path)


@pytest.mark.corpus
@pytest.mark.parametrize(
    "name",
    mostly_slow(
        SMALL_CORPUS,
        *("kws_dscnn_int8.tflite", "ic_resnet8_qdq_i8.onnx", "sww_streaming_int8.tflite"),
    ),
)
def test_every_level_of_the_corpus_as_text(models: Path, name: str, tmp_path: Path) -> None:
    check_every_level(models / "trained" / name, tmp_path)
