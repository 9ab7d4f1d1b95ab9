"""examples/toy_backend: a second machine, through the same commands, sessions and cache."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from furiosa.runtime import session
from furiosa_ir.cache.key import Inputs, compile_key
from furiosa_ir.cache.settings import CacheSettings
from furiosa_ir.comparison import Disagreement
from furiosa_ir.compiler import compile_model
from furiosa_ir.driver import compile_source
from furiosa_ir.errors import ExecutionFailure, FormatFailure, FuriosaError
from furiosa_ir.importers import load
from furiosa_ir.interpreter import run_module
from furiosa_ir.lowering.operation import lower_operation
from furiosa_ir.numerics.array import Array
from furiosa_ir.plugins import load_plugins
from furiosa_ir.program import HostSegment
from furiosa_ir.tools.furiosa import main
from furiosa_ir.verification import CompileTrace, verify_compile
from furiosa_ir.verification.host_operator import run_host_operator
from tests.backends.conftest import ROOT, TOY, Forget

DIGITS = ROOT / "examples" / "digits"
NETWORKS = {"digits_int8.tflite": "tflite_images", "digits_qdq_int8.onnx": "onnx_images"}
COUNT = 12

pytestmark = pytest.mark.usefixtures("own_register")


def _images(network: str) -> Array:
    with np.load(DIGITS / "digits_inputs.npz") as arrays:
        return arrays[NETWORKS[network]][:COUNT]


def _run(arguments: Sequence[str], environment: dict[str, str] | None = None) -> str:
    done = CliRunner().invoke(main, arguments, env={"FC_CACHE_ENABLED": "0"} | (environment or {}))
    assert done.exit_code == 0, done.output
    return done.output


def _results(running: session.Session, images: Array) -> Array:
    return np.stack([running.run([image[None]])[0].numpy() for image in images])


def test_the_example_is_small() -> None:
    files = sorted(TOY.glob("*.py"))
    assert sum(len(file.read_text().splitlines()) for file in files) < 300


@pytest.mark.parametrize("network", NETWORKS)
def test_results_are_those_of_the_interpreter_and_of_the_default_backend(network: str) -> None:
    source, images = DIGITS / network, _images(network)
    with session.create(source, "toy", plugins=[TOY], compiler_hints=False) as running:
        assert running.program.target == "toy"
        kinds = {isinstance(segment, HostSegment) for segment in running.program.segments}
        assert kinds == {True, False}
        got = _results(running, images)
    with session.create(source) as running:
        np.testing.assert_array_equal(got, _results(running, images))
    module = load(source)
    for image, mine in zip(images[:3], got, strict=False):
        (want,) = run_module(
            module,
            [image[None]],
            lower_operation=lower_operation,
            run_host=run_host_operator,
        ).values()
        np.testing.assert_array_equal(mine, want)


def test_the_commands_take_it(tmp_path: Path) -> None:
    network, program = str(DIGITS / "digits_int8.tflite"), str(tmp_path / "x.toy")
    store = {"FC_CACHE_ENABLED": "1", "FC_CACHE_STORE_URL": str(tmp_path / "cache")}
    compile_ = ["compile", network, "--target-npu", "toy", "--load", str(TOY), "-o", program]
    said = _run(compile_, store)
    assert "[3/3]" in said
    assert "from ftensor to toy" in said
    assert "ADD as it needs 'lookup' cannot be accelerated by the toy" in said
    first = Path(program).read_bytes()
    assert "Found in the cache" in _run(compile_, store)
    assert Path(program).read_bytes() == first

    load_ = ["--load", str(TOY)]
    assert "1 programs read, 0 damaged" in _run(["cache", "verify", *load_], store)
    described = json.loads(_run(["inspect", program, "--json", *load_]))
    assert described["target"] == "toy"
    assert described["header"]["format"] == "TOY"
    placed = {layer["name"]: layer for layer in described["layers"] if layer["macs"]}
    # One product a cycle, and the rescale and clamp behind the products.
    assert placed["stem"]["cycles"] == placed["stem"]["macs"] + 2 * 8 * 8 * 16
    assert "SOFTMAX" in json.dumps(described["summary"]["host_operators"])
    assert "npu_0: conv" in _run(["inspect", program, "--disassemble", *load_])

    images = _images("digits_int8.tflite")
    np.save(tmp_path / "in.npy", images[:1])
    outputs = str(tmp_path / "out.npz")
    _run(["run", program, "--inputs", str(tmp_path / "in.npy"), "--outputs", outputs])
    with session.create(network) as running:
        want = running.run([images[:1]])[0].numpy()
    with np.load(outputs) as written:
        np.testing.assert_array_equal(written["probabilities"], want)


def test_its_programs_are_verified() -> None:
    """Layer by layer where the interpreter knows the level, and what device segments make."""
    network = "digits_qdq_int8.onnx"
    trace = CompileTrace()
    with trace.recording():
        made = compile_source(
            DIGITS / network, target="toy", plugins=[TOY], instrumentation=[trace]
        )
    trace.finish(made.module)
    program = made.program
    assert program is not None
    report = verify_compile(trace, DIGITS / network, program)
    assert report.compared_values > 8
    assert all(output.passed for output in report.outputs)
    at, segment = next((i, s) for i, s in enumerate(program.segments) if hasattr(s, "constants"))
    first, *others = segment.constants
    wrong = replace(segment, constants=((np.asarray(first) ^ 1).tolist(), *others))
    segments = (*program.segments[:at], wrong, *program.segments[at + 1 :])
    with pytest.raises(Disagreement, match="level toy, segment output"):
        verify_compile(trace, DIGITS / network, replace(program, segments=segments))


def test_a_compile_goes_on_from_its_text(tmp_path: Path) -> None:
    network, text = str(DIGITS / "digits_int8.tflite"), tmp_path / "x.mlir"
    options = ["--target-npu", "toy", "--target-ir", "graph", "--load", str(TOY)]
    _run(["compile", network, *options, "-o", str(text)])
    assert 'furiosa.target = "toy"' in text.read_text()
    whole = compile_source(network, target="toy").program
    gone_on = compile_source(text).program
    assert whole is not None
    assert gone_on is not None
    assert gone_on.segments == whole.segments


def test_a_hit_of_text_knows_the_plug_ins_programs(tmp_path: Path, own_register: Forget) -> None:
    network, text = str(DIGITS / "digits_int8.tflite"), str(tmp_path / "x.mlir")
    options = ["--target-npu", "toy", "--target-ir", "graph", "--load", str(TOY)]
    _run(["compile", network, *options, "-o", text])
    store = {"FC_CACHE_ENABLED": "1", "FC_CACHE_STORE_URL": str(tmp_path / "cache")}
    for is_first in (True, False):
        own_register()  # as a process begins
        said = _run(["compile", text, "--load", str(TOY), "-o", str(tmp_path / "x.toy")], store)
        assert ("Found in the cache" in said) is not is_first
        assert "thrown away" not in said
    own_register()
    with session.create(tmp_path / "x.toy", plugins=[TOY]) as running:
        assert running.program.target == "toy"


def test_without_the_plug_in_it_is_unknown(tmp_path: Path) -> None:
    network = str(DIGITS / "digits_int8.tflite")
    done = CliRunner().invoke(main, ["compile", network, "--target-npu", "toy"])
    assert done.exit_code == 1
    assert "there is no target 'toy'" in done.output
    assert "Traceback" not in done.output


def test_a_look_at_the_head_loads_no_numpy(tmp_path: Path) -> None:
    load_plugins([TOY])
    file = tmp_path / "x.toy"
    network = DIGITS / "digits_int8.tflite"
    file.write_bytes(compile_model(network, "toy", cache=CacheSettings(None, 0)))
    script = (
        "import sys; from pathlib import Path\n"
        "from furiosa_ir.backends import backend_of_content\n"
        "from furiosa_ir.plugins import load_plugins\n"
        f"load_plugins([{str(TOY)!r}]); data = Path({str(file)!r}).read_bytes()\n"
        "assert backend_of_content(data).container.head(data, 0).target == 'toy'\n"
        "print([m for m in ('numpy', 'xdsl') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


def test_its_code_is_part_of_the_key(tmp_path: Path) -> None:
    copy = tmp_path / "toy_backend"
    shutil.copytree(TOY, copy, ignore=shutil.ignore_patterns("__pycache__"))
    inputs = Inputs(DIGITS / "digits_int8.tflite", "toy", plugins=(copy,))
    before = compile_key(inputs)
    assert before == compile_key(inputs)
    executor = copy / "executor.py"
    executor.write_text(executor.read_text() + "# another machine\n")
    assert compile_key(inputs) != before


def test_damaged_programs_are_refused(tmp_path: Path) -> None:
    load_plugins([TOY])
    settings = CacheSettings(None, 0)
    data = compile_model(DIGITS / "digits_int8.tflite", "toy", cache=settings)
    assert data == compile_model(DIGITS / "digits_int8.tflite", "toy", cache=settings)
    rng = np.random.default_rng(0)
    for position in rng.integers(4, len(data), 8):
        changed = bytearray(data)
        changed[position] ^= 0x10
        with pytest.raises(FormatFailure):
            session.create(bytes(changed))
    for body in (b"", b"{}", b"[]\n[]", b'["toy", ""]\n{"record": "os"}', data[8 : len(data) // 2]):
        with pytest.raises(FormatFailure):
            session.create(b"toy1" + zlib.crc32(body).to_bytes(4, "little") + body)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    load_plugins([TOY])
    file = tmp_path / "x.toy"
    file.write_bytes(b"toy1\0\0\0\0[]\n{}")
    with pytest.raises(FormatFailure, match=r"x\.toy: its CRC-32"):
        session.create(file)


def test_another_backends_level_is_refused(tmp_path: Path) -> None:
    load_plugins([TOY])
    text = tmp_path / "x.mlir"
    _run(["compile", str(DIGITS / "digits_int8.tflite"), "--target-ir", "warboy", "-o", str(text)])
    with pytest.raises(FuriosaError, match="the source is at level 'warboy'"):
        compile_source(text, target="toy")


def test_text_that_was_cut_for_another_machine_is_refused(tmp_path: Path) -> None:
    """It names no target, and what stands in its segments the toy may not have."""
    load_plugins([TOY])
    text = tmp_path / "x.mlir"
    _run(["compile", str(DIGITS / "digits_int8.tflite"), "--target-ir", "ftensor", "-o", str(text)])
    with pytest.raises(FuriosaError, match=r"layer .residual.: .* no instruction 'lookup'"):
        compile_source(text, target="toy")


def test_what_its_executor_raises_names_the_plug_in() -> None:
    load_plugins([TOY])
    data = compile_model(DIGITS / "digits_int8.tflite", "toy", cache=CacheSettings(None, 0))
    body = data[8:].replace(b'"x_zp":', b'"y_zp":', 1)
    assert body != data[8:]
    with (
        session.create(b"toy1" + zlib.crc32(body).to_bytes(4, "little") + body) as running,
        pytest.raises(FuriosaError, match=r"executor\.py:\d+: the plug-in raises KeyError.*npu_0"),
    ):
        running.run(_images("digits_int8.tflite")[:1])


def _document() -> dict[str, Any]:
    load_plugins([TOY])
    data = compile_model(DIGITS / "digits_int8.tflite", "toy", cache=CacheSettings(None, 0))
    return json.loads(data[8:].partition(b"\n")[2])


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something is in a document, constants' elements apart."""
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for key, held in entries:
        yield (*path, key)
        if isinstance(held, dict | list) and "constants" not in path:
            yield from _places(held, (*path, key))


