"""Runs the NPU segments of an ENF program, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from time import perf_counter

import numpy as np

from furiosa_ir.backends.warboy.checker import check_program
from furiosa_ir.backends.warboy.enf.records import NpuSegment
from furiosa_ir.backends.warboy.enf.section import section_view
from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.simulator.memory import Memory, memory_pool
from furiosa_ir.backends.warboy.simulator.native.library import Kernels, load_kernels
from furiosa_ir.backends.warboy.simulator.native.tiles import Sizes
from furiosa_ir.backends.warboy.simulator.plan import Watch
from furiosa_ir.backends.warboy.simulator.preparation import Preparation
from furiosa_ir.errors import ExecutionFailure
from furiosa_ir.numerics.array import Array
from furiosa_ir.program import Binding, Program, Tensor

POISON = 0xA5
"""What memory holds before anything is written, where a run is traced."""


class Simulator:
    """A program made ready to run on simulated NPUs.

    All preparation (checks, weight layout, tables) happens here once. Running is thread-safe: each
    run works in a `Memory` of its own, which other runs then use again, of other programs too.

    Args:
        program: what the ENF reader or the compiler made.
        check: run `check_program` first; leave it out only where it has been run already.
        kernels: which of the compiled kernels (`native.library.load_kernels`), "0" for numpy alone;
            the bits are the same. Default: what the environment says, or the fastest there are.

    Raises:
        ExecutionFailure, VerificationFailure: the program breaks a rule of the machine.
    """

    def __init__(self, program: Program, *, check: bool = True, kernels: str | None = None) -> None:
        if check:
            check_program(program)
        self.program = program
        self.machine = Machine.from_parameters(program.machine)
        chosen = load_kernels(kernels)
        self._segments: dict[int, _Segment] = {
            index: _Segment(program, segment, self.machine, chosen)
            for index, segment in enumerate(program.segments)
            if isinstance(segment, NpuSegment)
        }
        # For what SRAM holds after the set-up: memories outlive programs, and serve several.
        self._holds = object()

    def run_segment(self, index: int, inputs: Mapping[int, Array]) -> dict[int, Array]:
        """Runs one NPU segment.

        Args:
            index: which of the program's segments.
            inputs: by tensor index; shapes and dtypes as the tensors declare.

        Returns:
            The segment's outputs by tensor index, as new arrays.

        Raises:
            ExecutionFailure: the segment is not the NPU's, or an input is missing or has another
                shape or dtype.
        """
        return self._segment(index).run(inputs, self._set_up)

    def trace_segment(
        self, index: int, inputs: Mapping[int, Array], watch: Watch
    ) -> dict[int, Array]:
        """Runs one NPU segment and shows the memory after each command.

        At the beginning every byte but the inputs is `POISON`: what reads bytes that nobody wrote
        does not find the last run's.

        Args:
            index: as in `run_segment`.
            inputs: as in `run_segment`.
            watch: called with each command's number and the memory after it; reads only.
        """
        return self._segment(index).run(inputs, self._set_up, watch, poisoned=True)

    def profile_segment(self, index: int, inputs: Mapping[int, Array]) -> list[float]:
        """Seconds that simulating each of the segment's commands takes (not the NPU's time).

        Arguments and errors are those of `run_segment`.
        """
        moments = [perf_counter()]
        self._segment(index).run(inputs, self._set_up, lambda _, __: moments.append(perf_counter()))
        return [b - a for a, b in pairwise(moments)]

    def _set_up(self, lent: Memory) -> None:
        """Carries out the set-up of all of the program's segments, unless the memory has it."""
        if lent.set_up_of is self._holds:
            return
        lent.set_up_of = None
        for segment in self._segments.values():
            segment.set_up(lent)
        lent.set_up_of = self._holds

    def _segment(self, index: int) -> _Segment:
        if index not in self._segments:
            raise ExecutionFailure(f"segment {index} is not a segment of the NPU")
        return self._segments[index]


class _Segment:
    """A segment made ready."""

    def __init__(
        self, program: Program, segment: NpuSegment, machine: Machine, kernels: Kernels | None
    ) -> None:
        self._program = program
        self._segment = segment
        self._constants = np.frombuffer(section_view(segment.constants), np.uint8)
        self._memories = memory_pool(machine.slices, machine.slice_bytes)
        sizes = Sizes(
            machine.slices, machine.slice_bytes, segment.workspace_bytes, self._constants.size
        )
        preparation = Preparation(sizes, self._constants, kernels)
        for command in segment.commands:
            layer = program.layers[command.layer].name
            try:
                preparation.prepare(command, layer)
            except ExecutionFailure as failure:
                raise failure.at(layer=layer) from None
        self._plan = preparation.plan(segment.setup)

    def run(
        self,
        inputs: Mapping[int, Array],
        set_up: Callable[[Memory], None],
        watch: Watch | None = None,
        *,
        poisoned: bool = False,
    ) -> dict[int, Array]:
        """The outputs; `set_up` makes a memory ready, `watch` sees it after each command."""
        segment = self._segment
        with self._memories.lend() as lent:
            if poisoned:
                lent.set_up_of = None
                lent.buffer.fill(POISON)
            set_up(lent)
            with lent.serving(segment.workspace_bytes, self._constants) as memory:
                if poisoned:
                    memory.workspace.fill(POISON)
                for binding in segment.inputs:
                    self._write_input(memory, binding, inputs)
                if watch is None:
                    self._plan.run(memory)
                else:
                    self._plan.show(memory, watch)
                return {b.tensor: self._read_output(memory, b) for b in segment.outputs}

    def set_up(self, lent: Memory) -> None:
        """Loads what the segment has pinned."""
        with lent.serving(0, self._constants) as memory:
            self._plan.set_up(memory)

    def _write_input(self, memory: Memory, binding: Binding, inputs: Mapping[int, Array]) -> None:
        tensor = self._program.tensors[binding.tensor]
        if binding.tensor not in inputs:
            raise ExecutionFailure(f"input '{tensor.name}' is missing")
        array = np.asarray(inputs[binding.tensor])
        if array.dtype != tensor.dtype or array.shape != tensor.shape:
            raise ExecutionFailure(
                f"input '{tensor.name}' is {array.dtype}{list(array.shape)}, "
                f"not {tensor.dtype}{list(tensor.shape)}"
            )
        place = _place(memory, binding, tensor)
        if tensor.dtype == "uint8":
            np.bitwise_xor(array, 0x80, out=place.view(np.uint8))
        else:
            np.copyto(place, array)

    def _read_output(self, memory: Memory, binding: Binding) -> Array:
        tensor = self._program.tensors[binding.tensor]
        place = _place(memory, binding, tensor)
        return place ^ np.uint8(0x80) if tensor.dtype == "uint8" else place.copy()


def _place(memory: Memory, binding: Binding, tensor: Tensor) -> Array:
    """A tensor's bytes in the workspace."""
    return np.ndarray(tensor.shape, np.dtype(tensor.dtype), memory.workspace.data, binding.address)
