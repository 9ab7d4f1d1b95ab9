"""Convolutions and matrix products in i32, sums and greatest elements.

A convolution is a matrix product of its weights and of its windows laid out as columns (im2col):
IREE compiles its named convolutions to loops that take 2 to 20 times as long. Zero points are
folded into the bias, since weights are constants: sum((x - z) * w) = sum(x * w) - z * sum(w).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from xdsl.dialects.builtin import i32
from xdsl.ir import SSAValue
from xdsl.ir.affine import AffineExpr

from furiosa_ir.backends.mlir.lowering.elements import Elements
from furiosa_ir.backends.mlir.lowering.emission import (
    PARALLEL,
    REDUCTION,
    Emitter,
    dimensions,
    element,
)
from furiosa_ir.backends.mlir.lowering.movement import copied
from furiosa_ir.backends.mlir.lowering.registry import lowers
from furiosa_ir.backends.mlir.lowering.windows import Windows, covered, windows_of
from furiosa_ir.dialects.ftensor.contraction import ConvOp, MatMulOp, ReduceOp, ReduceWindowOp
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.ir.location import layer_name
from furiosa_ir.ir.shaped_operation import Shape, ints, shape_of
from furiosa_ir.numerics.array import Array

_LEAST = -128
"""Of i8: what never is the greatest."""


@lowers(ConvOp)
def lower_conv(op: ConvOp, emit: Emitter) -> SSAValue:
    """Sum over a window and a group's channels of (x - x_zp) * (weight - weight_zp), plus bias."""
    stored = emit.array(op.weight)
    if stored is None:
        raise CompilationFailure("the weight is no constant", layer=layer_name(op))
    weight, zero_point = _difference(stored, op.weight_zp.value.data), op.x_zp.value.data
    windows, layout = windows_of(op), op.layout.data
    x = covered(emit, emit.operand(op.x), windows, zero_point)
    groups, inner = op.group.value.data, weight.shape[3]
    make = _depthwise if inner == 1 and groups > 1 else _grouped
    sums = make(emit, x, weight, groups, windows, layout)
    sums = emit.reshape(sums, shape_of(op.result))
    offset = -zero_point * weight.astype(np.int64).sum((1, 2, 3))
    return _biased(emit, sums, op.bias, offset, layout.index("C"))


def _difference(stored: Array, zero_point: int) -> Array:
    """Weights less their zero point, in the narrowest type that holds them."""
    wide = stored.astype(np.int16) - np.int16(zero_point)
    narrow = wide.astype(np.int8)
    return narrow if np.array_equal(narrow, wide) else wide


def _biased(
    emit: Emitter, sums: SSAValue, bias: SSAValue | None, offset: Array, axis: int
) -> SSAValue:
    """Sums plus a bias (None, or an `ftensor` value) and an offset along an axis; modulo 2**32."""
    known = np.zeros_like(offset) if bias is None else emit.array(bias)
    shape = shape_of(sums)
    along: Any = [1] * len(shape)
    along[axis] = -1
    addends: list[SSAValue | Array] = []
    if known is None:
        assert bias is not None
        value = emit.operand(bias)
        addends.append(emit.reshape(value, _along(shape_of(value), len(shape), axis)))
        known = np.zeros_like(offset)
    total = (known.astype(np.int64) + offset).astype(np.int32)
    if total.any():
        addends.append(total.reshape(along))
    for addend in addends:
        sums = emit.elementwise([sums, addend], shape, i32, _sum)
    return sums


def _along(shape: Shape, rank: int, axis: int) -> Shape:
    return tuple(shape[0] if i == axis else 1 for i in range(rank))


def _sum(b: Elements, given: Sequence[SSAValue]) -> SSAValue:
    return b.add(given[0], given[1])


def product(b: Elements, given: Sequence[SSAValue]) -> SSAValue:
    """The body of a contraction: a * b added to what there is, in i32."""
    x, y, total = given
    return b.add(total, b.mul(b.cast(x, i32), b.cast(y, i32)))


def _grouped(
    emit: Emitter, x: SSAValue, weight: Array, groups: int, windows: Windows, layout: str
) -> SSAValue:
    """Sums as a matrix product a group: [N, OH, OW, O] or [N, O, OH, OW], some extents joined."""
    outputs, inner = weight.shape[0], weight.shape[3]
    each = outputs // groups
    if layout == "NHWC":
        columns = _columns_behind(emit, x, groups, inner, windows)
        taps = weight.reshape(groups, each, -1)
        return _rows_times_weights(emit, columns, taps)
    columns = _columns_in_front(emit, x, groups, inner, windows)
    taps = weight.transpose(0, 3, 1, 2).reshape(groups, each, -1)
    return _weights_times_columns(emit, taps, columns)


