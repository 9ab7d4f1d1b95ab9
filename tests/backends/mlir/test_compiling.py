"""`compile_text` and a compiler that refuses: a sentence, or a second attempt without tiling."""

from __future__ import annotations

import logging
import stat
import sys
from pathlib import Path

import pytest

from furiosa_ir.backends.mlir import native_code
from furiosa_ir.backends.mlir.native_code import FLAGS, compile_text
from furiosa_ir.errors import CompilationFailure

TOOL = """#!{python}
import sys
from pathlib import Path

asked = Path({asked!r})
with asked.open("a") as file:
    file.write(" ".join(sys.argv[4:]) + "\\n")
{body}
Path(sys.argv[3]).write_bytes(b"code of " + Path(sys.argv[1]).read_bytes())
"""

UNTILED = """
if "--iree-opt-data-tiling" in sys.argv:
    sys.exit("module.mlir:1:1: error: large vector sizes\\n")
"""
CRASHING = """
import os
import signal
if "--iree-opt-data-tiling" in sys.argv:
    os.kill(os.getpid(), signal.SIGSEGV)
"""
REFUSING = """
sys.stderr.write("remark\\nmodule.mlir:3:5: error: no such type\\nerror: second\\n")
sys.exit(1)
"""


def tool_of(monkeypatch: pytest.MonkeyPatch, folder: Path, body: str) -> Path:
    """Puts a script in iree-compile's place; a file that has a line for each time it is called."""
    asked, tool = folder / "asked", folder / "iree-compile"
    tool.write_text(TOOL.format(python=sys.executable, asked=str(asked), body=body))
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(native_code, "_compiler", lambda: str(tool))
    return asked


@pytest.mark.parametrize("body", [UNTILED, CRASHING], ids=["a sentence", "a crash"])
def test_what_cannot_be_tiled_is_compiled_without(
    body: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asked = tool_of(monkeypatch, tmp_path, body)
    with caplog.at_level(logging.WARNING):
        assert compile_text("module", "net") == b"code of module"
    first, second = (line.split() for line in asked.read_text().splitlines())
    assert first == list(FLAGS)
    assert second == [flag for flag in FLAGS if flag != "--iree-opt-data-tiling"]
    assert "net: IREE cannot tile its products" in caplog.text


def test_what_is_refused_without_tiling_too_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asked = tool_of(monkeypatch, tmp_path, REFUSING)
    with pytest.raises(CompilationFailure, match=r"^iree-compile refuses net: .*no such type$"):
        compile_text("module", "net")
    assert len(asked.read_text().splitlines()) == 2
    assert caplog.text == ""


def test_success_without_a_file_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tool_of(monkeypatch, tmp_path, "sys.exit(0)")
    with pytest.raises(CompilationFailure, match="it says nothing"):
        compile_text("module", "net")
