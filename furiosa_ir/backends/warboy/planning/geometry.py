"""What a tile of a kernel's result reads: windows of the operands, padding.

Everything here counts in (N, H, W, C).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import cast

from xdsl.dialects.builtin import IntegerType
from xdsl.ir import SSAValue

from furiosa_ir.backends.warboy.dialect.kernels import DotOp, KernelOp, PoolOp
from furiosa_ir.backends.warboy.dialect.plan import OperandBinding, ParameterBinding, Shape4
from furiosa_ir.backends.warboy.planning.kernel_views import (
    is_batched,
    is_constant,
    touched_axes,
    vector_shapes,
    weight_operands,
)
from furiosa_ir.backends.warboy.planning.views import LETTERS, shape4
from furiosa_ir.dialects.ftensor import contraction
from furiosa_ir.ir.shaped_operation import element_of, ints, shape_of


@dataclass(frozen=True, slots=True)
class WindowShape:
    """A sliding window: (H, W) pairs; pads are (top, left, bottom, right)."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    input_dilation: tuple[int, int]
    pads: Shape4


@dataclass(frozen=True, slots=True)
class Geometry:
    """A kernel's loops.

    Attributes:
        kind: "dot", "batched" (a product of two activations), "pool" or "vector".
        result: extents of the result.
        operands: extents of each operand; None for parameters.
        parameters: each operand that is a parameter; None for the others.
        window: of convolutions and pools.
        group: channel groups of a convolution.
        inner: input channels of one group.
        second: the operand that stands for the weights of a batched product, or -1.
        whole: dimensions that no tile splits, because something is reduced or gathered along them.
    """

    kind: str
    result: Shape4
    operands: tuple[Shape4 | None, ...]
    parameters: tuple[ParameterBinding | None, ...]
    window: WindowShape | None
    group: int
    inner: int
    second: int
    whole: frozenset[int]


@dataclass(frozen=True, slots=True)
class Reading:
    """What one tile reads.

    Attributes:
        windows: for each operand (offset, extent) of its window; None for parameters.
        pads: padding (top, left, bottom, right) around the first operand's window.
    """

    windows: tuple[tuple[Shape4, Shape4] | None, ...]
    pads: Shape4


def kernel_geometry(kernel: KernelOp) -> Geometry:
    """The loops of a kernel that has views.

    Raises:
        VerificationFailure: it has none.
    """
    views, view = kernel.kernel_views.operands, kernel.kernel_views.result
    is_vector = not isinstance(kernel, DotOp | PoolOp)
    whole = _whole(kernel, view) if is_vector else frozenset[int]()
    roles = weight_operands(kernel)
    operands: list[Shape4 | None] = []
    parameters: list[ParameterBinding | None] = []
    for index, (value, mine) in enumerate(zip(kernel.inputs, views, strict=True)):
        extents = None if mine is None else shape4(shape_of(value), mine)
        is_parameter = extents is None or (is_constant(value) and extents[:3] == (1, 1, 1))
        if is_parameter and not _is_first(kernel, index):
            by_channel = index in roles or bool(extents and extents[3] > 1 and 3 not in whole)
            operands.append(None)
            parameters.append(ParameterBinding(constant_bytes(value), by_channel))
        else:
            operands.append(extents)
            parameters.append(None)
    result = shape4(shape_of(kernel.result), view)
    return _with_head(kernel, result, tuple(operands), tuple(parameters), whole)


def planned_geometry(kernel: KernelOp) -> Geometry:
    """The loops of a kernel that is planned: as `kernel_geometry`, which the plan was made by."""
    plan = kernel.kernel_plan
    return _with_head(
        kernel,
        plan.result.extent,
        tuple(b.extent if isinstance(b, OperandBinding) else None for b in plan.operands),
        tuple(b if isinstance(b, ParameterBinding) else None for b in plan.operands),
        frozenset(plan.whole),
    )


def _with_head(
    kernel: KernelOp,
    result: Shape4,
    operands: tuple[Shape4 | None, ...],
    parameters: tuple[ParameterBinding | None, ...],
    whole: frozenset[int],
) -> Geometry:
    """The geometry with what the contraction or window reduction says of itself."""
    kind, window, group, inner, second = "vector", None, 1, 1, -1
    head = kernel.head if isinstance(kernel, DotOp | PoolOp) else None
    if isinstance(head, contraction.ConvOp):
        kind, group = "dot", head.group.value.data
        _, kh, kw, inner = shape_of(head.weight)
        window = WindowShape(
            (kh, kw),
            _pair(head.strides),
            _pair(head.dilations),
            _pair(head.input_dilation),
            _four(ints(head.pads)),
        )
    elif isinstance(head, contraction.ReduceWindowOp):
        kind = "pool"
        window = WindowShape(
            _pair(head.window), _pair(head.strides), _pair(head.dilations), (1, 1),
            _four(ints(head.pads)),
        )  # fmt: skip
    elif isinstance(head, contraction.MatMulOp):
        kind, inner = "dot", shape_of(head.a)[-1]
        if is_batched(kernel):
            kind = "batched"
            second = list(kernel.body.block.args).index(head.b)  # pyright: ignore[reportArgumentType]
    return Geometry(kind, result, operands, parameters, window, group, inner, second, whole)


def constant_bytes(value: SSAValue) -> int:
    """Bytes of all of a value's elements."""
    return prod(shape_of(value)) * element_bytes(value)


def element_bytes(value: SSAValue) -> int:
    """Bytes of a value's elements: 1 (i8), 4 (i32) or 8 (i48)."""
    width = cast("IntegerType", element_of(value)).width.data
    return {8: 1, 32: 4, 48: 8}[width]


def tensor_bytes(value: SSAValue) -> int:
    """Bytes of a value's elements all together."""
    return math.prod(shape_of(value)) * element_bytes(value)


