"""A segment of the program beside the kernels it was made of: every command's result.

The simulator executes the program as it was written; after each command the place that it wrote is
compared with what the planned IR says is there, computed by the interpreter. Commands are judged in
order of issue, so all that enters the first one that is wrong is right: it is at fault itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import cast

import numpy as np
from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue

from furiosa_ir.backends.warboy.commands.kernel_steps import (
    BufferPart,
    DramMap,
    ParameterBytes,
    Window,
)
from furiosa_ir.backends.warboy.dialect.kernels import KernelOp
from furiosa_ir.backends.warboy.dialect.plan import CopyPlan, KernelPlan, OperandBinding, Shape4
from furiosa_ir.backends.warboy.dialect.segment import kernels_of, memory_addresses, memory_plan
from furiosa_ir.backends.warboy.enf.records import (
    Copy,
    Load,
    NpuSegment,
    SramFlat,
    SramTile,
    Store,
)
from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.passes.schedule import issue
from furiosa_ir.backends.warboy.planning.views import LETTERS
from furiosa_ir.backends.warboy.simulator.memory import Memory, TileAccess, slice_stride
from furiosa_ir.backends.warboy.simulator.simulator import Simulator
from furiosa_ir.comparison import (
    Coverage,
    Disagreement,
    Where,
    differences,
    disagreement,
)
from furiosa_ir.ir.location import layer_name
from furiosa_ir.ir.shaped_operation import shape_of
from furiosa_ir.numerics.array import Array
from furiosa_ir.program import Program

Values = Mapping[SSAValue, Array]
"""The values of a segment's function, by the interpreter."""


def along_nhwc(array: Array, view: str) -> Array:
    """A tensor as (N, H, W, C), by its view (`planning.views`)."""
    order = sorted(range(array.ndim), key=lambda axis: LETTERS.index(view[axis]))
    extents = [1] * 4
    for axis, letter in enumerate(view):
        extents[LETTERS.index(letter)] *= array.shape[axis]
    return array.transpose(order).reshape(extents)


class SegmentCheck:
    """Compares one NPU segment of a program with its function in front of `schedule`.

    Args:
        simulator: of the program.
        index: which segment.
        function: planned and allocated kernels.

    Raises:
        Disagreement: the program has other commands than the function's kernels make.
    """

    def __init__(self, simulator: Simulator, index: int, function: FuncOp) -> None:
        self._simulator, self._index, self._function = simulator, index, function
        program = simulator.program
        self.segment = cast("NpuSegment", program.segments[index])
        machine = Machine.from_parameters(program.machine)
        self.stride = slice_stride(machine.slice_bytes)
        self.kernels = kernels_of(function)
        set_up, run = issue(function, machine)
        issued = [*set_up, *run]
        self.contents = [content for _, content in issued]
        self.numbers = [command.layer for command, _ in issued]
        commands = self.segment.commands
        kinds = [type(c) for c, _ in issued]
        if [type(c) for c in commands] != kinds:
            at = next(
                (
                    i
                    for i, (a, b) in enumerate(zip(commands, kinds, strict=False))
                    if type(a) is not b
                ),
                min(len(commands), len(kinds)),
            )
            number = self.numbers[min(at, len(self.numbers) - 1)] if issued else 0
            raise Disagreement(
                f"the result does not agree: {len(commands)} commands in {self.segment.name}, "
                f"{len(kinds)} of its kernels; they differ from number {at} on",
                layer=layer_name(self.kernels[number]) if self.kernels else None,
                hint="level enf",
            )
        self.memory = memory_plan(function)
        self.dram = DramMap(self.memory, memory_addresses(function).allocations)
        self.ready = _ready(function)
        self.windows = self._bindings()

    def _bindings(self) -> dict[int, list[tuple[SSAValue, str, OperandBinding]]]:
        """For each buffer the values that lie in it, as kernels read and write them."""
        found: dict[int, dict[tuple[SSAValue, str, OperandBinding], None]] = {}
        for kernel in self.kernels:
            plan = kernel.plan.data if kernel.plan is not None else None
            if not isinstance(plan, KernelPlan):
                continue
            views = kernel.kernel_views
            for value, view, binding in zip(
                (*kernel.inputs, kernel.result),
                (*views.operands, views.result),
                (*plan.operands, plan.result),
                strict=True,
            ):
                if view is not None and isinstance(binding, OperandBinding):
                    found.setdefault(binding.buffer, {})[value, view, binding] = None
        return {buffer: list(windows) for buffer, windows in found.items()}

    def run(
        self, inputs: Mapping[int, Array], values: Values, coverage: Coverage
    ) -> dict[int, Array]:
        """Simulates the segment and compares every command; its outputs by tensor index.

        Args:
            inputs: by tensor index.
            values: every value of the function on the same inputs.
            coverage: is added to.

        Raises:
            Disagreement: a command's result is another than the kernel's.
        """
        run = _Run(self, values, coverage)
        return self._simulator.trace_segment(self._index, inputs, run.watch)


