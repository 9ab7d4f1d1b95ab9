"""Histories: edited text is told from unedited, blanks and comments aside; marks do not pile up."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xdsl.dialects.builtin import ArrayAttr, ModuleOp, StringAttr, i64

from furiosa_ir.errors import CompilationFailure, FuriosaError
from furiosa_ir.importers import load
from furiosa_ir.ir.context import make_context
from furiosa_ir.ir.history import (
    EDITED,
    FOREIGN,
    HISTORY,
    UNEDITED,
    Resumption,
    history_of,
    resume,
)
from furiosa_ir.ir.passes import parse_passes
from furiosa_ir.ir.pipeline import run_pass
from furiosa_ir.ir.text import parse_module, print_module
from tests.conftest import DIGITS

PASSES = ("graph-fold-constants", "graph-fuse-tables")


def network() -> ModuleOp:
    module = load(DIGITS / "digits_int8.tflite")
    for name in PASSES:
        run_pass(make_context(), module, parse_passes(name)[0])
    return module


NETWORK = network()
TEXT = print_module(NETWORK)


def state(text: str) -> str:
    module = ModuleOp([], {HISTORY: NETWORK.attributes[HISTORY]})
    resume(module, text)
    return history_of(module).resumed[-1].text


def test_passes_that_ran_are_in_the_history_and_in_the_text():
    assert history_of(NETWORK).passes == PASSES
    assert 'furiosa.history = ["graph-fold-constants", "graph-fuse-tables"]' in TEXT
    assert re.fullmatch(r"// furiosa\.digest: [0-9a-f]{16}", TEXT.splitlines()[-1])
    # Reading alone adds nothing: text parses back to the same module.
    head = ModuleOp([], dict(NETWORK.attributes))
    assert parse_module(print_module(head)).attributes == head.attributes


BLANKS = [m.start() for m in re.finditer(r"\n", TEXT)]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(BLANKS), st.sampled_from([" ", "\t", "\n", " // note", "\r", '// a "b'])
        ),
        max_size=8,
    )
)
def test_blanks_and_comments_are_no_edits(inserted: list[tuple[int, str]]):
    text = TEXT
    for at, what in sorted(inserted, reverse=True):
        text = text[:at] + what + text[at:]
    assert state(text) == UNEDITED
    assert state("\ufeff" + text) == UNEDITED
    assert state(text.replace("\n", "\r\n")) == UNEDITED


BODY = TEXT.rindex("// furiosa.digest")


@given(st.integers(0, BODY - 1), st.sampled_from('axZ09%"<(,'))
def test_any_other_change_is_an_edit(at: int, letter: str):
    text = TEXT[:at] + letter + TEXT[at + 1 :]
    assert state(text) == (UNEDITED if text == TEXT or _same_comment(text) else EDITED)


def _same_comment(text: str) -> bool:
    strip = [re.sub(r"\s+", " ", t) for t in (text, TEXT)]
    return strip[0] == strip[1]


def test_blanks_within_a_string_count():
    name = re.search(r'"[^"\n]*tflite[^"\n]*"', TEXT)
    assert name is not None
    assert state(TEXT.replace(name[0], name[0][:-1] + ' "', 1)) == EDITED


def test_text_without_its_last_line_is_edited():
    assert state(TEXT[:BODY]) == EDITED
    module = ModuleOp([])
    resume(module, "builtin.module {}")
    assert history_of(module).resumed == (Resumption(0, FOREIGN),)


def test_marks_without_a_pass_between_are_one():
    module = ModuleOp([], {HISTORY: NETWORK.attributes[HISTORY]})
    resume(module, TEXT)
    resume(module, TEXT)
    assert history_of(module).resumed == (Resumption(2, UNEDITED),)
    resume(module, TEXT + "x")
    resume(module, TEXT)
    assert history_of(module).resumed == (Resumption(2, EDITED),)
    assert module.attributes[HISTORY] == ArrayAttr(
        [StringAttr(e) for e in (*PASSES, "<edited text>")]
    )


def test_hostile_text_takes_linear_time():
    started = time.process_time()
    for text in ('"' * 200_001, "/" * 200_000, " " * 200_000 + '"\\' * 100_000, '"a' * 100_000):
        assert state(text) == EDITED
    assert time.process_time() - started < 5


@pytest.mark.parametrize("attribute", [i64, StringAttr("x"), ArrayAttr([i64])])
def test_an_attribute_that_is_no_history(attribute: StringAttr):
    with pytest.raises(CompilationFailure, match=r"furiosa\.history.*not a list of texts"):
        history_of(ModuleOp([], {HISTORY: attribute}))
    with pytest.raises(FuriosaError, match="not a list of texts"):
        load(print_module(ModuleOp([], {HISTORY: attribute})).encode(), resumed=True)
