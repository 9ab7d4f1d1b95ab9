"""Names that a file gives twice, or leaves out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence


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


def boundary_names(
    names: Sequence[str], inputs: Sequence[int], outputs: Sequence[int]
) -> dict[int, str]:
    """Names for inputs and outputs of a network that the file gives none: `input_0`, `output_1`.

    LiteRT goes by positions, and tools that strip files of their strings leave no name.

    Args:
        names: of all tensors; empty for one without.
        inputs, outputs: the network's, as numbers of tensors.

    Returns:
        Number of a tensor -> its name, which no other tensor has.
    """
    taken = UniqueNames()
    for name in dict.fromkeys(names):
        taken.unique(name)
    made: dict[int, str] = {}
    for what, indices in (("input", inputs), ("output", outputs)):
        for position, index in enumerate(indices):
            if not names[index] and index not in made:
                made[index] = taken.unique(f"{what}_{position}")
    return made
