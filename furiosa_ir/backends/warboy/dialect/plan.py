"""What the planner decides, as plain data: where tensors lie and how kernels are split into steps.

Activations have four dimensions on the NPU, always (N, H, W, C) (`backends.warboy.enf.records`).
A *view* says how a tensor's own axes become those: one letter an axis, as in "NCHW" or "HC".
Neighbouring axes with one letter are folded; axes of extent 1 may carry any letter. Dimensions
without a letter have extent 1.
"""

from __future__ import annotations

from dataclasses import dataclass

Shape4 = tuple[int, int, int, int]
"""(N, H, W, C)."""


@dataclass(frozen=True, slots=True)
class KernelViews:
    """Under which views a kernel reads its operands and makes its result.

    Attributes:
        operands: one entry for each operand; None for weights, biases and tables, which have none.
        result: the result's.
    """

    operands: tuple[str | None, ...]
    result: str

    @property
    def text(self) -> str:
        """As IR has it: `("NCHW", none) -> "NCHW"`."""
        operands = ", ".join("none" if v is None else f'"{v}"' for v in self.operands)
        return f'({operands}) -> "{self.result}"'


@dataclass(frozen=True, slots=True)
class Runs:
    """A dimension whose elements no one stride places in DRAM: they lie there in runs.

    Attributes:
        dimension: of (N, H, W, C).
        extent: elements of a run, whose stride the allocation says.
        stride: bytes from one run to the next.
    """

    dimension: int
    extent: int
    stride: int


@dataclass(frozen=True, slots=True)
class Allocation:
    """A buffer's place in DRAM.

    Attributes:
        kind: "argument" or "result" (number `index` of the function), "own" (the workspace),
            "constant" (the constant of operation number `index`), "alias" (inside the allocation of
            buffer `index`).
        index: see `kind`.
        offset: bytes from the beginning of that place ("alias" only, else 0).
        strides: bytes from one element to the next along (N, H, W, C).
        size: bytes of the place ("own", "argument" and "result").
        runs: the dimensions along which the strides hold within runs only ("alias" only): a
            kernel stores each run by itself.
    """

    kind: str
    index: int
    offset: int
    strides: Shape4
    size: int
    runs: tuple[Runs, ...] = ()


@dataclass(frozen=True, slots=True)
class Buffer:
    """A tensor that kernels write and read, whole or in windows (the parts of a concatenation).

    Attributes:
        shape: (N, H, W, C).
        element: bytes of an element: 1 (i8), 4 (i32) or 8 (i48).
        slices: (Ho, Co), how many slices share height and channels while it is in SRAM.
        order: "HCW" or "HWC", how a slice holds its block.
        allocation: its place in DRAM; None if it never goes there.
        images: 1, or N: each image has slices of its own there.
        half: it lies in the slices of the second PE, from its first on.
    """

    shape: Shape4
    element: int
    slices: tuple[int, int]
    order: str
    allocation: Allocation | None
    images: int
    half: bool


@dataclass(frozen=True, slots=True)
class LiveRange:
    """A stretch of the program during which a buffer lies whole in SRAM.

    Attributes:
        buffer: which.
        first, last: kernels; the first one writes it, or it is loaded just before.
        filled: it is loaded from its allocation before kernel `first`.
        spilled: it is stored to its allocation after kernel `last`.
    """

    buffer: int
    first: int
    last: int
    filled: bool
    spilled: bool


@dataclass(frozen=True, slots=True)
class Stage:
    """SRAM for one operand's or the result's tile, where the buffer itself is not resident.

    Attributes:
        shape: (N, H, W, C) of the largest tile.
        slices, order: as in `Buffer`.
        slots: 2 if transfers of one tile overlap with work on another, else 1.
    """

    shape: Shape4
    slices: tuple[int, int]
    order: str
    slots: int


@dataclass(frozen=True, slots=True)
class OperandBinding:
    """How a kernel's operand or result lies in its buffer.

    Attributes:
        buffer: index into the function's buffers.
        offset, extent: the tensor's window of the buffer.
        stage: SRAM for its tiles; None where the buffer is resident.
    """

    buffer: int
    offset: Shape4
    extent: Shape4
    stage: Stage | None