def _columns_behind(
    emit: Emitter, x: SSAValue, groups: int, inner: int, windows: Windows
) -> SSAValue:
    """x [N, H, W, G * I] -> [G, N * OH * OW, KH * KW * I], without G where it is 1."""
    batch = shape_of(x)[0]
    rows = batch * prod(windows.outputs)
    if groups == 1 and windows.is_one:
        return emit.reshape(x, (rows, inner))
    depth = prod(windows.kernel) * inner
    if groups == 1 and windows.dilations[1] == 1:
        return emit.reshape(_rows_of_windows(emit, x, windows), (rows, depth))
    split = emit.reshape(x, (*shape_of(x)[:3], groups, inner))
    shape = (groups, batch, *windows.outputs, *windows.kernel, inner)
    g, n, oh, ow, kh, kw, c = dimensions(7)
    read = [n, *windows.read((oh, ow), (kh, kw)), g, c]
    made = _copy(emit, split, shape, read)
    return emit.reshape(made, (rows, depth) if groups == 1 else (groups, rows, depth))


def _rows_of_windows(emit: Emitter, x: SSAValue, windows: Windows) -> SSAValue:
    """x [N, H, W, I] -> [N, OH, OW, KH, KW * I]: of a window, a row is consecutive elements."""
    batch, height, width, inner = shape_of(x)
    kernel_h, kernel_w = windows.kernel
    n, oh, ow, kh, c = dimensions(5)
    down, along = windows.read((oh, ow), (kh, AffineExpr.constant(0)))
    lines = emit.reshape(x, (batch, height, width * inner))
    shape = (batch, *windows.outputs, kernel_h, kernel_w * inner)
    return _copy(emit, lines, shape, [n, down, along * inner + c])


def _columns_in_front(
    emit: Emitter, x: SSAValue, groups: int, inner: int, windows: Windows
) -> SSAValue:
    """x [N, G * I, H, W] -> [N, G, I * KH * KW, OH * OW]."""
    batch = shape_of(x)[0]
    depth, columns = inner * prod(windows.kernel), prod(windows.outputs)
    if not windows.is_one:
        shape = (batch, groups * inner, *windows.kernel, *windows.outputs)
        n, c, kh, kw, oh, ow = dimensions(6)
        x = _copy(emit, x, shape, [n, c, *windows.read((oh, ow), (kh, kw))])
    return emit.reshape(x, (batch, groups, depth, columns))


def _copy(emit: Emitter, x: SSAValue, shape: Shape, read: Sequence[AffineExpr]) -> SSAValue:
    """A tensor whose elements are those of another, at indices of its own."""
    # Loops of one turn would hide from IREE what is contiguous.
    kept = [i for i, n in enumerate(shape) if n > 1]
    places = {i: AffineExpr.dimension(kept.index(i)) for i in kept}
    loops = [places.get(i, AffineExpr.constant(0)) for i in range(len(shape))]
    dense = tuple(shape[i] for i in kept)
    indices = [e.replace_dims_and_symbols(loops, []) for e in read]
    into = emit.empty(dense, element(x)), dimensions(len(dense))
    made = emit.generic([(x, indices)], into, [PARALLEL] * len(dense), copied)
    return emit.reshape(made, shape)


def _rows_times_weights(emit: Emitter, rows: SSAValue, weight: Array) -> SSAValue:
    """[M, K] or [G, M, K] times [G, O, K] -> [M, O] or [M, G, O]."""
    groups = weight.shape[0]
    if shape_of(rows)[-2] > 1:
        # IREE 3.13 packs rows into tiles, byte by byte where it does so together with what makes
        # them.
        rows = emit.apart(rows)
    if groups == 1 and weight.dtype == np.int16:
        return _rows_times_bytes(emit, rows, weight)
    return _row_products(emit, rows, weight)


def _row_products(emit: Emitter, rows: SSAValue, weight: Array) -> SSAValue:
    """[M, K] or [G, M, K] times [G, O, K] -> [M, O] or [M, G, O], i32: one product of matrices."""
    groups, each, _ = weight.shape
    zeros = emit.filled(
        (*shape_of(rows)[-2:-1], *((groups, each) if groups > 1 else (each,))), 0, i32
    )
    if groups == 1:
        m, o, k = dimensions(3)
        taps = emit.constant(weight[0])
        reads = [(rows, [m, k]), (taps, [o, k])]
        return emit.generic(reads, (zeros, [m, o]), [PARALLEL, PARALLEL, REDUCTION], product)
    g, m, o, k = dimensions(4)
    reads = [(rows, [g, m, k]), (emit.constant(weight), [g, o, k])]
    return emit.generic(reads, (zeros, [m, g, o]), [PARALLEL] * 3 + [REDUCTION], product)


