"""Where the operations of a text stand, and the errors of what comes after it has been read.

Passes and checks name an operation or a layer. Where the module was read from text, `Positions`
tells which line that is, for operations that stand there still and for what was made of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from xdsl.ir import Operation

from furiosa_ir.errors import Diagnostic, FuriosaError
from furiosa_ir.ir.location import layer_name
from furiosa_ir.ir.verifier import OperationFailure


class Positions(dict[Operation, int]):
    """Operation -> where its text begins, in characters from the beginning of the text.

    Attributes:
        text: all of it; "" until something has been parsed.
        name: the file, for errors.
    """

    text: str = ""
    name: str = ""

    def of(self, op: Operation | None) -> Diagnostic | None:
        """The place of an operation of the text, a diagnostic without a message."""
        at = None if op is None else self.get(op)
        return None if at is None else diagnostic_at(self.text, at, self.name, "")

    def placed(self, error: FuriosaError) -> FuriosaError:
        """An error of a compile from this text, with its place there if the error tells it.

        It is the place of the operation that the error is of; of one that passes made, or where it
        names a layer only, that of an operation of that layer.
        """
        if not self or error.file is not None or any(d.line for d in error.diagnostics):
            return error
        failures: Iterable[FuriosaError] = (error,)
        if isinstance(error, OperationFailure) and error.failures:
            failures = error.failures
        places = [(f, self._place(f) or Diagnostic("")) for f in failures]
        copy = error.at(file=places[0][1].place)
        copy.diagnostics = tuple(p._replace(message=f.message, layer=f.layer) for f, p in places)
        return copy

    def _place(self, error: FuriosaError) -> Diagnostic | None:
        op = error.operation if isinstance(error, OperationFailure) else None
        return self.of(op) or (self.of(self._of_layer(error)) if error.layer else None)

    def _of_layer(self, error: FuriosaError) -> Operation | None:
        """The operation of the text that an error's layer came from.

        Of several: what the message names, then what is of that layer alone, then what has
        operands (a constant is data).
        """
        layer, named = f"+{error.layer}+", set(_NAME.findall(error.message))
        found = [(op, own) for op in self if (own := layer_name(op)) and f"+{own}+" in layer]
        return max(
            (op for op, _ in found),
            key=lambda op: (op.name in named, f"+{layer_name(op)}+" == layer, bool(op.operands)),
            default=None,
        )


_NAME = re.compile(r"\w+\.\w+")


def diagnostic_at(text: str, offset: int, name: str, message: str) -> Diagnostic:
    """A message about a place in a text.

    Args:
        text: all of it.
        offset: the place, in characters from the beginning.
        name: the file.
        message: what is wrong.
    """
    begin = text.rfind("\n", 0, offset) + 1
    end = text.find("\n", offset)
    line = text.count("\n", 0, begin) + 1
    source = text[begin:] if end < 0 else text[begin:end]
    return Diagnostic(message, name, line, offset - begin + 1, source=source)