@dataclass(frozen=True, slots=True)
class ParameterBinding:
    """A constant operand that is loaded as it is: weights, biases, multipliers, tables.

    Attributes:
        size: bytes of it in the constant section.
        by_channel: a block of the result's channels needs its own part, else all of it.
    """

    size: int
    by_channel: bool


@dataclass(frozen=True, slots=True)
class KernelPlan:
    """How one kernel is carried out.

    Attributes:
        operands: one entry for each operand.
        result: where the result goes.
        tile: (N, H, W, C) of the part of the result that one step makes.
        whole: dimensions that no tile splits, because something is reduced or gathered along them.
        store: each step's result is also stored to DRAM.
        prefetch: how many kernels ahead the first block's parameters are loaded; 0: just before.
        in_place: the operand whose buffer's place in SRAM the result's takes; None: it has its own.
        pinned: its parameters lie in SRAM from a session's set-up on, each block in its own place.
        beside: it runs on the second PE while the kernel in front of it runs on the first.
    """

    operands: tuple[OperandBinding | ParameterBinding, ...]
    result: OperandBinding
    tile: Shape4
    whole: tuple[int, ...]
    store: bool
    prefetch: int
    in_place: int | None
    pinned: bool
    beside: bool


@dataclass(frozen=True, slots=True)
class Move:
    """A strided copy from one allocation to another.

    Attributes:
        source: the buffer read.
        source_offset: bytes from the beginning of its allocation.
        source_strides: bytes along each dimension.
        target_offset, target_strides: the same of the buffer that the copy makes.
        extent: elements along each dimension.
    """

    source: int
    source_offset: int
    source_strides: tuple[int, ...]
    target_offset: int
    target_strides: tuple[int, ...]
    extent: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CopyPlan:
    """A copy in DRAM.

    Attributes:
        operands: the buffers it reads.
        result: the buffer it makes.
        moves: what has to be moved; nothing if the result is an alias of the operand's, or if
            the operands' kernels store straight into it.
    """

    operands: tuple[int, ...]
    result: int
    moves: tuple[Move, ...]


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """All buffers of a function, and when they lie in SRAM."""

    buffers: tuple[Buffer, ...]
    live_ranges: tuple[LiveRange, ...]


@dataclass(frozen=True, slots=True)
class KernelAddresses:
    """SRAM addresses of one kernel's own areas: bytes within every slice.

    Attributes:
        parameters: for each operand the addresses of its slots, () if it is no parameter.
        stages: for each operand, then for the result, the addresses of its stage's slots.
    """

    parameters: tuple[tuple[int, ...], ...]
    stages: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class MemoryAddresses:
    """Addresses of everything that outlives a kernel.

    Attributes:
        live_ranges: SRAM address of each live range.
        allocations: DRAM address of each buffer (in the workspace; for constants in the constant
            section; -1: none).
        sram_bytes: greatest byte used in any slice.
        workspace_bytes: size of the workspace.
        inputs, outputs: workspace addresses of the function's arguments and results.
        sram_bound: bytes of a slice that some kernel needs at once: no addresses take fewer.
        workspace_bound: the same of the workspace.
    """

    live_ranges: tuple[int, ...]
    allocations: tuple[int, ...]
    sram_bytes: int
    workspace_bytes: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    sram_bound: int
    workspace_bound: int


@dataclass(frozen=True, slots=True)
class LayerRow:
    """A row of the report, as `backends.warboy.enf.records.Layer` without its segment."""

    name: str
    operator: str
    macs: int
    weight_bytes: int


@dataclass(frozen=True, slots=True)
class LayerTable:
    """The rows of a segment, one a kernel; a command's `layer` is an index."""

    rows: tuple[LayerRow, ...]


PLAN_TYPES: tuple[type[object], ...] = (
    Runs,
    Allocation,
    Buffer,
    LiveRange,
    Stage,
    OperandBinding,
    ParameterBinding,
    KernelPlan,
    Move,
    CopyPlan,
    MemoryPlan,
    KernelAddresses,
    MemoryAddresses,
    LayerRow,
    LayerTable,
)
"""Everything above, for the parser."""
