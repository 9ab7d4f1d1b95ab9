"""Small programs by hand: what the test vectors of docs/enf.md are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np

from furiosa_ir.backends.warboy.enf.commands import ENGINE
from furiosa_ir.backends.warboy.enf.records import (
    Command,
    DramFlat,
    DramTile,
    Load,
    NpuSegment,
    Parameter,
    SramFlat,
    SramTile,
    Store,
    Vector,
    is_beside,
)
from furiosa_ir.backends.warboy.machine import load_machine
from furiosa_ir.backends.warboy.vector_engine import Instruction
from furiosa_ir.program import Binding, HostSegment, Layer, Program, Tensor, Variable

ELEMENT = {"int8": 1, "uint8": 1, "bool": 1, "int32": 4, "int64": 8}
DTYPE = {1: "int8", 4: "int32", 8: "int64"}


def dense(shape: Sequence[int], element: int) -> tuple[int, ...]:
    """Strides in bytes."""
    return tuple(prod(shape[axis + 1 :]) * element for axis in range(len(shape)))


def op(name: str, *operands: int, immediates: Any = (), mode: str = "", to: int = 1) -> Instruction:
    return Instruction(name, operands, tuple(int(i) for i in immediates), mode, to)


@dataclass
class Segment:
    """An NPU segment in the making; what is loaded first of all with `pin` is its set-up."""

    name: str
    inputs: list[Binding] = field(default_factory=list)
    outputs: list[Binding] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    constants: bytearray = field(default_factory=bytearray)
    workspace: int = 0
    setup: int = 0
    layer: int = 0


class Builder:
    """Collects tensors and segments; SRAM is handed out once, to all segments together."""

    def __init__(self, target: str = "warboy") -> None:
        self.target, self.machine = target, load_machine(target)
        self.tensors: list[Tensor] = []
        self.inputs: list[int] = []
        self.outputs: list[int] = []
        self.names: tuple[str, ...] = ()
        self.variables: list[Variable] = []
        self.segments: list[Segment | HostSegment] = []
        self.layers: list[Layer] = []
        self.sram = 0
        self.segment()

    def segment(self) -> None:
        """Begins another NPU segment."""
        number = len(self.segments)
        self.layers.append(Layer(f"layer_{number}", "Test", number, 0, 0))
        self.here = Segment(f"npu_{number}", layer=number)
        self.segments.append(self.here)

    def host(self, segment: HostSegment) -> None:
        """Takes the place of the segment that has just begun."""
        self.segments[-1] = segment

    def tensor(self, name: str, dtype: str, shape: Sequence[int], *quantised: Any) -> int:
        self.tensors.append(Tensor(name, dtype, tuple(shape), *quantised))
        return len(self.tensors) - 1

    # Places --------------------------------------------------------------------------------

    def tile(self, shape: Sequence[int], slices=(1, 1), order="HCW", element=1, images=1, first=0):
        """A whole buffer."""
        shape = tuple(shape)
        tile = SramTile(
            self.sram, shape, slices, order, element, (0, 0, 0, 0), shape, images, first
        )
        self.sram += tile.slice_bytes
        return tile

    def room(self, size: int) -> int:
        """An address of the workspace."""
        address = self.here.workspace
        self.here.workspace += -(-size // 64) * 64
        return address

    def bind(self, tensor: int, address: int | None = None) -> DramTile:
        """A tensor as an input of the segment, four dimensions or fewer."""
        t = self.tensors[tensor]
        element = ELEMENT[t.dtype]
        address = self.room(prod(t.shape) * element) if address is None else address
        self.here.inputs.append(Binding(tensor, address))
        extent = (1,) * (4 - len(t.shape)) + t.shape
        return DramTile("workspace", address, extent, dense(extent, element), element)

    # Commands ------------------------------------------------------------------------------

    def add(self, command: Any) -> Any:
        """Issues a command behind all that has been issued of the other engine."""
        engine, commands = ENGINE[type(command)], self.here.commands
        other = [i for i, c in enumerate(commands) if ENGINE[type(c)] != engine]
        waits = tuple(i for i in other[-1:] if i >= self.here.setup)
        if is_beside(command):
            waits = commands[-1].waits
        commands.append(replace(command, waits=waits, layer=self.here.layer))
        return getattr(command, "result", None) or command.target

    def load(self, source: DramTile, tile: SramTile) -> SramTile:
        return self.add(Load(source, tile, 0))

    def input(self, array: np.ndarray, *tile: Any, name: str = "", **how: Any) -> SramTile:
        """A new input of the network, brought to SRAM."""
        name = name or f"x{len(self.inputs)}"
        tensor = self.tensor(name, array.dtype.name, array.shape)
        self.inputs.append(tensor)
        source = self.bind(tensor)
        how.setdefault("element", source.element)
        return self.load(source, self.tile(source.extent, *tile, **how))

    def constant(self, array: np.ndarray, *, pin: bool = False) -> SramFlat:
        """An array in the constant section, and in SRAM."""
        array = np.ascontiguousarray(array)
        constants = self.here.constants
        constants += bytes(-len(constants) % 64)
        share = -(-array.nbytes // self.machine.slices)
        flat = SramFlat(self.sram, array.nbytes, -(-share // 32) * 32)
        self.sram += flat.slice_bytes
        source = DramFlat("constant", len(constants), array.nbytes)
        constants += array.tobytes()
        self.add(Load(source, flat, 0))
        if pin:
            assert self.here.setup == len(self.here.commands) - 1, "pinned behind a run's commands"
            self.here.setup += 1
        return flat

    def parameter(self, values: Any, dtype: str = "int32", *, pin: bool = False) -> Parameter:
        """A parameter of four dimensions (numbers are [1, 1, 1, 1]), or a table."""
        array = np.array(values, dtype)
        if array.shape != (256,):
            array = array.reshape((1,) * (4 - array.ndim) + array.shape)
        return Parameter(self.constant(array, pin=pin), array.shape, array.itemsize)

    def vector(self, operands, program=(), parameters=(), *, result=None, **tile: Any) -> SramTile:
        """A `Vector`; by default its result has the shape of the first operand."""
        if result is None:
            tile.setdefault("element", program[-1].element if program else operands[0].element)
            result = self.tile(tile.pop("shape", operands[0].extent), **tile)
        return self.add(Vector(tuple(operands), tuple(parameters), tuple(program), result, 0))

    def output(self, tile: SramTile, dtype: str = "", name: str = "") -> int:
        """A new tensor that the network returns, stored from SRAM."""
        name = name or f"y{len(self.outputs)}"
        tensor = self.tensor(name, dtype or DTYPE[tile.element], tile.extent)
        self.outputs.append(tensor)
        self.store(tile, tensor)
        return tensor

    def store(self, tile: SramTile, tensor: int) -> None:
        """The segment makes a tensor."""
        address = self.room(prod(tile.extent) * tile.element)
        self.here.outputs.append(Binding(tensor, address))
        strides = dense(tile.extent, tile.element)
        self.add(Store(tile, DramTile("workspace", address, tile.extent, strides, tile.element), 0))

    # The whole -----------------------------------------------------------------------------

    def program(self) -> Program:
        return Program(
            self.target,
            self.machine.parameters(),
            tuple(self.tensors),
            tuple(self.inputs),
            tuple(self.outputs),
            tuple(s if isinstance(s, HostSegment) else self._npu(s) for s in self.segments),
            tuple(self.layers),
            output_names=self.names,
            variables=tuple(self.variables),
        )

    def _npu(self, s: Segment) -> NpuSegment:
        return NpuSegment(
            s.name,
            tuple(s.inputs),
            tuple(s.outputs),
            s.workspace,
            self.sram,
            tuple(s.commands),
            bytes(s.constants),
            setup=s.setup,
        )
