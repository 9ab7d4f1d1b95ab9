"""The state of a session: what a program's variables hold between its runs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from furiosa_ir.errors import ExecutionFailure
from furiosa_ir.numerics.array import Array
from furiosa_ir.program import Program
from furiosa_ir.runtime.tensor import DataType


class State:
    """The elements of a program's variables, by the tensor that holds each when a run begins.

    They are exchanged all at once, after a run that has come to its end: a run that fails, and the
    child of a fork amidst one, have those of the last whole run.

    Args:
        program: whose.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self.values: Mapping[int, Array] = {}
        self.reset()

    def reset(self) -> None:
        """The elements as they are before the first run."""
        tensors = self._program.tensors
        self.values = {
            v.before: np.frombuffer(v.initial, DataType(tensors[v.before].dtype).numpy).reshape(
                tensors[v.before].shape
            )
            for v in self._program.variables
        }

    def keep(self, values: Mapping[int, Array]) -> None:
        """Takes over what a run has left.

        Args:
            values: the run's tensors by index; they may be the caller's, and are copied.

        Raises:
            ExecutionFailure: a host segment made something else than the program says.
        """
        if not self._program.variables:
            return
        kept: dict[int, Array] = {}
        for variable in self._program.variables:
            old, new = self.values[variable.before], values[variable.after]
            if (old.dtype, old.shape) != (new.dtype, new.shape):
                raise ExecutionFailure(
                    f"the variable '{variable.name}' is {old.dtype}{list(old.shape)}, but the "
                    f"network assigns {new.dtype}{list(new.shape)}"
                )
            kept[variable.before] = new.copy()
        self.values = kept
