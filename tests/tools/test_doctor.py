"""`furiosa doctor`: what it shows, and when it ends with 1."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from furiosa_ir import installation
from furiosa_ir.cache.directory import DirectoryStore
from furiosa_ir.cache.store import StoreFailure
from furiosa_ir.findings import Finding
from furiosa_ir.tools.doctor import lines
from furiosa_ir.tools.furiosa import main
from furiosa_ir.version import __version__
from tests.cache.servers import redis_server


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("FC_CACHE_ENABLED", "FC_CACHE_LIFETIME", "FURIOSA_NATIVE_KERNELS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FC_CACHE_STORE_URL", str(tmp_path / "cache"))
    # The child process that imports libraries has tests of its own (tests/test_installation.py).
    monkeypatch.setattr(installation, "import_faults", lambda modules: {})
    return tmp_path / "cache"


def doctor(*options: str) -> Result:
    return CliRunner().invoke(main, ["doctor", *options])


def found() -> tuple[int, dict[str, dict[str, Any]]]:
    """(exit code, the findings of each section by their names)."""
    result = doctor("--json")
    sections = json.loads(result.stdout)["sections"]
    return result.exit_code, {s: {f["name"]: f for f in fs} for s, fs in sections.items()}


def test_it_shows_what_is_installed() -> None:
    status, sections = found()
    assert status == 0
    assert sections["versions"]["furiosa-ir"]["value"] == __version__
    assert sections["versions"]["Python"]["value"].startswith(sys.version.split()[0])
    assert {"numpy", "onnx", "onnxruntime", "tflite", "xdsl"} <= set(sections["requirements"])
    assert {"litert", "redis", "dask", "lsp"} <= set(sections["extras"])
    assert sections["warboy"]["programs"]["value"] == "ENF 1.1"
    assert sections["processor"]["processor"]["value"].endswith("cores to use")
    text = doctor().stdout
    assert text.endswith("All that is needed is there and works.\n")
    assert max(map(len, text.splitlines())) <= 100


def test_a_requirement_that_is_missing_ends_it_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = installation.Requirements((installation.Requirement("no-such-library>=2"),), {})
    monkeypatch.setattr(installation, "installed_requirements", lambda: lacking)
    result = doctor()
    assert result.exit_code == 1
    assert "! no-such-library" in result.stdout
    assert "pip install 'no-such-library>=2'" in result.stdout
    assert result.stdout.endswith("Broken: no-such-library.\n")
    assert found()[0] == 1


def test_the_simulator_in_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FURIOSA_NATIVE_KERNELS", "0")
    status, sections = found()
    assert (status, sections["warboy"]["simulator"]["state"]) == (0, "absent")
    assert "FURIOSA_NATIVE_KERNELS=0" in sections["warboy"]["simulator"]["value"]


# The cache.


def test_a_cache_that_no_compile_has_made_is_not_made(root: Path) -> None:
    status, sections = found()
    assert status == 0
    assert sections["cache"]["use"]["value"] == "the first compile makes the directory"
    assert not root.exists()


def test_a_cache_is_tried_and_left_as_it_was(root: Path) -> None:
    root.mkdir()
    status, sections = found()
    assert status == 0
    assert sections["cache"]["use"]["value"] == "can be read and written"
    assert sections["cache"]["programs"]["value"] == "0, 0 B"
    assert [p for p in root.rglob("*") if p.is_file() and p.name != "CACHEDIR.TAG"] == []


def test_a_cache_that_cannot_be_used_ends_it_with_1(root: Path) -> None:
    root.write_text("a file")
    status, sections = found()
    assert (status, sections["cache"]["use"]["state"]) == (1, "broken")
    assert "FC_CACHE_ENABLED=0" in sections["cache"]["use"]["advice"]


def test_a_cache_that_others_fill_need_not_be_written(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise StoreFailure("read-only file system")

    root.mkdir()
    monkeypatch.setattr(DirectoryStore, "put", refuse)
    status, sections = found()
    assert (status, sections["cache"]["use"]["value"]) == (
        1,
        "cannot be written: read-only file system",
    )
    monkeypatch.setenv("FC_CACHE_LIFETIME", "-1")
    status, sections = found()
    assert (status, sections["cache"]["use"]["state"]) == (0, "ok")
    assert "read-only file system" in sections["cache"]["use"]["value"]


def test_without_a_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FC_CACHE_ENABLED", "0")
    status, sections = found()
    assert (status, sections["cache"]["store"]["state"]) == (0, "absent")


@pytest.mark.parametrize(
    ("variable", "value"), [("FC_CACHE_ENABLED", "yes"), ("FC_CACHE_STORE_URL", "s3://bucket")]
)
def test_settings_that_are_malformed(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    status, sections = found()
    assert (status, sections["cache"]["settings"]["state"]) == (1, "broken")
    assert variable in sections["cache"]["settings"]["value"]


def test_a_server_out_of_reach_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FC_CACHE_STORE_URL", "redis://:secret@127.0.0.1:1")
    began = time.monotonic()
    status, sections = found()
    assert time.monotonic() - began < 30
    assert (status, sections["cache"]["use"]["state"]) == (1, "broken")
    assert sections["cache"]["use"]["value"].startswith("cannot be read: ")
    assert "secret" not in doctor().output


@pytest.mark.redis
def test_a_server_is_tried_and_left_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with redis_server(tmp_path) as server, server.client() as client:
        monkeypatch.setenv("FC_CACHE_STORE_URL", server.url)
        status, sections = found()
        assert (status, sections["cache"]["use"]["value"]) == (0, "can be read and written")
        assert sections["cache"]["programs"]["value"] == "0, 0 B"
        assert client.dbsize() == 0
        # It takes what is written no longer, but answers.
        client.config_set("maxmemory", "1")
        status, sections = found()
        assert (status, sections["cache"]["use"]["state"]) == (1, "broken")
        assert sections["cache"]["use"]["value"].startswith("cannot be written: ")


# How it begins, and how it looks.


def test_it_loads_no_compiler_and_does_without_libraries(tmp_path: Path) -> None:
    """Who asks a doctor may lack just those."""
    blocked = ("numpy", "onnx", "onnxruntime", "xdsl", "flatbuffers", "tflite", "ml_dtypes")
    code = (
        "import sys\n"
        f"for name in {blocked!r}: sys.modules[name] = None\n"
        "sys.argv[1:] = ['doctor', '--json']\n"
        "from furiosa_ir.tools.launch import furiosa\n"
        "furiosa()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(blocked) & {f["name"] for f in json.loads(done.stdout)["sections"]["requirements"]}


def test_without_what_reads_requirements() -> None:
    code = (
        "import sys\n"
        "sys.modules['packaging'] = None\n"
        "sys.argv[1:] = ['doctor']\n"
        "from furiosa_ir.tools.launch import furiosa\n"
        "furiosa()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "! packaging" in done.stdout
    assert "Traceback" not in done.stderr


def test_long_findings_are_wrapped_beside_their_names() -> None:
    long = Finding("a", "word " * 30, "absent", "do something")
    text = list(lines([("one", [long, Finding("other", "x", "broken")]), ("none", [])], 60))
    assert text[0] == "one"
    assert text[1].startswith("- a      word")
    assert text[2].startswith("         word")
    assert max(map(len, text)) <= 60
    assert "! other  x" in text
    assert text[-1] == "Broken: other."
    assert "none" not in text
