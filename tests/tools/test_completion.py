"""Shell completion: the scripts, and what they ask the commands for."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from furiosa_ir.tools.furiosa import main
from furiosa_ir.tools.opt import main as opt


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts(shell: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["completion", shell])
    assert result.exit_code == 0
    assert f"_FURIOSA_COMPLETE={shell}_complete" in result.stdout
    assert f"_FURIOSA_OPT_COMPLETE={shell}_complete" in result.stdout
    if shutil.which(shell):
        script = tmp_path / "script"
        script.write_text(result.stdout)
        subprocess.run([shell, "-n", str(script)], check=True)


def completed(command: object, words: str) -> list[str]:
    """What bash is told at the end of these words."""
    name = "furiosa-opt" if command is opt else "furiosa"
    variable = f"_{name}_COMPLETE".replace("-", "_").upper()
    environment = {
        "COMP_WORDS": f"{name} {words}",
        "COMP_CWORD": str(len(words.split(" "))),
        variable: "bash_complete",
    }
    result = CliRunner().invoke(command, [], env=environment, prog_name=name)  # type: ignore[arg-type]
    return [line.partition(",")[2] for line in result.stdout.splitlines()]


def test_what_is_completed() -> None:
    assert completed(main, "comp") == ["compile", "completion"]
    assert completed(main, "list h") == ["hints"]
    assert completed(opt, "-p graph-fuse") == ["graph-fuse-tables"]
    assert completed(opt, "-p graph-partition,lower") == ["graph-partition,lower-to-ftensor"]
    assert completed(main, "compile --skip allo") == ["allocate"]
    assert completed(opt, "--print-ir-after sch") == ["schedule"]
    assert "--dump-pipeline" in completed(opt, "--dump")
