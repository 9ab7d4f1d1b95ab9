"""The steps of one kernel, as records: its tiles' loads, commands and stores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod

from furiosa_ir.backends.warboy.commands.vector_program import vector_program
from furiosa_ir.backends.warboy.dialect.kernels import DotOp, KernelOp, PoolOp
from furiosa_ir.backends.warboy.dialect.plan import (
    Buffer,
    KernelAddresses,
    MemoryPlan,
    OperandBinding,
    ParameterBinding,
)
from furiosa_ir.backends.warboy.enf.records import (
    Command,
    Dot,
    DramFlat,
    DramTile,
    Load,
    Parameter,
    Pool,
    Shape4,
    SramFlat,
    SramTile,
    Store,
    Vector,
)
from furiosa_ir.backends.warboy.machine import PE_SLICES, Machine
from furiosa_ir.backends.warboy.planning.dram_runs import run_tiles
from furiosa_ir.backends.warboy.planning.geometry import (
    Reading,
    element_bytes,
    groups_in,
    planned_geometry,
    reading,
    tile_ranges,
)
from furiosa_ir.backends.warboy.planning.kernel_views import table_operands, weight_operands
from furiosa_ir.backends.warboy.planning.layouts import flat_bytes
from furiosa_ir.backends.warboy.planning.tiles import CHANNELS
from furiosa_ir.backends.warboy.planning.views import shifted
from furiosa_ir.backends.warboy.vector_engine import Instruction
from furiosa_ir.dialects.ftensor import contraction
from furiosa_ir.errors import VerificationFailure


@dataclass(frozen=True, slots=True)
class DramMap:
    """Where buffers lie in DRAM: the plan's buffers and the address of each."""

    memory: MemoryPlan
    addresses: Sequence[int]

    def region(self, buffer: int) -> str:
        """The region that a buffer's allocation is in: "constant" or "workspace"."""
        allocation = self.memory.buffers[buffer].allocation
        if allocation is not None and allocation.kind == "alias":
            allocation = self.memory.buffers[allocation.index].allocation
        assert allocation is not None
        return "constant" if allocation.kind == "constant" else "workspace"

    def tiles(
        self, buffer: int, offset: Shape4, extent: Shape4
    ) -> Iterator[tuple[Shape4, DramTile]]:
        """A window of a buffer in DRAM: its tiles, and where in the window each begins.

        One, but of a buffer that lies there in runs.
        """
        plan = self.memory.buffers[buffer]
        assert plan.allocation is not None
        address, region = self.addresses[buffer], self.region(buffer)
        tiles = run_tiles(plan.allocation, address, region, offset, extent, plan.element)
        for at, tile in tiles:
            n, h, w, c = (a - o for a, o in zip(at, offset, strict=True))
            yield (n, h, w, c), tile


@dataclass(frozen=True, slots=True)
class Window:
    """A part of what a kernel reads or makes, along (N, H, W, C) of the value's own view.

    Attributes:
        operand: number of the operand; as many as there are operands: the result.
        offset, extent: where the part lies in the value.
    """

    operand: int
    offset: Shape4
    extent: Shape4


@dataclass(frozen=True, slots=True)
class ParameterBytes:
    """`size` bytes of operand number `operand` from byte `low` on."""

    operand: int
    low: int
    size: int


@dataclass(frozen=True, slots=True)
class BufferPart:
    """A buffer, or a part of it, as far as it is written.

    Attributes:
        buffer: index into the function's buffers.
        complete: the command's own kernel has written its part, too.
        offset: where the part begins.
    """

    buffer: int
    complete: bool
    offset: Shape4


Content = Window | ParameterBytes | BufferPart | None
"""What a command's target holds once it is done; None for copies, which say it by their plan."""

Issued = tuple[Command, Content]
"""A command and what it means: how `--verify` knows what to compare its target with."""


@dataclass(frozen=True, slots=True)
class Step:
    """One tile of a kernel's result: where, and what it reads."""

    number: int
    offset: Shape4
    extent: Shape4
    reads: Reading


