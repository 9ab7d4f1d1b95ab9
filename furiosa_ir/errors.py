"""The one exception root of the project."""

from __future__ import annotations

_LONGEST = 600
"""Characters of a part of a message; what is longer loses its middle."""


class FuriosaError(Exception):
    """What a caller of the library can meet: one sentence, and where it applies.

    Names in it come from files: whatever cannot be printed is a question mark, and what is too long
    is cut, so that it is one line all the same.

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
        self.message = _one_line(message)
        self.file = None if file is None else _one_line(file)
        self.layer = None if layer is None else _one_line(layer)
        self.hint = None if hint is None else _one_line(hint)
        super().__init__(str(self))

    def __str__(self) -> str:
        where = ": ".join(
            part for part in (self.file, f"layer '{self.layer}'" if self.layer else None) if part
        )
        text = f"{where}: {self.message}" if where else self.message
        return f"{text} ({self.hint})" if self.hint else text

    def at(self, *, file: str | None = None, layer: str | None = None) -> FuriosaError:
        """This error with the file or layer filled in where it had none."""
        return type(self)(
            self.message,
            file=self.file or file,
            layer=self.layer or layer,
            hint=self.hint,
        )


def _one_line(text: str) -> str:
    if not text.isprintable():
        text = "".join(c if c.isprintable() else "?" for c in text)
    if len(text) <= _LONGEST:
        return text
    return f"{text[: _LONGEST - 100]} ... {text[-95:]}"


class ImportFailure(FuriosaError):
    """A model file that cannot be read: missing, truncated, contradictory, not a model at all."""


class VerificationFailure(FuriosaError):
    """An IR module that breaks a rule of its dialect or level."""


class CompilationFailure(FuriosaError):
    """A valid network that this compiler cannot turn into a program."""


class FormatFailure(FuriosaError):
    """An ENF file that is corrupt, truncated, of another version or not ours."""


class ExecutionFailure(FuriosaError):
    """A program that broke a rule of the machine, or a session called with wrong inputs."""
