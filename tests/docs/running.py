"""Runs the blocks of a page in their order, in a folder; our commands in this process."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner

from furiosa_ir.tools.furiosa import main as furiosa
from furiosa_ir.tools.lsp import main as furiosa_lsp
from furiosa_ir.tools.opt import main as furiosa_opt
from tests.conftest import ROOT
from tests.docs.blocks import Block, blocks_of, page_text
from tests.docs.not_run import extras_fault

OURS = {"furiosa": furiosa, "furiosa-lsp": furiosa_lsp, "furiosa-opt": furiosa_opt}
_FIGURE = re.compile(r"-?\d[\d,.]*")
_SYNTAX = re.compile(r"[|<>;&]|\$[({\w]|^(?:for|export|if|while|!)\b|^\w+=\S+ ")


@dataclass
class Run:
    """What has been run of a page.

    Attributes:
        folder: where.
        names: of its Python.
        printed: by the commands and the Python since the last block that was no output.
        everything: printed by all of it.
        done: the blocks, each with what it printed.
    """

    folder: Path
    names: dict[str, Any] = field(default_factory=dict)
    printed: str = ""
    everything: str = ""
    done: list[tuple[Block, str]] = field(default_factory=list)


def run_page(page: str, folder: Path) -> Run:
    """Runs all blocks of a page that are to be run, and compares what it shows.

    Args:
        page: its name below docs/, or its path from the root.
        folder: an empty one, which has to be the current directory.
    """
    for name in ("examples", "tests", "editors"):
        (folder / name).symlink_to(ROOT / name)
    with contextlib.ExitStack() as at_end:  # what hidden Python starts, it ends there
        run = Run(folder, {"__name__": "page", "at_end": at_end})
        for block in blocks_of(page_text(page)):
            if not block.note.startswith("not"):
                _do(block, run, f"{page}:{block.line}")
        for value in run.names.values():
            if isinstance(value, np.lib.npyio.NpzFile):  # which readers leave open
                value.close()
    return run


def _do(block: Block, run: Run, where: str) -> None:
    if block.kind == "file":
        path = run.folder / block.name
        if path.exists() and path.resolve().is_relative_to(ROOT):
            assert path.read_text(encoding="utf-8") == block.text, f"{where}: the file differs"
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")
    elif block.kind == "shown":
        _compare(block, run.printed, where)
    elif block.kind in ("sh", "python", "first"):
        run.printed = _run(block, run, where)
        run.everything += run.printed
        run.done.append((block, run.printed))


def _run(block: Block, run: Run, where: str) -> str:
    if block.kind != "sh":
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block.text, where, "exec"), run.names)  # it is ours
        return printed.getvalue()
    expected = re.match(r"exit code (\d+)", block.note)
    wanted = int(expected[1]) if expected else 0
    lines = [line.removeprefix("$ ") for line in _joined(block.text)]
    installs = [line for line in lines if line.startswith("pip install ")]
    assert [f for line in installs if (f := extras_fault(shlex.split(line)))] == [], where
    lines = [line for line in lines if line not in installs]  # it is installed
    together = any(_SYNTAX.search(_without_quotes(line)) for line in lines)
    commands = ["\n".join(lines)] if together else lines
    printed = ""
    for i, command in enumerate(commands):
        code, text = _in_a_shell(command, run.folder) if together else _command(command, run)
        printed += text
        allowed = wanted if i == len(commands) - 1 else 0
        assert code == allowed, f"{where}: {command}\nends with {code}, not {allowed}\n{text}"
    return printed


def _joined(text: str) -> list[str]:
    """The commands: without empty lines and comments, what a backslash goes on with joined."""
    lines = text.replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def _without_quotes(line: str) -> str:
    return re.sub(r"'[^']*'|\"[^\"$]*\"|#.*", "", line)


def _command(line: str, run: Run) -> tuple[int, str]:
    name, *words = shlex.split(line, comments=True)
    if name in OURS:
        result = CliRunner().invoke(OURS[name], words)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output
    if name in ("python", "python3") and words[:1] == ["-c"]:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(words[1], line, "exec"), {"__name__": "__main__"})  # it is ours
        return 0, printed.getvalue()
    return _in_a_shell(line, run.folder)


def _in_a_shell(script: str, folder: Path) -> tuple[int, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def _compare(block: Block, printed: str, where: str) -> None:
    """Each line that is shown was printed; blanks differ between terminals."""
    if block.note == "shown":
        return
    figures = block.note == "figures"
    there = {_plain(line, figures=figures) for line in printed.splitlines()}
    lacking = [
        line
        for line in block.text.splitlines()
        if line.strip() not in ("", "...") and _plain(line, figures=figures) not in there
    ]
    assert not lacking, f"{where}: not printed: {lacking}\n\n{printed}"


def _plain(line: str, *, figures: bool) -> str:
    words = " ".join(line.split()).replace(f"{ROOT}/", "")
    return _FIGURE.sub("N", words) if figures else words
