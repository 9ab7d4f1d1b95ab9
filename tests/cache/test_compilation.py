"""Compiling through the cache: hits are what a compile gives, and nothing ever fails for it."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import threading
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from furiosa_ir.cache import compilation
from furiosa_ir.cache.compilation import Compiled, compile_cached, compile_program
from furiosa_ir.cache.entry import SOURCE, VERSION, Metadata
from furiosa_ir.cache.key import Inputs, compile_key
from furiosa_ir.cache.settings import NO_CACHE, CacheSettings
from furiosa_ir.compiler import compile_model, compile_source
from furiosa_ir.driver import source_hash
from furiosa_ir.errors import FuriosaError
from furiosa_ir.ir.text import write_module
from furiosa_ir.ir.text_format import constants_path
from furiosa_ir.runtime import session
from tests.cache.programs import padded, small_program
from tests.cache.test_key import with_external_weights
from tests.conftest import DIGITS, ROOT

TFLITE, ONNX = DIGITS / "digits_int8.tflite", DIGITS / "digits_qdq_int8.onnx"
TARGET = "warboy-2pe"
PROGRAM = small_program(TFLITE)


@pytest.fixture
def settings(tmp_path: Path) -> CacheSettings:
    return CacheSettings(tmp_path / "cache")


class Counting:
    """A compile of TFLITE that counts itself."""

    def __init__(self, program: bytes | None = None, source: Path = TFLITE) -> None:
        self.count = 0
        self.source = source
        self.program = small_program(source) if program is None else program

    def __call__(self) -> Compiled:
        self.count += 1
        return Compiled(self.program, source_hash(self.source), Metadata(cycles=self.count))


def float_network(path: Path) -> Path:
    """A network that the compiler warns of."""
    tensors = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 4]) for n in "xy"]
    node = helper.make_node("Softsign", ["x"], ["y"], name="soft")
    graph = helper.make_graph([node], "g", tensors[:1], tensors[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("source", [TFLITE, ONNX])
@pytest.mark.parametrize("batch_size", [None, 2])
def test_a_hit_is_what_a_fresh_compile_gives(
    source: Path, batch_size: int | None, settings: CacheSettings
):
    fresh = compile_source(source, target=TARGET, batch_size=batch_size).enf
    results = [
        compile_program(s, target=TARGET, batch_size=batch_size, settings=settings)
        for s in (source, source, source.read_bytes())
    ]
    assert [r.from_cache for r in results] == [False, True, True]
    assert all(r.program == fresh for r in results)
    assert results[0].metadata == results[1].metadata
    assert results[0].metadata.cycles > 0


def test_lifetimes(settings: CacheSettings):
    compile_ = Counting()

    def run(lifetime: int) -> bool:
        return compile_cached(
            Inputs(TFLITE, TARGET), compile_, CacheSettings(settings.store, lifetime)
        ).from_cache

    assert [run(60), run(60), run(0), run(0), run(-1), run(60)] == [
        False,  # nothing there
        True,
        False,  # what is there is invalid ...
        False,
        True,  # ... and what was compiled meanwhile is not
        True,
    ]
    assert compile_.count == 3


def test_no_cache_reads_and_writes_nothing(settings: CacheSettings):
    compile_ = Counting()
    for _ in range(2):
        assert not compile_cached(Inputs(TFLITE, TARGET), compile_, NO_CACHE).from_cache
    assert compile_.count == 2
    assert not Path(str(settings.store)).exists()


def test_a_failed_compile_is_not_stored(settings: CacheSettings, tmp_path: Path):
    path = tmp_path / "broken.tflite"
    path.write_bytes(TFLITE.read_bytes()[:1000])
    for _ in range(2):
        with pytest.raises(FuriosaError, match="truncated or corrupt"):
            compile_program(path, target=TARGET, settings=settings)
    assert not list(Path(str(settings.store)).rglob("*.entry"))
    assert not list(Path(str(settings.store)).rglob("*.lock"))


def test_a_file_that_changes_meanwhile_is_not_stored(settings: CacheSettings, tmp_path: Path):
    path = tmp_path / "net.tflite"
    shutil.copy(TFLITE, path)

    def compile_() -> Compiled:
        shutil.copy(ONNX, path)
        return Compiled(b"of the other", source_hash(path), Metadata())

    compile_cached(Inputs(path, TARGET), compile_, settings)
    assert not compile_cached(Inputs(TFLITE, TARGET), Counting(), settings).from_cache


def test_warnings_are_given_again_with_the_name_of_the_moment(
    settings: CacheSettings, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    texts: list[str] = []
    for name in ("one.onnx", "two.onnx", "two.onnx"):
        caplog.clear()
        path = float_network(tmp_path / name)
        compile_program(path, target=TARGET, settings=settings)
        assert len(caplog.records) == 1
        texts.append(caplog.records[0].getMessage().removeprefix(str(path)))
    assert len(set(texts)) == 1
    assert "furiosa quantize" in texts[0]


@pytest.mark.parametrize("beside", ["external data", "constants of IR text", "a plug-in"])
def test_a_file_beside_that_changes_meanwhile_is_not_stored(
    settings: CacheSettings, tmp_path: Path, beside: str
):
    if beside == "external data":
        inputs = Inputs(with_external_weights(tmp_path), TARGET)
        changing = tmp_path / "weights.bin"
    elif beside == "a plug-in":
        changing = tmp_path / "own.py"
        changing.write_bytes(b"# 1")
        inputs = Inputs(TFLITE, TARGET, plugins=(changing,))
    else:
        inputs = Inputs(tmp_path / "net.mlir", TARGET)
        write_module(compile_source(TFLITE, target_ir="graph").module, tmp_path / "net.mlir")
        changing = constants_path(tmp_path / "net.mlir")
    before = changing.read_bytes()

    def compile_() -> Compiled:
        changing.write_bytes(before[:-1] + b"!")
        assert isinstance(inputs.source, Path)
        return Compiled(b"of the other", source_hash(inputs.source), Metadata())

    compile_cached(inputs, compile_, settings)
    changing.write_bytes(before)
    assert isinstance(inputs.source, Path)
    compile_ = Counting(source=inputs.source)
    assert not compile_cached(inputs, compile_, settings).from_cache
    assert compile_cached(inputs, compile_, settings).from_cache


def test_only_the_name_in_front_of_a_warning_is_the_model_s(
    settings: CacheSettings, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """A file called e: the letter used to be replaced everywhere."""
    log = logging.getLogger("furiosa_ir.somewhere")
    (tmp_path / "folder").mkdir()
    names = [tmp_path / "e", tmp_path / "folder" / "e"]
    for name in names:
        shutil.copy(TFLITE, name)

    def compile_() -> Compiled:
        log.warning("%s: see %s", names[0], names[0])
        return Compiled(PROGRAM, source_hash(TFLITE), Metadata())

    for name in names:
        caplog.clear()
        compile_cached(Inputs(name, TARGET), compile_, settings)
        assert [r.getMessage() for r in caplog.records] == [f"{name}: see {names[0]}"]


def test_warnings_are_printed_where_nobody_listens(tmp_path: Path):
    """Python prints them where no handler is found; that the cache listens must not count."""
    script = "import sys; from furiosa_ir.compiler import compile_model; compile_model(sys.argv[1])"
    path = float_network(tmp_path / "net.onnx")
    printed = [
        subprocess.run(
            [sys.executable, "-c", script, path],
            env={"FC_CACHE_STORE_URL": str(tmp_path / "cache"), "FC_CACHE_ENABLED": enabled},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stderr
        for enabled in "011"
    ]
    assert "furiosa quantize" in printed[0]
    assert printed[1:] == printed[:1] * 2


def test_another_thread_s_warnings_are_its_own(settings: CacheSettings):
    log = logging.getLogger("furiosa_ir.somewhere")

    def compile_() -> Compiled:
        other = threading.Thread(target=log.warning, args=("not ours",))
        other.start()
        other.join()
        log.warning("ours")
        return Compiled(PROGRAM, source_hash(TFLITE), Metadata())

    for _ in range(2):
        result = compile_cached(Inputs(TFLITE, TARGET), compile_, settings)
        assert result.metadata.warnings == ("ours",)


def test_threads_of_a_process_compile_once(settings: CacheSettings):
    program = small_program(TFLITE, more=bytes(1000))
    compile_ = Counting(program)
    results: list[bool] = []
    barrier = threading.Barrier(8)

    def work() -> None:
        barrier.wait()
        result = compile_cached(Inputs(TFLITE, TARGET), compile_, settings)
        assert result.program == program
        results.append(result.from_cache)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(results) == [False] + [True] * 7
    assert compile_.count == 1


def test_a_lifetime_of_zero_waits_for_nobody(settings: CacheSettings):
    """Its results are of no use to each other."""
    inside = threading.Barrier(2)

    def compile_() -> Compiled:
        inside.wait(60)  # breaks if one waits for the other
        return Compiled(PROGRAM, source_hash(TFLITE), Metadata())

    def work() -> None:
        compile_cached(Inputs(TFLITE, TARGET), compile_, CacheSettings(settings.store, 0))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not inside.broken


def test_a_hit_comes_in_memory_or_in_a_file(settings: CacheSettings, tmp_path: Path):
    file = tmp_path / "program"
    inputs, compile_ = Inputs(TFLITE, TARGET), Counting()
    assert compile_cached(inputs, compile_, settings, file).program == PROGRAM
    assert compile_cached(inputs, compile_, settings).program == PROGRAM
    assert not file.exists()
    hit = compile_cached(inputs, compile_, settings, file)
    assert (hit.program, file.read_bytes(), hit.from_cache) == (file, PROGRAM, True)


def test_others_warnings_have_no_control_characters(
    settings: CacheSettings, caplog: pytest.LogCaptureFixture
):
    key = compile_key(Inputs(TFLITE, TARGET))
    store = compilation.open_store(settings)
    assert key is not None
    assert store is not None
    text = f"{SOURCE}: \x1b[2J" + "bad\nnews\ud800 \N{RIGHT-TO-LEFT OVERRIDE}"
    store.put(key.digest, Metadata(warnings=(text,)), PROGRAM, -1)
    compile_cached(Inputs(TFLITE, TARGET), Counting(), settings)
    assert [r.getMessage() for r in caplog.records] == [f"{TFLITE}: ?[2Jbad?news? ?"]


def test_a_store_that_fails_costs_a_warning(
    settings: CacheSettings, caplog: pytest.LogCaptureFixture
):
    Path(str(settings.store)).write_text("a file")
    compile_ = Counting()
    result = compile_cached(Inputs(TFLITE, TARGET), compile_, settings)
    assert (result.program, compile_.count) == (PROGRAM, 1)
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    assert "is not used" in caplog.text


def test_a_missing_package_costs_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.delitem(sys.modules, "furiosa_ir.cache.redis_client", raising=False)
    monkeypatch.setitem(sys.modules, "redis", None)
    monkeypatch.setenv("FC_CACHE_ENABLED", "1")
    monkeypatch.setenv("FC_CACHE_STORE_URL", "redis://localhost:1")
    result = compile_cached(Inputs(TFLITE, TARGET), Counting())
    assert result.program == PROGRAM
    assert "furiosa-ir[redis]" in caplog.text


def test_python_api_and_sessions_use_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FC_CACHE_ENABLED", "1")
    monkeypatch.setenv("FC_CACHE_STORE_URL", str(tmp_path / "cache"))
    program = compile_model(TFLITE)

    def refuse(**_: object) -> None:
        raise AssertionError("it compiles")

    monkeypatch.setattr("furiosa_ir.driver.compile_source", refuse)
    assert compile_model(TFLITE) == program
    with session.create(TFLITE) as cached, session.create(program) as fresh:
        x = np.zeros(cached.input(0).shape, cached.input(0).numpy_dtype)
        assert np.array_equal(cached.run(x)[0].numpy(), fresh.run(x)[0].numpy())


def test_malformed_settings_are_an_error_everywhere(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FC_CACHE_LIFETIME", "soon")
    for call in (compile_model, session.create):
        with pytest.raises(FuriosaError, match="FC_CACHE_LIFETIME is 'soon'"):
            call(TFLITE)


def test_a_hit_loads_neither_the_compiler_nor_numpy(tmp_path: Path):
    script = (
        "import json, sys\n"
        "from pathlib import Path\n"
        "from furiosa_ir.tools.compilation import compile_file\n"
        "source, output = map(Path, sys.argv[1:])\n"
        "compile_file(source, output, target='warboy-2pe', target_ir='enf', batch_size=None,\n"
        "             verify=False, verbose=False)\n"
        "print(json.dumps([m for m in ('xdsl', 'numpy', 'onnx') if m in sys.modules]))\n"
    )
    environment = os.environ | {
        "FC_CACHE_ENABLED": "1",
        "FC_CACHE_STORE_URL": str(tmp_path / "cache"),
        "PYTHONPATH": str(ROOT),
    }
    loaded: list[list[str]] = []
    for _ in range(2):
        result = subprocess.run(
            [sys.executable, "-c", script, str(ONNX), str(tmp_path / "out.enf")],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        loaded.append(json.loads(result.stdout))
    assert loaded == [["xdsl", "numpy", "onnx"], []]


def test_entries_of_this_version_alone(settings: CacheSettings):
    compile_cached(Inputs(TFLITE, TARGET), Counting(), settings)
    root = Path(str(settings.store))
    assert [p.name for p in root.iterdir() if p.is_dir()] == [str(VERSION)]
    assert compilation.open_store(settings) is not None


PLANTED = {
    "nothing": b"",
    "another file": b"\x7fELF" + bytes(100),
    "a few bytes": b"enf",
    "another version": PROGRAM[:7] + b"\2\0\0" + PROGRAM[10:],
    "the vendor's": PROGRAM[:7] + b"\0\1\1" + PROGRAM[10:],
    "another checksum": PROGRAM[:3] + b"1234" + PROGRAM[7:],
    "no FlatBuffer": padded(PROGRAM[:16], bytes(40)),
    "a FlatBuffer that is too long": padded(PROGRAM[:16], b"\xff\xff\xff\x7f" + PROGRAM[20:]),
    "offsets out of it": padded(PROGRAM[:16], PROGRAM[16:20] + b"\xff\xff\xff\x7f" + PROGRAM[24:]),
    "another model": small_program(ONNX),
    "another target": small_program(TFLITE, "warboy"),
}


@pytest.mark.parametrize("to_file", [True, False])
@pytest.mark.parametrize("kind", PLANTED)
def test_what_is_planted_is_not_given_out(
    kind: str,
    to_file: bool,
    settings: CacheSettings,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
):
    """Right key, right checksum; no program, or of something else."""
    store, key = compilation.open_store(settings), compile_key(Inputs(TFLITE, TARGET))
    assert store is not None
    assert key is not None
    store.put(key.digest, Metadata(), PLANTED[kind], -1)
    file = tmp_path / "program" if to_file else None
    compile_ = Counting()
    result = compile_cached(Inputs(TFLITE, TARGET), compile_, settings, file)
    assert (result.from_cache, result.program) == (False, PROGRAM)
    (record,) = caplog.records
    assert "is thrown away: its program is " in record.getMessage()
    assert compile_cached(Inputs(TFLITE, TARGET), compile_, settings, file).from_cache
    assert compile_.count == 1


def test_heads_are_what_the_reader_reads():
    from furiosa_ir.backends.warboy.enf.head import SOURCE_HASH_SLOT, TARGET_SLOT, read_head
    from furiosa_ir.backends.warboy.enf.layout import TABLES
    from furiosa_ir.backends.warboy.enf.reader import read_program

    names = [field.name for field in TABLES["Program"]]
    assert (names[TARGET_SLOT], names[SOURCE_HASH_SLOT]) == ("target", "source_hash")
    for source in (TFLITE, ONNX):
        program = compile_model(source, cache=NO_CACHE)
        read, head = read_program(program), read_head(program, zlib.crc32(program[10:]))
        assert (head.target, head.source_hash) == (read.target, read.source_hash)


def test_heads_of_anything(fresh: bytes):
    """Whatever the FlatBuffer is, a head or a clause, and quickly."""
    import random

    from furiosa_ir.backends.warboy.enf.head import read_head
    from furiosa_ir.errors import FormatFailure

    draw = random.Random(0)
    for _ in range(3000):
        data = bytearray(
            fresh[: draw.randrange(len(fresh))] if draw.random() < 0.2 else fresh[:4096]
        )
        for _ in range(draw.randrange(1, 4)):
            at = draw.choice([draw.randrange(16, 80), draw.randrange(len(data))]) if data else 0
            data[at : at + 4] = draw.choice([b"\xff" * 4, bytes(4), draw.randbytes(4)])
        data = bytes(data)
        with suppress(FormatFailure):
            read_head(data, int.from_bytes(data[3:7], "little"))
