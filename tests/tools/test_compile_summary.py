"""`furiosa compile --json` and `--quiet`: what scripts read of a compile."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from furiosa_ir.backends import read_program
from furiosa_ir.backends.warboy.simulator.timeline import cycles
from furiosa_ir.tools.furiosa import main
from tests.conftest import DIGITS


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FC_CACHE_ENABLED", "1")
    monkeypatch.setenv("FC_CACHE_STORE_URL", f"file://{tmp_path}/cache")


def compiled(*arguments: object, network: str = "digits_qdq_int8.onnx") -> Result:
    command = ["compile", str(DIGITS / network), *map(str, arguments)]
    return CliRunner().invoke(main, command)


def test_the_summary_on_standard_output(tmp_path: Path):
    program = tmp_path / "a.enf"
    result = compiled("-o", program, "-q", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    summary = json.loads(result.stdout)
    assert summary["output"] == str(program)
    assert summary["level"] == "enf"
    assert summary["bytes"] == program.stat().st_size
    assert summary["cycles"] == cycles(read_program(program))
    assert [op["hint"] for op in summary["host_operators"]] == [5, 5]
    assert summary["seconds"] > 0
    assert summary["from_cache"] is False
    again = json.loads(compiled("-o", program, "-q", "--json").stdout)
    assert again.pop("seconds") > 0
    assert again.pop("from_cache") is True
    assert again.items() <= summary.items()


def test_the_summary_in_a_file_and_of_ir(tmp_path: Path):
    file = tmp_path / "s.json"
    text = tmp_path / "a.mlir"
    result = compiled("-o", text, "--target-ir", "ftensor", f"--json={file}")
    assert result.exit_code == 0, result.stderr
    assert "Written to" in result.stderr
    summary = json.loads(file.read_text(encoding="utf-8"))
    assert set(summary) == {"source", "output", "level", "seconds"}
    assert summary["level"] == "ftensor"


def test_quiet_shows_what_is_asked_for_and_errors(tmp_path: Path):
    result = compiled("-o", tmp_path / "a.enf", "--quiet", "--remarks")
    assert {line.split(":")[0] for line in result.stderr.splitlines()} == {"REMARK"}
    result = compiled("-o", tmp_path / "a.enf", "--quiet", network="lost.onnx")
    assert result.exit_code != 0
    assert "lost.onnx" in result.stderr


def test_the_summary_takes_no_file_of_the_compile(tmp_path: Path):
    program = tmp_path / "a.enf"
    for arguments in ([program, f"--json={program}"], ["-", "--json"]):
        result = compiled("-o", *arguments)
        assert result.exit_code == 1
        assert result.stderr.startswith("ERROR: ")
    assert not program.exists()
