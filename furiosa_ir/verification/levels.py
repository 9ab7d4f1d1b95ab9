"""The last level of IR beside the source's values, and the program beside that, on one input.

The interpreter runs the last module that has operations and kernels. Each value that stands for one
of the source is compared with it as soon as it is made; where all are equal up to there, what
enters the next operation is what enters the source's. At each call of a segment the program's
segment runs on the same operands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from typing_extensions import override
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import CallOp, FuncOp
from xdsl.ir import Operation, SSAValue

from furiosa_ir.backends import Executor, backend_for
from furiosa_ir.backends.verification import SegmentCheck
from furiosa_ir.comparison import (
    Coverage,
    Disagreement,
    Where,
    check_equal,
    close,
)
from furiosa_ir.dialects.ftensor import TensorOp
from furiosa_ir.dialects.ftensor.contraction import ConvOp
from furiosa_ir.interpreter import Interpreter
from furiosa_ir.interpreter.elements import is_float
from furiosa_ir.ir.location import layer_name
from furiosa_ir.ir.segments import is_npu, main_function
from furiosa_ir.ir.shaped_operation import element_of
from furiosa_ir.lowering.operation import lower_operation
from furiosa_ir.numerics.array import Array
from furiosa_ir.numerics.element_types import BY_NAME
from furiosa_ir.program import HostSegment, Program
from furiosa_ir.runtime.engines import host_engine
from furiosa_ir.runtime.host import HostEngine, check_declared
from furiosa_ir.runtime.isolation import SharedProcessEngine
from furiosa_ir.verification.convolutions import lowered_convolution
from furiosa_ir.verification.host_operator import run_host_operator
from furiosa_ir.verification.margins import margins
from furiosa_ir.verification.trace import CompileTrace, Snapshot

LEAST_EQUAL = 0.99
"""Of integers that a host segment makes of floats in another way than by quantising them (a
comparison, a sort): how many must be equal."""


@dataclass(frozen=True)
class LevelCheck:
    """What `compare` runs, made once: of an input it keeps what the network keeps, no more.

    Attributes:
        trace: the compile.
        snapshot: what is run.
        level: its level, for messages.
        program: the program that was made of it, if one was.
        lowered: the segments as they were lowered first, by name.
        numbers: of the values in those.
        segments: for each call of a segment which one of the program it is.
        checks: of the program's NPU segments.
        hosts: what runs its host segments.
        changed: those of these that a pass behind the snapshot has changed, as they came to be.
        state: what the snapshot's variables hold, from one input to the next; threads may share
            the check of a network that has none.
    """

    trace: CompileTrace
    snapshot: Snapshot
    level: str
    program: Program | None
    lowered: Mapping[str, FuncOp]
    numbers: Mapping[SSAValue, int]
    segments: dict[Operation, int] = field(default_factory=dict[Operation, int])
    checks: dict[int, SegmentCheck] = field(default_factory=dict[int, SegmentCheck])
    hosts: dict[int, HostEngine] = field(default_factory=dict[int, HostEngine])
    changed: dict[int, FuncOp] = field(default_factory=dict[int, FuncOp])
    state: dict[str, Array] = field(default_factory=dict[str, Array])

    @classmethod
    def of(
        cls, trace: CompileTrace, snapshot: Snapshot, level: str, program: Program | None
    ) -> LevelCheck:
        """The check of a snapshot, and of the program made of it.

        Raises:
            Disagreement: the program has other segments or commands than the snapshot makes.
        """
        lowered: dict[str, FuncOp] = {}
        numbers: dict[SSAValue, int] = {}
        if trace.lowered is not None:
            lowered = {
                f.sym_name.data: f
                for f in trace.lowered.module.ops
                if isinstance(f, FuncOp) and is_npu(f)
            }
            first = trace.source_count
            numbers = {v.value: i for i, v in enumerate(trace.values[first:], first)}
        check = cls(trace, snapshot, level, program, lowered, numbers)
        if program is not None:
            check._prepare(program)
        return check

    def _prepare(self, program: Program) -> None:
        module = self.snapshot.module
        calls = [op for op in main_function(module).body.block.ops if isinstance(op, CallOp)]
        names = [segment.name for segment in program.segments]
        wanted = [call.callee.string_value() for call in calls]
        if names != wanted:
            raise Disagreement(
                f"the result does not agree: segments {', '.join(names)} "
                f"instead of {', '.join(wanted)}",
                hint=f"level {_container(program)}",
            )
        check_of = _segment_checks(program)
        assert self.trace.final is not None
        functions, final = _functions(module), _functions(self.trace.final.module)
        for index, (call, segment) in enumerate(zip(calls, program.segments, strict=True)):
            self.segments[call] = index
            function = functions[segment.name]
            if not isinstance(segment, HostSegment):
                self.checks[index] = check_of(index, function)
            else:
                self.hosts[index] = host_engine(segment, SharedProcessEngine)
                written = final.get(segment.name)
                if written is not None and not function.is_structurally_equivalent(written):
                    self.changed[index] = written

    def compare(
        self, feeds: Mapping[str, Array], want: Mapping[int, Array], coverage: Coverage
    ) -> dict[str, Array]:
        """Runs the snapshot (and the program) on one input; its outputs by name.

        Args:
            feeds: the inputs by name.
            want: number of a source's value -> its elements.
            coverage: is added to.

        Raises:
            Disagreement: a value or a command's result is another than it should be.
        """
        return _Run(
            self.snapshot.module,
            lower_operation,
            run_host_operator,
            state=self.state,
            check=self,
            want=want,
            coverage=coverage,
        ).run(feeds)


@dataclass(frozen=True)
class _WholeSegment:
    """A device segment of a backend that says no more of it than what it makes."""

    executor: Executor
    index: int

    def run(
        self, inputs: Mapping[int, Array], values: Mapping[SSAValue, Array], coverage: Coverage
    ) -> Mapping[int, Array]:
        """Its outputs by tensor index."""
        return self.executor.run_segment(self.index, inputs)


def _segment_checks(program: Program) -> Callable[[int, FuncOp], SegmentCheck]:
    """What compares a device segment with its function, by the backend of the program."""
    backend = backend_for(program.target)
    if backend.verification is not None:
        return backend.verification().segment_checks(program)
    executor = backend.executor(program)

    def whole(index: int, _function: FuncOp) -> SegmentCheck:
        return _WholeSegment(executor, index)

    return whole


def _container(program: Program) -> str:
    """What messages call the level of the program: "enf"."""
    return backend_for(program.target).container.name


def _functions(module: ModuleOp) -> dict[str, FuncOp]:
    """A module's functions by name."""
    return {f.sym_name.data: f for f in module.ops if isinstance(f, FuncOp)}


