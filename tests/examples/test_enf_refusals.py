"""Each rule of docs/enf.md, section 12: files that break it are refused, by both readers.

The small reader says which rule; `furiosa_ir` says it in a sentence. What makes a program valid
(V) is refused by `furiosa_ir` alone.
"""

from __future__ import annotations

import pytest

from examples.enf_reader import reader
from furiosa_ir.backends.warboy.checker import check_program
from furiosa_ir.backends.warboy.enf.reader import read_program
from furiosa_ir.backends.warboy.enf.writer import write_program
from furiosa_ir.errors import FormatFailure, FuriosaError
from tests.examples.refused_enf import commands, container, instructions, programs, validity
from tests.examples.refused_enf.whole import MAKERS, RULES, whole

MODULES = (container, programs, commands, instructions, validity)
"""Each declares its files."""

MUST = [rule for rule in RULES if rule[0] in "FBPSCI"]
VALID = [rule for rule in RULES if rule[0] == "V"]


def test_the_whole_program_is_fine() -> None:
    data = write_program(whole())
    reader.load(data)
    check_program(read_program(data))


def test_each_rule_of_the_page_has_files() -> None:
    assert len(set(RULES)) == len(RULES)
    assert sorted(MAKERS) == sorted(MUST + VALID)
    assert [rule for rule in RULES if rule[0] == "E"] == ["E1", "E2", "E3"]  # vectors run into them


@pytest.mark.parametrize("rule", MUST)
def test_what_must_be_refused_is(rule: str) -> None:
    files = list(MAKERS[rule]())
    assert files
    for data in files:
        with pytest.raises(reader.Refused, match=f"^{rule}$"):
            reader.load(data)
        with pytest.raises(FormatFailure) as failure:
            read_program(data)
        assert "\n" not in str(failure.value)


@pytest.mark.parametrize("rule", VALID)
def test_what_is_not_valid_is_refused_by_furiosa_ir(rule: str) -> None:
    files = list(MAKERS[rule]())
    assert files
    for data in files:
        with pytest.raises(FuriosaError):
            check_program(read_program(data))
