"""docs/finding-a-wrong-pass.md: its commands run as the page says, and print what it shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from furiosa_ir.tools.furiosa import main
from furiosa_ir.tools.opt import main as opt_main

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "finding-a-wrong-pass.md").read_text(encoding="utf-8")
COMMANDS = {"furiosa": main, "furiosa-opt": opt_main}
WRONG = "--check-numerics"
"""What ends with 1, as it finds something."""


def test_its_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    with np.load("examples/digits/digits_inputs.npz") as arrays:
        np.savez("inputs.npz", image=arrays["onnx_images"][:2])
    lines = re.findall(r"^    (furiosa.*)$", PAGE, re.MULTILINE)
    assert len(lines) == 10
    printed = ""
    for line in lines:
        words = shlex.split(line)
        result = CliRunner().invoke(COMMANDS[words[0]], words[1:])
        assert result.exit_code == (WRONG in line), (line, result.output)
        printed += (result.stdout + result.stderr).replace(f"{ROOT}/", "")
    outputs = re.findall(r"```\n(pass .*?)```", PAGE, re.DOTALL)
    assert len(outputs) == 2
    for output in outputs:
        assert output in printed
    with np.load("tensors.npz") as tensors:
        assert set(tensors) == {"stem_QuantizeLinear", "body_conv"}
    with np.load("stem.npz") as stem:
        assert stem["stem_QuantizeLinear"].shape == (2, 1, 16, 8, 8)
