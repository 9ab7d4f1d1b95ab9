"""The mutations of a format by name, each as often as it shall be drawn."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

Mutation = Callable[[Any, random.Random], object]
"""Changes a model in place; raises where there is nothing of the kind (`rng.choice` of nothing)."""

_COUNTS = (1, 1, 1, 2, 2, 3, 4)


class Mutations:
    """The mutations of a format."""

    def __init__(self) -> None:
        self._drawn: list[Mutation] = []

    @property
    def names(self) -> set[str]:
        return {m.__name__ for m in self._drawn}

    def weight(self, weight: int) -> Callable[[Mutation], Mutation]:
        """Enters a function as a mutation that is drawn as often as its weight says."""

        def declare(mutation: Mutation) -> Mutation:
            self._drawn.extend([mutation] * weight)
            return mutation

        return declare

    def apply(self, model: Any, rng: random.Random) -> list[str]:
        """Changes the model by one to four of them, mostly by few; their names.

        A network that was changed in four places is mostly refused for the first of them.
        """
        applied: list[str] = []
        wanted = rng.choice(_COUNTS)
        while len(applied) < wanted:
            mutation = rng.choice(self._drawn)
            try:
                mutation(model, rng)
            except Exception:  # noqa: BLE001  # what an earlier one broke, this cannot read
                continue
            applied.append(mutation.__name__)
        return applied