@dataclass
class _Run(Interpreter):
    """One input's way through the snapshot and the program."""

    check: LevelCheck = field(kw_only=True)
    want: Mapping[int, Array] = field(kw_only=True)
    coverage: Coverage = field(kw_only=True)

    _made: dict[SSAValue, Array] = field(init=False, default_factory=dict[SSAValue, Array])
    _slack: dict[SSAValue, tuple[Array, Array]] = field(
        init=False, default_factory=dict[SSAValue, "tuple[Array, Array]"]
    )
    _integers: Snapshot | None = field(init=False, default=None)
    _temporary: dict[int, Array] = field(init=False, default_factory=dict[int, Array])
    _products: dict[int, tuple[ConvOp, Sequence[Array], Sequence[Array]]] = field(
        init=False, default_factory=dict[int, "tuple[ConvOp, Sequence[Array], Sequence[Array]]"]
    )

    @override
    def __post_init__(self) -> None:
        super().__post_init__()
        self.watch = self._see

    @property
    def _written(self) -> str:
        """What the level of the program is called."""
        assert self.check.program is not None
        return _container(self.check.program)

    def _see(self, op: Operation, results: Sequence[Array]) -> None:
        snapshot = self._integers or self.check.snapshot
        for value, array in zip(op.results, results, strict=True):
            if self._integers is None:
                self._made[value] = array
            elif value in self.check.numbers:
                self._temporary[self.check.numbers[value]] = array
            for number in snapshot.names.get(value, ()):
                want = self.want.get(number, self._temporary.get(number))
                if want is None:
                    continue
                # Of a fused operation all layers, as everywhere; the source's where it has none.
                layer = layer_name(op) or self.check.trace.values[number].layer
                check_equal(
                    array,
                    want,
                    Where(layer, self.check.level if self._integers is None else "ftensor"),
                )
                self.coverage.values += 1
                self.coverage.elements += array.size

    def _run_lowered(self, call: CallOp, operands: Sequence[Array]) -> None:
        """Runs a segment as it was lowered first: what its temporaries should be.

        What passes and fusion make of them later is compared with that, element by element, even
        where the layer's result does not show it.
        """
        self._temporary.clear()
        self._products.clear()
        lowered = self.check.trace.lowered
        function = self.check.lowered.get(call.callee.string_value())
        types = tuple(v.type for v in call.operands)
        if lowered is None or function is None or tuple(function.function_type.inputs) != types:
            return
        self._integers = lowered
        try:
            self.call(function, operands)
        finally:
            self._integers = None

    @override
    def evaluate(self, op: Operation, operands: Sequence[Array]) -> Sequence[Array]:
        if isinstance(op, CallOp):
            self._run_lowered(op, operands)
        index = self.check.segments.get(op)
        if index is not None:
            assert isinstance(op, CallOp)
            return self._segment(index, self.function(op.callee.string_value()), operands)
        slack = margins(op, operands) if self.check.hosts else None
        if slack is not None:
            self._slack[op.results[0]] = slack
        return super().evaluate(op, operands)

    @override
    def evaluate_integers(self, op: TensorOp, operands: Sequence[Array]) -> Sequence[Array]:
        if not isinstance(op, ConvOp):
            return super().evaluate_integers(op, operands)
        if self._integers is not None:
            results = self._convolved(op, operands)
            self._products[self.check.numbers[op.result]] = op, operands, results
            return results
        for number in self.check.snapshot.names.get(op.result, ()):
            if number in self._products:
                known, same_operands, results = self._products.pop(number)
                # The very convolution of the very elements need not be computed again.
                if known.properties == op.properties and _are_same(same_operands, operands):
                    return results
        return self._convolved(op, operands)

    def _convolved(self, op: ConvOp, operands: Sequence[Array]) -> Sequence[Array]:
        result = lowered_convolution(op, operands)
        return op.evaluate(*operands) if result is None else [result]

    def _segment(self, index: int, function: FuncOp, operands: Sequence[Array]) -> Sequence[Array]:
        program = self.check.program
        assert program is not None
        segment = program.segments[index]
        if isinstance(segment, HostSegment):
            return self._host(index, segment, function, operands)
        self._made.clear()
        self._made.update(zip(function.body.block.args, operands, strict=True))
        results = self.call(function, operands)
        bindings = zip(segment.inputs, operands, strict=True)
        inputs = {b.tensor: as_declared(a, program.tensors[b.tensor].dtype) for b, a in bindings}
        outputs = self.check.checks[index].run(inputs, self._made, self.coverage)
        for binding, want in zip(segment.outputs, results, strict=True):
            tensor = program.tensors[binding.tensor]
            check_equal(
                outputs[binding.tensor],
                want,
                Where(tensor.name, _container(program), "segment output"),
            )
        self._made.clear()
        assert is_npu(function)
        return results

    def _host(
        self, index: int, segment: HostSegment, function: FuncOp, operands: Sequence[Array]
    ) -> Sequence[Array]:
        """A host segment runs in its own framework, on the exact operands."""
        assert self.check.program is not None
        tensors = self.check.program.tensors
        dtypes = [tensors[i].dtype for i in segment.inputs]
        inputs = [as_declared(a, d) for a, d in zip(operands, dtypes, strict=True)]
        got = self.check.hosts[index].run(inputs)
        check_declared(segment, [tensors[i] for i in segment.outputs], got)
        if self.source != "onnx":
            # LiteRT is what these networks mean; names of values are compared with the source's.
            self._see_results(function, got)
            return got
        self._slack.clear()
        results = self.call(function, operands)
        returned = function.body.block.last_op
        assert returned is not None
        if index in self.check.changed:
            # A pass behind the snapshot has changed it; that, no rounding of the framework's hides.
            later = self.call(self.check.changed[index], operands)
            for value, mine, want in zip(returned.operands, later, results, strict=True):
                check_equal(mine, want, Where(_layer(value), self.check.level, "on the host"))
        for value, mine, want in zip(returned.operands, got, results, strict=True):
            self._compare_host(value, np.asarray(mine), want)
        self._made.clear()
        return results

    def _see_results(self, function: FuncOp, results: Sequence[Array]) -> None:
        returned = function.body.block.last_op
        assert returned is not None
        for value, array in zip(returned.operands, results, strict=True):
            for number in self.check.snapshot.names.get(value, ()):
                want = self.want.get(number)
                if want is not None:
                    where = Where(
                        self.check.trace.values[number].layer, self._written, "on the host"
                    )
                    check_equal(np.asarray(array), want, where)
                    self.coverage.values += 1
                    self.coverage.elements += want.size

    def _compare_host(self, value: SSAValue, got: Array, want: Array) -> None:
        """Floats to rounding; what is quantised of them, where rounding leaves it open, too."""
        where = Where(_layer(value), self._written, "on the host")
        self.coverage.elements += got.size
        if got.shape != want.shape:
            check_equal(got, want, where)
        slack = self._slack.get(value)
        if slack is not None:
            low, high = slack
            inside = (low <= got) & (got <= high)
            check_equal(np.where(inside, want, got), want, where)
        elif want.dtype.kind in "iub" and self._hangs_on_floats(value):
            if float(np.asarray(got == want).mean()) < LEAST_EQUAL:
                check_equal(got, want, where)
        elif want.dtype.kind == "f" and got.dtype.kind == "f":
            check_equal(np.where(close(got, want), want, got), want, where)
        else:
            check_equal(got, want, where)

    @staticmethod
    def _hangs_on_floats(value: SSAValue) -> bool:
        """Whether floats that the segment computes decide an integer."""
        pending, seen = [value], {value}
        while pending:
            owner = pending.pop().owner
            if isinstance(owner, Operation):
                if any(is_float(element_of(v)) for v in owner.operands):
                    return True
                pending.extend(v for v in owner.operands if v not in seen)
                seen.update(owner.operands)
        return False


def _layer(value: SSAValue) -> str:
    """The layer that makes a value."""
    return layer_name(value.owner) if isinstance(value.owner, Operation) else ""


def _are_same(some: Sequence[Array], others: Sequence[Array]) -> bool:
    return len(some) == len(others) and all(
        a is b or np.array_equal(a, b) for a, b in zip(some, others, strict=True)
    )


def as_declared(array: Array, dtype: str) -> Array:
    """Elements as a program's tensor of that dtype has them."""
    if dtype == "uint8" and array.dtype == np.int8:
        return array.view(np.uint8) ^ np.uint8(0x80)
    if dtype not in BY_NAME:  # text
        return array
    whole = np.ascontiguousarray(array).reshape(array.shape)
    return whole.astype(BY_NAME[dtype].dtype, copy=False)
