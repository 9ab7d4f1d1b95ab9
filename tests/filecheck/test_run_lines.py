"""The runner of RUN lines fails where lit would fail."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import click
import pytest

from tests.filecheck.run_lines import RunLineError, parse_run_lines, run_file


def check(tmp_path: Path, text: str) -> None:
    path = tmp_path / "test.mlir"
    path.write_text(text)
    run_file(path, tmp_path / "run")


def test_continuation_lines_are_joined():
    text = "// RUN: cat %s \\\n// RUN:   | filecheck %s\n// CHECK: a\n// RUN: cat %s"
    assert parse_run_lines(text) == ["cat %s | filecheck %s", "cat %s"]


@pytest.mark.parametrize(
    "text",
    [
        "// RUN: cat %s | filecheck %s\nhello\n// CHECK: hello",
        "// RUN: cat %s > %t && cat %t | filecheck %s --check-prefix=OTHER\nhello\n// OTHER: hello",
        "// RUN: cat < %s ; cat %S/test.mlir | filecheck %s\nhello\n// CHECK: hello",
        "// RUN: cat %s | not filecheck %s --check-prefix=NO\nhello\n// NO: {{^}}bye",
        "// RUN: not filecheck %s < %s 2>&1 | cat > %t\n// RUN: cat %t\n// CHECK: {{^}}bye",
        "// RUN: cat %s | filecheck %s\n%0 = a(%1)\n// CHECK: [[X:%[0-9]+]] = a(%1)",
    ],
)
def test_passes(tmp_path: Path, text: str):
    check(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hello", "no RUN line"),
        ("// RUN: cat %s | filecheck %s\n// CHECK: {{^}}absent", "test.mlir:2"),
        ("// RUN: not cat %s", "exit code 1"),
        ("// RUN: rm -rf %t", "'rm' is not one of"),
        ("// RUN: cat %s || cat %s", "is not supported"),
        ("// RUN: cat %s \\", "ends in a backslash"),
        # A failure before the pipe's end fails the line, as lit's pipefail does.
        ("// RUN: not cat %s | filecheck %s\n// CHECK: RUN", "exit code 1"),
    ],
)
def test_fails(tmp_path: Path, text: str, message: str):
    with pytest.raises(RunLineError, match=message):
        check(tmp_path, text)


@click.command()
@click.argument("file", type=click.File())
@click.option("--fail", is_flag=True)
def as_command(file: click.utils.LazyFile, fail: bool) -> None:
    if fail:
        raise click.ClickException("told to fail")
    click.echo(file.read().upper())


def as_function() -> None:
    as_command(sys.argv[1:])


@pytest.mark.parametrize("main", [as_command, as_function], ids=["command", "function"])
def test_furiosa_opt_runs_in_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, main: Callable[[], None]
):
    monkeypatch.setitem(sys.modules, "furiosa_ir.tools.opt", SimpleNamespace(main=main))
    check(
        tmp_path,
        "// RUN: furiosa-opt %s | filecheck %s\n"
        "// RUN: cat %s | furiosa-opt - | filecheck %s\n"
        "// RUN: not furiosa-opt %s --fail 2>&1 | filecheck %s --check-prefix=FAIL\n"
        "// RUN: not furiosa-opt %t 2>&1 | filecheck %s --check-prefix=ABSENT\n"
        "hello\n// CHECK: {{^}}HELLO\n// FAIL: Error: told to fail\n// ABSENT: No such file",
    )
    with pytest.raises(RunLineError, match="told to fail"):
        check(tmp_path, "// RUN: furiosa-opt %s --fail | filecheck %s\n// CHECK: a")