def _rows_times_bytes(emit: Emitter, rows: SSAValue, weight: Array) -> SSAValue:
    """[M, K] times [1, O, K] of i16 -> [M, O], as a product of bytes.

    IREE 3.13 has kernels for bytes, and takes five times as long for i8 times i16. Weights that are
    i8 less a zero point are bytes and a number c: sum(x * (w + c)) = sum(x * w) + c * sum(x), and a
    row is summed once.
    """
    number = int(weight.max()) - 127 if weight.max() > 127 else int(weight.min()) + 128
    narrow = weight - np.int16(number)
    products = _row_products(emit, rows, narrow.astype(np.int8))
    m, k = dimensions(2)
    zeros = emit.filled(shape_of(rows)[:1], 0, i32)
    sums = emit.generic([(rows, [m, k])], (zeros, [m]), [PARALLEL, REDUCTION], _row_sum)
    column = emit.reshape(sums, (*shape_of(sums), 1))

    def body(b: Elements, given: Sequence[SSAValue]) -> SSAValue:
        return b.add(given[0], b.mul(given[1], b.constant(number, i32)))

    return emit.elementwise([products, column], shape_of(products), i32, body)


def _row_sum(b: Elements, given: Sequence[SSAValue]) -> SSAValue:
    return b.add(given[1], b.cast(given[0], i32))


def _weights_times_columns(emit: Emitter, weight: Array, columns: SSAValue) -> SSAValue:
    """[G, O, K] times [N, G, K, P] -> [N, G, O, P]; what is 1 of N and G is no loop."""
    (groups, each, _), (batch, _, depth, width) = weight.shape, shape_of(columns)
    kept = [i for i, n in enumerate((batch, groups)) if n > 1]
    outer = dimensions(len(kept))
    o, p, k = dimensions(3, len(kept))
    taps = emit.constant(weight if groups > 1 else weight[0])
    dense = emit.reshape(columns, (*((batch, groups)[i] for i in kept), depth, width))
    shape = (*((batch, groups)[i] for i in kept), each, width)
    reads = [
        (taps, [*(outer[-1:] if groups > 1 else []), o, k]),
        (dense, [*outer, k, p]),
    ]
    into = emit.filled(shape, 0, i32), [*outer, o, p]
    loops = [*[PARALLEL] * (len(kept) + 2), REDUCTION]
    return emit.generic(reads, into, loops, product)


def _depthwise(
    emit: Emitter, x: SSAValue, weight: Array, groups: int, windows: Windows, layout: str
) -> SSAValue:
    """Sums of one channel each, over its windows: no matrix product would have any depth."""
    each, batch = weight.shape[0] // groups, shape_of(x)[0]
    outputs = windows.outputs
    taps = weight.reshape(groups, each, *windows.kernel)
    if layout == "NHWC":
        n, oh, ow, g, o, kh, kw = dimensions(7)
        if each == 1:
            n, oh, ow, g, kh, kw = dimensions(6)
        shape = (batch, *outputs, groups, *((each,) if each > 1 else ()))
        order = [n, oh, ow, g, *([o] if each > 1 else [])]
        read = [n, *windows.read((oh, ow), (kh, kw)), g]
        # Channels innermost, as those of x.
        held = taps.transpose(2, 3, 0, 1) if each > 1 else taps[:, 0].transpose(1, 2, 0)
        at = [kh, kw, g, *([o] if each > 1 else [])]
    else:
        n, g, o, oh, ow, kh, kw = dimensions(7)
        if each == 1:
            n, g, oh, ow, kh, kw = dimensions(6)
        shape = (batch, groups, *((each,) if each > 1 else ()), *outputs)
        order = [n, g, *([o] if each > 1 else []), oh, ow]
        read = [n, g, *windows.read((oh, ow), (kh, kw))]
        held = taps if each > 1 else taps[:, 0]
        at = [g, *([o] if each > 1 else []), kh, kw]
    reads = [(x, read), (emit.constant(np.ascontiguousarray(held)), at)]
    loops = [*[PARALLEL] * len(shape), *[REDUCTION] * 2]
    return emit.generic(reads, (emit.filled(shape, 0, i32), order), loops, product)


@lowers(MatMulOp)
def lower_matmul(op: MatMulOp, emit: Emitter) -> SSAValue:
    """Sum over k of (a[..., m, k] - a_zp) * (b[..., k, n] - b_zp), plus bias."""
    a, result = emit.operand(op.a), shape_of(op.result)
    is_turned, held = bool(op.transpose_b.value.data), emit.array(op.b)
    a_zp, b_zp = op.a_zp.value.data, op.b_zp.value.data
    offset = np.zeros(result[-1], np.int64)
    if held is not None and held.ndim == 2:
        # Rows of the second factor: as weights of a convolution.
        taps = _difference(held if is_turned else held.T, b_zp)
        offset, a_zp, b_zp = -a_zp * taps.astype(np.int64).sum(1), 0, 0
        rows = emit.reshape(a, (prod(shape_of(a)[:-1]), shape_of(a)[-1]))
        sums = _rows_times_weights(emit, rows, taps[np.newaxis])
        sums = emit.reshape(sums, result)
    else:
        sums = _product_of_data(emit, a, emit.operand(op.b), result, (a_zp, b_zp), is_turned)
    return _biased(emit, sums, op.bias, offset, len(result) - 1)


