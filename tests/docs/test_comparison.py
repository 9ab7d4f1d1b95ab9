"""docs/comparison.md: each command of its tables runs."""

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
PAGE = (ROOT / "docs" / "comparison.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"`(furiosa(?:-opt)? [^`]+)`", PAGE.partition("## What they have and")[0])


@pytest.mark.slow
def test_the_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order: some go on from what others leave."""
    assert len(COMMANDS) > 30
    for name in ("examples", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    images = np.load(ROOT / "examples" / "digits" / "digits_inputs.npz")["onnx_images"]
    np.savez("image.npz", image=images[:1])
    for line in COMMANDS:
        words = shlex.split(line)
        result = CliRunner().invoke({"furiosa": main, "furiosa-opt": opt_main}[words[0]], words[1:])
        assert result.exit_code == 0, f"{line}\n{result.stderr}"
