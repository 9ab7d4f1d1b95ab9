"""`--verify-diagnostics`: comments in the input that say which errors must occur, as in mlir-opt.

    // expected-error@+1 {{inner dimensions 3 and 4 differ}}
    %0 = graph.gemm ...

`expected-error` alone means its own line, `@+N` and `@-N` a line further down or up, `@above` and
`@below` the neighbours, `@N` line N, `@unknown` an error without a place. The text in braces must
be part of the error's sentence; `expected-error-re` takes a regular expression in `{{...}}`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.ir import Operation

from furiosa_ir.errors import FuriosaError
from furiosa_ir.ir.positions import Positions
from furiosa_ir.ir.verifier import OperationFailure

_COMMENT = re.compile(
    r"expected-error(?P<regex>-re)?\s*"
    r"(?:@(?P<at>[+-]?\d+|above|below|unknown))?\s*\{\{(?P<text>.*?)\}\}(?!\})"
)
_PLACE = re.compile(r":(\d+)(?::\d+)?(?=$|\+|')")


@dataclass(frozen=True)
class Diagnostic:
    """An error that occurred.

    Attributes:
        lines: where it may be said to be; empty if nobody knows.
        message: its sentence.
    """

    lines: frozenset[int]
    message: str

    @staticmethod
    def of(error: FuriosaError, positions: Positions) -> list[Diagnostic]:
        """The places of an error: of its operations, of its file position, or of its layer."""
        if error.diagnostics and all(d.line for d in error.diagnostics):
            return [Diagnostic(frozenset({d.line}), d.message) for d in error.diagnostics]
        op: Operation | None = error.operation if isinstance(error, OperationFailure) else None
        if (place := positions.of(op)) is not None:
            return [Diagnostic(frozenset({place.line}), error.message)]
        lines = {int(n) for text in (error.file, error.layer) if text for n in _PLACE.findall(text)}
        return [Diagnostic(frozenset(lines), error.message)]


@dataclass(frozen=True)
class Expectation:
    """A comment that expects an error.

    Attributes:
        written: the comment's own line.
        line: where the error must be; None: nowhere in particular.
        text: what its sentence contains.
        regex: whether `text` is a regular expression.
    """

    written: int
    line: int | None
    text: str
    regex: bool

    def matches(self, diagnostic: Diagnostic) -> bool:
        """Whether this is the error that the comment means."""
        if self.line is None:
            if diagnostic.lines:
                return False
        elif self.line not in diagnostic.lines:
            return False
        if self.regex:
            return re.search(self.text, diagnostic.message) is not None
        return self.text in diagnostic.message


def expectations(text: str) -> list[Expectation]:
    """The errors that the comments of a text expect."""
    found: list[Expectation] = []
    for number, line in enumerate(text.splitlines(), start=1):
        _, slashes, comment = line.partition("//")
        if not slashes:
            continue
        for match in _COMMENT.finditer(comment):
            place = _place(match["at"], number)
            found.append(Expectation(number, place, match["text"], match["regex"] is not None))
    return found


def _place(at: str | None, own: int) -> int | None:
    match at:
        case None:
            return own
        case "unknown":
            return None
        case "above":
            return own - 1
        case "below":
            return own + 1
        case _:
            return own + int(at) if at[0] in "+-" else int(at)


def mismatches(
    expected: Sequence[Expectation], occurred: Sequence[Diagnostic], file: str
) -> list[str]:
    """What occurred and was not expected, and the reverse; a sentence each."""
    open_expectations = list(expected)
    sentences: list[str] = []
    for diagnostic in occurred:
        met = next((e for e in open_expectations if e.matches(diagnostic)), None)
        if met is not None:
            open_expectations.remove(met)
            continue
        where = f"{file}:{min(diagnostic.lines)}" if diagnostic.lines else file
        sentences.append(f"{where}: unexpected error: {diagnostic.message}")
    sentences.extend(
        f'{file}:{e.written}: expected error "{e.text}" did not occur' for e in open_expectations
    )
    return sentences
