"""An error is one line, whatever the names in it are."""

from __future__ import annotations

import pytest

from furiosa_ir.errors import FuriosaError, ImportFailure


def test_an_error_says_where_it_applies_and_the_way_out() -> None:
    error = FuriosaError("no kernel", file="a.onnx", layer="conv1", hint="quantise it")
    assert str(error) == "a.onnx: layer 'conv1': no kernel (quantise it)"
    assert str(FuriosaError("no kernel").at(layer="x")) == "layer 'x': no kernel"


@pytest.mark.parametrize("name", ["two\nlines", "\x1b[31m", "nul\0", "\u2028", "\ud800", "\u202e"])
def test_names_that_cannot_be_printed_are_marked(name: str) -> None:
    error = ImportFailure(f"no '{name}'", file=name, layer=name, hint=name)
    assert str(error).isprintable()
    assert str(error.at(file="b")).isprintable()
    assert "?" in error.message


def test_long_names_lose_their_middle() -> None:
    error = ImportFailure("the end of " + "x" * 70000 + " counts", layer="y" * 70000)
    assert len(str(error)) < 1500
    assert error.message.startswith("the end of xxx")
    assert error.message.endswith("xxx counts")
    assert str(error.at(file="b")).endswith("xxx counts")