class KernelSteps:
    """Makes a kernel's commands, step by step; the caller decides their order.

    Args:
        op: the kernel.
        number: its place in the program.
        addresses: of its areas.
        dram: DRAM.
        resident: buffer -> SRAM address, of the buffers that are resident during this kernel.
        constants: for each operand the address in the constant section, of parameters.
        machine: for the striping of parameters.
    """

    def __init__(
        self,
        op: KernelOp,
        number: int,
        addresses: KernelAddresses,
        dram: DramMap,
        resident: dict[int, int],
        constants: Sequence[int],
        machine: Machine,
    ) -> None:
        self._op = op
        self._plan = op.kernel_plan
        self._geometry = planned_geometry(op)
        self._addresses = addresses
        self._dram = dram
        self._resident = resident
        self._constants = constants
        self._machine = machine
        self._layer = number
        self._loaded: dict[int, tuple[int, tuple[Shape4, Shape4]]] = {}
        self._windows: dict[tuple[int, int], SramTile] = {}
        roles = weight_operands(op)
        first = 1 if isinstance(op, DotOp | PoolOp) else 0
        parameters = self._geometry.parameters
        self._tiles = [i for i, p in enumerate(parameters) if p is None and i >= first]
        self._parameters = [i for i, p in enumerate(parameters) if p and i not in roles]
        self._tables = table_operands(op)
        self._weight = next((i for i, role in roles.items() if role == "weight"), -1)
        self._bias = next((i for i, role in roles.items() if role == "bias"), -1)
        self._program: tuple[Instruction, ...] = vector_program(
            op, op.kernel_views.result, self._tiles, self._parameters
        )
        self.steps = list(self._make_steps())

    def _make_steps(self) -> Iterator[Step]:
        """Blocks of channels outermost: parameters are loaded once, tiles once a block."""
        geometry, tile = self._geometry, self._plan.tile
        ranges = [tile_ranges(geometry.result[d], tile[d]) for d in range(4)]
        number = 0
        for c in ranges[CHANNELS]:
            for n in ranges[0]:
                for h in ranges[1]:
                    for w in ranges[2]:
                        offset = (n[0], h[0], w[0], c[0])
                        extent = (n[1], h[1], w[1], c[1])
                        yield Step(number, offset, extent, reading(geometry, offset, extent))
                        number += 1

    @property
    def overlaps(self) -> bool:
        """Whether the next step's tiles have room while one step works."""
        return all(
            isinstance(b, ParameterBinding) or b.stage is None or b.stage.slots > 1
            for b in (*self._plan.operands, self._plan.result)
        )

    def _block(self, step: Step) -> int:
        return step.offset[CHANNELS] // self._plan.tile[CHANNELS]

    def set_up(self) -> Iterator[tuple[Load, ParameterBytes]]:
        """What a session's set-up loads: all blocks of the kernel's parameters, if pinned."""
        if self._plan.pinned:
            for step in self.steps:
                yield from self._load_parameters(step)

    def load_parameters(self, step: Step) -> Iterator[Issued]:
        """Parameters of the step's block of channels, if they are not there from before."""
        if not self._plan.pinned:
            yield from self._load_parameters(step)

    def _load_parameters(self, step: Step) -> Iterator[tuple[Load, ParameterBytes]]:
        block = self._block(step)
        before = self._block(self.steps[step.number - 1]) if step.number else -1
        geometry = self._geometry
        for operand, parameter in enumerate(geometry.parameters):
            if parameter is None:
                continue
            if step.number and (not parameter.by_channel or block == before):
                continue
            low, size = 0, parameter.size
            if parameter.by_channel:
                per_channel = size // geometry.result[CHANNELS]
                low = step.offset[CHANNELS] * per_channel
                size = step.extent[CHANNELS] * per_channel
            source = DramFlat("constant", self._constants[operand] + low, size)
            load = Load(source, self._flat(operand, block, size), self._layer)
            yield load, ParameterBytes(operand, low, size)

    def _flat(self, operand: int, block: int, size: int) -> SramFlat:
        slots = self._addresses.parameters[operand]
        return SramFlat(slots[block % len(slots)], size, flat_bytes(size, self._machine))

    def _parameter(self, step: Step, operand: int) -> SramFlat:
        geometry = self._geometry
        parameter = geometry.parameters[operand]
        if parameter is None:
            raise VerificationFailure(
                f"{self._op.name}: the plan has operand {operand} as a tile, and it is a parameter"
            )
        size = parameter.size
        if parameter.by_channel:
            size = size // geometry.result[CHANNELS] * step.extent[CHANNELS]
        return self._flat(operand, self._block(step), size)

    def load_tiles(self, step: Step) -> Iterator[Issued]:
        """Tiles of the operands that are not resident, unless they are there from before."""
        for operand, binding in enumerate(self._plan.operands):
            if isinstance(binding, ParameterBinding) or binding.stage is None:
                continue
            window = step.reads.windows[operand]
            assert window is not None
            known = self._loaded.get(operand)
            if known is None or known[1] != window:
                slot = 0 if known is None else (known[0] + 1) % binding.stage.slots
                self._loaded[operand] = (slot, window)
                offset, extent = window
                target = self._stage(operand, binding, slot, extent)
                begin = shifted(binding.offset, offset)
                for at, source in self._dram.tiles(binding.buffer, begin, extent):
                    part = Window(operand, shifted(offset, at), source.extent)
                    yield Load(source, part_of(target, at, source.extent), self._layer), part
            slot = self._loaded[operand][0]
            self._windows[operand, step.number] = self._stage(operand, binding, slot, window[1])

    def fill_parts(self, buffer: int) -> list[tuple[Shape4, Shape4]]:
        """The windows of a buffer to load one after the other, so that no step waits for all.

        Columns, in whole lines, or images, as the steps read them; none where they read all of it,
        or other parts. Together they are the whole buffer.
        """
        shape, binding = self._dram.memory.buffers[buffer].shape, self._plan.operands[0]
        whole, tile = self._geometry.result, self._plan.tile
        reads = [b.buffer for b in self._plan.operands if isinstance(b, OperandBinding)]
        if not isinstance(binding, OperandBinding) or binding.buffer != buffer:
            return []
        if binding.extent != shape or reads.count(buffer) != 1 or tile == whole:
            return []
        if (tile[1], tile[3]) != (whole[1], whole[3]):
            return []
        parts: list[tuple[Shape4, Shape4]] = []
        loaded: dict[tuple[int, int], int] = {}

        def load(images: tuple[int, int], high: int) -> None:
            low = loaded.get(images, 0)
            if high > low:
                loaded[images] = high
                extent = (images[1], shape[1], high - low, shape[CHANNELS])
                parts.append(((images[0], 0, low, 0), extent))

        line = self._machine.line_bytes
        for step in self.steps:
            window = step.reads.windows[0]
            assert window is not None
            (image, _, left, _), (images, _, columns, _) = window
            load((image, images), min(-(-(left + columns) // line) * line, shape[2]))
        for images in list(loaded):
            load(images, shape[2])
        return parts if sum(prod(extent) for _, extent in parts) == prod(shape) else []

    def _stage(self, operand: int, binding: OperandBinding, slot: int, extent: Shape4) -> SramTile:
        stage = binding.stage
        assert stage is not None
        return SramTile(
            self._addresses.stages[operand][slot],
            stage.shape,
            stage.slices,
            stage.order,
            self._dram.memory.buffers[binding.buffer].element,
            (0, 0, 0, 0),
            extent,
        )

    def _operand(self, step: Step, operand: int) -> SramTile:
        binding = self._plan.operands[operand]
        window = step.reads.windows[operand]
        assert isinstance(binding, OperandBinding)
        assert window is not None
        if binding.stage is not None:
            return self._windows[operand, step.number]
        return self._window(binding, *window)

    def _window(self, binding: OperandBinding, offset: Shape4, extent: Shape4) -> SramTile:
        buffer = self._dram.memory.buffers[binding.buffer]
        return resident_tile(
            buffer, self._resident[binding.buffer], shifted(binding.offset, offset), extent
        )

    def _result(self, step: Step) -> SramTile:
        binding = self._plan.result
        if binding.stage is None:
            return self._window(binding, step.offset, step.extent)
        slot = step.number % binding.stage.slots
        return self._stage(len(self._plan.operands), binding, slot, step.extent)

    def store(self, step: Step) -> Iterator[Issued]:
        """The step's result to its allocation, if it goes there."""
        if self._plan.store:
            binding, made = self._plan.result, self._result(step)
            begin = shifted(binding.offset, step.offset)
            for at, target in self._dram.tiles(binding.buffer, begin, step.extent):
                part = Window(len(self._plan.operands), shifted(step.offset, at), target.extent)
                yield Store(part_of(made, at, target.extent), target, self._layer), part

    def execute(self, step: Step) -> Issued:
        """The step itself."""
        return self._command(step), self._made(step)

    def _made(self, step: Step) -> Window:
        return Window(len(self._plan.operands), step.offset, step.extent)

    def _command(self, step: Step) -> Command:
        op, geometry = self._op, self._geometry
        operands = tuple(self._operand(step, i) for i in self._tiles)
        parameters = tuple(self._make_parameter(step, i) for i in self._parameters)
        result = self._result(step)
        if isinstance(op, PoolOp):
            head = op.head
            assert isinstance(head, contraction.ReduceWindowOp)
            window = geometry.window
            assert window is not None
            return Pool(
                self._operand(step, 0), head.kind.data, window.kernel, window.strides,
                window.dilations, step.reads.pads, head.x_zp.value.data, operands, parameters,
                self._program, result, self._layer, beside=self._plan.beside,
            )  # fmt: skip
        if isinstance(op, DotOp):
            return self._dot(op, step, operands, parameters, result)
        beside = self._plan.beside
        return Vector(operands, parameters, self._program, result, self._layer, beside=beside)

    def _dot(
        self,
        op: DotOp,
        step: Step,
        operands: tuple[SramTile, ...],
        parameters: tuple[Parameter, ...],
        result: SramTile,
    ) -> Dot:
        geometry, head = self._geometry, op.head
        window = geometry.window
        kernel, strides, dilations, input_dilation = ((1, 1),) * 4
        if window is not None:
            kernel, strides = window.kernel, window.strides
            dilations, input_dilation = window.dilations, window.input_dilation
        if isinstance(head, contraction.ConvOp):
            x_zp, weight_zp = head.x_zp.value.data, head.weight_zp.value.data
        else:
            assert isinstance(head, contraction.MatMulOp)
            x_zp, weight_zp = head.a_zp.value.data, head.b_zp.value.data
        outputs = step.extent[CHANNELS]
        batched = geometry.kind == "batched"
        return Dot(
            x=self._operand(step, 0),
            weight=None if batched else self._parameter(step, self._weight),
            weight_shape=(outputs, *kernel, geometry.inner),
            bias=None if self._bias < 0 else self._parameter(step, self._bias),
            strides=strides,
            dilations=dilations,
            input_dilation=input_dilation,
            pads=step.reads.pads,
            group=groups_in(geometry, step.offset[CHANNELS], outputs),
            x_zp=x_zp,
            weight_zp=weight_zp,
            batched=batched,
            operands=operands,
            parameters=parameters,
            program=self._program,
            result=result,
            layer=self._layer,
            beside=self._plan.beside,
        )

    def _make_parameter(self, step: Step, operand: int) -> Parameter:
        value = self._op.inputs[operand]
        element = element_bytes(value)
        memory = self._parameter(step, operand)
        if operand in self._tables:
            return Parameter(memory, (256,), element)
        return Parameter(memory, (1, 1, 1, memory.size // element), element)


def part_of(tile: SramTile, offset: Shape4, extent: Shape4) -> SramTile:
    """A part of a tile's window."""
    if extent == tile.extent:
        return tile
    return replace(tile, offset=shifted(tile.offset, offset), extent=extent)


def resident_tile(buffer: Buffer, address: int, offset: Shape4, extent: Shape4) -> SramTile:
    """A window of a buffer that lies in SRAM."""
    return SramTile(
        address,
        buffer.shape,
        buffer.slices,
        buffer.order,
        buffer.element,
        offset,
        extent,
        buffer.images,
        PE_SLICES if buffer.half else 0,
    )
