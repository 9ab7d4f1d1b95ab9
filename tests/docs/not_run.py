"""Why a block of a page is not run, and what is checked in its place.

A reason has to be true of every line (what it says is needed is there in the line), and a line
has to be right as far as that can be told without running it: programs take their options, targets
of make are there, so are files and extras.
"""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Callable, Sequence

import click

from furiosa_ir.tools.furiosa import main as furiosa
from furiosa_ir.tools.opt import main as furiosa_opt
from tests.conftest import ROOT
from tests.docs.blocks import Block

ELSEWHERE = re.compile(r"\b10\.\d+\.\d+\.\d+|\bredis\.example\b|\$FURIOSA_IR|cluster|dask")
"""An address of another machine."""


def faults(block: Block) -> list[str]:
    """What is wrong with a block that is not run; nothing if it is right and the reason true."""
    reason = block.note.removeprefix("not, ")
    if reason not in REASONS:
        return [f"no such reason: {reason!r}; there are {', '.join(REASONS)}"]
    lines = [line.strip().removeprefix("$ ") for line in block.text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    found = [f"{line}: not '{reason}'" for line in lines if not REASONS[reason](line)]
    return found + [f"{line}: {fault}" for line in lines if (fault := _fault(line))]


def _installs(line: str) -> bool:
    return bool(re.match(r"(pip|git|apt|make|python3? -m (venv|pip|examples\.))\b", line))


def _takes_minutes(line: str) -> bool:
    return bool(re.match(r"(make|\.ci/run|python3? (-m tests|benchmarks/|-m benchmarks))", line))


def _needs_a_cluster(line: str) -> bool:
    return bool(ELSEWHERE.search(line))


REASONS: dict[str, Callable[[str], bool]] = {
    "installs": _installs,
    "takes minutes": _takes_minutes,
    "needs other machines": _needs_a_cluster,
}
"""Reason -> whether it is true of a line."""


def _fault(line: str) -> str | None:
    words = [w for w in shlex.split(line, comments=True) if not re.match(r"[A-Z_]+=", w)]
    if not words:
        return None
    check = _CHECKS.get(words[0])
    return check(words[1:]) if check else None


def _targets(words: Sequence[str]) -> str | None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    lacking = [w for w in words if not re.search(rf"^{re.escape(w)}:", makefile, re.MULTILINE)]
    return f"no target {lacking} in the Makefile" if lacking else None


def extras_fault(words: Sequence[str]) -> str | None:
    """What is wrong with the extras that an installation names; None if they are there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = re.findall(r"(?:furiosa-ir|\.)\[([\w,-]+)\]", " ".join(words))
    lacking = {e for names in named for e in names.split(",")} - {*project["optional-dependencies"]}
    return f"no extra {lacking} in pyproject.toml" if lacking else None


def _python(words: Sequence[str]) -> str | None:
    if words[:1] == ["-m"] and words[1].split(".")[0] in ("tests", "benchmarks", "examples"):
        path = ROOT / words[1].replace(".", "/")
        there = path.with_suffix(".py").exists() or (path / "__main__.py").exists()
    else:
        there = not words[0].endswith(".py") or (ROOT / words[0]).exists()
    return None if there else "there is no such file"


def _options(command: click.Command) -> Callable[[Sequence[str]], str | None]:
    """Whether a command takes them; nothing is run."""

    def check(words: Sequence[str]) -> str | None:
        this, rest = command, list(words)
        try:
            while isinstance(this, click.Group):
                context = click.Context(this, info_name=this.name)
                _, inner, rest = this.resolve_command(context, rest)
                assert inner is not None
                this = inner
            this.make_context(this.name, rest)
        except click.exceptions.Exit:
            return None
        except click.ClickException as error:
            return error.format_message()
        return None

    return check


_CHECKS: dict[str, Callable[[Sequence[str]], str | None]] = {
    "furiosa": _options(furiosa),
    "furiosa-opt": _options(furiosa_opt),
    "make": _targets,
    "pip": extras_fault,
    "python": _python,
    "python3": _python,
}
