"""README.md: the first compile is what a newcomer types, in the root of the repository."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from furiosa_ir.tools.furiosa import main
from tests.conftest import ROOT

SECTION = (ROOT / "README.md").read_text(encoding="utf-8").split("## A first compile")[1]
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)


def test_the_first_compile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    commands, program = BLOCKS[0][1], BLOCKS[1][1]
    for line in commands.splitlines():
        name, *words = shlex.split(line)
        if name == "furiosa":
            result = CliRunner().invoke(main, words)
            assert result.exit_code == 0, result.output
        elif name == "python":
            exec(words[1], {})  # the page's own
        else:
            assert name == "pip"
    assert (tmp_path / "out.npz").exists()
    exec(program, {})  # the page's own
    assert "[[-128  121 -128" in capsys.readouterr().out
