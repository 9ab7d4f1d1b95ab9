"""Sums of products and reductions: what the dot-product engine and the adder tree do."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import ClassVar

import numpy as np
from typing_extensions import override
from xdsl.dialects.builtin import DenseArrayBase, IntegerAttr, StringAttr, TensorType, i64
from xdsl.irdl import operand_def, opt_operand_def, prop_def, result_def

from furiosa_ir.dialects.ftensor.base import NUMPY_DTYPE, TensorOp, check_zero_points
from furiosa_ir.dialects.window_geometry import WINDOW_DEFAULTS, window_extents
from furiosa_ir.errors import VerificationFailure
from furiosa_ir.ir.assembly_format import repeated
from furiosa_ir.ir.operation_definition import irdl_op_definition
from furiosa_ir.ir.shaped_operation import (
    Shape,
    broadcast_shapes,
    distinct_axes,
    element_of,
    ints,
    shape_of,
)
from furiosa_ir.numerics.array import Array


class ContractionOp(TensorOp):
    """Sums of products: what the dot-product engine computes."""

    def macs(self) -> int:
        """Multiply-accumulates."""
        raise NotImplementedError


@irdl_op_definition
class ConvOp(ContractionOp):
    """Sum over a window and a group's channels of (x - x_zp) * (weight - weight_zp), plus bias.

    x: i8; weight: i8 constant; bias: i32 [O] or left out; result: i32. `layout` is "NCHW" or
    "NHWC" for x and the result; the weight is always OHWI (I counts one group's input channels).
    Positions in the padding count as x_zp. `input_dilation` d puts d - 1 zero differences between
    neighbours of x first (a transposed convolution is this, with the kernel mirrored); `pads`
    (begins, then ends) may be negative only together with it. weight_zp is an i32 scalar property:
    TFLite's uint8 weights have one.
    """

    name = "ftensor.conv"

    DEFAULTS: ClassVar = {
        **WINDOW_DEFAULTS,
        "input_dilation": repeated(1, less=2),
        "group": 1,
        "x_zp": 0,
        "weight_zp": 0,
    }

    x = operand_def(TensorType)
    weight = operand_def(TensorType)
    bias = opt_operand_def(TensorType)
    result = result_def(TensorType)
    layout = prop_def(StringAttr)
    strides = prop_def(DenseArrayBase.constr(i64))
    pads = prop_def(DenseArrayBase.constr(i64))
    dilations = prop_def(DenseArrayBase.constr(i64))
    input_dilation = prop_def(DenseArrayBase.constr(i64))
    group = prop_def(IntegerAttr.constr(i64))
    x_zp = prop_def(IntegerAttr.constr(i64))
    weight_zp = prop_def(IntegerAttr.constr(i64))

    @override
    def macs(self) -> int:
        # What the dilation of the input puts between is not multiplied.
        products = prod(shape_of(self.result)) * prod(shape_of(self.weight)[1:])
        return products // prod(ints(self.input_dilation))

    def result_shapes(self) -> Sequence[Shape]:
        layout = self.layout.data
        at = dict(zip(layout, shape_of(self.x), strict=True))
        out, *kernel, inner = shape_of(self.weight)
        if inner * self.group.value.data != at["C"]:
            raise VerificationFailure("ftensor.conv: channels do not fit the groups")
        dilation = ints(self.input_dilation)
        extents = [(at[d] - 1) * s + 1 for d, s in zip("HW", dilation, strict=True)]
        high, wide = window_extents(
            self,
            extents,
            kernel,
            ints(self.strides),
            ints(self.pads),
            ints(self.dilations),
            may_crop=True,
        )
        result = {"N": at["N"], "C": out, "H": high, "W": wide}
        return [tuple(result[d] for d in layout)]

    @override
    def verify_(self) -> None:
        super().verify_()
        check_zero_points(self, "x_zp", "weight_zp")

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        x, weight, *rest = operands
        if self.layout.data == "NCHW":
            x = x.transpose(0, 2, 3, 1)
        terms = prod(weight.shape[1:])
        # Products of 9-bit differences: exact in float32 up to 2**24, in float64 up to 2**53.
        # Floats go to BLAS, which integers do not.
        reals = np.float32 if terms <= MOST_FLOAT32_TERMS else np.float64
        x = x.astype(reals) - reals(self.x_zp.value.data)
        weight = weight.astype(reals) - reals(self.weight_zp.value.data)
        n, h, w, c = x.shape
        dh, dw = ints(self.input_dilation)
        if (dh, dw) != (1, 1):
            spread = np.zeros((n, (h - 1) * dh + 1, (w - 1) * dw + 1, c), reals)
            spread[:, ::dh, ::dw] = x
            x = spread
        x = pad_spatial(x, ints(self.pads), 0)
        windows = spatial_windows(x, weight.shape[1:3], ints(self.strides), ints(self.dilations))
        sums = sums_of_products(windows, weight, self.group.value.data)
        result = sums.astype(np.int64 if rest else np.int32)
        if rest:
            result = result + rest[0]
        if self.layout.data == "NCHW":
            result = result.transpose(0, 3, 1, 2)
        return [result.astype(np.int32, copy=False)]


MOST_FLOAT32_TERMS = (1 << 24) // (255 * 255)
"""Of so many products of differences of i8 values the sum is exact in float32."""

_WINDOW_ELEMENTS = 1 << 22


def sums_of_products(windows: Array, weight: Array, group: int) -> Array:
    """Windows [N, Ho, Wo, C, Kh, Kw] times a weight [O, Kh, Kw, I]: [N, Ho, Wo, O], floats."""
    n, rows, columns = windows.shape[:3]
    filters, high, wide, inner = weight.shape
    result = np.zeros((n, rows, columns, filters), windows.dtype)
    if inner == 1 and filters == windows.shape[3] == group:
        for i in range(high):
            for j in range(wide):
                result += windows[..., i, j] * weight[:, i, j, 0]
        return result
    each = filters // group
    # [N, Ho, Wo, Kh, Kw, C]: what is copied into a matrix lies side by side.
    windows = windows.transpose(0, 1, 2, 4, 5, 3)
    terms = high * wide * inner
    step = max(1, _WINDOW_ELEMENTS // max(1, columns * terms))
    for g in range(group):
        matrix = weight[g * each : (g + 1) * each].reshape(each, terms).T
        part = windows[..., g * inner : (g + 1) * inner]
        for image in range(n):
            for first in range(0, rows, step):
                piece = part[image, first : first + step].reshape(-1, terms)
                made = np.matmul(piece, matrix).reshape(-1, columns, each)
                result[image, first : first + step, :, g * each : (g + 1) * each] = made
    return result


def pad_spatial(x: Array, pads: Sequence[int], fill: int) -> Array:
    """x [N, H, W, C] padded by (top, left, bottom, right); negative pads crop."""
    top, left, bottom, right = pads
    widths = [(0, 0), (max(top, 0), max(bottom, 0)), (max(left, 0), max(right, 0)), (0, 0)]
    x = np.pad(x, widths, constant_values=fill)
    h, w = x.shape[1:3]
    return x[:, max(-top, 0) : h - max(-bottom, 0), max(-left, 0) : w - max(-right, 0)]


def spatial_windows(
    x: Array, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> Array:
    """x [N, H, W, C] -> view [N, Ho, Wo, C, Kh, Kw]."""
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    view = np.lib.stride_tricks.sliding_window_view(x, spans, axis=(1, 2))
    return view[:, :: strides[0], :: strides[1], :, :: dilations[0], :: dilations[1]]


@irdl_op_definition
class MatMulOp(ContractionOp):
    """Sum over k of (a[..., m, k] - a_zp) * (b[..., k, n] - b_zp), plus bias; i8 in, i32 out.

    Leading dimensions broadcast. bias: i32 [n] or left out. `transpose_b` 1: b is [..., n, k].
    """

    name = "ftensor.matmul"

    DEFAULTS: ClassVar = {"a_zp": 0, "b_zp": 0, "transpose_b": 0}

    a = operand_def(TensorType)
    b = operand_def(TensorType)
    bias = opt_operand_def(TensorType)
    result = result_def(TensorType)
    a_zp = prop_def(IntegerAttr.constr(i64))
    b_zp = prop_def(IntegerAttr.constr(i64))
    transpose_b = prop_def(IntegerAttr.constr(i64))

    @override
    def macs(self) -> int:
        return prod(shape_of(self.result)) * shape_of(self.a)[-1]

    def result_shapes(self) -> Sequence[Shape]:
        a, b = shape_of(self.a), shape_of(self.b)
        if min(len(a), len(b)) < 2:
            raise VerificationFailure("ftensor.matmul: a matrix has two dimensions or more")
        k, n = b[-2:][::-1] if self.transpose_b.value.data else b[-2:]
        if a[-1] != k:
            raise VerificationFailure(f"ftensor.matmul: inner dimensions {a[-1]} and {k} differ")
        return [(*broadcast_shapes(self, [a[:-2], b[:-2]]), a[-2], n)]

    @override
    def verify_(self) -> None:
        super().verify_()
        check_zero_points(self, "a_zp", "b_zp")

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        a, b, *rest = operands
        a = a.astype(np.float64) - self.a_zp.value.data
        b = b.astype(np.float64) - self.b_zp.value.data
        if self.transpose_b.value.data:
            b = np.swapaxes(b, -1, -2)
        result = np.matmul(a, b).astype(np.int64)
        if rest:
            result = result + rest[0]
        return [result.astype(np.int32)]


@irdl_op_definition
class ReduceWindowOp(TensorOp):
    """The greatest element or the sum of each window of x (i8).

    Kind "max": i8, padding never wins; kind "sum": the sum of (x - x_zp) in i32, padding counts 0.
    Layouts as in `ftensor.conv`.
    """

    name = "ftensor.reduce_window"

    DEFAULTS: ClassVar = {**WINDOW_DEFAULTS, "x_zp": 0}

    x = operand_def(TensorType)
    result = result_def(TensorType)
    kind = prop_def(StringAttr)
    layout = prop_def(StringAttr)
    window = prop_def(DenseArrayBase.constr(i64))
    strides = prop_def(DenseArrayBase.constr(i64))
    pads = prop_def(DenseArrayBase.constr(i64))
    dilations = prop_def(DenseArrayBase.constr(i64))
    x_zp = prop_def(IntegerAttr.constr(i64))

    def result_shapes(self) -> Sequence[Shape]:
        layout = self.layout.data
        at = dict(zip(layout, shape_of(self.x), strict=True))
        high, wide = window_extents(
            self,
            [at["H"], at["W"]],
            ints(self.window),
            ints(self.strides),
            ints(self.pads),
            ints(self.dilations),
            may_crop=True,
        )
        result = {"N": at["N"], "C": at["C"], "H": high, "W": wide}
        return [tuple(result[d] for d in layout)]

    @override
    def verify_(self) -> None:
        super().verify_()
        check_zero_points(self, "x_zp")

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        x = operands[0]
        if self.layout.data == "NCHW":
            x = x.transpose(0, 2, 3, 1)
        if self.kind.data == "max":
            x = pad_spatial(x, ints(self.pads), -128)
        else:
            x = pad_spatial(x.astype(np.int32) - self.x_zp.value.data, ints(self.pads), 0)
        windows = spatial_windows(x, ints(self.window), ints(self.strides), ints(self.dilations))
        if self.kind.data == "max":
            result = windows.max((4, 5))
        else:
            result = windows.sum((4, 5), dtype=np.int32)
        return [result.transpose(0, 3, 1, 2) if self.layout.data == "NCHW" else result]


@irdl_op_definition
class ReduceOp(TensorOp):
    """Over `axes` (extents of 1 stay): the sum of (x - x_zp) in the result's type, or the max."""

    name = "ftensor.reduce"

    DEFAULTS: ClassVar = {"x_zp": 0}

    x = operand_def(TensorType)
    result = result_def(TensorType)
    kind = prop_def(StringAttr)
    axes = prop_def(DenseArrayBase.constr(i64))
    x_zp = prop_def(IntegerAttr.constr(i64))

    def result_shapes(self) -> Sequence[Shape]:
        axes, shape = ints(self.axes), shape_of(self.x)
        if distinct_axes(self, axes, len(shape)) != tuple(axes):
            raise VerificationFailure(f"{self.name}: axes {list(axes)} count from the front")
        return [tuple(1 if i in axes else n for i, n in enumerate(shape))]

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        x, axes = operands[0], ints(self.axes)
        if self.kind.data == "max":
            return [x.max(axes, keepdims=True)]
        dtype = NUMPY_DTYPE[element_of(self.result)]
        return [(x.astype(dtype) - self.x_zp.value.data).sum(axes, dtype=dtype, keepdims=True)]
