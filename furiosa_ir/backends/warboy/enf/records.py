"""What NPU segments consist of, as plain data: the interface of code generator and simulator.

Activations on the NPU have four dimensions, always in the order (N, H, W, C), whatever order their
framework uses: a tensor of another rank is folded into them by the planner, and a DRAM tensor's
strides say how its dense elements really lie. uint8 data is held as int8 (top bit flipped).

One command is one step on all slices of the PE in lockstep. Commands are issued in order to two
engines, each of which works through its own commands in order: "dma" (`Load`, `Store`, `Copy`) and
"npu" (`Dot`, `Pool`, `Vector`). `waits` are the tokens: indices of earlier commands, of either
engine, that must be complete before this one starts. Nothing else orders the two engines.

Two PEs fused work on one command, or each on one of its own: a command that is `beside` starts when
the one in front of it has started, not ended. The results of the two lie in slices of one PE each.
The token of the second is complete, and the next command of the NPU starts, when both have ended.
"""

from __future__ import annotations

from dataclasses import dataclass

from furiosa_ir.backends.warboy.enf.section import Section
from furiosa_ir.backends.warboy.vector_engine.instruction import Instruction
from furiosa_ir.program import DeviceSegment

Shape4 = tuple[int, int, int, int]
"""(N, H, W, C)."""

ORDERS = ("HCW", "HWC")
"""Of a tile in a slice; `SramTile` says which is which."""

REGIONS = ("constant", "workspace")
"""Of DRAM: the program's constant section, which nothing writes, and the rest."""

POOL_KINDS = ("max", "sum")

DRAM_RANK = 8
"""The most dimensions of a `DramView`."""


