"""docs/evaluate.md: its commands run, and print what it shows; so does its Python."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from furiosa_ir.tools.furiosa import main

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "evaluate.md").read_text(encoding="utf-8")


def test_it_does_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    metrics, code = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "metrics.py").write_text(metrics, encoding="utf-8")
    lines = re.findall(r"^    (furiosa evaluate examples.*)$", PAGE, re.MULTILINE)
    assert len(lines) == 4
    (folder_of_files,) = re.findall(r"^    (furiosa evaluate net.enf .*)$", PAGE, re.MULTILINE)
    printed: list[str] = []
    for line in lines:
        done = CliRunner().invoke(main, [*shlex.split(line)[1:], "-j", "1"])
        assert done.exit_code == 0, (line, done.output)
        printed.append(done.stdout)
    (tmp_path / "imagenet").mkdir()
    with np.load("examples/digits/digits_inputs.npz") as arrays:
        for i in range(3):
            np.save(f"imagenet/{i}.npy", arrays["tflite_images"][i])
        Path("val.txt").write_text("\n".join(map(str, arrays["labels"][:3])), encoding="utf-8")
    for line in ("furiosa compile examples/digits/digits_int8.tflite -o net.enf", folder_of_files):
        assert CliRunner().invoke(main, shlex.split(line)[1:]).exit_code == 0
    for path in (Path("net.enf"), Path("val.txt"), *Path("imagenet").iterdir()):
        path.unlink()
    Path("imagenet").rmdir()
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    shown = [text for kind, text in blocks if not kind]
    # Times are the machine's.
    assert shown[0].splitlines()[:2] == printed[0].splitlines()[:2]
    assert json.loads(printed[1])["samples"] == 50
    assert printed[2].startswith("margin: ")
    assert shown[1].splitlines() == printed[3].splitlines()[:2]
    exec(code, {})
    accuracy, rate = map(float, capsys.readouterr().out.split())
    assert accuracy == np.float64(0.985)
    assert rate > 0
    assert {p.name for p in tmp_path.iterdir()} == {"examples", "metrics.py"}
