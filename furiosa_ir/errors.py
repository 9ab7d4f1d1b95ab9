"""The one exception root of the project."""

from __future__ import annotations

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


class FuriosaError(Exception):
    """What a caller of the library can meet: one sentence, and where it applies.

    The attributes are as given; `str` is fit for a terminal, whatever a file called its layers.

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
        super().__init__(str(self))

    def __str__(self) -> str:
        layer = f"layer '{readable(self.layer)}'" if self.layer else None
        file = readable(self.file, 4096) if self.file else None
        text = ": ".join(part for part in (file, layer, readable(self.message)) if part)
        return f"{text} ({readable(self.hint)})" if self.hint else text

    def at(self, *, file: str | None = None, layer: str | None = None) -> FuriosaError:
        """This error with the file or layer filled in where it had none."""
        return type(self)(
            self.message,
            file=self.file or file,
            layer=self.layer or layer,
            hint=self.hint,
        )


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
