"""Lists of integers in text: read at once, they are what xDSL makes of them token by token."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xdsl.dialects.builtin import ArrayAttr, DenseArrayBase, IntegerAttr, i64
from xdsl.ir import Attribute
from xdsl.parser import Parser as UpstreamParser

from furiosa_ir.errors import ImportFailure
from furiosa_ir.ir.context import make_context
from furiosa_ir.ir.text import parse_module

NUMBERS = st.lists(st.integers(-(1 << 63), (1 << 63) - 1), max_size=5)
BLANKS = st.sampled_from(["", " ", "\n  "])


def read(text: str) -> Attribute:
    """The attribute as our reader has it."""
    return parse_module(f"module attributes {{a = {text}}} {{}}").attributes["a"]


def read_upstream(text: str) -> Attribute:
    """As xDSL has it."""
    return UpstreamParser(make_context(), text).parse_attribute()


@given(NUMBERS, BLANKS, BLANKS)
def test_lists_without_types(numbers: list[int], before: str, behind: str) -> None:
    text = f"[{before}{f'{behind},{before}'.join(map(str, numbers))}{behind}]"
    made = read(text)
    assert made == ArrayAttr([IntegerAttr(n, i64) for n in numbers]) == read_upstream(text)


@given(NUMBERS, BLANKS, BLANKS)
def test_dense_arrays(numbers: list[int], before: str, behind: str) -> None:
    body = f":{before}{f'{behind},{before}'.join(map(str, numbers))}{behind}" if numbers else ""
    text = f"array<i64{body}>"
    made = read(text)
    assert made == DenseArrayBase.from_list(i64, numbers) == read_upstream(text)


@pytest.mark.parametrize(
    "text", ["[1, 2 : i32]", "[1 : i64, 2]", "[true, 1]", "[0x10, 1]", "[1.5, 2]", "[[1], 2]"]
)
def test_other_lists(text: str) -> None:
    assert read(text) == read_upstream(text)


@pytest.mark.parametrize(
    "text", ["array<i64: 1, 2]", "[1, 2>", f"[1, {1 << 64}]", f"array<i64: {1 << 64}>", "[1,, 2]"]
)
def test_what_is_no_list(text: str) -> None:
    with pytest.raises(ImportFailure):
        read(text)
