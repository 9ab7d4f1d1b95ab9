"""examples/enf_reader, written from docs/enf.md alone: it lists and runs vectors and networks."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from examples.enf_reader import executor, reader
from examples.enf_reader.__main__ import agrees
from furiosa_ir.backends import read_program
from furiosa_ir.backends.warboy.enf.writer import write_program
from furiosa_ir.backends.warboy.simulator.native.library import SWITCH, VARIANTS
from furiosa_ir.cache.settings import NO_CACHE
from furiosa_ir.compiler import compile_model
from furiosa_ir.program import Tensor
from furiosa_ir.runtime import session
from tests.backends.warboy.enf import vectors
from tests.conftest import DIGITS, ROOT
from tests.draws import mostly_slow
from tests.examples.enf_reader import enf_reader
from tests.runtime.programs import copy_then_host, onnx_model

FOLDER = ROOT / "examples" / "enf_reader"
MANIFEST = json.loads((vectors.FOLDER / "manifest.json").read_text())
TINY = mostly_slow(
    [
        f"{network}_{suffix}"
        for network in ("ad_fc_ae", "ic_resnet8", "kws_dscnn", "vww_mbv1_025_96")
        for suffix in ("int8.tflite", "qdq_i8.onnx")
    ],
    "ad_fc_ae_qdq_i8.onnx",
    "ic_resnet8_qdq_i8.onnx",
    "kws_dscnn_int8.tflite",
    "vww_mbv1_025_96_int8.tflite",
)


def test_it_is_small() -> None:
    lines = [line for path in FOLDER.rglob("*.py") for line in path.read_text().splitlines()]
    assert len(lines) <= 600
    assert max(map(len, lines)) <= 100


def test_it_imports_numpy_and_nothing_of_the_project() -> None:
    found = {
        name
        for path in FOLDER.rglob("*.py")
        for name in re.findall(r"^\s*(?:from|import) ([\w.]+)", path.read_text(), re.MULTILINE)
    }
    standard = {"collections.abc", "json", "math", "pathlib", "re", "struct", "sys", "types"}
    ours = {f"examples.enf_reader.{part}" for part in ("executor", "reader")}
    assert found <= {"numpy", "typing", "zlib"} | standard | ours


def test_all_vectors_are_listed_and_run() -> None:
    done = enf_reader("vectors", vectors.FOLDER)
    assert done.stdout == f"{len(MANIFEST)} of {len(MANIFEST)} vectors agree\n", done.stderr
    assert done.returncode == 0


def test_a_file_that_is_refused_is_told_in_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "other.enf"
    file.write_bytes(b"\x7fELF" + bytes(100))
    done = enf_reader("list", file)
    assert done.stderr == f"{file}: it breaks rule F1 of docs/enf.md, section 12\n"
    assert done.returncode == 1


def test_a_vector_that_does_not_agree_is_named(tmp_path: Path) -> None:
    (entry,) = (v for v in MANIFEST if v["name"] == "names")
    for path in vectors.FOLDER.glob("names.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "manifest.json").write_text(json.dumps([entry]))
    assert enf_reader("vectors", tmp_path).stdout == "1 of 1 vectors agree\n"
    arrays = dict(np.load(tmp_path / "names.npz"))
    arrays["run0_output0"] = arrays["run0_output0"] + np.int8(1)
    np.savez(tmp_path / "names.npz", **arrays)
    done = enf_reader("vectors", tmp_path)
    assert (done.stdout, done.returncode) == ("0 of 1 vectors agree names\n", 1)


def test_the_vectors_are_what_the_sources_make() -> None:
    """But for what libraries decide: how flatbuffers shares vtables, how zlib packs arrays."""
    there = {path.name: path.read_bytes() for path in vectors.FOLDER.iterdir()}
    made = vectors.all_files()
    assert sorted(there) == sorted(made)
    stale = [name for name in made if not is_same(name, made[name], there[name])]
    assert stale == [], "python -m tests.backends.warboy.enf.vectors writes them"
    for name in made:
        if name.endswith(".npz"):
            assert_same_arrays(made[name], there[name])
    assert sum(map(len, there.values())) < 1_000_000


def is_same(name: str, one: bytes, other: bytes) -> bool:
    """Whether files are the same, as far as that can be; arrays are compared elsewhere."""
    if name.endswith(".enf"):
        return read_program(one) == read_program(other)
    return name.endswith(".npz") or one == other


def assert_same_arrays(one: bytes, other: bytes) -> None:
    a, b = (dict(np.load(io.BytesIO(data))) for data in (one, other))
    assert a.keys() == b.keys()
    for name, array in a.items():
        assert array.dtype == b[name].dtype
        np.testing.assert_array_equal(array, b[name])


@pytest.mark.parametrize("kernels", mostly_slow(("0", *VARIANTS), "0"))
def test_the_vectors_run_alike_on_all_kernels(
    kernels: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On numpy, and on the compiled ones for lesser processors than this."""
    monkeypatch.setenv(SWITCH, kernels)
    for name, make in vectors.MAKERS.items():
        files, _ = vectors.files_of(make())
        packed = f"{name}.npz"
        assert_same_arrays(files[packed], (vectors.FOLDER / packed).read_bytes())


