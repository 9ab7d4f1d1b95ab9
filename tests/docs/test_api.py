"""docs/api.md: its Python runs as the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.running import run_page


def test_its_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    run = run_page("api.md", tmp_path)
    assert "+    %stem_conv = warboy.dot" in run.everything
    assert re.search(r"^stem_conv \d+ ", run.everything, re.MULTILINE)
    assert Path("digits.enf").read_bytes().startswith(b"enf")
    assert "<html" in Path("report.html").read_text(encoding="utf-8")
    assert "drop-relu-of-relu" in run.names["program"].tables.pipeline
