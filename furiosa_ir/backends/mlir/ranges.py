"""Between which integers the elements of an `ftensor` value lie, whatever a segment is given.

`tosa.rescale` is defined only for inputs below 2**(shift - 1), and 32 bits are enough for much of
what may take 64; this is how lowerings know it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np
from xdsl.ir import Operation, SSAValue

from furiosa_ir.dialects.ftensor.arithmetic import (
    AddOp,
    ClampOp,
    ConstantOp,
    DivideOp,
    LookupOp,
    MaximumOp,
    MinimumOp,
    MulOp,
    RescaleOp,
    SubOp,
)
from furiosa_ir.dialects.ftensor.base import NUMPY_DTYPE
from furiosa_ir.dialects.ftensor.contraction import (
    ConvOp,
    MatMulOp,
    ReduceOp,
    ReduceWindowOp,
)
from furiosa_ir.dialects.ftensor.movement import (
    BroadcastOp,
    ConcatOp,
    GatherOp,
    InterpolateOp,
    ReshapeOp,
    SliceOp,
    TransposeOp,
)
from furiosa_ir.ir.shaped_operation import element_of, ints, shape_of
from furiosa_ir.numerics.array import Array

Range = tuple[int, int]
"""The least and the greatest."""

Ends = tuple[Array, Array]
"""The least and the greatest, int64, of a shape that broadcasts to the value's."""


def type_range(value: SSAValue) -> Range:
    """What a value's element type holds."""
    limits = np.iinfo(NUMPY_DTYPE[element_of(value)])
    return int(limits.min), int(limits.max)


class Ranges:
    """Ranges of the values of a function, each found once."""

    def __init__(self) -> None:
        self._found: dict[SSAValue, Range] = {}
        self._channels: dict[SSAValue, Ends] = {}

    def of(self, value: SSAValue) -> Range:
        """The range of a value, or one that holds it."""
        # Not by recursion: between two rescales there may be hundreds of operations.
        pending = [value]
        while value not in self._found:
            needed = self._needed(pending[-1])
            if needed:
                pending += needed
            else:
                last = pending.pop()
                self._found[last] = self._of(last)
        return self._found[value]

    def of_channels(self, value: SSAValue) -> Ends:
        """Ranges of a convolution's channels, [C] or [C, 1, 1]; of other values one of all, []."""
        low, high = self.of(value)
        if value not in self._channels:
            return np.array(low), np.array(high)
        least, greatest = type_range(value)
        found = self._channels[value]
        fits = (found[0] >= least) & (found[1] <= greatest)
        return np.where(fits, found[0], least), np.where(fits, found[1], greatest)

    def hold_channels(self, value: SSAValue, ends: Ends) -> Range:
        """Remembers ranges of channels for `of_channels`; the range of all of them."""
        self._channels[value] = ends
        return int(ends[0].min()), int(ends[1].max())

    def _needed(self, value: SSAValue) -> list[SSAValue]:
        """The operands whose ranges have to be found in front of a value's; not of constants."""
        owner = value.owner
        if not isinstance(owner, Operation) or type(owner) not in _RULES:
            return []
        return [
            operand
            for operand in owner.operands
            if operand not in self._found and not isinstance(operand.owner, ConstantOp)
        ]

    def _of(self, value: SSAValue) -> Range:
        owner, (low, high) = value.owner, type_range(value)
        rule = _RULES.get(type(owner)) if isinstance(owner, Operation) else None
        found = rule(owner, self) if rule is not None else None
        # What may leave the type may be anything in it.
        fits = found is not None and low <= found[0] and found[1] <= high
        return found if found is not None and fits else (low, high)


def _constant(op: ConstantOp, _ranges: Ranges) -> Range | None:
    array = op.value.array
    return (int(array.min()), int(array.max())) if array.size else None


def _add(op: AddOp, ranges: Ranges) -> Range:
    (a, b), (c, d) = ranges.of(op.a), ranges.of(op.b)
    return a + c, b + d


def _sub(op: SubOp, ranges: Ranges) -> Range:
    (a, b), (c, d) = ranges.of(op.a), ranges.of(op.b)
    return a - d, b - c


def _mul(op: MulOp, ranges: Ranges) -> Range:
    found = [x * y for x in ranges.of(op.a) for y in ranges.of(op.b)]
    return min(found), max(found)


def _least(op: MinimumOp, ranges: Ranges) -> Range:
    (a, b), (c, d) = ranges.of(op.a), ranges.of(op.b)
    return min(a, c), min(b, d)


def _greatest(op: MaximumOp, ranges: Ranges) -> Range:
    (a, b), (c, d) = ranges.of(op.a), ranges.of(op.b)
    return max(a, c), max(b, d)


def _limits(op: RescaleOp | DivideOp, _ranges: Ranges) -> Range:
    return op.minimum.value.data, op.maximum.value.data


def _clamp(op: ClampOp, ranges: Ranges) -> Range:
    low, high = op.minimum.value.data, op.maximum.value.data
    return tuple(min(max(v, low), high) for v in ranges.of(op.x))  # pyright: ignore[reportReturnType]


