"""The structure of a pipeline text: passes, and names around some of them, as mlir-opt writes them.

    builtin.module(graph-fold-quantization, func.func(graph-fold-constants{a=1}), graph, ftensor(p))

What stands in parentheses is an element like any other; what an element is (a pass, a phase, an
anchor), whoever reads them decides: `ir.passes` for passes, `ir.pipeline` for phases.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from furiosa_ir.errors import FuriosaError

MODULE_ANCHORS = ("builtin.module", "any")
"""What may stand around a whole pipeline: every pass here takes the module."""

FUNCTION_ANCHOR = "func.func"
"""What may stand around passes that look at one function at a time."""

_BLANKS = re.compile(r'("(?:[^"\\\n]++|\\.)*+"?+)|\s*+([,{}=()])\s*+|(\s++)')
_MARK = re.compile(r'"(?:[^"\\\n]++|\\.)*+"?+|[{}(),]')
_NAME = re.compile(r"[\w.-]++")


@dataclass(frozen=True, slots=True)
class Element:
    """What stands between two commas of a pipeline text.

    Attributes:
        text: a pass with its options, or the name of what is around others.
        nested: what stands in its parentheses; None without any.
    """

    text: str
    nested: tuple[Element, ...] | None = None

    @property
    def name(self) -> str:
        """The text without options."""
        return self.text.partition("{")[0].strip()


def parse_elements(text: str) -> tuple[Element, ...]:
    """The elements of a pipeline text; `builtin.module(...)` around some of them is taken off.

    Blanks and line breaks may stand between any two words.

    Raises:
        FuriosaError: its parentheses or commas do not fit. What a pass looks like, and whether
            there is one of the name, is not looked at.
    """
    plain = _BLANKS.sub(lambda m: m[1] or m[2] or " ", text.strip())
    try:
        return tuple(_without_anchor(_elements(plain)))
    except ValueError as error:
        raise FuriosaError(f"the pipeline '{text.strip()}' does not parse: {error}") from None


def _without_anchor(elements: tuple[Element, ...]) -> Iterator[Element]:
    for element in elements:
        if element.nested is not None and element.text in MODULE_ANCHORS:
            yield from element.nested
        else:
            yield element


def _elements(text: str) -> tuple[Element, ...]:
    """Raises ValueError with the reason."""
    around: list[str] = []
    levels: list[list[Element]] = [[]]
    begin = 0
    is_complete = False  # behind a closing parenthesis
    for at, what in _marks(text):
        word = text[begin:at].strip()
        begin = at + 1
        if not what and around:
            raise ValueError(f"'{around[-1]}(' is not closed")
        if is_complete and (word or what == "("):
            raise ValueError(f"a comma is missing in front of '{word or text[at:]}'")
        if what == "(":
            if not _NAME.fullmatch(word):
                raise ValueError(f"no name that passes can be in stands before '{text[at:]}'")
            around.append(word)
            levels.append([])
            continue
        if word:
            levels[-1].append(Element(word))
        elif not is_complete and (what != ")" or levels[-1]):
            where = f"before '{text[at:]}'" if what else "at the end"
            raise ValueError(f"a pass is missing {where}")
        is_complete = what == ")"
        if is_complete:
            if not around:
                raise ValueError(f"nothing opens '{text[at:]}'")
            nested = tuple(levels.pop())
            levels[-1].append(Element(around.pop(), nested))
    return tuple(levels[0])


def _marks(text: str) -> Iterator[tuple[int, str]]:
    """(place, parenthesis or comma) outside of texts and options; "" at the end."""
    braces = 0
    for mark in _MARK.finditer(text):
        what = mark[0]
        if what in "{}":
            braces = max(0, braces + (1 if what == "{" else -1))
        elif not braces and what in "(),":
            yield mark.start(), what
    if text:
        yield len(text), ""
