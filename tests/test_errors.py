"""What an error says fits on a line, whatever a file calls its layers."""

from __future__ import annotations

import pytest

from furiosa_ir.errors import FuriosaError, ImportFailure, readable


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


def test_an_error_says_where_it_applies_and_the_way_out() -> None:
    error = FuriosaError("no kernel", file="a.onnx", layer="conv1", hint="quantise it")
    assert str(error) == "a.onnx: layer 'conv1': no kernel (quantise it)"
    assert str(FuriosaError("no kernel").at(layer="x")) == "layer 'x': no kernel"


@pytest.mark.parametrize("name", ["two\nlines", "\x1b[31m", "nul\0", "\u2028", "\ud800", "\u202e"])
def test_names_that_cannot_be_printed_are_marked(name: str) -> None:
    error = ImportFailure(f"no '{name}'", file=name, layer=name, hint=name)
    assert str(error).isprintable()
    assert str(error.at(file="b")).isprintable()