def _rescale(op: RescaleOp, ranges: Ranges) -> Range:
    """The operation at both ends, with each factor: it is monotonic where nothing wraps."""
    low, high = _limits(op, ranges)
    multiplier, shift = _elements(op.multiplier), _elements(op.shift)
    if multiplier is None or shift is None or not multiplier.size:
        return low, high
    a, b = ranges.of(op.x)
    least = int(shift.min(initial=62))
    zero_point = op.input_zp.value.data
    if op.rounding.data == "double" and max(abs(a - zero_point), abs(b - zero_point)) >= 1 << least:
        return low, high
    ends = np.array([a - zero_point, b - zero_point])
    m, s = np.broadcast_arrays(multiplier.astype(np.int64), shift.astype(np.int64))
    if int(np.abs(ends).max()) * int(np.abs(m).max()) >= 1 << 62:
        return low, high  # products may wrap, or what rounds them
    floors = ends * m.reshape(-1, 1) >> s.reshape(-1, 1)
    # No rounding goes further.
    reached = int(floors.min()) - 1, int(floors.max()) + 2
    output = op.output_zp.value.data
    return tuple(min(max(v + output, low), high) for v in reached)  # pyright: ignore[reportReturnType]


def _elements(value: SSAValue) -> Array | None:
    return value.owner.value.array if isinstance(value.owner, ConstantOp) else None


def _lookup(op: LookupOp, ranges: Ranges) -> Range | None:
    table = _elements(op.table)
    if table is None:
        return None
    low, high = ranges.of(op.x)
    reached = table[low + 128 : high + 129]
    return int(reached.min()), int(reached.max())


def _conv(op: ConvOp, ranges: Ranges) -> Range | None:
    """Of each output the extremes of its products, of all of them the widest."""
    weight = _elements(op.weight)
    if weight is None:
        return None
    weight_zp = op.weight_zp.value.data
    zero_point = op.x_zp.value.data
    a, b = (min(max(v - zero_point, -255), 255) for v in ranges.of(op.x))
    a, b = min(a, 0), max(b, 0)  # the padding
    positive, negative = _signed_sums(weight.reshape(len(weight), -1), weight_zp)
    low, high = positive * a + negative * b, positive * b + negative * a
    ends = _biased(low, high, op.bias, ranges)
    shape = (-1,) if op.layout.data == "NHWC" else (-1, 1, 1)
    return ranges.hold_channels(op.result, (ends[0].reshape(shape), ends[1].reshape(shape)))


def _signed_sums(weight: Array, zero_point: int) -> tuple[Array, Array]:
    """Of an output's weights [n, k], less their zero point: sums of those above and below 0, [n].

    In floats, whose sums are faster than those of bytes in integers: exact in 24 bits, or in 53.
    """
    terms = weight.shape[1]
    w = weight.astype(np.float32 if terms << 9 < 1 << 24 else np.float64)
    if zero_point:
        w -= zero_point
    total = w.sum(1).astype(np.int64)
    size = np.abs(w, out=w).sum(1).astype(np.int64)
    return (size + total) // 2, (total - size) // 2


def _matmul(op: MatMulOp, ranges: Ranges) -> Range:
    left, right = (
        [v - zero_point.value.data for v in ranges.of(value)]
        for value, zero_point in ((op.a, op.a_zp), (op.b, op.b_zp))
    )
    products = [x * y for x in left for y in right]
    low, high = (np.array(f(products) * shape_of(op.a)[-1]) for f in (min, max))
    low, high = _biased(low, high, op.bias, ranges)
    return int(low.min()), int(high.max())


def _biased(low: Array, high: Array, bias: SSAValue | None, ranges: Ranges) -> Ends:
    """Sums' least and greatest with what is added to them."""
    if bias is None:
        return low, high
    known = _elements(bias)
    least, most = ranges.of(bias) if known is None else (known.astype(np.int64),) * 2
    return low + least, high + most


def _reduce(op: ReduceOp, ranges: Ranges) -> Range:
    if op.kind.data == "max":
        return ranges.of(op.x)
    shape = shape_of(op.x)
    return _sum(op, prod(shape[a] for a in ints(op.axes)), ranges)


def _window(op: ReduceWindowOp, ranges: Ranges) -> Range:
    if op.kind.data == "max":
        return min(ranges.of(op.x)[0], -128), ranges.of(op.x)[1]
    low, high = _sum(op, prod(ints(op.window)), ranges)
    return min(low, 0), max(high, 0)


def _sum(op: ReduceOp | ReduceWindowOp, count: int, ranges: Ranges) -> Range:
    low, high = (v - op.x_zp.value.data for v in ranges.of(op.x))
    return low * count, high * count


def _interpolate(op: InterpolateOp, ranges: Ranges) -> Range:
    weights = np.array([ints(op.lower_weight), ints(op.upper_weight)], np.int64)
    products = weights[..., None] * np.array(ranges.of(op.x))
    return int(products.min(-1).sum(0).min()), int(products.max(-1).sum(0).max())


def _moved(op: ReshapeOp, ranges: Ranges) -> Range:
    return ranges.of(op.x)


def _concat(op: ConcatOp, ranges: Ranges) -> Range:
    found: Sequence[Range] = [ranges.of(v) for v in op.inputs]
    return min(low for low, _ in found), max(high for _, high in found)


_RULES: dict[type[Operation], Callable[..., Range | None]] = {
    ConstantOp: _constant,
    AddOp: _add,
    SubOp: _sub,
    MulOp: _mul,
    MinimumOp: _least,
    MaximumOp: _greatest,
    DivideOp: _limits,
    ClampOp: _clamp,
    RescaleOp: _rescale,
    LookupOp: _lookup,
    ConvOp: _conv,
    MatMulOp: _matmul,
    ReduceOp: _reduce,
    ReduceWindowOp: _window,
    ConcatOp: _concat,
    InterpolateOp: _interpolate,
    **dict.fromkeys([ReshapeOp, TransposeOp, SliceOp, GatherOp, BroadcastOp], _moved),
}
