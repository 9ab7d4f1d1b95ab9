"""Runs lit's RUN lines in this process: lit itself costs a second a test, this some milliseconds.

Understood are the parts of lit's shell that the tests use: pipes, ``&&``, ``;``, ``not``,
``> file``, ``2> file``, ``2>&1``, ``< file``, the substitutions ``%s``, ``%S``, ``%t`` and ``%%``,
a backslash at the end of a RUN line, and the commands in ``COMMANDS``. Anything else is an error,
so that no test passes here that lit would not run.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import click
from filecheck.main import main as filecheck_main

_RUN_LINE = re.compile(r"RUN:[ \t]*(.*?)[ \t]*$", re.MULTILINE)


class RunLineError(Exception):
    """A RUN line that failed, or that this runner does not understand."""


@dataclass
class Command:
    """One process of a pipeline."""

    arguments: list[str] = field(default_factory=list)
    negations: int = 0
    stdin: Path | None = None
    stdout: Path | None = None
    stderr: Path | None = None
    stderr_to_stdout: bool = False


@dataclass(frozen=True)
class Result:
    """How a command ended, and what it printed."""

    code: int
    stdout: bytes
    stderr: bytes


def parse_run_lines(text: str) -> list[str]:
    """The RUN lines of a test file, continuation lines joined."""
    lines: list[str] = []
    continued = False
    for match in _RUN_LINE.finditer(text):
        line = match.group(1)
        if continued:
            lines[-1] += " " + line
        else:
            lines.append(line)
        continued = lines[-1].endswith("\\")
        lines[-1] = lines[-1].removesuffix("\\").rstrip()
    if continued:
        raise RunLineError("the last RUN line ends in a backslash")
    return lines


def run_file(path: Path, temporary: Path) -> None:
    """Runs the file's RUN lines; raises RunLineError with the output of the first that fails."""
    lines = parse_run_lines(path.read_text(encoding="utf-8"))
    if not lines:
        raise RunLineError("the file has no RUN line")
    temporary.mkdir(parents=True, exist_ok=True)
    with contextlib.chdir(temporary):
        for line in lines:
            _run_line(substitute(line, path, temporary))


def substitute(line: str, path: Path, temporary: Path) -> str:
    """The line with lit's substitutions made."""
    values = {
        "%s": shlex.quote(str(path)),
        "%S": shlex.quote(str(path.parent)),
        "%t": shlex.quote(str(temporary / f"{path.name}.tmp")),
        "%%": "%",
    }
    return re.sub(r"%[sSt%]", lambda match: values[match.group()], line)


def _run_line(line: str) -> None:
    for pipeline in _split_pipelines(line):
        data = b""
        failures: list[str] = []
        for command in pipeline:
            result = _run_command(command, data)
            data = result.stdout
            if result.code != 0:
                stderr = result.stderr.decode(errors="replace")
                failures.append(f"{command.arguments[0]}: exit code {result.code}\n{stderr}")
        # As with lit's pipefail, any command that fails fails the line.
        if failures:
            output = data.decode(errors="replace")
            raise RunLineError("\n".join([f"RUN: {line}", *failures, "--- stdout ---", output]))


def _split_pipelines(line: str) -> Iterator[list[Command]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    lexer.commenters = ""
    tokens = iter(list(lexer))
    pipeline = [Command()]
    for token in tokens:
        command = pipeline[-1]
        if token in {"&&", ";"}:
            yield pipeline
            pipeline = [Command()]
        elif token == "|":
            pipeline.append(Command())
        elif token == "<":
            command.stdin = Path(next(tokens))
        elif token in {">", ">&"}:
            # shlex splits `2>` and `2>&1` before the operator, which leaves the 2 as an argument.
            to_stderr = bool(command.arguments) and command.arguments[-1] == "2"
            if to_stderr:
                command.arguments.pop()
            target = next(tokens)
            if token == ">&":
                if not (to_stderr and target == "1"):
                    raise RunLineError(f"unknown redirection in: {line}")
                command.stderr_to_stdout = True
            elif to_stderr:
                command.stderr = Path(target)
            else:
                command.stdout = Path(target)
        elif token == "not" and not command.arguments:
            command.negations += 1
        elif token and set(token) <= set("|&;<>"):
            raise RunLineError(f"'{token}' is not supported in: {line}")
        else:
            command.arguments.append(token)
    yield pipeline


def _run_command(command: Command, stdin: bytes) -> Result:
    if not command.arguments:
        raise RunLineError("a RUN line with an empty command")
    name, *arguments = command.arguments
    if name not in COMMANDS:
        raise RunLineError(f"'{name}' is not one of {', '.join(COMMANDS)}")
    if command.stdin:
        stdin = command.stdin.read_bytes()
    result = _captured(lambda: COMMANDS[name](arguments), stdin, command.stderr_to_stdout)
    code = result.code
    for _ in range(command.negations):
        code = int(code == 0)
    stdout, stderr = result.stdout, result.stderr
    if command.stderr:
        command.stderr.write_bytes(stderr)
        stderr = b""
    if command.stdout:
        command.stdout.write_bytes(stdout)
        stdout = b""
    return Result(code, stdout, stderr)


def _captured(run: Callable[[], None], stdin: bytes, stderr_to_stdout: bool) -> Result:
    """Runs with the standard streams replaced; an exception other than SystemExit is a crash."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    err = out if stderr_to_stdout else io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    code = 0
    saved = sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            run()
    except SystemExit as end:
        if isinstance(end.code, str):
            err.write(end.code + "\n")
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.stdin = saved
    out.flush()
    err.flush()
    stderr = b"" if stderr_to_stdout else _content(err)
    return Result(code, _content(out), stderr)


def _content(stream: io.TextIOWrapper) -> bytes:
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue()


def _tool(module: str, name: str) -> Callable[[list[str]], None]:
    """The console script ``name``, imported when first used; ends by SystemExit as in a shell."""

    def run(arguments: list[str]) -> None:
        main = import_module(module).main
        if isinstance(main, click.Command):
            main.main(args=arguments, prog_name=name)
            return
        saved = sys.argv
        sys.argv = [name, *arguments]
        try:
            sys.exit(main())
        finally:
            sys.argv = saved

    return run


def _filecheck(arguments: list[str]) -> None:
    filecheck_main(["filecheck", *arguments])


def _cat(arguments: list[str]) -> None:
    if not arguments:
        sys.stdout.write(sys.stdin.read())
    for argument in arguments:
        sys.stdout.write(Path(argument).read_text(encoding="utf-8"))


COMMANDS: dict[str, Callable[[list[str]], None]] = {
    "furiosa-opt": _tool("furiosa_ir.tools.opt", "furiosa-opt"),
    "furiosa": _tool("furiosa_ir.tools.furiosa", "furiosa"),
    "filecheck": _filecheck,
    "cat": _cat,
}
