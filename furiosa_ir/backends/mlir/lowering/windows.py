"""What windows slide over: an operand spread, padded, and cut to what they cover."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.dialects import tensor
from xdsl.ir import SSAValue
from xdsl.ir.affine import AffineExpr

from furiosa_ir.backends.mlir.lowering.emission import Emitter
from furiosa_ir.dialects.ftensor.contraction import ConvOp, ReduceWindowOp
from furiosa_ir.ir.shaped_operation import Shape, element_of, ints, shape_of


@dataclass(frozen=True)
class Windows:
    """Geometry of windows over two axes.

    Attributes:
        axes: which of the operand's dimensions they slide along.
        kernel, strides, dilations: extents and steps along them.
        outputs: how many windows along each.
        pads: begins, then ends; less than 0 crops.
        spread: one more than the zeros between neighbours of the operand.
    """

    axes: tuple[int, int]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    outputs: tuple[int, ...]
    pads: tuple[int, ...]
    spread: tuple[int, ...] = (1, 1)

    @property
    def is_one(self) -> bool:
        """Whether each window is one element, and each element a window's."""
        return self.kernel == self.strides == (1, 1)

    @property
    def covers(self) -> tuple[int, ...]:
        """How many elements of the padded operand they cover."""
        rows = zip(self.kernel, self.strides, self.dilations, self.outputs, strict=True)
        return tuple((n - 1) * s + (k - 1) * d + 1 for k, s, d, n in rows)

    def read(self, window: Sequence[AffineExpr], inner: Sequence[AffineExpr]) -> list[AffineExpr]:
        """Where an element of a window is in the operand, along both axes."""
        rows = zip(window, inner, self.strides, self.dilations, strict=True)
        return [o * s + k * d for o, k, s, d in rows]


def windows_of(op: ConvOp | ReduceWindowOp) -> Windows:
    """The windows of an operation."""
    layout = op.layout.data
    axes = layout.index("H"), layout.index("W")
    outputs = tuple(shape_of(op.result)[a] for a in axes)
    steps = ints(op.strides), ints(op.dilations), outputs, ints(op.pads)
    if isinstance(op, ConvOp):
        return Windows(axes, shape_of(op.weight)[1:3], *steps, ints(op.input_dilation))
    return Windows(axes, ints(op.window), *steps)


def covered(emit: Emitter, x: SSAValue, windows: Windows, number: int) -> SSAValue:
    """An operand spread and padded with a number, as far as windows cover it.

    IREE 3.13 drops the strides of an `insert_slice` into a fill that is padded afterwards, and
    wants windows to cover all of their operand: so what is spread goes into one fill that has the
    padding, and what no window reaches is cut off.
    """
    rank = len(shape_of(x))
    begins = _over(rank, windows.axes, windows.pads[:2], 0)
    ends = _over(rank, windows.axes, windows.pads[2:], 0)
    low, high = (tuple(max(p, 0) for p in side) for side in (begins, ends))
    if windows.spread == (1, 1):
        x = emit.padded(x, low, high, number)
    else:
        x = _spread(emit, x, _over(rank, windows.axes, windows.spread, 1), low, high, number)
    starts = tuple(max(-p, 0) for p in begins)
    extents = list(shape_of(x))
    for axis, extent in zip(windows.axes, windows.covers, strict=True):
        extents[axis] = extent
    return emit.cropped(x, starts, tuple(extents))


def _over(rank: int, axes: tuple[int, int], numbers: Sequence[int], other: int) -> Shape:
    found = dict(zip(axes, numbers, strict=True))
    return tuple(found.get(i, other) for i in range(rank))


def _spread(
    emit: Emitter, x: SSAValue, steps: Shape, low: Shape, high: Shape, number: int
) -> SSAValue:
    shape = shape_of(x)
    spans = [(n - 1) * s + 1 for n, s in zip(shape, steps, strict=True)]
    whole = tuple(a + n + b for a, n, b in zip(low, spans, high, strict=True))
    into = emit.filled(whole, number, element_of(x))
    op = tensor.InsertSliceOp.from_static_parameters(x, into, list(low), list(shape), list(steps))
    return emit.made(op)
