"""README.md: what a newcomer types, in an empty folder; and its figures are those of the pages."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from furiosa_ir.tools.furiosa import main
from tests.conftest import ROOT

PAGE = (ROOT / "README.md").read_text(encoding="utf-8")
SECTION = PAGE.split("## From nothing")[1].split("\n## ")[0]
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)


def test_from_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FC_CACHE_STORE_URL", str(tmp_path / "cache"))
    (commands,) = [text for language, text in BLOCKS if language == "sh"]
    (program,) = [text for language, text in BLOCKS if language == "python"]
    first, *lines = commands.splitlines()
    extra = re.fullmatch(r"pip install 'furiosa-ir\[(\w+)\]'", first)
    assert extra is not None
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert extra[1] in project["optional-dependencies"]
    for line in lines:
        name, *words = shlex.split(line)
        assert name == "furiosa"
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 0, result.output
    assert "top-1: 98.50 %" in result.output
    assert "<html" in (tmp_path / "digits.html").read_text(encoding="utf-8")
    exec(program, {})  # the page's own
    assert "[[-128  121 -128" in capsys.readouterr().out


def test_targets_of_make_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (block,) = [text for language, text in BLOCKS if not language]
    for line in block.splitlines():
        target = line.split()[1]
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_its_figures_are_measured() -> None:
    """Each number of the table stands on the page that says how it was measured."""
    pages = ["docs/benchmarks.md", "docs/performance-model.md", "docs/images/simulation.svg"]
    measured = " ".join((ROOT / page).read_text(encoding="utf-8") for page in pages)
    table = PAGE.split("## Beside the field")[1].split("\n## ")[0]
    rows = [line.split("|")[2:4] for line in table.splitlines() if line.startswith("| ")]
    numbers = {n for row in rows for n in re.findall(r"(?<![\w.])\d+(?:\.\d+)?", " ".join(row))}
    assert {"0.57", "3.79", "1.37", "14.4"} <= numbers
    rounded = {f"{float(n):.2g}" for n in re.findall(r"\b0\.\d{3}\b", measured)}
    for number in numbers:
        assert re.search(rf"(?<![\d.]){re.escape(number)}(?![\d])", measured) or (
            number in rounded
        ), number


def test_its_pictures_are_there_and_small() -> None:
    pictures = re.findall(r"!\[[^\]]+\]\((.*?)\)", PAGE)
    assert len(pictures) == 2
    for picture in pictures:
        assert (ROOT / picture).stat().st_size < 60_000