@dataclass(frozen=True, slots=True)
class SramTile:
    """A window of a buffer that lies sliced in SRAM (shared/warboy.md §2).

    The buffer's height is cut over `slices[0]` and its channels over `slices[1]` slices, each of
    which holds [N, Hi, Ci, W] (order "HCW") or [N, Hi, W, Ci] (order "HWC") elements at the same
    `address`, the innermost extent rounded up to 32 *bytes*; Hi = ceil(H / Ho), Ci = ceil(C / Co);
    slice index = first + ho * Co + co. Slices beyond Ho * Co hold nothing. With `images` = N each
    image has Ho * Co slices of its own, one image's behind the other's, which hold a block of one
    image.

    Attributes:
        address: byte offset within every slice, a multiple of 32.
        shape: the whole buffer.
        slices: (Ho, Co), first + images * Ho * Co <= number of slices.
        order: "HCW" or "HWC".
        element: bytes of an element: 1 (i8), 4 (i32) or 8 (i48).
        offset: where the window begins in the buffer.
        extent: the window's shape.
        images: 1, or N: each image lies in slices of its own.
        first: the slice of its first block.
    """

    address: int
    shape: Shape4
    slices: tuple[int, int]
    order: str
    element: int
    offset: Shape4
    extent: Shape4
    images: int = 1
    first: int = 0

    @property
    def local_shape(self) -> Shape4:
        """The padded block of one slice: [N, Hi, Ci, Wp] for "HCW", [N, Hi, W, Cp] for "HWC"."""
        n, h, w, c = self.shape
        n = -(-n // self.images)
        hi, ci = -(-h // self.slices[0]), -(-c // self.slices[1])
        if self.order == "HCW":
            return n, hi, ci, _round_up(w, self.element)
        return n, hi, w, _round_up(ci, self.element)

    @property
    def slice_range(self) -> tuple[int, int]:
        """(first, one behind the last) of the slices that the window may lie in."""
        each = self.slices[0] * self.slices[1]
        if self.images == 1:
            return self.first, self.first + each
        begin = self.first + self.offset[0] * each
        return begin, begin + self.extent[0] * each

    @property
    def slice_bytes(self) -> int:
        """How many bytes of every slice the whole buffer takes."""
        n, a, b, c = self.local_shape
        return n * a * b * c * self.element


def _round_up(extent: int, element: int) -> int:
    per_line = 32 // element
    return -(-extent // per_line) * per_line


@dataclass(frozen=True, slots=True)
class SramFlat:
    """Parameters (weights, biases, multipliers, tables) striped over all slices of the PE.

    Slice s holds bytes [s * V, (s + 1) * V) of the parameter at `address`, V = `slice_bytes`.

    Attributes:
        address: byte offset within every slice, a multiple of 32.
        size: bytes of the parameter.
        slice_bytes: V, a multiple of 32, V * slices >= size.
    """

    address: int
    size: int
    slice_bytes: int


@dataclass(frozen=True, slots=True)
class DramTile:
    """A window of a dense DRAM tensor.

    Attributes:
        region: "constant" (the program's constant section, read only) or "workspace".
        address: byte offset of the window's first element in the region.
        extent: (N, H, W, C) of the window.
        strides: bytes from one element to the next along (N, H, W, C); 0 repeats an element.
        element: bytes of an element.
    """

    region: str
    address: int
    extent: Shape4
    strides: Shape4
    element: int


@dataclass(frozen=True, slots=True)
class DramFlat:
    """`size` consecutive bytes of a DRAM region."""

    region: str
    address: int
    size: int


@dataclass(frozen=True, slots=True)
class DramView:
    """An n-dimensional strided view of DRAM (up to 8 dimensions), for `Copy`.

    Attributes:
        region: "constant" or "workspace".
        address: byte offset of the first element in the region.
        extent: elements along each dimension.
        strides: bytes along each dimension (0 or negative allowed on the source side).
        element: bytes of an element.
    """

    region: str
    address: int
    extent: tuple[int, ...]
    strides: tuple[int, ...]
    element: int


@dataclass(frozen=True, slots=True)
class Parameter:
    """An array in SRAM that a kernel reads whole, as `element`-byte signed integers of `shape`.

    `shape` has four dimensions that broadcast to the kernel's (N, H, W, C) window, or one (a lookup
    table of 256 entries).
    """

    memory: SramFlat
    shape: tuple[int, ...]
    element: int


@dataclass(frozen=True, slots=True)
class Load:
    """DMA from DRAM to SRAM (a tile, lowered on the way, or parameters)."""

    source: DramTile | DramFlat
    target: SramTile | SramFlat
    layer: int
    waits: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Store:
    """DMA from SRAM to DRAM (a tile, unlowered on the way)."""

    source: SramTile
    target: DramTile
    layer: int
    waits: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Copy:
    """DMA from DRAM to DRAM: reshapes, transposes, tilings that the slice layout cannot express."""

    source: DramView
    target: DramView
    layer: int
    waits: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Vector:
    """The vector engine over whole tiles: operands broadcast as numpy does.

    Attributes:
        operands: i8 (or wider) windows.
        parameters: constant operands.
        program: instructions; empty means: operand 0 is copied.
        result: where the last register goes; its extent is that register's shape.
        layer: index into the program's layers.
        waits: tokens.
        beside: it does not wait for the end of the NPU's command in front of it.
    """

    operands: tuple[SramTile, ...]
    parameters: tuple[Parameter, ...]
    program: tuple[Instruction, ...]
    result: SramTile
    layer: int
    waits: tuple[int, ...] = ()
    beside: bool = False


@dataclass(frozen=True, slots=True)
class Dot:
    """The dot-product engine, then the vector engine on its accumulators.

    acc[n, y, x, o] = bias[o] + sum over window and group of (x - x_zp) * (weight - weight_zp), i32.

    With `batched` the "weight" is an activation: acc[n, h, w, o] = sum over c of
    x[n, h, w, c] * second[n, h, o, c] with `second` the first operand tile, window [N, H, O, C]
    (MatMul of two activations; strides 1, no window).

    Attributes:
        x: input window: exactly the rows and columns inside x that this step reads.
        weight: i8 [O, Kh, Kw, I] row-major, all of this step's output channels; None if batched.
        weight_shape: (O, Kh, Kw, I).
        bias: i32 [O] or None.
        strides, dilations, input_dilation: (H, W).
        pads: (top, left, bottom, right) around this window, filled with x_zp; may be negative with
            input_dilation > 1 (crops the spread input).
        group: groups among this step's channels.
        x_zp, weight_zp: zero points.
        batched: see above.
        operands: further tiles for the program (a residual sum, say).
        parameters: the program's constants (multipliers, shifts, tables).
        program: from the accumulator to the result.
        result: window written.
        layer: index into the program's layers.
        waits: tokens.
        beside: it does not wait for the end of the NPU's command in front of it.
    """

    x: SramTile
    weight: SramFlat | None
    weight_shape: Shape4
    bias: SramFlat | None
    strides: tuple[int, int]
    dilations: tuple[int, int]
    input_dilation: tuple[int, int]
    pads: Shape4
    group: int
    x_zp: int
    weight_zp: int
    batched: bool
    operands: tuple[SramTile, ...]
    parameters: tuple[Parameter, ...]
    program: tuple[Instruction, ...]
    result: SramTile
    layer: int
    waits: tuple[int, ...] = ()
    beside: bool = False


@dataclass(frozen=True, slots=True)
class Pool:
    """A window reduction, then the vector engine on it.

    acc = greatest element (kind "max", i8; padding never wins), or sum of (x - x_zp) (kind "sum",
    i32; padding counts 0).
    """

    x: SramTile
    kind: str
    window: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: Shape4
    x_zp: int
    operands: tuple[SramTile, ...]
    parameters: tuple[Parameter, ...]
    program: tuple[Instruction, ...]
    result: SramTile
    layer: int
    waits: tuple[int, ...] = ()
    beside: bool = False


Command = Load | Store | Copy | Vector | Dot | Pool


def is_beside(command: Command) -> bool:
    """Whether a command does not wait for the end of the NPU's command in front of it."""
    return isinstance(command, Vector | Dot | Pool) and command.beside


@dataclass(frozen=True, slots=True)
class NpuSegment(DeviceSegment):
    """Commands that run on the NPU.

    Attributes:
        name: "npu_0", ...
        inputs: written to the workspace before the first command (uint8 with its top bit flipped).
        outputs: read from the workspace after the last.
        workspace_bytes: size of the workspace region.
        sram_bytes: greatest byte used in any slice.
        commands: in order of issue.
        constants: the constant section.
        sram_bound: bytes of a slice that some kernel needs at once, which no addresses undercut; 0
            in a file that does not say.
        workspace_bound: the same of the workspace.
        setup: how many commands, from the first on, a session carries out once, of all segments
            before its first run: they load what is pinned in SRAM. A run is the others.
    """

    workspace_bytes: int
    sram_bytes: int
    commands: tuple[Command, ...]
    constants: Section
    sram_bound: int = 0
    workspace_bound: int = 0
    setup: int = 0
