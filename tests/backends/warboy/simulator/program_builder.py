"""Builds small programs by hand: one kernel, its loads and its store."""

from __future__ import annotations

import math
import zlib
from dataclasses import replace

import numpy as np

from furiosa_ir.backends.warboy.enf.records import (
    Command,
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
from furiosa_ir.backends.warboy.machine import load_machine
from furiosa_ir.backends.warboy.simulator.native.library import VARIANTS, load_kernels
from furiosa_ir.backends.warboy.vector_engine import Instruction
from furiosa_ir.errors import ExecutionFailure
from furiosa_ir.program import Binding, Layer, Program, Tensor


class ProgramBuilder:
    """Allocates memory in order and collects commands.

    Every Load and Store waits for the last command of the other engine, and so does every kernel.
    """

    def __init__(self, target: str = "warboy", slices: int | None = None) -> None:
        machine = load_machine(target)
        if slices is not None:
            machine = replace(machine, num_slices=slices)
        self.machine = machine
        self.target = target
        self.tensors: list[Tensor] = []
        self.inputs: list[Binding] = []
        self.outputs: list[Binding] = []
        self.commands: list[Command] = []
        self.constants = bytearray()
        self.workspace = 0
        self.sram = 0

    def tile(self, shape, slices=(1, 1), order="HCW", element=1, *, apart=False) -> SramTile:
        """A whole buffer; `apart`: each image in slices of its own, where there are so many."""
        shape = tuple(shape)
        images = shape[0] if apart and shape[0] * math.prod(slices) <= self.machine.slices else 1
        tile = SramTile(self.sram, shape, slices, order, element, (0, 0, 0, 0), shape, images)
        self.sram += tile.slice_bytes
        return tile

    def _dram(self, size: int) -> int:
        address = self.workspace
        self.workspace += -(-size // 64) * 64
        return address

    def input(self, shape, name="x", dtype="int8", *, slices=(1, 1), order="HCW", apart=False):
        """An input of (N, H, W, C), brought to SRAM."""
        tile = self.tile(shape, slices, order, apart=apart)
        self.tensors.append(Tensor(name, dtype, tuple(shape)))
        n, h, w, c = shape
        address = self._dram(n * h * w * c)
        self.inputs.append(Binding(len(self.tensors) - 1, address))
        source = DramTile("workspace", address, tuple(shape), (h * w * c, w * c, c, 1), 1)
        self.commands.append(Load(source, tile, 0))
        return tile

    def constant(self, array: np.ndarray) -> SramFlat:
        data = np.ascontiguousarray(array).tobytes()
        self.constants += b"\0" * (-len(self.constants) % 64)
        share = math.ceil(len(data) / self.machine.slices)
        each = math.ceil(share / 32) * 32
        flat = SramFlat(self.sram, len(data), each)
        self.sram += each
        self.commands.append(Load(DramFlat("constant", len(self.constants), len(data)), flat, 0))
        self.constants += data
        return flat

    def parameter(self, array: np.ndarray) -> Parameter:
        return Parameter(self.constant(array), array.shape, array.dtype.itemsize)

    def _wait(self) -> tuple[int, ...]:
        kinds = (Load, Store)
        last: dict[bool, int] = {isinstance(c, kinds): i for i, c in enumerate(self.commands)}
        return tuple(sorted(last.values()))

    def kernel(self, command: Dot | Pool | Vector) -> SramTile:
        self.commands.append(replace(command, waits=self._wait()))
        return command.result

    def output(self, tile: SramTile, name="y", dtype="int8") -> None:
        n, h, w, c = tile.extent
        e = tile.element
        self.tensors.append(Tensor(name, dtype, tile.extent))
        address = self._dram(n * h * w * c * e)
        self.outputs.append(Binding(len(self.tensors) - 1, address))
        strides = (h * w * c * e, w * c * e, c * e, e)
        target = DramTile("workspace", address, tile.extent, strides, e)
        self.commands.append(Store(tile, target, 0, self._wait()))

    def program(self) -> Program:
        segment = NpuSegment(
            "npu_0",
            tuple(self.inputs),
            tuple(self.outputs),
            self.workspace,
            self.sram,
            tuple(self.commands),
            bytes(self.constants),
        )
        return Program(
            self.target,
            self.machine.parameters(),
            tuple(self.tensors),
            tuple(b.tensor for b in self.inputs),
            tuple(b.tensor for b in self.outputs),
            (segment,),
            (Layer("layer", "Conv", 0, 0, 0),),
            compiler="test",
            options={"a": "b"},
            pipeline="p",
            source_hash="00" * 32,
            source_framework="onnx",
        )


def rescale(x=0, multiplier=1, shift=2, zp=0, low=-128, high=127, rounding="even", element=1):
    return Instruction("rescale", (x, multiplier, shift), (0, zp, low, high), rounding, element)


def simulate(builder: ProgramBuilder, *arrays):
    """The outputs of the builder's program.

    All kernels that this processor runs agree on them, and on the memory after each command.
    """
    from furiosa_ir.backends.warboy.checker import check_program

    program = builder.program()
    check_program(program)
    given = dict(zip([b.tensor for b in builder.inputs], arrays, strict=True))
    found, memory, failure = _trace(program, given, "0")
    for kernels in VARIANTS if load_kernels() else ():
        again, other, failed = _trace(program, given, kernels)
        assert memory == other, f"the memory that '{kernels}' leaves is another"
        assert str(failure) == str(failed)
        assert all(np.array_equal(found[t], again[t]) for t in found)
    if failure is not None:
        raise failure
    return [found[b.tensor] for b in builder.outputs]


def _trace(program, given, kernels):
    """The outputs, a checksum of the memory after each command, and the error that it ends in."""
    from furiosa_ir.backends.warboy.simulator.simulator import Simulator

    simulator = Simulator(program, check=False, kernels=kernels)
    sums = []

    def watch(_, memory):
        used = memory.sram[:, : program.segments[0].sram_bytes]
        sums.append((zlib.crc32(used.tobytes()), zlib.crc32(memory.workspace)))

    try:
        simulator.trace_segment(0, given, watch)
        return simulator.run_segment(0, given), sums, None  # the second run finds used memory
    except ExecutionFailure as failure:
        return {}, sums, failure
