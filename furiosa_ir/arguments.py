"""Arguments of the interface that Python itself does not check."""

from __future__ import annotations

import operator
from contextlib import suppress
from typing import SupportsIndex

from furiosa_ir.errors import FuriosaError, readable


def optional_text(value: object, what: str, failure: type[FuriosaError]) -> None:
    """Checks a text that a caller may leave out as None.

    Args:
        value: what was given.
        what: the argument, for the sentence ("device").
        failure: what to raise.

    Raises:
        FuriosaError: it is neither.
    """
    if value is not None and not isinstance(value, str):
        raise failure(f"the {what} is of type {type(value).__name__}, not a text")


def positive_integer(value: object, what: str, failure: type[FuriosaError]) -> int:
    """A count that a caller gives, as an int: numpy's integers are as good as Python's.

    Args:
        value: what was given.
        what: the argument, for the sentence ("batch size").
        failure: what to raise.

    Raises:
        FuriosaError: it is no integer, as True and 2.0 are none, or not positive.
    """
    number = 0
    if isinstance(value, SupportsIndex) and not isinstance(value, bool):
        with suppress(TypeError):  # arrays of several numbers have the method too
            number = operator.index(value)
    if number < 1:
        raise failure(f"the {what} {readable(repr(value))} is not a positive integer")
    return number
