"""Rows of integers in `dense` attributes are read at once, and mean what they do token by token."""

from __future__ import annotations

import pytest

from furiosa_ir.errors import ImportFailure
from furiosa_ir.ir import text as ir_text
from furiosa_ir.ir.text import parse_module


def module(elements: str, kind: str) -> str:
    return f"builtin.module attributes {{a = dense<{elements}> : tensor<{kind}>}} {{}}"


def test_the_lexer_sees_no_element(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 0
    lex = ir_text._Lexer.lex

    def counted(self: ir_text._Lexer) -> object:
        nonlocal count
        count += 1
        return lex(self)

    monkeypatch.setattr(ir_text._Lexer, "lex", counted)
    parse_module(module(str([*range(10_000)]), "10000xi32"))
    assert count < 100


@pytest.mark.parametrize(
    ("elements", "kind"),
    [
        ("[1, -2, 3]", "3xi8"),
        ("[[1, 2], [ 3 ,\t4\n]]", "2x2xi64"),
        ("[-0, 0, 7]", "3xf32"),
        ("[1, 0, 1]", "3xi1"),
        ("[5]", "4xui8"),
        ("[0x10, 2]", "2xi32"),
        ("[1, 2.5]", "2xf32"),
        ("[]", "0xi8"),
        ("[1, 2, 300]", "3xui8"),
        ("[1, -2]", "2xui8"),
        ("[1, 2]", "3xi8"),
        ("[1, // a comment\n 2]", "2xi8"),
    ],
)
def test_it_means_the_same(elements: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = module(elements, kind)
    outcomes: list[object] = []
    for at_once in (True, False):
        if not at_once:
            monkeypatch.delattr(ir_text._Parser, "_parse_tensor_literal")
        try:
            outcomes.append(str(parse_module(text)))
        except ImportFailure as error:
            outcomes.append((str(error), error.diagnostics))
    assert outcomes[0] == outcomes[1]
