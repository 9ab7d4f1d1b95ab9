"""docs/api.md: its Python runs as the page says."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")


def test_its_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names = {"__name__": "page", "np": np}
    for code in blocks:
        exec(compile(code, "api.md", "exec"), names)  # it is ours
    printed = capsys.readouterr().out
    assert "+    %stem_conv = warboy.dot" in printed
    assert re.search(r"^stem_conv \d+ ", printed, re.MULTILINE)
    assert Path("digits.enf").read_bytes().startswith(b"enf")
    assert "<html" in Path("report.html").read_text(encoding="utf-8")
    assert "drop-relu-of-relu" in names["program"].tables.pipeline
