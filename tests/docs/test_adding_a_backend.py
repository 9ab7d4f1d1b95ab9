"""docs/adding-a-backend.md: it shows the files as they are, and its commands and its code run."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "adding-a-backend.md").read_text(encoding="utf-8")
TOY = ROOT / "examples" / "toy_backend"


def test_the_files_are_as_they_stand_there() -> None:
    shown = dict(
        re.findall(r"`examples/toy_backend/(\w+\.py)`:\n\n```python\n(.*?)```", TEXT, re.DOTALL)
    )
    assert shown == {file.name: file.read_text(encoding="utf-8") for file in TOY.glob("*.py")}


def test_commands_and_code_run(tmp_path: Path) -> None:
    with np.load(ROOT / "examples" / "digits" / "digits_inputs.npz") as arrays:
        np.save(tmp_path / "image.npy", arrays["tflite_images"][:1])
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    commands = re.findall(r"^furiosa .*$", TEXT, re.MULTILINE)
    assert [command.split()[1] for command in commands] == ["compile", "inspect", "run"]
    (code,) = re.findall(r"```python\n(import numpy.*?)```", TEXT, re.DOTALL)
    # One process for all: each would import the compiler.
    lines = [f"main({shlex.split(command)[1:]!r}, standalone_mode=False)" for command in commands]
    script = "\n".join(["from furiosa_ir.tools.furiosa import main", *lines, code])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "FC_CACHE_ENABLED": "0"},
    )
    assert done.returncode == 0, done.stderr
    assert "probabilities: int8[1, 10]" in done.stdout
