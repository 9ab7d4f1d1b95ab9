"""What IR text is recognised by, wherever the look at it ends."""

from __future__ import annotations

import pytest

from furiosa_ir.formats import HEAD_BYTES, Format, recognise
from furiosa_ir.ir.text_format import is_ir_text

FRONT = """// A network.
#map = affine_map<(d0) -> (d0)>
!t = !quant.uniform<i8:f32, 0.5>
// Its operations:

"""


@pytest.mark.parametrize("kind", ["comments", "aliases"])
@pytest.mark.parametrize("shift", range(8))
def test_text_longer_than_the_look(kind: str, shift: int):
    """Of 360 KB of comments the first 64 ended between two slashes: the file was no model."""
    lines = {"comments": "// a\n" * 20_000, "aliases": "!a = i8\n" * 10_000}[kind]
    text = ("\n" * shift + lines + "builtin.module {}\n").encode()
    assert len(text) > HEAD_BYTES
    assert recognise(text[:HEAD_BYTES]) is Format.IR


@pytest.mark.parametrize("end", range(3, len(FRONT)))
def test_a_cut_at_any_byte(end: int):
    assert is_ir_text(FRONT[:end].encode())


@pytest.mark.parametrize("text", ["/", "#", "a / b", "http://a", "\\ a", "/* a */ module {}"])
def test_what_is_none(text: str):
    assert not is_ir_text(text.encode())
