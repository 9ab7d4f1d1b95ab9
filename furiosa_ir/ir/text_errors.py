"""What the parser refuses, in a sentence of ours with its place in the text."""

from __future__ import annotations

import difflib
import re
from typing import NoReturn

from xdsl.context import Context
from xdsl.utils.exceptions import ParseError
from xdsl.utils.lexer import Input, Span

from furiosa_ir.errors import Diagnostic, ImportFailure
from furiosa_ir.ir.positions import diagnostic_at

_UNDEFINED = re.compile(
    r"values used but not defined: \[(%[\w$.-]+)|undefined symbol alias '([#!][\w$.-]+)'"
)


def undefined(text: str, error: ParseError) -> Span[str] | None:
    """Where what nothing defines is used first; xDSL names what stands behind it instead."""
    named = _UNDEFINED.match(error.msg)
    used = named and re.search(re.escape(named[1] or named[2]) + r"(?![\w$.-])", text)
    return Span(used.start(), used.end(), Input(text, error.span.input.name)) if used else None


def unknown_operation(name: str, context: Context) -> str:
    """Says that there is no such operation, and which one may be meant."""
    message = f"there is no operation '{name}'"
    dialect, dot, operation = name.partition(".")
    if not dot:
        return message
    found = context.get_optional_dialect(dialect)
    if found is None:
        dialects = sorted(context.registered_dialect_names)
        close = difflib.get_close_matches(dialect, dialects, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"there are: {', '.join(dialects)}"
        return f"there is no dialect '{dialect}' ({hint})"
    names = [op.name.partition(".")[2] for op in found.operations]
    close = difflib.get_close_matches(operation, names, n=1)
    return f"{message} (did you mean '{dialect}.{close[0]}'?)" if close else message


def raise_at(
    span: Span[str] | Span[bytes], message: str, cause: Exception, hint: str | None = None
) -> NoReturn:
    """Refuses a text.

    Args:
        span: where it is wrong.
        message: why, as xDSL says it.
        cause: what xDSL or a dialect has raised.
        hint: the way out, if there is one.

    Raises:
        ImportFailure: always.
    """
    sentence = _sentence(message)
    text = span.input.content
    places: tuple[Diagnostic, ...] = ()
    if isinstance(text, str):
        begin = _end_of_line_before(text, span.start) if _MISSING.match(sentence) else span.start
        places = (diagnostic_at(text, begin, span.input.name, sentence),)
    file = places[0].place if places else str(span.get_location())
    failure = ImportFailure(sentence, file=file, hint=hint)
    failure.diagnostics = places
    raise failure from cause


_MISSING = re.compile(r"(?:expected )?'.{1,2}'(?! or)")
"""What says that a letter or two are missing."""


def _end_of_line_before(text: str, begin: int) -> int:
    """Where what is missing in front of the first token of a line has to stand, as MLIR says it."""
    line = text.rfind("\n", 0, begin) + 1
    return begin if text[line:begin].strip() else len(text[:line].rstrip())


_NO_SENTENCES = {
    "Could not parse entire input": "an operation expected",
    "in block definition": "an operation or '}' expected",
    "Expected ':'function type signature expected": "':' and a function's type expected",
}
_NO_BLANK = re.compile(r"(?<='.')(?=\w)")


def _sentence(message: str) -> str:
    """xDSL's message, of any number of lines, as the end of one of ours."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    sentence = "; ".join(lines).replace(":; ", ": ").rstrip(".!")
    sentence = _NO_BLANK.sub(" ", _NO_SENTENCES.get(sentence, sentence))
    is_word = not sentence[1:2].isupper()  # "SSA value" stays
    return sentence[:1].lower() + sentence[1:] if is_word else sentence