def test_the_vectors_have_every_command_instruction_and_mode() -> None:
    commands, modes = set(), set()
    for entry in MANIFEST:
        program = reader.load((vectors.FOLDER / f"{entry['name']}.enf").read_bytes())
        for segment in program.segments:
            for command in segment.commands if segment.on_npu else ():
                commands.add(command.name)
                modes |= {(i.opcode, i.mode) for i in vars(command).get("instructions", ())}
    assert commands == set(reader.KINDS)
    assert modes == {
        (name, mode)
        for name, row in reader.INSTRUCTIONS.items()
        for mode in re.findall("[a-z_]+", row[2] or "none")
    }


def test_the_page_says_what_each_instruction_and_rounding_computes() -> None:
    text = reader.PAGE.read_text().split("## 8. ")[1].split("## 9. ")[0]
    named = re.findall(r"^(?:\* \*\*|### )([a-z_, ]+)", text, re.MULTILINE)
    said = {name for names in named for name in names.split(", ")}
    assert said >= set(reader.INSTRUCTIONS) | {row[1] for row in reader.table("roundings")}


def compared(path: Path, target: str, tmp_path: Path, runs: int = 2) -> None:
    """Compares the small reader's outputs with a session's, for inputs at random."""
    program = tmp_path / "program.enf"
    program.write_bytes(compile_model(path, target, cache=NO_CACHE))
    rng = np.random.default_rng(len(path.name))
    with session.create(program) as ours:
        for number in range(runs):
            inputs = [
                rng.integers(-128, 128, desc.shape, np.int8)
                if desc.numpy_dtype == np.int8
                else rng.uniform(-150, 150, desc.shape).astype(desc.numpy_dtype)
                for desc in ours.inputs()
            ]
            given, made = tmp_path / f"in{number}.npz", tmp_path / f"out{number}.npz"
            np.savez(given, **{f"input{j}": x for j, x in enumerate(inputs)})
            done = enf_reader("run", program, given, made)
            assert done.returncode == 0, done.stderr
            found = np.load(made)
            for j, expected in enumerate(ours.run(inputs).numpy()):
                assert found[f"output{j}"].dtype == expected.dtype
                np.testing.assert_array_equal(found[f"output{j}"], expected)


@pytest.mark.parametrize("name", ["digits_int8.tflite", "digits_qdq_int8.onnx"])
def test_the_bundled_networks(name: str, tmp_path: Path) -> None:
    compared(DIGITS / name, "warboy-2pe", tmp_path)
    program = tmp_path / "program.enf"
    listed = enf_reader("list", program).stdout.splitlines()
    assert listed == list(vectors.listing(read_program(program)))


@pytest.mark.corpus
@pytest.mark.parametrize("name", TINY)
def test_mlperf_tiny(name: str, models: Path, tmp_path: Path) -> None:
    compared(models / "trained" / name, "warboy", tmp_path)


def test_a_host_segment_goes_to_the_caller() -> None:
    """Of an operator that the page does not say."""
    model = onnx_model(np.int8, (1, 2, 3, 4))
    program = copy_then_host("int8", model, "onnx", Tensor("y", "int8", (1, 2, 3, 4)))
    x = np.arange(24, dtype=np.int8).reshape(1, 2, 3, 4)
    seen = []

    def negated(segment, arrays):
        seen.append((segment.name, bytes(segment.section)))
        return [-arrays[0]]

    y, copied = executor.Session(write_program(program), negated).run([x])
    assert seen == [("host_1", model)]
    np.testing.assert_array_equal(y, -x)
    np.testing.assert_array_equal(copied, x)
    with pytest.raises(NotImplementedError, match="host_1"):
        executor.Session(write_program(program)).run([x])


@pytest.mark.parametrize("name", ["quantize", "dequantize"])
@pytest.mark.parametrize(
    ("reads", "makes"),
    [
        ([], [1]),
        ([0], []),
        ([0, 0], [1]),
        ([0], [1, 1]),
        ([0], [2]),  # of another shape
        ([0], [3]),  # without a scale
        ([0], [4]),  # of more bytes
        ([0], [0]),
        ([1], [1]),
    ],
)
def test_what_is_not_simple_goes_to_the_caller(
    name: str, reads: list[int], makes: list[int]
) -> None:
    """Section 11: one input and one output of a shape, float32 and bytes with a scale."""
    kinds = [
        ("float32", (2, 3), 0.0),
        ("int8", (2, 3), 0.5),
        ("int8", (3, 2), 0.5),
        ("uint8", (2, 3), 0.0),
        ("int32", (2, 3), 0.5),
    ]
    session = object.__new__(executor.Session)
    session._host = None
    session.program = SimpleNamespace(
        tensors=[SimpleNamespace(dtype=d, shape=s, scale=c, zero_point=0) for d, s, c in kinds]
    )
    if name == "dequantize":
        reads, makes = makes, reads
    segment = SimpleNamespace(
        name="host_1", operators=[SimpleNamespace(operator=name)], reads=reads, makes=makes
    )
    with pytest.raises(NotImplementedError, match="host_1"):
        session._on_host(segment, [np.zeros(kinds[t][1], kinds[t][0]) for t in reads])


@pytest.mark.parametrize("entry", MANIFEST, ids=lambda entry: entry["name"])
def test_each_vector_in_this_process(entry: dict) -> None:
    assert agrees(vectors.FOLDER / entry["name"], entry["runs"])
