"""A segment's commands made ready.

Stretches that the compiled kernels run in one call, and steps in numpy for what those do not know.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from furiosa_ir.backends.warboy.simulator.memory import Memory, Step, address_of
from furiosa_ir.backends.warboy.simulator.native.library import FAILURES, RunPlan
from furiosa_ir.backends.warboy.simulator.native.words import Constants, Words
from furiosa_ir.errors import ExecutionFailure
from furiosa_ir.numerics.array import Array

Watch = Callable[[int, Memory], None]
"""Is told the number of the command that is done, and the memory."""


class Plan:
    """What runs commands on a `Memory`; it holds nothing of a run and may be used by many at once.

    Args:
        prepared: for each command its words or its step.
        layers: for each command the layer that failures name.
        run_plan: the kernels; None if there are no words.
        constants: what the words point to.
    """

    def __init__(
        self,
        prepared: Sequence[Words | Step],
        layers: Sequence[str],
        run_plan: RunPlan | None,
        constants: Constants,
    ) -> None:
        self._layers = layers
        self._run_plan = run_plan
        self._constants = constants
        self._steps = [None if isinstance(p, Words) else p for p in prepared]
        coded = [p.words if isinstance(p, Words) else [] for p in prepared]
        self._scratch = max((p.scratch for p in prepared if isinstance(p, Words)), default=0)
        lengths = np.array([len(words) for words in coded], np.int64)
        self._starts: Array = np.cumsum(lengths) - lengths
        self._words: Array = np.array([word for words in coded for word in words], np.int64)
        self._addresses = address_of(self._words), address_of(self._starts)
        self._stretches = _stretches(self._steps)

    def run(self, memory: Memory, watch: Watch | None = None) -> None:
        """Runs the commands in order; `watch` sees the memory after each.

        Raises:
            ExecutionFailure: an instruction has no result for its operands' values; it names the
                layer.
        """
        if watch is None:
            for first, last in self._stretches:
                self._run_stretch(memory, first, last)
            return
        for number in range(len(self._steps)):
            self._run_stretch(memory, number, number + 1)
            watch(number, memory)

    def _run_stretch(self, memory: Memory, first: int, last: int) -> None:
        step = self._steps[first]
        if step is not None:
            try:
                step(memory)
            except ExecutionFailure as failure:
                raise failure.at(layer=self._layers[first]) from None
            return
        assert self._run_plan is not None
        failed = self._run_plan(
            *self._addresses, first, last, *memory.addresses(), memory.scratch(self._scratch)
        )
        if failed >= 0:
            number, reason = divmod(failed, len(FAILURES))
            raise ExecutionFailure(FAILURES[reason]).at(layer=self._layers[number])

    @property
    def steps_in_numpy(self) -> int:
        """How many commands the kernels do not know."""
        return sum(step is not None for step in self._steps)


def _stretches(steps: Sequence[Step | None]) -> list[tuple[int, int]]:
    """[first, last) of commands that run together: each step alone, others as far as they go."""
    stretches: list[tuple[int, int]] = []
    for number, step in enumerate(steps):
        if step is None and stretches and steps[stretches[-1][0]] is None:
            stretches[-1] = stretches[-1][0], number + 1
        else:
            stretches.append((number, number + 1))
    return stretches
