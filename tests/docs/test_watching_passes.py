"""docs/watching-passes.md: its commands run, and show what the page shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from furiosa_ir.tools.furiosa import main
from furiosa_ir.tools.opt import main as opt_main

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "watching-passes.md").read_text(encoding="utf-8")
COMMANDS = {"furiosa": main, "furiosa-opt": opt_main}
LINES = re.findall(r"^    (furiosa.*)$", PAGE, re.MULTILINE)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    """Each command of the page, run in order: some go on from what others leave."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "examples").symlink_to(ROOT / "examples")
    made: dict[str, Result] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for line in LINES:
            words = shlex.split(line)
            made[line] = CliRunner().invoke(COMMANDS[words[0]], words[1:])
    return made


@pytest.mark.parametrize("line", LINES)
def test_a_command_runs(line: str, results: dict[str, Result]):
    assert results[line].exit_code == 0, results[line].stderr


def test_the_time_is_in_a_file(results: dict[str, Result]):
    (line,) = [n for n in LINES if "--info-output-file" in n]
    assert "{" not in results[line].stderr


def shown_by(line: str) -> str:
    """The block that stands behind a command."""
    behind = PAGE[PAGE.index(f"    {line}\n") :]
    return behind.partition("```\n")[2].partition("```")[0]


@pytest.mark.parametrize("option", ["--print-ir-after=lower-to-ftensor\n", "--log-rewrites"])
def test_it_shows_what_the_page_shows(option: str, results: dict[str, Result]):
    lines = [n for n in LINES if "--only" in n and option.strip() in n]
    assert lines
    for line in lines:
        assert results[line].stderr == shown_by(line)


def test_the_table_of_statistics(results: dict[str, Result]):
    (line,) = [n for n in LINES if "--statistics" in n]
    assert results[line].stderr.startswith(shown_by(line))


def test_the_remark(results: dict[str, Result]):
    line = next(n for n in LINES if "--remarks" in n)
    assert results[line].stderr == shown_by(line)


def test_the_columns_of_the_time(results: dict[str, Result]):
    (line,) = [n for n in LINES if n.endswith("--timing")]
    block = PAGE.partition("The last lines of ResNet50:")[2].partition("```\n")[2]
    heading, *rows = block.partition("```")[0].splitlines()
    printed = results[line].stderr.splitlines()
    assert heading in printed
    named = {re.sub(r"^.{30}\s*(.*?)(?: \(\d+\))?$", r"\1", row) for row in printed}
    assert {re.sub(r"^.{30}\s*(.*?)(?: \(\d+\))?$", r"\1", row) for row in rows} <= named


def test_its_python(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(ROOT)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    space: dict[str, Any] = {"__name__": "page"}
    exec(compile(code, "watching-passes.md", "exec"), space)  # it is ours
    assert "graph.max_pool" in capsys.readouterr().out
    assert len(space["fired"]) > 10
    assert len(space["statistics"].passes) == 24
