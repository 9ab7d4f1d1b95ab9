"""Colours: on a terminal only, or where they are asked for; without them it is the same text."""

from __future__ import annotations

import os
import pty
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from furiosa_ir.ir.text import parse_module, print_module
from furiosa_ir.streams import Stream
from furiosa_ir.tools.colors import is_colored, painted
from furiosa_ir.tools.furiosa import main as furiosa
from furiosa_ir.tools.opt import main as furiosa_opt
from tests.conftest import DIGITS

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
NETWORK = DIGITS / "digits_int8.tflite"


def test_colours_change_nothing_but_colours():
    text = print_module(parse_module(TEXT, verify=False))
    assert painted(text) != text
    assert ESCAPE.sub("", painted(text)) == text


TEXT = """func.func @f(%x: tensor<1x4x!quant.uniform<i8:f32, 0.1234567890123456:3>>) {
  %y = graph.relu %x : tensor<1x4xf32> loc("a \\22quoted\\22 [bold]name[/bold] :smile:")
  func.return
}"""


@pytest.mark.parametrize(
    ("when", "is_terminal", "environment", "expected"),
    [
        ("auto", True, {}, True),
        ("auto", False, {}, False),
        ("auto", True, {"NO_COLOR": "1"}, False),
        ("auto", True, {"NO_COLOR": ""}, True),
        ("auto", True, {"TERM": "dumb"}, False),
        ("always", False, {"NO_COLOR": "1"}, True),
        ("never", True, {}, False),
    ],
)
def test_when(
    when: str,
    is_terminal: bool,
    environment: dict[str, str],
    expected: bool,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert is_colored(when, is_terminal=is_terminal) is expected


def test_options(tmp_path: Path):
    path = tmp_path / "f.mlir"
    path.write_text(TEXT)
    plain = CliRunner().invoke(furiosa_opt, [str(path)])
    colored = CliRunner().invoke(furiosa_opt, [str(path), "--color", "always"])
    assert ESCAPE.search(plain.stdout) is None
    assert ESCAPE.search(colored.stdout) is not None
    assert ESCAPE.sub("", colored.stdout) == plain.stdout
    out = tmp_path / "out.mlir"
    assert (
        CliRunner().invoke(furiosa_opt, [str(path), "-o", str(out), "--color", "always"]).exit_code
        == 0
    )
    assert ESCAPE.search(out.read_text()) is None


def test_a_terminal_is_one():
    master, slave = pty.openpty()
    try:
        assert Stream(Path("/dev/stdout"), slave).is_terminal
        reading, writing = os.pipe()
        assert not Stream(Path("/dev/stdout"), writing).is_terminal
        os.close(reading)
        os.close(writing)
    finally:
        os.close(master)
        os.close(slave)


@pytest.mark.parametrize("generic", [False, True])
def test_the_generic_form_of_a_compile(generic: bool, tmp_path: Path):
    out = tmp_path / "out.mlir"
    options = ["--print-op-generic"] if generic else []
    arguments = ["compile", str(NETWORK), "--target-ir", "graph", "-o", str(out), *options]
    assert CliRunner().invoke(furiosa, arguments).exit_code == 0
    text = out.read_text()
    assert ('"graph.conv"(' in text) is generic
    assert (" = graph.conv %" in text) is not generic
    again = CliRunner().invoke(furiosa, ["compile", str(out), "-o", str(tmp_path / "p.enf")])
    assert again.exit_code == 0, again.stderr
