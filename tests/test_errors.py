"""What an error says fits on a line, whatever a file calls its layers."""

from __future__ import annotations

from furiosa_ir.errors import FuriosaError, readable


def test_control_characters_do_not_reach_a_terminal() -> None:
    error = FuriosaError("a\nb\x1b[2Jc", file="f\x07", layer="l\r\0\udcff", hint="h\tx")
    assert str(error) == "f?: layer 'l ??': a b?[2Jc (h x)"
    assert error.layer == "l\r\0\udcff"


def test_endless_names_are_shortened() -> None:
    text = str(FuriosaError("m" * 10_000, layer="start" + "l" * 100_000 + "end"))
    assert len(text) < 1100
    assert "start" in text
    assert "end'" in text


def test_ordinary_text_stays() -> None:
    assert readable("größer als 日本 “x”") == "größer als 日本 “x”"
