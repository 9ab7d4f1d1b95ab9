"""docs/custom-operators.md: its kernel runs in a session, as the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "custom-operators.md"


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel, example = re.findall(
        r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL
    )
    (tmp_path / "soft_shrink.py").write_text(kernel, encoding="utf-8")
    assert len(kernel.strip().splitlines()) <= 10
    monkeypatch.chdir(tmp_path)
    code = compile(f"import numpy as np\n{example}", "custom-operators.md", "exec")
    exec(code, {"__name__": "page"})  # it is ours