def _product_of_data(
    emit: Emitter,
    a: SSAValue,
    b: SSAValue,
    result: Shape,
    zero_points: tuple[int, int],
    is_turned: bool,
) -> SSAValue:
    """The product of two matrices, or of many, whose leading dimensions broadcast."""
    count = len(result)
    loops = dimensions(count + 1)
    k = loops[-1]

    def leading(value: SSAValue) -> tuple[SSAValue, list[AffineExpr]]:
        shape = shape_of(value)
        skipped = count - len(shape)
        left = [i for i in range(len(shape) - 2) if shape[i] == result[i + skipped]]
        dense = emit.reshape(value, (*(shape[i] for i in left), *shape[-2:]))
        return dense, [loops[i + skipped] for i in left]

    left, left_at = leading(a)
    right, right_at = leading(b)
    m, n = loops[count - 2], loops[count - 1]
    reads = [
        (left, [*left_at, m, k]),
        (right, [*right_at, *((n, k) if is_turned else (k, n))]),
    ]
    a_zp, b_zp = zero_points

    def body(e: Elements, given: Sequence[SSAValue]) -> SSAValue:
        x, y = (e.cast(v, i32) for v in given[:2])
        x = e.sub(x, e.constant(a_zp, i32)) if a_zp else x
        y = e.sub(y, e.constant(b_zp, i32)) if b_zp else y
        return e.add(given[2], e.mul(x, y))

    into = emit.filled(result, 0, i32), loops[:-1]
    return emit.generic(reads, into, [PARALLEL] * count + [REDUCTION], body)


@lowers(ReduceWindowOp)
def lower_reduce_window(op: ReduceWindowOp, emit: Emitter) -> SSAValue:
    """The greatest element, or the sum of (x - x_zp), of each window."""
    windows, is_max = windows_of(op), op.kind.data == "max"
    zero_point = 0 if is_max else op.x_zp.value.data
    x = covered(emit, emit.operand(op.x), windows, _LEAST if is_max else zero_point)
    shape, wide = shape_of(op.result), element(op.result)
    loops = dimensions(6)
    order, inner = loops[:4], loops[4:]
    read = list(order)
    along = [order[a] for a in windows.axes]
    for axis, place in zip(windows.axes, windows.read(along, inner), strict=True):
        read[axis] = place
    # It says how large a window is, and nobody reads it.
    window = emit.empty(windows.kernel, wide)

    def body(b: Elements, given: Sequence[SSAValue]) -> SSAValue:
        return _reduced(b, given[0], given[2], zero_point, is_max=is_max)

    into = emit.filled(shape, _LEAST if is_max else 0, wide), order
    kinds = [*[PARALLEL] * 4, *[REDUCTION] * 2]
    return emit.generic([(x, read), (window, inner)], into, kinds, body)


@lowers(ReduceOp)
def lower_reduce(op: ReduceOp, emit: Emitter) -> SSAValue:
    """The greatest element, or the sum of (x - x_zp), over axes whose extents become 1."""
    x, axes, is_max = emit.operand(op.x), ints(op.axes), op.kind.data == "max"
    wide = element(op.result)
    zero_point = 0 if is_max else op.x_zp.value.data
    count = len(shape_of(x))
    kept = [i for i in range(count) if i not in axes]
    loops = dimensions(count)

    def body(b: Elements, given: Sequence[SSAValue]) -> SSAValue:
        return _reduced(b, given[0], given[1], zero_point, is_max=is_max)

    least = -(1 << (wide.width.data - 1)) if is_max else 0
    dense = tuple(shape_of(x)[i] for i in kept)
    into = emit.filled(dense, least, wide), [loops[i] for i in kept]
    kinds = [REDUCTION if i in axes else PARALLEL for i in range(count)]
    made = emit.generic([(x, loops)], into, kinds, body)
    return emit.reshape(made, shape_of(op.result))


def _reduced(
    b: Elements, x: SSAValue, total: SSAValue, zero_point: int, *, is_max: bool
) -> SSAValue:
    if is_max:
        return b.maximum(total, b.cast(x, total.type))
    wide = b.cast(x, total.type)
    return b.add(total, b.sub(wide, b.like(zero_point, wide)) if zero_point else wide)
