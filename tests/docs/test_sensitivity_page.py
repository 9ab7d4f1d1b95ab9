"""docs/sensitivity.md: its commands run, and print what it shows; so does its Python."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from furiosa_ir.tools.furiosa import main

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "sensitivity.md").read_text(encoding="utf-8")


def test_it_does_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    with np.load("examples/digits/digits_inputs.npz") as arrays:
        images = arrays["onnx_images"][:20]
    np.savez("images.npz", image=images)
    lines = re.findall(r"^    (furiosa.*)$", PAGE, re.MULTILINE)
    assert len(lines) == 3
    printed = ""
    for line in lines:
        result = CliRunner().invoke(main, shlex.split(line)[1:])
        assert result.exit_code == 0, (line, result.output)
        printed += result.stdout
    # Figures are of sums of floats, which a library's order decides.
    (shown,) = re.findall(r"```\n(probabilities.*?)```", PAGE, re.DOTALL)
    for word in re.findall(r"^  (\w+) +(\w+) ", shown, re.MULTILINE):
        assert re.search(rf"^  {word[0]} +{word[1]} ", printed, re.MULTILINE), word
    assert "Nothing need be done" in shown.splitlines()[-1]
    assert "Nothing need be done" in printed
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "sensitivity.md", "exec"), {"images": list(images[:2, None])})  # it is ours
    assert "pointwise_conv" in capsys.readouterr().out
