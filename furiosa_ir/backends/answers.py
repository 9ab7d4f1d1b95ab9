"""What the parts of a backend must answer. One is anybody's code: what it gets wrong is said there.

A part that returns something else would fail far away, in code that has nothing to do with it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import wraps
from typing import Any

from furiosa_ir.errors import FuriosaError


def imported(target: str) -> Any:
    """What "module:name" stands for.

    Raises:
        FuriosaError: there is no such module, or no such name in it.
    """
    module, _, name = target.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if not f"{module}.".startswith(f"{error.name}."):
            raise  # what it imports is missing
        raise FuriosaError(f"a backend names '{target}', and there is no such module") from error
    except AttributeError as error:
        if hasattr(importlib.import_module(module), name):
            raise
        raise FuriosaError(f"a backend names '{target}', and there is no such function") from error


def checked(
    part: Callable[..., Any],
    kind: str,
    whose: str,
    fault: Callable[[Any], str | None] | None = None,
) -> Callable[..., Any]:
    """A part whose answers are looked at before anybody uses them.

    Args:
        part: the part.
        kind: "module:class" of what it returns.
        whose: whose part it is, for messages.
        fault: what is wrong with an answer of that kind, as a clause; None if nothing is.
    """
    part = getattr(part, "checked_part", part)  # of a value that was copied with changes

    @wraps(part)
    def answer(*arguments: Any, **options: Any) -> Any:
        given = part(*arguments, **options)
        wrong: str | None = f"it is of type {type(given).__name__}"
        if isinstance(given, imported(kind)):
            wrong = None if fault is None else fault(given)
        if wrong is None:
            return given
        name = kind.partition(":")[2]
        where = getattr(part, "__qualname__", part)
        raise FuriosaError(
            f"{whose} does not give the {name} it should: {wrong}", hint=f"see {where}"
        )

    answer.__dict__["checked_part"] = part
    return answer
