"""`furiosa cache`, and the cache as `furiosa compile` shows it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from furiosa_ir.backends.warboy.enf.reader import read_program
from furiosa_ir.backends.warboy.pipeline import PIPELINE
from furiosa_ir.ir.passes import pipeline_text
from furiosa_ir.tools.furiosa import main
from tests.conftest import DIGITS

TFLITE, ONNX = DIGITS / "digits_int8.tflite", DIGITS / "digits_qdq_int8.onnx"


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FC_CACHE_ENABLED", "1")
    monkeypatch.setenv("FC_CACHE_STORE_URL", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def good(*arguments: object) -> Result:
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    return result


def alone(*arguments: object) -> str:
    """What a process of its own says: what other tests registered here may keep programs out."""
    command = [sys.executable, "-m", "furiosa_ir.tools.furiosa", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


def entries(root: Path) -> list[Path]:
    return sorted(root.rglob("*.entry"))


def test_the_second_compile_is_a_hit(root: Path):
    first, second = (good("compile", ONNX, "-o", f"{n}.enf") for n in "ab")
    assert "Compiling from onnx to graph" in first.stderr
    assert "Found in the cache" in second.stderr
    assert "Compiling" not in second.stderr
    assert Path("a.enf").read_bytes() == Path("b.enf").read_bytes()
    begin = "MACs on the NPU"  # the summary is the same to the letter
    tail = [r.stderr[r.stderr.index(begin) :].replace("b.enf", "a.enf") for r in (first, second)]
    assert tail[0] == tail[1]
    assert len(entries(root)) == 1
    modes = {stat.S_IMODE(Path(n).stat().st_mode) for n in ("a.enf", "b.enf")}
    mask = os.umask(0o022)
    os.umask(mask)
    assert modes == {0o666 & ~mask}


def test_options_that_matter_miss(root: Path):
    for options in ((), ("--target-npu", "warboy"), ("-b", "2")):
        assert "Found" not in good("compile", TFLITE, *options).stderr
        assert "Found" in good("compile", TFLITE, *options).stderr
    assert len(entries(root)) == 3


def test_verify_takes_a_program_from_the_cache():
    good("compile", TFLITE)
    result = good("compile", TFLITE, "--verify")
    assert "Found in the cache" in result.stderr
    assert "every element equal to LiteRT" in result.stderr


def test_no_cache(root: Path):
    for _ in range(2):
        assert "Found" not in good("compile", TFLITE, "--no-cache").stderr
    assert not root.exists()


def test_levels_of_ir_are_not_cached(root: Path):
    good("compile", TFLITE, "--target-ir", "graph")
    assert not root.exists()
    good("compile", "output.graph")
    assert "Found in the cache" in good("compile", "output.graph").stderr


def test_malformed_values(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FC_CACHE_LIFETIME", "a week")
    for arguments in (("compile", TFLITE), ("cache", "stats")):
        result = run(*arguments)
        assert result.exit_code == 1
        assert result.stderr.splitlines()[-1].startswith("ERROR: FC_CACHE_LIFETIME is 'a week'")
    assert not Path("output.enf").exists()
    good("compile", TFLITE, "--no-cache")


def test_stats_and_list(root: Path):
    assert json.loads(good("cache", "stats", "--json").stdout)["entries"] == 0
    assert good("cache", "list").stdout == ""
    for source in (TFLITE, ONNX):
        good("compile", source)
    size = sum(p.stat().st_size for p in entries(root))
    figures = json.loads(good("cache", "stats", "--json").stdout)
    assert (figures["entries"], figures["bytes"], figures["lifetime"]) == (2, size, 259200)
    assert "programs  2" in good("cache", "stats").stdout
    rows = json.loads(good("cache", "list", "--json").stdout)
    assert {r["key"] for r in rows} == {p.stem for p in entries(root)}
    assert len(good("cache", "list").stdout.splitlines()) == 2


@pytest.mark.parametrize("command", ["stats", "list", "prune", "clear", "verify"])
def test_a_file_is_no_store(root: Path, command: str):
    root.write_text("a file")
    result = run("cache", command)
    assert result.exit_code == 1
    assert f"{root} cannot be used: not a directory" in result.stderr


def test_prune(root: Path, monkeypatch: pytest.MonkeyPatch):
    for source in (TFLITE, ONNX):
        good("compile", source)
    last = entries(root)
    assert "0 programs expired, 0 evicted" in good("cache", "prune").stdout
    assert "0 evicted" in good("cache", "prune", "--max-size", "1GiB").stdout
    most = max(p.stat().st_size for p in last)
    pruned = json.loads(good("cache", "prune", "--max-size", f"{most}B", "--json").stdout)
    assert len(pruned["evicted"]) == 1
    assert len(entries(root)) == 1
    monkeypatch.setenv("FC_CACHE_LIFETIME", "1")
    time.sleep(1.1)
    assert "1 programs expired" in good("cache", "prune").stdout
    assert entries(root) == []


@pytest.mark.parametrize("size", ["much", "-1", "1XB", "1e9", "9" * 400])
def test_sizes_are_sizes(size: str):
    assert run("cache", "prune", "--max-size", size).exit_code == 2


def test_clear(root: Path):
    good("compile", TFLITE)
    assert "1 programs thrown away" in good("cache", "clear").stdout
    assert entries(root) == []
    assert "Found" not in good("compile", TFLITE).stderr


def test_verify(root: Path):
    for source in (TFLITE, ONNX):
        good("compile", source)
    assert "2 programs read, 0 damaged" in good("cache", "verify").stdout
    path = entries(root)[0]
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    result = run("cache", "verify")
    assert result.exit_code == 1
    assert f"{path.stem}  thrown away: its CRC-32 does not match" in result.stdout
    assert "2 programs read, 1 damaged" in result.stdout
    assert path not in entries(root)


def test_without_a_cache(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FC_CACHE_ENABLED", "0")
    result = run("cache", "stats")
    assert result.exit_code == 1
    assert "is off" in result.stderr


def test_own_passes_are_part_of_the_key(root: Path, tmp_path: Path):
    plugin = tmp_path / "plugin" / "passes.py"
    plugin.parent.mkdir()
    source = (DIGITS.parent / "custom_pass" / "drop_double_transpose.py").read_text()
    plugin.write_text(source)
    own = pipeline_text(p for phase in PIPELINE.phases for p in phase.resolve())
    pipeline = f'assign-target{{npu="warboy"}},my-drop-double-transpose,{own}'
    options = ("--target-npu", "warboy", "--pass-pipeline", pipeline, "--load", plugin)
    good("compile", TFLITE, "--target-npu", "warboy", "-o", "plain.enf")
    first = alone("compile", TFLITE, *options)
    assert "[1/2] 🔍   Compiling from tflite to warboy" in first
    program = read_program(Path("output.enf"))
    assert program.pipeline == pipeline
    assert program.segments == read_program(Path("plain.enf")).segments
    assert "Found" in alone("compile", TFLITE, *options)
    plugin.write_text(source + "# changed\n")
    assert "Found" not in alone("compile", TFLITE, *options)


@pytest.mark.parametrize(
    ("passes", "sentence"),
    [
        ("graph-fold-quantization", "run graph-partition"),
        ("graph-partition,fuse-kernels", "run lower-to-ftensor first"),
        ("graph-partition,lower-to-ftensor", "run fuse-kernels first"),
        ("no-such-pass", "no-such-pass"),
    ],
)
def test_own_passes_that_lead_nowhere(passes: str, sentence: str):
    result = run("compile", TFLITE, "--pass-pipeline", passes)
    assert result.exit_code == 1
    assert sentence in result.stderr
    assert "internal error" not in result.stderr
    assert not Path("output.enf").exists()


def test_verify_reads_the_programs(root: Path):
    """A head that a hit is content with, and nothing that runs; also on a hit, no head at all."""
    from furiosa_ir.cache.compilation import open_store
    from furiosa_ir.cache.entry import Metadata
    from furiosa_ir.cache.settings import settings_from_environment
    from tests.cache.programs import small_program

    good("compile", TFLITE, "-o", "a.enf")
    (path,) = entries(root)
    store = open_store(settings_from_environment())
    assert store is not None
    for program, why in (
        (b"no program at all", "its program is none: it is not an ENF file"),
        (small_program(TFLITE), "its program is none: "),
        (Path("a.enf").read_bytes()[:-1] + b"!", "its CRC-32 does not match"),
    ):
        store.put(path.stem, Metadata(), program, -1)
        result = run("cache", "verify")
        assert result.exit_code == 1
        assert why in result.stdout
        assert entries(root) == []
    store.put(path.stem, Metadata(), b"no program at all", -1)
    compiled = good("compile", TFLITE, "-o", "b.enf")
    assert compiled.stderr.startswith(
        f"WARNING: a cache entry of {root} is thrown away: its program"
    )
    assert Path("b.enf").read_bytes() == Path("a.enf").read_bytes()
