"""Runs the NPU segments of an ENF program, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from time import perf_counter
from typing import Any, TypeAlias, cast

import numpy as np

from furiosa_ir.backends.warboy.checker import check_program
from furiosa_ir.backends.warboy.enf.commands import kind_of
from furiosa_ir.backends.warboy.enf.records import (
    Command,
    Copy,
    Dot,
    DramFlat,
    DramTile,
    Load,
    NpuSegment,
    Parameter,
    Pool,
    SramFlat,
    SramTile,
    Store,
    Vector,
)
from furiosa_ir.backends.warboy.enf.section import section_view
from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.simulator.contraction import prepare_dot
from furiosa_ir.backends.warboy.simulator.epilogue import Epilogue
from furiosa_ir.backends.warboy.simulator.memory import (
    Memory,
    Step,
    TileAccess,
    memory_pool,
    slice_stride,
)
from furiosa_ir.backends.warboy.simulator.pooling import prepare_pool
from furiosa_ir.backends.warboy.vector_engine.elements import DTYPES
from furiosa_ir.errors import ExecutionFailure
from furiosa_ir.numerics.array import Array
from furiosa_ir.program import Binding, Program, Tensor

POISON = 0xA5
"""What memory holds before anything is written, where a run is traced."""

Watch: TypeAlias = Callable[[int, Memory], None]
"""Is told the number of the command that is done, and the memory."""


class Simulator:
    """A program made ready to run on simulated NPUs.

    All preparation (checks, weight layout, tables) happens here once. Running is thread-safe: each
    run works in a `Memory` of its own, which other runs then use again, of other programs too.

    Args:
        program: what the ENF reader or the compiler made.
        check: run `check_program` first; leave it out only where it has been run already.

    Raises:
        ExecutionFailure, VerificationFailure: the program breaks a rule of the machine.
    """

    def __init__(self, program: Program, *, check: bool = True) -> None:
        if check:
            check_program(program)
        self.program = program
        self.machine = Machine.from_parameters(program.machine)
        self._segments: dict[int, _Segment] = {
            index: _Segment(program, segment, self.machine)
            for index, segment in enumerate(program.segments)
            if isinstance(segment, NpuSegment)
        }

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
        return self._segment(index).run(inputs)

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
        return self._segment(index).run(inputs, watch, poisoned=True)

    def profile_segment(self, index: int, inputs: Mapping[int, Array]) -> list[float]:
        """Seconds that simulating each of the segment's commands takes (not the NPU's time).

        Arguments and errors are those of `run_segment`.
        """
        moments = [perf_counter()]
        self._segment(index).run(inputs, lambda _, __: moments.append(perf_counter()))
        return [b - a for a, b in pairwise(moments)]

    def _segment(self, index: int) -> _Segment:
        if index not in self._segments:
            raise ExecutionFailure(f"segment {index} is not a segment of the NPU")
        return self._segments[index]


class _Segment:
    def __init__(self, program: Program, segment: NpuSegment, machine: Machine) -> None:
        self._program = program
        self._segment = segment
        self._constants = np.frombuffer(section_view(segment.constants), np.uint8)
        self._memories = memory_pool(machine.slices, machine.slice_bytes)
        preparation = _Preparation(slice_stride(machine.slice_bytes), self._constants)
        self._steps: list[Step] = []
        for number, command in enumerate(segment.commands):
            try:
                self._steps.append(preparation.prepare(command))
            except ExecutionFailure as failure:
                raise failure.at(layer=self._layer(number)) from None

    def run(
        self, inputs: Mapping[int, Array], watch: Watch | None = None, *, poisoned: bool = False
    ) -> dict[int, Array]:
        """The outputs; `watch` sees the memory after each command."""
        segment = self._segment
        with (
            self._memories.lend() as lent,
            lent.serving(segment.workspace_bytes, self._constants) as memory,
        ):
            if poisoned:
                memory.buffer.fill(POISON)
                memory.workspace.fill(POISON)
            for binding in segment.inputs:
                self._write_input(memory, binding, inputs)
            for number, step in enumerate(self._steps):
                try:
                    step(memory)
                except ExecutionFailure as failure:
                    raise failure.at(layer=self._layer(number)) from None
                if watch is not None:
                    watch(number, memory)
            return {b.tensor: self._read_output(memory, b) for b in segment.outputs}

    def _layer(self, number: int) -> str:
        return self._program.layers[self._segment.commands[number].layer].name

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


class _Preparation:
    """Turns commands into steps, in order of issue.

    It follows which parameters lie in SRAM: those that come from the constant section are known
    now, so weights are laid out and tables built once. The DMA that brings them still runs.
    """

    def __init__(self, slice_stride: int, constants: Array) -> None:
        self._stride = slice_stride
        self._constants = constants
        self._known: dict[SramFlat, Array] = {}

    def prepare(self, command: Command) -> Step:
        """The step of the next command."""
        kind = kind_of(command)
        step = _STEPS[kind.name](self, command)
        written = kind.sram_written(command)
        if written is not None:
            self._forget(written.address, written.slice_bytes)
        if isinstance(command, Load) and isinstance(command.source, DramFlat):
            self._learn(command.source, cast("SramFlat", command.target))
        return step

    def load_tile(self, command: Load) -> Step:
        """A tile from DRAM, sliced on the way."""
        source, target = cast("DramTile", command.source), cast("SramTile", command.target)
        tile = TileAccess(target, self._stride)
        return lambda memory: tile.scatter(memory, memory.dram(source))

    def load_flat(self, command: Load) -> Step:
        """Bytes from DRAM, which are known if they are constants."""
        source, target = cast("DramFlat", command.source), cast("SramFlat", command.target)
        return lambda memory: memory.write_flat(target, memory.dram_bytes(source))

    def store(self, command: Store) -> Step:
        """A tile to DRAM."""
        tile, target = TileAccess(command.source, self._stride), command.target
        return lambda memory: tile.gather(memory, memory.dram(target))

    def copy(self, command: Copy) -> Step:
        """DRAM to DRAM."""
        source, target = command.source, command.target
        return lambda memory: np.copyto(memory.dram(target), memory.dram(source))

    def _learn(self, source: DramFlat, target: SramFlat) -> None:
        """Notes bytes of the constant section that lie in SRAM now."""
        if source.region == "constant":
            self._known[target] = self._constants[source.address : source.address + source.size]

    def _forget(self, address: int, size: int) -> None:
        """Forgets what was known of bytes that are overwritten (in any slice)."""
        gone = [
            flat
            for flat in self._known
            if flat.address < address + size and address < flat.address + flat.slice_bytes
        ]
        for flat in gone:
            del self._known[flat]

    def kernel(self, command: Vector | Dot | Pool) -> Step:
        """A step of the engines, made ready once if its parameters are known."""
        flats = [p.memory for p in command.parameters]
        if isinstance(command, Dot):
            flats += [flat for flat in (command.weight, command.bias) if flat is not None]
        if all(flat in self._known for flat in flats):
            known = {flat: self._known[flat] for flat in flats}
            return _make_kernel(command, known, self._stride)
        stride = self._stride

        def run(memory: Memory) -> None:
            # Parameters that the network computes: made ready in each run.
            found = {flat: memory.read_flat(flat) for flat in flats}
            _make_kernel(command, found, stride)(memory)

        return run


_STEPS: dict[str, Callable[[_Preparation, Any], Step]] = {
    "load_tile": _Preparation.load_tile,
    "load_flat": _Preparation.load_flat,
    "store": _Preparation.store,
    "copy": _Preparation.copy,
    "vector": _Preparation.kernel,
    "dot": _Preparation.kernel,
    "pool": _Preparation.kernel,
}
"""What carries out each of `enf.commands.COMMANDS`."""


def _make_kernel(
    command: Vector | Dot | Pool, contents: Mapping[SramFlat, Array], stride: int
) -> Step:
    parameters = [_parameter(p, contents) for p in command.parameters]
    match command:
        case Dot():
            weight = bias = None
            if command.weight is not None:
                weight = contents[command.weight].view(np.int8).reshape(command.weight_shape)
            if command.bias is not None:
                bias = np.frombuffer(contents[command.bias].tobytes(), "<i4")
            return prepare_dot(command, weight, bias, parameters, stride)
        case Pool():
            return prepare_pool(command, parameters, stride)
        case Vector():
            epilogue = Epilogue(
                command.program, None, command.operands, parameters, command.result, stride
            )
            return lambda memory: epilogue.run(memory, None)


def _parameter(parameter: Parameter, contents: Mapping[SramFlat, Array]) -> Array:
    data = contents[parameter.memory].tobytes()
    return cast("Array", np.frombuffer(data, DTYPES[parameter.element]).reshape(parameter.shape))
