"""docs/reproducers.md: its commands fail as the page says, and print what it shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from furiosa_ir.tools.furiosa import main
from furiosa_ir.tools.opt import main as opt_main

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reproducers.md").read_text(encoding="utf-8")
COMMANDS = {"furiosa": main, "furiosa-opt": opt_main}


def test_its_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    lines = re.findall(r"^    (furiosa.*)$", PAGE, re.MULTILINE)
    shown = re.findall(r"^```\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    commands = [line for line in lines if line not in "".join(shown)]
    assert len(commands) == len(shown) == 2
    for line, output in zip(commands, shown, strict=True):
        words = shlex.split(line, comments=True)
        result = CliRunner().invoke(COMMANDS[words[0]], words[1:])
        assert result.exit_code == 1
        assert output in result.stderr
