"""Whatever is wrong with a text is said with its cause and its place."""

from __future__ import annotations

import random
import re

import pytest

from furiosa_ir.api.modules import load
from furiosa_ir.errors import FuriosaError
from furiosa_ir.ir.constants import ConstantTable
from furiosa_ir.ir.text import large_constants, parse_module, print_module
from tests.conftest import DIGITS
from tests.draws import draws

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|->|[%@#!^]?[\w.$-]+|\s+|.')
_OTHERS = (
    *("%x", "}", "{", "(", ")", '"s"', "1", "-1", "1.5", "tensor<1xf32>", "@f", "#a", "!b", "^bb0"),
    *("->", ":", "=", ",", "<", ">", "[", "]", "array<i64: 1>", "true", "i8", "foo", "graph.rleu"),
    *('loc("x")', "unit", "dense<1>", "i99999"),
)
_NO_CAUSE = re.compile(r"^(in|at|of|after|before) |could not|invalid literal|Error\b|^\W*$")


@pytest.mark.draws
@pytest.mark.parametrize("generic", [False, True])
def test_each_wrong_token_is_said_with_cause_and_place(generic: bool):
    module = load(DIGITS / "digits_qdq_int8.onnx")
    text = print_module(module, generic=generic)
    table = ConstantTable()
    for constant in large_constants(module, generic=generic):
        table.add(constant)
    parse_module(text, table)
    tokens = _TOKEN.findall(re.sub(r"//.*", "", text))
    places = [i for i, token in enumerate(tokens) if not token.isspace()]
    rng = random.Random(5)
    errors: list[FuriosaError] = []
    for _ in range(draws(150)):
        changed, at = list(tokens), rng.choice(places)
        changed[at] = rng.choice(("", f"{changed[at]} {changed[at]}", rng.choice(_OTHERS)))
        try:
            parse_module("".join(changed), table, name="a.mlir")
        except FuriosaError as error:
            errors.append(error)
    assert errors
    for error in errors:
        assert error.diagnostics
        assert all(d.line and d.column and d.file == "a.mlir" for d in error.diagnostics), error
        assert not _NO_CAUSE.search(error.message), error


@pytest.mark.parametrize(
    "text",
    [
        f"builtin.module attributes {{a = {'[' * 70}{']' * 70}}} {{}}",
        f"func.func private @f(tensor<{'1x' * 70}i8>)",
        "func.func private @f(i99999)",
        f"builtin.module attributes {{a = {'9' * 5000} : i64}} {{}}",
    ],
)
def test_what_is_refused_before_it_is_parsed_has_a_place(text: str):
    with pytest.raises(FuriosaError) as caught:
        parse_module(f"// what\n{text}", name="a.mlir")
    (found,) = caught.value.diagnostics
    assert (found.line, found.source) == (2, text)
    assert str(caught.value).startswith(f"a.mlir:2:{found.column}: ")


def test_what_is_missing_at_the_end_of_a_line_is_missing_there():
    text = "func.func @f(%x: tensor<1xi8>) {\n  %y = graph.relu %x\n  func.return\n}"
    with pytest.raises(FuriosaError, match="':' and the result's type expected") as caught:
        parse_module(text, name="a.mlir")
    assert caught.value.diagnostics[0].place == "a.mlir:2:21"