def _pair(attribute: object) -> tuple[int, int]:
    first, second = ints(attribute)  # pyright: ignore[reportArgumentType]
    return first, second


def _four(values: Sequence[int]) -> Shape4:
    a, b, c, d = values
    return a, b, c, d


def _is_first(kernel: KernelOp, index: int) -> bool:
    """Whether an operand must be a tile: what the engine reads first."""
    if isinstance(kernel, DotOp | PoolOp):
        head = kernel.head
        args = list(kernel.body.block.args)
        tiles = {args.index(head.operands[0])}  # pyright: ignore[reportArgumentType]
        if is_batched(kernel):
            tiles.add(args.index(head.operands[1]))  # pyright: ignore[reportArgumentType]
        return index in tiles
    # A vector kernel's result has the extents of its registers: one operand must have them.
    return all(is_constant(v) for v in kernel.inputs) and shape_of(
        kernel.inputs[index]
    ) == shape_of(kernel.result)


def _whole(kernel: KernelOp, view: str) -> frozenset[int]:
    operations = kernel.operations
    full, _ = vector_shapes(operations, kernel.body.block.args)
    letters = {
        LETTERS.index(view[axis])
        for _, axes in touched_axes(operations, len(full))
        for axis in axes
    }
    return frozenset(letters)


def reading(geometry: Geometry, offset: Shape4, extent: Shape4) -> Reading:
    """What the tile of the result at `offset` with `extent` reads."""
    windows: list[tuple[Shape4, Shape4] | None] = []
    pads: Shape4 = (0, 0, 0, 0)
    for index, shape in enumerate(geometry.operands):
        if shape is None:
            windows.append(None)
        elif geometry.kind in ("dot", "pool", "batched") and index == 0:
            window, pads = _first_window(geometry, shape, offset, extent)
            windows.append(window)
        elif index == geometry.second:
            # (N, H, O, C): the result's channels are its columns.
            low = (offset[0], offset[1], offset[3], 0)
            windows.append((low, (extent[0], extent[1], extent[3], shape[3])))
        else:
            windows.append(_broadcast_window(geometry, shape, offset, extent))
    return Reading(tuple(windows), pads)


def _broadcast_window(
    geometry: Geometry, shape: Shape4, offset: Shape4, extent: Shape4
) -> tuple[Shape4, Shape4]:
    low, size = list(offset), list(extent)
    for d in range(4):
        if d in geometry.whole or shape[d] == 1:
            low[d], size[d] = 0, shape[d]
    return _four(low), _four(size)


def _first_window(
    geometry: Geometry, shape: Shape4, offset: Shape4, extent: Shape4
) -> tuple[tuple[Shape4, Shape4], Shape4]:
    window = geometry.window
    if window is None:  # a matrix product
        return ((*offset[:3], 0), (*extent[:3], shape[3])), (0, 0, 0, 0)
    (top, height, pad_top, pad_bottom), (left, width, pad_left, pad_right) = (
        _span(window, d, offset[1 + d], extent[1 + d], shape[1 + d]) for d in (0, 1)
    )
    first, channels = _channels(geometry, shape[3], offset[3], extent[3])
    low = (offset[0], top, left, first)
    return (low, (extent[0], height, width, channels)), (pad_top, pad_left, pad_bottom, pad_right)


def _span(
    window: WindowShape, d: int, offset: int, extent: int, available: int
) -> tuple[int, int, int, int]:
    """(first, count, padding before, behind) of the rows (d = 0) or columns that a range reads."""
    dilation = window.input_dilation[d]
    low = offset * window.strides[d] - window.pads[d]
    high = low + (extent - 1) * window.strides[d] + (window.kernel[d] - 1) * window.dilations[d] + 1
    first = min(max(-(-low // dilation), 0), available - 1)
    last = max(min((high - 1) // dilation, available - 1), first)
    return first, last - first + 1, first * dilation - low, high - last * dilation - 1


def every_tile_reads(geometry: Geometry, rows: int) -> bool:
    """Whether tiles of so many rows all read some of x: none lies in the padding altogether.

    The machine takes negative padding only together with an input dilation.
    """
    window, x = geometry.window, geometry.operands[0]
    if window is None or x is None or window.input_dilation[0] > 1:
        return True
    # The first tile may lie above x, the last one below; what is between them lies between.
    whole = geometry.result[1]
    last = (whole - 1) // rows * rows
    ends = ((0, min(rows, whole)), (last, whole - last))
    spans = (_span(window, 0, low, count, x[1]) for low, count in ends)
    return all(before >= 0 and behind >= 0 for _, _, before, behind in spans)


def _channels(geometry: Geometry, available: int, offset: int, extent: int) -> tuple[int, int]:
    """(first, count) of the input channels that a range of output channels reads."""
    if geometry.kind == "pool":
        return offset, extent
    if geometry.group == 1:
        return 0, available
    per_group = geometry.result[3] // geometry.group
    first, last = offset // per_group, (offset + extent - 1) // per_group
    return first * geometry.inner, (last - first + 1) * geometry.inner


def channel_unit(geometry: Geometry) -> int:
    """Blocks of output channels are multiples of this: whole groups."""
    return geometry.result[3] // geometry.group if geometry.group > 1 else 1


def groups_in(geometry: Geometry, offset: int, extent: int) -> int:
    """Groups among a range of output channels."""
    if geometry.group == 1:
        return 1
    per_group = geometry.result[3] // geometry.group
    return (offset + extent - 1) // per_group - offset // per_group + 1


def tile_ranges(whole: int, block: int) -> list[tuple[int, int]]:
    """(offset, extent) of each block along one dimension."""
    return [(low, min(block, whole - low)) for low in range(0, whole, block)]
