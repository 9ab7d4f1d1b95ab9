"""docs/comparison.md: each command of its tables runs, and shows what its row says."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from furiosa_ir.tools.furiosa import main
from furiosa_ir.tools.lsp import main as lsp_main
from furiosa_ir.tools.opt import main as opt_main

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "comparison.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (?!feature|-)(.*?) \| (.*?) \| (.*) \| (.*?) \|$", PAGE, re.MULTILINE)
TOOLS = {"furiosa": main, "furiosa-opt": opt_main, "furiosa-lsp": lsp_main}

# Files that rows need: a name, and what it holds.
FILES = re.findall(r"^`([\w.]+)`:\n\n```\w+\n(.*?)```$", PAGE, re.MULTILINE | re.DOTALL)


def run(line: str) -> tuple[int, str]:
    """(exit code, all that it prints) of a command."""
    program, *words = shlex.split(line)
    if program not in TOOLS:
        here = Path(sys.executable).parent
        found = sys.executable if program == "python" else str(here / program)
        done = subprocess.run([found, *words], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr
    result = CliRunner().invoke(TOOLS[program], words)
    return result.exit_code, result.stdout + result.stderr


def written(folder: Path, before: set[Path]) -> str:
    """Names and content of the files that are new."""
    new = [path for path in folder.rglob("*") if path not in before and path.is_file()]
    return "".join(f"{p}\n{p.read_bytes().decode('utf-8', 'replace')}" for p in new)


@pytest.mark.slow
def test_the_commands_show_what_the_rows_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In order: some go on from what others leave."""
    assert len(ROWS) > 50
    for name in ("examples", "tests", "editors"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    assert {name for name, _ in FILES} == {"wrong.mlir", "crashing.py"}
    for name, content in FILES:
        Path(name).write_text(content, encoding="utf-8")
    faults: list[str] = []
    for feature, _, commands, shows in ROWS:
        before = set(tmp_path.rglob("*"))
        expected = re.match(r"exit code (\d)", shows)
        wanted_code = int(expected[1]) if expected else 0
        done = [run(line) for line in re.findall(r"`([^`]+)`", commands)]
        codes, text = [code for code, _ in done], "".join(printed for _, printed in done)
        if codes[-1] != wanted_code or not {0, wanted_code}.issuperset(codes):
            faults.append(f"{feature}: exit codes {codes}\n{text[-300:]}")
        text += written(tmp_path, before)
        wanted = re.findall(r"`([^`]+)`", shows)
        lacking = [what for what in wanted if what not in text]
        if shows.startswith("nothing") and not text:
            continue
        if lacking or not wanted:
            faults.append(f"{feature}: lacks {lacking}\n{text[:400]}")
    assert not faults, "\n\n".join(faults)
