"""The source's values: the module as it was read, in its framework's arithmetic.

ONNX: exact arithmetic, by the interpreter. TFLite: LiteRT's own tensors (`litert`); of IR text
without a file, the lowerings, which define LiteRT's arithmetic here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from xdsl.ir import Operation, SSAValue

from furiosa_ir.backends.warboy.lowering.operation import lower_operation
from furiosa_ir.interpreter import Interpreter
from furiosa_ir.ir.constants import Array
from furiosa_ir.reports.host_operator import run_host_operator
from furiosa_ir.verification.trace import CompileTrace


@dataclass(frozen=True)
class ReferenceValues:
    """What the source computes of one input.

    Attributes:
        values: number of a source's value -> its elements.
        outputs: in order.
    """

    values: dict[int, Array]
    outputs: list[Array]


class Reference(Protocol):
    """Computes the source's values."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    def values(self, feeds: Mapping[str, Array]) -> ReferenceValues:
        """The values on one input."""
        ...


class InterpretedReference:
    """The module as it was read, by the interpreter.

    Args:
        trace: the compile.
        wanted: numbers of the values to keep.
    """

    def __init__(self, trace: CompileTrace, wanted: frozenset[int]) -> None:
        assert trace.source is not None
        self._numbers: dict[SSAValue, int] = {
            known.value: i for i, known in enumerate(trace.values) if i in wanted
        }
        self._found: dict[int, Array] = {}
        self._interpreter = Interpreter(
            trace.source, lower_operation, run_host_operator, watch=self._see
        )
        exact = self._interpreter.source == "onnx"
        self.name = "exact arithmetic" if exact else "LiteRT's arithmetic"

    def _see(self, op: Operation, results: Sequence[Array]) -> None:
        for value, array in zip(op.results, results, strict=True):
            number = self._numbers.get(value)
            if number is not None:
                self._found[number] = array

    def values(self, feeds: Mapping[str, Array]) -> ReferenceValues:
        """The values on one input.

        Raises:
            ExecutionFailure: an input does not fit, or an operation has no semantics.
        """
        self._found = {}
        outputs = list(self._interpreter.run(feeds).values())
        return ReferenceValues(self._found, outputs)
