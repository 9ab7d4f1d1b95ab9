"""Commands into a plan: in words for the compiled kernels, or in numpy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np

from furiosa_ir.backends.warboy.enf.commands import kind_of
from furiosa_ir.backends.warboy.enf.records import (
    Command,
    Copy,
    Dot,
    DramFlat,
    DramTile,
    Load,
    Parameter,
    Pool,
    SramFlat,
    SramTile,
    Store,
    Vector,
)
from furiosa_ir.backends.warboy.simulator.contraction import prepare_dot
from furiosa_ir.backends.warboy.simulator.epilogue import Epilogue
from furiosa_ir.backends.warboy.simulator.memory import Memory, Step, TileAccess
from furiosa_ir.backends.warboy.simulator.native.encoding import Encoder
from furiosa_ir.backends.warboy.simulator.native.library import Kernels
from furiosa_ir.backends.warboy.simulator.native.tiles import Sizes
from furiosa_ir.backends.warboy.simulator.native.words import Constants, Words
from furiosa_ir.backends.warboy.simulator.plan import Plan
from furiosa_ir.backends.warboy.simulator.pooling import prepare_pool
from furiosa_ir.backends.warboy.vector_engine.elements import DTYPES
from furiosa_ir.numerics.array import Array


class Preparation:
    """Turns commands into a plan, in order of issue.

    It follows which parameters lie in SRAM: those that come from the constant section are known
    now, so weights are packed and tables built once. The DMA that brings them still runs. What is
    known stays so from one `plan` to the next.

    Args:
        sizes: of the memories.
        constants: the segment's constant section.
        kernels: the compiled ones; None: numpy does everything.
    """

    def __init__(self, sizes: Sizes, constants: Array, kernels: Kernels | None) -> None:
        self._stride = sizes.stride
        self._constants = constants
        self._kept = Constants()
        self._run_plan = kernels.run_plan if kernels else None
        self._encoder = Encoder(sizes, self._kept, kernels.packing) if kernels else None
        self._known: dict[SramFlat, Array] = {}
        self._prepared: list[Words | Step] = []
        self._layers: list[str] = []

    def prepare(self, command: Command, layer: str) -> None:
        """Makes the next command ready, of the layer that failures name."""
        kind = kind_of(command)
        words = self._encoder.encode(command, self._known) if self._encoder else None
        self._prepared.append(words or _STEPS[kind.name](self, command))
        self._layers.append(layer)
        written = kind.sram_written(command)
        if written is not None:
            self._forget(written.address, written.slice_bytes)
        if isinstance(command, Load) and isinstance(command.source, DramFlat):
            self._learn(command.source, cast("SramFlat", command.target))

    def plan(self, setup: int = 0) -> Plan:
        """The plan of what has been prepared since the last one, its first `setup` the set-up."""
        plan = Plan(self._prepared, self._layers, self._run_plan, self._kept, setup)
        self._prepared, self._layers = [], []
        return plan

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


_STEPS: dict[str, Callable[[Preparation, Any], Step]] = {
    "load_tile": Preparation.load_tile,
    "load_flat": Preparation.load_flat,
    "store": Preparation.store,
    "copy": Preparation.copy,
    "vector": Preparation.kernel,
    "dot": Preparation.kernel,
    "pool": Preparation.kernel,
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
