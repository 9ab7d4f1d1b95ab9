"""Shell completion: the scripts, and what they ask the commands for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
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


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_completes_the_second_pass_of_a_list(tmp_path: Path) -> None:
    """A list has commas, at which click's script cuts what it is told."""
    (tmp_path / "furiosa-opt").write_text(
        f"#!{sys.executable}\nfrom furiosa_ir.tools.launch import furiosa_opt\nfuriosa_opt()\n"
    )
    (tmp_path / "furiosa-opt").chmod(0o755)
    script = CliRunner().invoke(main, ["completion", "fish"]).stdout
    asked = "furiosa-opt -p graph-partition,lower"
    done = subprocess.run(
        ["fish", "--no-config", "-c", f"{script}\ncomplete -C '{asked}'"],
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "graph-partition,lower-to-ftensor\n"


def test_names_of_a_kind_are_completed() -> None:
    assert completed(main, "list ops graph.softm") == ["graph.softmax"]
    assert completed(main, "list passes graph-s") == ["graph-sink-movement"]
    assert completed(main, "list nothing graph-s") == [""]  # an empty line


def test_what_is_completed() -> None:
    assert completed(main, "comp") == ["compile", "completion"]
    assert completed(main, "list h") == ["hints"]
    assert completed(opt, "-p graph-fuse") == ["graph-fuse-tables"]
    assert completed(opt, "-p graph-partition,lower") == ["graph-partition,lower-to-ftensor"]
    assert completed(main, "compile --skip allo") == ["allocate"]
    assert completed(opt, "--print-ir-after sch") == ["schedule"]
    assert "--dump-pipeline" in completed(opt, "--dump")
