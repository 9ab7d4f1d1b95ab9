"""The one exception root of the project."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

_LONGEST = 500
"""Characters of a message, and of a layer's name in one; names come from files."""


def readable(text: str, longest: int = _LONGEST) -> str:
    """Text of a file as one line that a terminal may show: no control characters, not endless.

    Args:
        text: anything.
        longest: how many characters are left of it; the middle goes.
    """
    if len(text) > longest:
        half = (longest - 3) // 2
        text = f"{text[:half]}...{text[-half:]}"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in text)


_EXCERPT = 120
"""Characters of a line of text that an error shows."""


MOST_DIAGNOSTICS = 20
"""How many places an error lists."""


class Diagnostic(NamedTuple):
    """One of the things that an error is about, and where it stands in a text.

    Attributes:
        message: what is wrong, one sentence without a trailing full stop.
        file: the text it stands in, if it is in one.
        line: the line of the text, from 1; 0 where there is no text.
        column: the character of the line, from 1; 0 where there is no text.
        layer: the name of the network's layer it concerns, if any.
        source: the line of the text.
    """

    message: str
    file: str | None = None
    line: int = 0
    column: int = 0
    layer: str | None = None
    source: str = ""

    @property
    def place(self) -> str | None:
        """`file:line:column`, as compilers write it."""
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file

    def __str__(self) -> str:
        """As clang and mlir-opt write it, in one line: `file:line:column: error: message`."""
        layer = f"layer '{readable(self.layer)}'" if self.layer else None
        place = readable(self.place, 4096) if self.place else None
        return ": ".join(t for t in (place, "error", layer, readable(self.message)) if t)

    def excerpt(self) -> str:
        """The line of the text, what is around the column of a long one, and a caret below it."""
        at, text = self.column - 1, self.source
        begin = max(0, min(at - _EXCERPT // 3, len(text) - _EXCERPT)) if len(text) > _EXCERPT else 0
        shown = text[begin : begin + _EXCERPT]
        before, behind = "..." * (begin > 0), "..." * (begin + _EXCERPT < len(text))
        shown = "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in shown)
        return f"{before}{shown}{behind}\n{' ' * (len(before) + at - begin)}^"


class FuriosaError(Exception):
    """What a caller of the library can meet: one sentence, and where it applies.

    The attributes are as given; `str` is fit for a terminal, whatever a file called its layers.
    `diagnostics` are the places it is about, the one that the sentence names first: where the
    error is about a text, or about more than one thing. They are no more than `MOST_DIAGNOSTICS`;
    `unlisted` says how many there are besides.

    Args:
        message: what is wrong, one sentence without a trailing full stop.
        file: the file it was found in, if any.
        layer: the name of the network's layer it concerns, if any.
        hint: the way out, if there is one.
    """

    def __init__(
        self,
        message: str,
        *,
        file: str | None = None,
        layer: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.message = message
        self.file = file
        self.layer = layer
        self.hint = hint
        self.diagnostics: tuple[Diagnostic, ...] = ()
        self.unlisted = 0
        super().__init__(str(self))

    def __str__(self) -> str:
        layer = f"layer '{readable(self.layer)}'" if self.layer else None
        file = readable(self.file, 4096) if self.file else None
        text = ": ".join(part for part in (file, layer, readable(self.message)) if part)
        return f"{text} ({readable(self.hint)})" if self.hint else text

    def at(
        self, *, file: str | None = None, layer: str | None = None, hint: str | None = None
    ) -> FuriosaError:
        """This error with the file, layer or hint filled in where it had none."""
        copy = type(self)(
            self.message,
            file=self.file or file,
            layer=self.layer or layer,
            hint=self.hint or hint,
        )
        copy.diagnostics, copy.unlisted = self.diagnostics, self.unlisted
        return copy


def joined(errors: Sequence[FuriosaError]) -> FuriosaError:
    """One error for several: the first one, with the places of all."""
    found = [d for error in errors for d in (error.diagnostics or [_diagnostic(error)])]
    first = errors[0].at()
    first.diagnostics = tuple(found[:MOST_DIAGNOSTICS])
    first.unlisted = sum(e.unlisted for e in errors) + len(found) - len(first.diagnostics)
    return first


def _diagnostic(error: FuriosaError) -> Diagnostic:
    return Diagnostic(error.message, error.file, layer=error.layer)


class ImportFailure(FuriosaError):
    """A model file that cannot be read: missing, truncated, contradictory, not a model at all."""


class UnknownOperator(ImportFailure):
    """An operator that nobody knows, so that nothing tells what it makes."""


class VerificationFailure(FuriosaError):
    """An IR module that breaks a rule of its dialect or level."""


class CompilationFailure(FuriosaError):
    """A valid network that this compiler cannot turn into a program."""


class MissingKernel(CompilationFailure):
    """An operator that stays on the host, where nothing runs it."""


class FormatFailure(FuriosaError):
    """A program's file that is corrupt, truncated, of another version or not ours."""


class ExecutionFailure(FuriosaError):
    """A program that broke a rule of the machine, or a session called with wrong inputs."""
