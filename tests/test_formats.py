"""What a file is, by its content alone."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from furiosa_ir.backends import backends
from furiosa_ir.compiler import compile_source
from furiosa_ir.formats import HEAD_BYTES, Format, head_of, recognise

ROOT = Path(__file__).parents[1]
DIGITS = ROOT / "examples" / "digits"


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"", Format.ONNX),
        (b"\x08\x07", Format.ONNX),
        (b"\x1c\x00\x00\x00TFL3", Format.TFLITE),
        (b"enf", Format.PROGRAM),
        (b"enf\x00TFL3", Format.PROGRAM),  # a checksum may look like anything
        (b"// a comment\nmodule {", Format.IR),
        (b'"builtin.module"() ({', Format.IR),
        (b"warboy.load", Format.IR),  # a machine's dialect: the register names it
        (b"no model", Format.ONNX),
    ],
)
def test_heads(head: bytes, kind: Format) -> None:
    assert recognise(head) is kind
    assert recognise(memoryview(head + bytes(8))) is kind


def test_files_of_each_kind(tmp_path: Path) -> None:
    assert recognise(head_of(DIGITS / "digits_qdq_int8.onnx")) is Format.ONNX
    assert recognise(head_of(DIGITS / "digits_int8.tflite")) is Format.TFLITE
    program = compile_source(DIGITS / "digits_int8.tflite").enf
    assert program is not None
    (tmp_path / "x.onnx").write_bytes(program)  # a suffix says nothing
    assert recognise(head_of(tmp_path / "x.onnx")) is Format.PROGRAM
    comment = b"// " + b"x" * (HEAD_BYTES // 2) + b"\nmodule {}"
    assert recognise(comment) is Format.IR


def test_what_is_no_file_has_no_head(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "missing", tmp_path / "pipe", Path("zero\0character")):
        assert head_of(path) == b""


def test_nothing_else_looks_for_magic_bytes() -> None:
    magics = {re.escape(repr(b.container.magic)[1:]) for b in backends()} | {r".TFL3."}
    found = [
        path.relative_to(ROOT / "furiosa_ir").as_posix()
        for path in sorted((ROOT / "furiosa_ir").rglob("*.py"))
        if re.search("|".join(f"b{magic}" for magic in magics), path.read_text(encoding="utf-8"))
    ]
    assert [name for name in found if not name.startswith("backends/")] == ["formats.py"]
