"""Pieces of networks in `ftensor`, with random parameters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import i8, i32
from xdsl.ir import SSAValue

from furiosa_ir.dialects.ftensor import arithmetic, contraction, i48, movement
from furiosa_ir.ir.shaped_operation import shape_of
from furiosa_ir.lowering.registry import Emitter

WIDE = 1 << 46


class Pieces:
    """Emits operations with random constants from one seed."""

    def __init__(self, emit: Emitter, seed: int = 1) -> None:
        self.emit = emit
        self.rng = np.random.default_rng(seed)

    def factors(self, channels: int, axis: int, rank: int, count: int) -> tuple[object, object]:
        """Multipliers and shifts that bring sums of `count` products near to i8's range."""
        low = 30 + int(np.log2(max(count, 1)) / 2) + 5
        return (
            self.emit.along(self.rng.integers(1 << 29, 1 << 30, channels), axis, rank),
            self.emit.along(self.rng.integers(low, low + 2, channels), axis, rank),
        )

    def conv(
        self,
        x: SSAValue,
        outputs: int,
        kernel: tuple[int, int] = (3, 3),
        *,
        layout: str = "NCHW",
        strides: Sequence[int] = (1, 1),
        pads: Sequence[int] = (1, 1, 1, 1),
        dilations: Sequence[int] = (1, 1),
        input_dilation: Sequence[int] = (1, 1),
        group: int = 1,
        x_zp: int = 3,
        weight_zp: int = 0,
        bias: bool = True,
        rescale: bool = True,
    ) -> SSAValue:
        """A convolution, rescaled per channel."""
        channel = layout.index("C")
        inner = shape_of(x)[channel] // group
        weight = self.rng.integers(-127, 128, (outputs, *kernel, inner))
        acc = self.emit.emit(
            contraction.ConvOp,
            [
                x,
                self.emit.constant(weight, i8),
                self.emit.constant(self.rng.integers(-999, 999, outputs), i32) if bias else None,
            ],
            i32,
            layout=layout,
            strides=strides,
            pads=pads,
            dilations=dilations,
            input_dilation=input_dilation,
            group=group,
            x_zp=x_zp,
            weight_zp=weight_zp,
        )
        if not rescale:
            return acc
        factors = self.factors(outputs, channel, 4, inner * kernel[0] * kernel[1])
        return self.emit.rescale(acc, *factors, rounding="even", output_zp=-5)

    def pool(
        self,
        x: SSAValue,
        kind: str,
        window: tuple[int, int] = (3, 3),
        *,
        layout: str = "NCHW",
        strides: Sequence[int] = (2, 2),
        pads: Sequence[int] = (1, 1, 1, 1),
        x_zp: int = 0,
    ) -> SSAValue:
        """A max pool, or an average pool by a fixed factor."""
        acc = self.emit.emit(
            contraction.ReduceWindowOp,
            [x],
            i8 if kind == "max" else i32,
            kind=kind,
            layout=layout,
            window=window,
            strides=strides,
            pads=pads,
            dilations=(1, 1),
            x_zp=x_zp,
        )
        if kind == "max":
            return acc
        return self.emit.rescale(
            acc, (1 << 30) // (window[0] * window[1]), 30, rounding="double", output_zp=2
        )

    def matmul(
        self, a: SSAValue, b: SSAValue | int, *, transpose_b: int = 0, bias: bool = False
    ) -> SSAValue:
        """A product with a constant of `b` columns, or with an activation."""
        inner = shape_of(a)[-1]
        if isinstance(b, int):
            shape = (b, inner) if transpose_b else (inner, b)
            b = self.emit.constant(self.rng.integers(-127, 128, shape), i8)
        columns = shape_of(b)[-2 if transpose_b else -1]
        acc = self.emit.emit(
            contraction.MatMulOp,
            [
                a,
                b,
                self.emit.constant(self.rng.integers(-99, 99, columns), i32) if bias else None,
            ],
            i32,
            a_zp=2,
            b_zp=-1,
            transpose_b=transpose_b,
        )
        rank = len(shape_of(acc))
        factors = self.factors(columns, rank - 1, rank, inner)
        return self.emit.rescale(acc, *factors, rounding="up")

    def wide(self, x: SSAValue, zero_point: int = 1) -> SSAValue:
        """(x - zero_point) * 2**20 in i48."""
        return self.emit.rescale(
            x,
            1 << 20,
            0,
            rounding="even",
            input_zp=zero_point,
            minimum=-WIDE,
            maximum=WIDE,
            element=i48,
        )

    def add(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """A quantised sum."""
        total = self.emit.emit(arithmetic.AddOp, [self.wide(a), self.wide(b, -2)], i48)
        return self.emit.rescale(total, 1, 21, rounding="even", output_zp=1)

    def lookup(self, x: SSAValue) -> SSAValue:
        """A random table."""
        table = self.emit.constant(self.rng.integers(-128, 128, 256), i8)
        return self.emit.emit(arithmetic.LookupOp, [x, table], i8)

    def softmax(self, x: SSAValue, axis: int) -> SSAValue:
        """Softmax as the exact lowering spells it."""
        e = self.emit
        greatest = e.emit(contraction.ReduceOp, [x], i8, kind="max", axes=[axis], x_zp=0)
        difference = e.emit(arithmetic.SubOp, [x, greatest], i32)
        index = e.rescale(difference, 1, 0, rounding="even", output_zp=127)
        table = np.rint(np.exp(np.arange(-255, 1) * 0.05) * 2.0**30).astype(np.int64)
        term = e.emit(arithmetic.LookupOp, [index, e.constant(table, i48)], i48)
        scaled = e.emit(arithmetic.LookupOp, [index, e.constant(table * 200, i48)], i48)
        total = e.emit(contraction.ReduceOp, [term], i48, kind="sum", axes=[axis], x_zp=0)
        return e.emit(
            arithmetic.DivideOp,
            [scaled, total],
            i8,
            output_zp=-100,
            minimum=-128,
            maximum=127,
        )

    def mean(self, x: SSAValue, axes: Sequence[int]) -> SSAValue:
        """A mean over axes, kept as extents of 1."""
        acc = self.emit.emit(contraction.ReduceOp, [x], i32, kind="sum", axes=axes, x_zp=4)
        count = int(np.prod([shape_of(x)[a] for a in axes]))
        return self.emit.rescale(acc, (1 << 30) // count, 30, rounding="even")

    def reshape(self, x: SSAValue, *shape: int) -> SSAValue:
        """A reshape."""
        return self.emit.emit(movement.ReshapeOp, [x], i8, shape=shape)

    def transpose(self, x: SSAValue, *perm: int) -> SSAValue:
        """A transpose."""
        return self.emit.emit(movement.TransposeOp, [x], i8, perm=perm)

    def concat(self, axis: int, *parts: SSAValue) -> SSAValue:
        """A concatenation."""
        return self.emit.emit(movement.ConcatOp, [list(parts)], i8, axis=axis)

    def slice(
        self,
        x: SSAValue,
        starts: Sequence[int],
        ends: Sequence[int],
        steps: Sequence[int] | None = None,
    ) -> SSAValue:
        """A slice."""
        steps = steps or [1] * len(starts)
        return self.emit.emit(movement.SliceOp, [x], i8, starts=starts, ends=ends, steps=steps)

    def pad(self, x: SSAValue, pads: Sequence[int], value: int) -> SSAValue:
        """A padding."""
        return self.emit.emit(movement.PadOp, [x], i8, pads=pads, value=value)

    def broadcast(self, x: SSAValue, *shape: int) -> SSAValue:
        """A broadcast."""
        return self.emit.emit(movement.BroadcastOp, [x], i8, shape=shape)

    def gather(self, x: SSAValue, axis: int, indices: Sequence[int]) -> SSAValue:
        """A gather."""
        return self.emit.emit(movement.GatherOp, [x], i8, axis=axis, indices=indices)

    def bilinear(self, x: SSAValue, axes: Sequence[int]) -> SSAValue:
        """Twice as many rows and columns, with integer weights."""
        unit = 1
        for axis in axes:
            n = shape_of(x)[axis]
            lower = [i // 2 for i in range(2 * n)]
            upper = [min(i // 2 + i % 2, n - 1) for i in range(2 * n)]
            weights = {"lower_weight": [2 - i % 2 for i in range(2 * n)]}
            weights["upper_weight"] = [i % 2 for i in range(2 * n)]
            x = self.emit.emit(
                movement.InterpolateOp,
                [x],
                i48,
                axis=axis,
                lower=lower,
                upper=upper,
                **weights,
            )
            unit *= 2
        return self.emit.rescale(x, (1 << 20) // unit, 20, rounding="even")
