"""docs/reading-the-report.md: its commands run, in order, and its pictures are there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from furiosa_ir.tools.furiosa import main

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reading-the-report.md").read_text(encoding="utf-8")


def test_the_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    lines = re.findall(r"^    furiosa (.*)$", PAGE, re.MULTILINE)
    assert len(lines) > 8
    for line in lines:
        done = CliRunner().invoke(main, shlex.split(line))
        assert done.exit_code == 0, f"{line}: {done.stderr}"
    assert {"digits.html", "both.html", "digits.json", "digits.dot", "memory.html"} <= {
        path.name for path in tmp_path.iterdir()
    }


def test_the_pictures_are_there_and_small() -> None:
    pictures = re.findall(r"!\[.*?\]\((images/.*?)\)", PAGE)
    assert len(pictures) > 3
    for picture in pictures:
        assert (ROOT / "docs" / picture).stat().st_size < 80_000
