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
        setup: how many commands in front are a session's set-up, which is no part of a run.
    """

    def __init__(
        self,
        prepared: Sequence[Words | Step],
        layers: Sequence[str],
        run_plan: RunPlan | None,
        constants: Constants,
        setup: int = 0,
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
        self._set_up = _stretches(self._steps, 0, setup)
        self._run = _stretches(self._steps, setup, len(self._steps))

    def set_up(self, memory: Memory) -> None:
        """Carries out the set-up: the memory has it from then on."""
        for first, last in self._set_up:
            self._run_stretch(memory, first, last)

    def run(self, memory: Memory) -> None:
        """Carries out a run's commands in order, on a memory that has been set up.

        Raises:
            ExecutionFailure: an instruction has no result for its operands' values; it names the
                layer.
        """
        for first, last in self._run:
            self._run_stretch(memory, first, last)

    def show(self, memory: Memory, watch: Watch) -> None:
        """Carries out all commands, the set-up's as well; `watch` sees the memory after each.

        Raises:
            ExecutionFailure: as in `run`.
        """
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


def _stretches(steps: Sequence[Step | None], begin: int, end: int) -> list[tuple[int, int]]:
    """[first, last) of commands that run together: each step alone, others as far as they go."""
    stretches: list[tuple[int, int]] = []
    for number in range(begin, end):
        if steps[number] is None and stretches and steps[stretches[-1][0]] is None:
            stretches[-1] = stretches[-1][0], number + 1
        else:
            stretches.append((number, number + 1))
    return stretches
