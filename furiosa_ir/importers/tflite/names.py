"""Names that a file gives twice."""

from __future__ import annotations

from collections import Counter


class UniqueNames:
    """Makes names unique, of layers or of variables."""

    def __init__(self) -> None:
        self._names: Counter[str] = Counter()

    def unique(self, name: str) -> str:
        """The name; with a number where it is taken."""
        unique = name
        while self._names[unique]:
            self._names[name] += 1
            unique = f"{name}#{self._names[name]}"
        self._names[unique] += 1
        return unique