_ODD = (None, -1, 1, 2**70, 1.5, float("nan"), "x", "", [], {}, [[1], [1, 2]], {"record": "Step"})
_ODD += ({"record": "replace"}, {"record": ["Step"]}, {"record": "Program"}, "int8", True)


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
def test_files_that_say_anything_are_refused_or_run() -> None:
    """With a valid checksum: what is in them is looked at, and nothing else is raised."""
    document, image = _document(), _images("digits_int8.tflite")[:1]
    places = list(_places(document))
    rng = np.random.default_rng(0)
    for _ in range(250):
        edited = copy.deepcopy(document)
        *path, last = places[rng.integers(len(places))]
        held: Any = edited
        for key in path:
            held = held[key]
        if rng.integers(4):
            held[last] = _ODD[rng.integers(len(_ODD))]
        else:
            del held[last]
        body = b"[]\n" + json.dumps(edited).encode()
        data = b"toy1" + zlib.crc32(body).to_bytes(4, "little") + body
        with suppress(FuriosaError), session.create(data) as running:
            running.run([image])


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda _: None, "makes no array for 'stem/1', in npu_0"),
        (lambda _: {}, "makes no array"),
        (lambda made: {t: a.tolist() for t, a in made.items()}, "makes no array"),
        (lambda made: {t: a[:, :1] for t, a in made.items()}, r"int8\[1, 1, .* declared as int8\["),
        (lambda made: {t: a.astype("int32") for t, a in made.items()}, "as int32"),
    ],
)
def test_what_an_executor_makes_is_looked_at(
    made: Callable[[Any], Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with session.create(
        DIGITS / "digits_int8.tflite", "toy", plugins=[TOY], compiler_hints=False
    ) as running:
        assert running._loaded is not None
        executor = type(running._loaded.executor)
        whole = executor.run_segment
        monkeypatch.setattr(executor, "run_segment", lambda *given: made(whole(*given)))
        with pytest.raises(ExecutionFailure, match=f"the executor of 'toy' .*{message}"):
            running.run([_images("digits_int8.tflite")[:1]])


def test_another_target_than_the_programs_is_refused() -> None:
    load_plugins([TOY])
    data = compile_model(DIGITS / "digits_int8.tflite", "toy", cache=CacheSettings(None, 0))
    with pytest.raises(FuriosaError, match="the program is for 'toy'"):
        session.create(data, device="warboy(1)*1")
