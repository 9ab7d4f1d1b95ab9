"""The source's values: the module as it was read, in its framework's arithmetic.

ONNX: exact arithmetic, by the interpreter. TFLite: LiteRT's own tensors (`litert`); of IR text
without a file, the lowerings, which define LiteRT's arithmetic here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, cast

import numpy as np
from typing_extensions import override
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue

from furiosa_ir.comparison import Where, check_equal
from furiosa_ir.dialects.graph.base import GraphOp, quantization_of
from furiosa_ir.dialects.graph.convolution import ConvOp
from furiosa_ir.dialects.graph.quantization import DequantizeOp
from furiosa_ir.dialects.graph.structure import OpaqueOp
from furiosa_ir.dialects.quant import Quantization
from furiosa_ir.host_kernels import find_kernel
from furiosa_ir.interpreter import Interpreter
from furiosa_ir.interpreter.elements import is_float
from furiosa_ir.interpreter.graph import evaluate_exactly, exact_bias
from furiosa_ir.ir.location import layer_name
from furiosa_ir.ir.shaped_operation import element_of
from furiosa_ir.lowering.operation import lower_operation
from furiosa_ir.numerics.array import Array
from furiosa_ir.plugins import is_ours
from furiosa_ir.verification.convolutions import exact_convolution
from furiosa_ir.verification.host_operator import run_host_operator
from furiosa_ir.verification.margins import margins
from furiosa_ir.verification.trace import CompileTrace


@dataclass(frozen=True)
class ReferenceValues:
    """What the source computes of one input.

    Attributes:
        values: number of a source's value -> its elements.
        outputs: in order.
        margins: number of a value that quantises floats -> the least and the greatest integers that
            float32 arithmetic may make of them (`margins`).
    """

    values: dict[int, Array]
    outputs: list[Array]
    margins: dict[int, tuple[Array, Array]] = field(
        default_factory=dict[int, "tuple[Array, Array]"]
    )


See = Callable[[Operation, Sequence[Array], Sequence[Array]], None]
"""Is told an operation, its operands and its results."""


class Reference(Protocol):
    """Computes the source's values."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    def values(self, feeds: Mapping[str, Array], *, with_margins: bool = False) -> ReferenceValues:
        """The values on one input; on demand with the margins of those that quantise floats.

        Threads may ask at once, unless the network keeps state from one input to the next.
        """
        ...


class InterpretedReference:
    """The module as it was read, by the interpreter.

    Args:
        trace: the compile.
        wanted: numbers of the values to keep.
    """

    def __init__(self, trace: CompileTrace, wanted: frozenset[int]) -> None:
        assert trace.source is not None
        self._source = trace.source
        self._numbers: dict[SSAValue, int] = {
            known.value: i for i, known in enumerate(trace.values) if i in wanted
        }
        self._lowered: dict[Operation, FuncOp | None] = {}
        self._state: dict[str, Array] = {}
        exact = self._interpreter(_ignore).source == "onnx"
        self.name = "exact arithmetic" if exact else "LiteRT's arithmetic"

    def _interpreter(self, see: See) -> ObservedInterpreter:
        return ObservedInterpreter(
            self._source,
            lower_operation,
            run_host_operator,
            state=self._state,
            see=see,
            _lowered=self._lowered,
        )

    def values(self, feeds: Mapping[str, Array], *, with_margins: bool = False) -> ReferenceValues:
        """The values on one input, behind those that were asked for before.

        Raises:
            ExecutionFailure: an input does not fit, or an operation has no semantics.
        """
        found: dict[int, Array] = {}
        around: dict[int, tuple[Array, Array]] = {}

        def see(op: Operation, operands: Sequence[Array], results: Sequence[Array]) -> None:
            for value, array in zip(op.results, results, strict=True):
                number = self._numbers.get(value)
                if number is not None:
                    found[number] = array
                    margin = margins(op, operands) if with_margins else None
                    if margin is not None:
                        around[number] = margin

        outputs = list(self._interpreter(see).run(feeds).values())
        return ReferenceValues(found, outputs, around)


def _ignore(_op: Operation, _operands: Sequence[Array], _results: Sequence[Array]) -> None:
    """Nobody wants to see it."""


def is_of_plugin(op: Operation) -> bool:
    """Whether only a plug-in knows an operation, and no framework runs it."""
    if isinstance(op, OpaqueOp):
        return find_kernel(op.operator.data) is not None
    return isinstance(op, GraphOp) and not is_ours(type(op))


def _check_beside_evaluate(
    op: GraphOp, operands: Sequence[Array], results: Sequence[Array]
) -> None:
    """A lowering of TFLite's arithmetic, which may round in its own way, beside real numbers.

    Raises:
        Disagreement: they are more than one step apart.
    """
    for got, want in zip(results, evaluate_exactly(op, operands), strict=True):
        apart = np.abs(got.astype(np.float64) - want.astype(np.float64))
        if got.shape != want.shape or apart.max(initial=0.0) > 1:
            where = Where(layer_name(op), "ftensor", "its lowering beside `evaluate`")
            check_equal(np.where(apart > 1, got, want), want, where)


@dataclass
class ObservedInterpreter(Interpreter):
    """Tells `see` each operation with its operands."""

    see: See = field(kw_only=True)
    _stored: dict[SSAValue, tuple[Array, Quantization]] = field(
        init=False, default_factory=dict[SSAValue, "tuple[Array, Quantization]"]
    )

    @override
    def evaluate(self, op: Operation, operands: Sequence[Array]) -> Sequence[Array]:
        results = self._convolution(op, operands)
        if results is None:
            results = super().evaluate(op, operands)
        if is_of_plugin(op) and not isinstance(op, OpaqueOp) and self.source != "onnx":
            _check_beside_evaluate(cast("GraphOp", op), operands, results)
        if isinstance(op, DequantizeOp):
            q = quantization_of(op.x)
            assert q is not None
            self._stored[op.result] = operands[0], q
        self.see(op, operands, results)
        return results

    def _convolution(self, op: Operation, operands: Sequence[Array]) -> Sequence[Array] | None:
        """A convolution of what was integers just before: exactly, in integers."""
        if not isinstance(op, ConvOp) or self.source != "onnx":
            return None
        stored = [self._stored[v] for v in op.operands[:2] if v in self._stored]
        if len(stored) != 2 or not is_float(element_of(op.result)):
            return None
        bias = exact_bias(op, operands[2], operands[2]) if len(operands) > 2 else None
        result = exact_convolution(op, stored, bias)
        return None if result is None else [result]
