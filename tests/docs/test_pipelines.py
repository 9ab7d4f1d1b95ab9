"""docs/pipelines.md: its commands and its Python run as the page says, and print what it shows."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from furiosa_ir.pipeline_file import parse_pipeline_file
from furiosa_ir.tools.furiosa import main
from furiosa_ir.tools.opt import main as opt_main

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "pipelines.md").read_text(encoding="utf-8")
COMMANDS = {"furiosa": main, "furiosa-opt": opt_main}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)


def run(line: str) -> str:
    words = shlex.split(line, comments=True)
    result = CliRunner().invoke(COMMANDS[words[0]], words[1:])
    assert result.exit_code == 0, (line, result.stderr)
    return result.stdout


def test_its_commands():
    lines = re.findall(r"^    (furiosa.*)$", PAGE, re.MULTILINE)
    assert len(lines) == 11
    outputs = [run(line) for line in lines]
    assert f"```\n{outputs[1]}```" in PAGE
    ran = json.loads(run("furiosa inspect digits.enf --json"))["header"]["pipeline"]
    assert "graph-fold-space-to-batch" in ran
    assert "graph-sink-movement" not in ran


def test_its_files():
    mine, phases = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    Path("mine.toml").write_text(mine, encoding="utf-8")
    source = "examples/digits/digits_int8.tflite"
    dumped = run(
        "furiosa-opt --dump-pipeline -p mine.toml --insert-before schedule=graph-fold-constants"
    )
    assert "graph-partition,graph-fold-constants,graph-fold-space-to-batch," in dumped
    assert "allocate,graph-fold-constants,schedule)" in dumped
    run(f"furiosa compile {source} -o a.enf -p mine.toml")
    assert (
        parse_pipeline_file(phases).text == "graph(graph-fold-quantization,graph-partition),ftensor"
    )


def test_its_python():
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "pipelines.md", "exec"), {"__name__": "page"})  # it is ours