def segment_checks(program: Program) -> Callable[[int, FuncOp], SegmentCheck]:
    """What compares a segment of a program, by its index, with its function."""
    return partial(SegmentCheck, Simulator(program))


class _Run:
    """The comparisons of one simulated run."""

    def __init__(self, check: SegmentCheck, values: Values, coverage: Coverage) -> None:
        self._check, self._values, self._coverage = check, values, coverage
        self._dense: dict[tuple[SSAValue, str], Array] = {}

    def watch(self, number: int, memory: Memory) -> None:
        """Compares what command `number` wrote."""
        self._coverage.commands += 1
        match self._check.contents[number]:
            case Window() as window:
                self._window(number, window, memory)
            case ParameterBytes() as part:
                self._parameter(number, part, memory)
            case BufferPart() as part:
                command = self._check.segment.commands[number]
                assert isinstance(command, Load | Store)
                last = self._check.numbers[number] - (0 if part.complete else 1)
                self._buffer(number, part, self._written(number, memory), last)
            case None:
                self._copy(number, memory)

    def _written(self, number: int, memory: Memory) -> Array:
        """What a command's target holds, [N, H, W, C]."""
        command = self._check.segment.commands[number]
        assert not isinstance(command, Copy)
        target = command.target if isinstance(command, Load | Store) else command.result
        if isinstance(target, SramTile):
            return TileAccess(target, self._check.stride).read(memory)
        assert not isinstance(target, SramFlat)
        return memory.dram(target)

    def _expected(self, value: SSAValue, view: str) -> Array:
        key = (value, view)
        if key not in self._dense:
            self._dense[key] = along_nhwc(self._values[value], view)
        return self._dense[key]

    def _window(self, number: int, window: Window, memory: Memory) -> None:
        kernel = self._check.kernels[self._check.numbers[number]]
        views = kernel.kernel_views
        view = (*views.operands, views.result)[window.operand]
        assert view is not None
        value = (*kernel.inputs, kernel.result)[window.operand]
        self._compare(
            number, value, view, window.offset, window.extent, self._written(number, memory)
        )

    def _buffer(self, number: int, part: BufferPart, got: Array, last: int) -> None:
        """Those values of a buffer that kernels up to number `last` make, as far as `got` goes."""
        for value, view, binding in self._check.windows.get(part.buffer, ()):
            common = _common(binding, part.offset, got.shape)
            if common is not None and self._check.ready[value] <= last:
                offset, extent = common
                there = tuple(
                    slice(b + o - p, b + o - p + e)
                    for b, o, p, e in zip(binding.offset, offset, part.offset, extent, strict=True)
                )
                self._compare(number, value, view, offset, extent, got[there])

    def _copy(self, number: int, memory: Memory) -> None:
        """A copy's whole result, after the last of its commands."""
        check, kernel = self._check, self._check.numbers[number]
        after = number + 1
        if check.numbers[after : after + 1] == [kernel] and isinstance(
            check.segment.commands[after], Copy
        ):
            return
        plan = check.kernels[kernel].plan
        assert plan is not None
        assert isinstance(plan.data, CopyPlan)
        buffer = plan.data.result
        for offset, tile in check.dram.tiles(buffer, _ORIGIN, check.memory.buffers[buffer].shape):
            part = BufferPart(buffer, complete=True, offset=offset)
            self._buffer(number, part, memory.dram(tile), kernel)

    def _parameter(self, number: int, part: ParameterBytes, memory: Memory) -> None:
        check = self._check
        kernel = check.kernels[check.numbers[number]]
        command = check.segment.commands[number]
        assert isinstance(command, Load)
        assert isinstance(command.target, SramFlat)
        whole = np.ascontiguousarray(self._values[kernel.inputs[part.operand]])
        want = whole.reshape(-1).view(np.uint8)[part.low : part.low + part.size]
        got = memory.read_flat(command.target)
        self._coverage.elements += got.size // whole.itemsize
        if np.array_equal(got, want):
            return
        where = self._where(number, f"parameter {part.operand} as it is loaded")
        if got.size != want.size:
            raise disagreement((0,), f"{got.size} bytes", want.size, 1.0, where)
        wrong = np.flatnonzero(got != want) // whole.itemsize
        first = int(wrong[0])
        index = np.unravel_index(first + part.low // whole.itemsize, whole.shape)
        mine, theirs = got.view(whole.dtype)[first], want.view(whole.dtype)[first]
        share = np.unique(wrong).size / (want.size // whole.itemsize)
        raise disagreement(tuple(int(i) for i in index), mine, theirs, share, where)

    def _compare(
        self, number: int, value: SSAValue, view: str, offset: Shape4, extent: Shape4, got: Array
    ) -> None:
        want = self._expected(value, view)[_slices(offset, extent)]
        self._coverage.elements += want.size
        if got.shape != want.shape:
            raise Disagreement(
                f"the result does not agree: a window of {list(got.shape)} instead of "
                f"{list(want.shape)} (N, H, W, C)",
                layer=self._where(number, "").layer or None,
                hint="level enf",
            )
        wrong = differences(got, want)
        if wrong is None:
            return
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        shape = shape_of(value)
        numbers = along_nhwc(np.arange(_size(shape)).reshape(shape), view)
        place = numbers[tuple(o + i for o, i in zip(offset, at, strict=True))]
        index = tuple(int(i) for i in np.unravel_index(int(place), shape)) if shape else ()
        where = self._where(number, _doing(self._check.segment, number))
        raise disagreement(index, got[at], want[at], float(wrong.mean()), where)

    def _where(self, number: int, what: str) -> Where:
        check = self._check
        return Where(layer_name(check.kernels[check.numbers[number]]), "enf", what)


def _size(shape: Sequence[int]) -> int:
    """How many elements a shape has."""
    return int(np.prod(shape, dtype=np.int64))


_ORIGIN: Shape4 = (0, 0, 0, 0)


def _common(
    binding: OperandBinding, offset: Shape4, extent: Sequence[int]
) -> tuple[Shape4, Shape4] | None:
    """(offset in the binding's window, extent) of what it has in common with a part of a buffer."""
    ranges = [
        (max(b, o) - b, min(b + whole, o + there) - max(b, o))
        for b, whole, o, there in zip(binding.offset, binding.extent, offset, extent, strict=True)
    ]
    if min(count for _, count in ranges) <= 0:
        return None
    (n, ns), (h, hs), (w, ws), (c, cs) = ranges
    return (n, h, w, c), (ns, hs, ws, cs)


def _slices(offset: Shape4, extent: Shape4) -> tuple[slice, ...]:
    return tuple(slice(o, o + e) for o, e in zip(offset, extent, strict=True))


def _doing(segment: NpuSegment, number: int) -> str:
    """Which command it is, where it is none that computes."""
    command = segment.commands[number]
    name = type(command).__name__.lower()
    return f"{name}, command {number}" if isinstance(command, Load | Store | Copy) else ""


def _ready(function: FuncOp) -> dict[SSAValue, int]:
    """After which kernel each value is there; -1: from the beginning."""
    ready: dict[SSAValue, int] = dict.fromkeys(function.body.block.args, -1)
    number = 0
    for op in function.body.block.ops:
        moment = max((ready[v] for v in op.operands), default=-1)
        if isinstance(op, KernelOp):
            moment, number = number, number + 1
        ready.update(dict.fromkeys(op.results, moment))
    return ready
