"""Running a module that the interpreter gives meaning, and a digest of every value on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from weakref import ref

import numpy as np
from typing_extensions import override
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Attribute, Operation, SSAValue

from furiosa_ir.comparison import as_stored
from furiosa_ir.dialects.ftensor import TensorOp, contraction
from furiosa_ir.dialects.graph.base import quantization_of
from furiosa_ir.dialects.graph.convolution import ConvOp, GemmOp
from furiosa_ir.dialects.quant.arithmetic import dequantize, quantize
from furiosa_ir.errors import ExecutionFailure
from furiosa_ir.interpreter.graph import exact_bias
from furiosa_ir.lowering.operation import lower_operation
from furiosa_ir.numerics.array import Array
from furiosa_ir.verification.convolutions import exact_convolution, lowered_convolution
from furiosa_ir.verification.host_operator import run_host_operator
from furiosa_ir.verification.reference import ObservedInterpreter

Feeds = Mapping[str, Array]
See = Callable[[Operation, Sequence[Array]], None]


_MEMORY_BYTES = 512 << 20


@dataclass
class Memory:
    """What has been computed: a pass changes little, and the rest is the same each time.

    Attributes:
        known: operation, properties and digests of operands -> result.
        held: bytes of the results. Beyond half a gigabyte nothing more is kept.
        digests: array, by its id -> its digest.
    """

    known: dict[Hashable, Sequence[Array]] = field(
        default_factory=dict[Hashable, "Sequence[Array]"]
    )
    held: int = 0
    digests: dict[int, tuple[ref[Array], bytes | None]] = field(
        default_factory=dict[int, "tuple[ref[Array], bytes | None]"]
    )

    def digest(self, array: Array) -> bytes | None:
        """`digest`, once an array: nobody writes to one that has been made."""
        known = self.digests.get(id(array))
        if known is not None and known[0]() is array:
            return known[1]
        found = digest(array)
        self.digests[id(array)] = ref(array), found
        return found

    def results(
        self, op: Operation, operands: Sequence[Array], compute: Callable[[], Sequence[Array]]
    ) -> Sequence[Array]:
        """The results of an operation, computed unless they are known."""
        digests = tuple(self.digest(array) for array in operands)
        if None in digests:
            return compute()
        types = (*(v.type for v in op.operands), *(v.type for v in op.results))
        key = op.name, tuple(sorted(op.properties.items(), key=_first)), types, digests
        found = self.known.get(key)
        if found is None:
            found = compute()
            self.held += sum(array.nbytes for array in found)
            if self.held < _MEMORY_BYTES:
                self.known[key] = found
        return found


def _first(item: tuple[str, Attribute]) -> str:
    return item[0]


@dataclass
class FastInterpreter(ObservedInterpreter):
    """The interpreter, with convolutions by a fast library, and each thing computed once.

    Attributes:
        memory: what has been computed.
    """

    memory: Memory = field(kw_only=True)

    @override
    def evaluate(self, op: Operation, operands: Sequence[Array]) -> Sequence[Array]:
        if isinstance(op, ConvOp | GemmOp) and self.source == "onnx":
            return self.memory.results(op, operands, lambda: self._exact(op, operands))
        return super().evaluate(op, operands)

    def _exact(self, op: ConvOp | GemmOp, operands: Sequence[Array]) -> Sequence[Array]:
        """A convolution of quantised operands, its sums in integers."""
        q = quantization_of(op.results[0])
        quantizations = [quantization_of(v) for v in op.operands[:2]]
        if isinstance(op, GemmOp) or q is None or None in quantizations:
            return super().evaluate(op, operands)
        stored = [(a, q) for a, q in zip(operands, quantizations, strict=False) if q is not None]
        bias = None
        if len(operands) > 2:
            of_bias = quantization_of(op.operands[2])
            real = operands[2] if of_bias is None else dequantize(operands[2], of_bias)
            bias = exact_bias(op, operands[2], real)
        result = exact_convolution(op, stored, bias)
        return super().evaluate(op, operands) if result is None else [quantize(result, q)]

    @override
    def evaluate_integers(self, op: TensorOp, operands: Sequence[Array]) -> Sequence[Array]:
        if not operands:
            return super().evaluate_integers(op, operands)
        return self.memory.results(op, operands, lambda: self._integers(op, operands))

    def _integers(self, op: TensorOp, operands: Sequence[Array]) -> Sequence[Array]:
        is_convolution = isinstance(op, contraction.ConvOp)
        result = lowered_convolution(op, operands) if is_convolution else None
        return op.evaluate(*operands) if result is None else [result]


def run(
    module: ModuleOp, feeds: Feeds, see: See | None = None, memory: Memory | None = None
) -> dict[str, Array]:
    """Runs a module's `@main` on one input, its variables as they are initially.

    Args:
        module: operations and kernels, no commands.
        feeds: arrays by name.
        see: is told each operation and its results, in order of execution.
        memory: what other runs have computed.

    Returns:
        Output name -> array.

    Raises:
        ExecutionFailure: an operation has no semantics, or an input does not fit.
    """
    # `watch` sees what is inside of kernels, too.
    runs = FastInterpreter(
        module,
        lower_operation,
        run_host_operator,
        watch=see,
        see=_ignore,
        memory=memory or Memory(),
    )
    try:
        return runs.run(feeds)
    except KeyError as error:
        if not error.args or not isinstance(error.args[0], SSAValue):
            raise
        # A pass has left something that no verifier has seen yet.
        raise ExecutionFailure("an operation reads a value that nothing makes") from None


def _ignore(_op: Operation, _operands: Sequence[Array], _results: Sequence[Array]) -> None:
    """Nobody asks for operands."""


@dataclass(frozen=True)
class Record:
    """What one run computed: enough to see whether another computes the same.

    Attributes:
        digests: value -> digest, of those that are integers, in order of execution. (Activations
            themselves, of each stage of a large network, would not fit memory.)
        outputs: by name.
    """

    digests: Mapping[SSAValue, bytes]
    outputs: Mapping[str, Array]


def record(module: ModuleOp, feeds: Feeds, memory: Memory | None = None) -> Record:
    """Runs a module on one input.

    Raises:
        ExecutionFailure: as `run`.
    """
    digests: dict[SSAValue, bytes] = {}
    known = memory or Memory()

    def see(op: Operation, results: Sequence[Array]) -> None:
        if not op.operands:  # constants
            return
        for value, array in zip(op.results, results, strict=True):
            found = known.digest(array)
            if found is not None:
                digests[value] = found

    return Record(digests, run(module, feeds, see, known))


def digest(array: Array) -> bytes | None:
    """A digest of integers as the NPU stores them; None of other elements.

    Floats are not compared on the way: a pass may compute them in another order.
    """
    if array.dtype.kind not in "biu":
        return None
    stored = np.ascontiguousarray(as_stored(array))
    made = hashlib.blake2b(repr((stored.dtype.str, array.shape)).encode(), digest_size=16)
    made.update(stored.reshape(-1).view(np.uint8).data)
    return made.digest()


class _Made(Exception):  # no error: how a run is left that has told what it was for
    def __init__(self, array: Array) -> None:
        super().__init__()
        self.array = array


def elements(module: ModuleOp, feeds: Feeds, value: SSAValue) -> Array:
    """The elements of one value on one input.

    Raises:
        ExecutionFailure: as `run`, or nothing makes the value.
    """

    def see(op: Operation, results: Sequence[Array]) -> None:
        if op is value.owner:
            raise _Made(results[op.results.index(value)])

    try:
        run(module, feeds, see)
    except _Made as made:
        return made.array
    raise AssertionError("the value was made when the module ran before")
