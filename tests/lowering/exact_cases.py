"""One quantised operator at a time, drawn at random: what the exact lowerings are tested on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from xdsl.dialects.builtin import TensorType, f32, i1, i64
from xdsl.ir import Block, SSAValue

from furiosa_ir.dialects.graph import (
    convolution,
    elementwise,
    functions,
    movement,
    normalization,
    pooling,
    quantization,
    rearrangement,
    reduction,
)
from furiosa_ir.dialects.graph.base import GraphOp, quantization_of
from furiosa_ir.dialects.graph.structure import ConstantOp
from furiosa_ir.dialects.quant import UniformType, uniform
from furiosa_ir.ir.constants import BlobAttr
from furiosa_ir.ir.shaped_operation import shape_of


@dataclass
class Draw:
    """A block under construction and the random numbers it is drawn from."""

    rng: np.random.Generator
    block: Block = field(default_factory=Block)

    def storage(self) -> Any:
        """int8 or uint8."""
        return self.rng.choice(np.array([np.int8, np.uint8], object))

    def element(self, low: float = 0.01, high: float = 0.2) -> UniformType:
        """A per-tensor 8-bit type; one in three scales is a power of two, so ties occur."""
        dtype = np.dtype(self.storage())
        scale = float(np.float32(self.rng.uniform(low, high)))
        if self.rng.integers(3) == 0:
            scale = 2.0 ** int(self.rng.integers(-7, -2))
        info = np.iinfo(dtype)
        return uniform(dtype, scale, int(self.rng.integers(info.min, info.max + 1)))

    def value(self, shape: tuple[int, ...], element: UniformType | None = None) -> SSAValue:
        """An argument of the network."""
        return self.block.insert_arg(
            TensorType(element or self.element(), shape), len(self.block.args)
        )

    def constant(self, array: np.ndarray, element: UniformType) -> SSAValue:
        """A constant of stored integers."""
        op = ConstantOp.make([], [element], value=BlobAttr.of(array))
        self.block.add_op(op)
        return op.result

    def real_constant(self, array: np.ndarray) -> SSAValue:
        """A constant of real numbers (f32)."""
        op = ConstantOp.make([], [f32], value=BlobAttr.of(array))
        self.block.add_op(op)
        return op.result

    def weight(self, shape: tuple[int, ...], axis: int | None) -> SSAValue:
        """int8 weights, with a scale for each index of `axis`."""
        count = 1 if axis is None else shape[axis]
        scales = self.rng.uniform(0.002, 0.02, count).astype(np.float32)
        array = self.rng.integers(-127, 128, shape).astype(np.int8)
        return self.constant(array, uniform(np.dtype(np.int8), scales, 0, axis))

    def bias(self, x: SSAValue, weight: SSAValue, count: int) -> SSAValue:
        """An i32 bias in the accumulator's scale."""
        qx, qw = quantization_of(x), quantization_of(weight)
        assert qx is not None
        assert qw is not None
        scales = np.array(qw.scales) * qx.scale
        array = self.rng.integers(-2000, 2000, count).astype(np.int32)
        return self.constant(
            array, uniform(np.dtype(np.int32), scales, 0, 0 if len(scales) > 1 else None)
        )

    def small(self, low: int, high: int) -> int:
        """An integer in [low, high]."""
        return int(self.rng.integers(low, high + 1))


Case = Callable[[Draw], GraphOp]


def _conv(d: Draw) -> GraphOp:
    group = int(d.rng.choice([1, 1, 2, 4]))
    inner, outer = d.small(1, 4), d.small(1, 3)
    layout = str(d.rng.choice(["NCHW", "NHWC"]))
    at = {"N": d.small(1, 2), "C": group * inner, "H": d.small(5, 9), "W": d.small(5, 9)}
    kernel = {"O": group * outer, "I": inner, "H": d.small(1, 3), "W": d.small(1, 3)}
    kernel_layout = "OIHW" if layout == "NCHW" else "OHWI"
    x = d.value(tuple(at[k] for k in layout))
    per_channel = bool(d.rng.integers(2))
    weight = d.weight(tuple(kernel[k] for k in kernel_layout), 0 if per_channel else None)
    bias = d.bias(x, weight, kernel["O"]) if d.rng.integers(2) else None
    return convolution.ConvOp.make(
        [x, weight, bias],
        [d.element(0.05, 0.4)],
        layout=layout,
        kernel_layout=kernel_layout,
        strides=[d.small(1, 2), d.small(1, 2)],
        pads=[d.small(0, 2) for _ in range(4)],
        dilations=[d.small(1, 2), d.small(1, 2)],
        group=group,
    )


def _conv_1d(d: Draw) -> GraphOp:
    x = d.value((1, 4, d.small(6, 12)))
    return convolution.ConvOp.make(
        [x, d.weight((3, 4, 3), 0), None],
        [d.element(0.05, 0.4)],
        layout="NCW",
        kernel_layout="OIW",
        strides=[d.small(1, 2)],
        pads=[1, 1],
        dilations=[1],
        group=1,
    )


def _conv_transpose(d: Draw) -> GraphOp:
    group = int(d.rng.choice([1, 1, 2]))
    inner, outer = group * d.small(1, 3), d.small(1, 3)
    x = d.value((1, inner, d.small(2, 5), d.small(2, 5)))
    strides = [d.small(1, 3), d.small(1, 3)]
    axis = 1 if d.rng.integers(2) else None
    return convolution.ConvTransposeOp.make(
        [x, d.weight((inner, outer, d.small(2, 4), d.small(2, 4)), axis), None],
        [d.element(0.05, 0.4)],
        layout="NCHW",
        kernel_layout="IOHW",
        strides=strides,
        pads=[d.small(0, 1) for _ in range(4)],
        output_padding=[d.small(0, s - 1) for s in strides],
        dilations=[1, d.small(1, 2)],
        group=group,
    )


def _conv_3d(d: Draw) -> GraphOp:
    group = d.small(1, 2)
    x = d.value((d.small(1, 2), group * 2, d.small(3, 5), d.small(3, 5), d.small(3, 5)))
    weight = d.weight((group * d.small(1, 2), 2, d.small(1, 3), 2, 3), 0)
    return convolution.ConvOp.make(
        [x, weight, None],
        [d.element(0.05, 0.4)],
        layout="NCDHW",
        kernel_layout="OIDHW",
        strides=[d.small(1, 2) for _ in range(3)],
        pads=[d.small(0, 1) for _ in range(6)],
        dilations=[1, 1, 1],
        group=group,
    )


def _conv_transpose_3d(d: Draw) -> GraphOp:
    group = d.small(1, 2)
    inner = group * d.small(1, 2)
    x = d.value((d.small(1, 2), inner, d.small(3, 4), d.small(2, 4), 3))
    strides = [d.small(1, 3) for _ in range(3)]
    weight = d.weight((inner, d.small(1, 2), d.small(1, 3), 2, 3), None)
    outputs = group * int(weight.type.get_shape()[1])
    return convolution.ConvTransposeOp.make(
        [x, weight, d.bias(x, weight, outputs) if d.small(0, 1) else None],
        [d.element(0.05, 0.4)],
        layout="NCDHW",
        kernel_layout="IODHW",
        strides=strides,
        pads=[d.small(0, 1) for _ in range(6)],
        output_padding=[d.small(0, s - 1) for s in strides],
        dilations=[d.small(1, 2), 1, 1],
        group=group,
    )


def _gemm(d: Draw) -> GraphOp:
    m, k, n = d.small(1, 4), d.small(1, 16), d.small(1, 8)
    trans_b = d.small(0, 1)
    x = d.value((m, k))
    weight = d.weight((n, k) if trans_b else (k, n), 0 if trans_b else 1)
    return convolution.GemmOp.make(
        [x, weight, d.bias(x, weight, n) if d.rng.integers(2) else None],
        [d.element(0.05, 0.4)],
        alpha=1.0,
        beta=1.0,
        trans_a=0,
        trans_b=trans_b,
    )


def _mat_mul(d: Draw) -> GraphOp:
    batch = d.small(1, 3)
    m, k, n = d.small(1, 5), d.small(1, 12), d.small(1, 5)
    a = d.value((batch, m, k))
    b = d.value((batch, k, n)) if d.rng.integers(2) else d.value((k, n))
    return convolution.MatMulOp.make([a, b], [d.element(0.2, 0.9)])


def _binary(kind: type[GraphOp], high: float = 0.2) -> Case:
    def draw(d: Draw) -> GraphOp:
        shape = tuple(d.small(1, 4) for _ in range(d.small(1, 4)))
        other = tuple(n if d.rng.integers(3) else 1 for n in shape)[d.small(0, len(shape) - 1) :]
        return kind.make([d.value(shape), d.value(other)], [d.element(0.01, high)])

    return draw


def _div(d: Draw) -> GraphOp:
    return _binary(elementwise.DivOp, d.small(0, 1) + 0.5)(d)


def _nary(kind: type[GraphOp]) -> Case:
    def draw(d: Draw) -> GraphOp:
        same = d.element()
        alike = bool(d.rng.integers(2))
        shapes = [(2, 3, 4), (3, 1), (4,), (2, 3, 4), (1,)][: d.small(1, 5)]
        operands = [d.value(s, same if alike else None) for s in shapes]
        return kind.make([operands], [d.element(0.05, 0.4)])

    return draw


def _p_relu(d: Draw) -> GraphOp:
    slope = d.rng.choice(["real", "constant", "value"])
    x = d.value((2, 3, 4, 5))
    if slope == "real":
        array = d.rng.normal(0, 0.5, (3, 1, 1)).astype(np.float32)
        b = d.real_constant(array)
    elif slope == "constant":
        b = d.weight((3, 1, 1), None)
    else:
        b = d.value((3, 1, 1))
    return elementwise.PReluOp.make([x, b], [d.element()])


def _pow(d: Draw) -> GraphOp:
    exponent = np.array(d.rng.choice([2.0, 3.0, 4.0]), np.float32)
    return elementwise.PowOp.make([d.value((2, 5, 7)), d.real_constant(exponent)], [d.element()])


def _affine(d: Draw) -> GraphOp:
    shape = [(3, 1, 1), (1, 1, 1), (2, 3, 4, 5)][d.small(0, 2)]
    factor = d.rng.normal(0, 1.5, shape)
    offset = d.rng.normal(0, 2, shape) * d.small(0, 1)
    if d.small(0, 2) == 0:
        factor, offset = np.rint(factor * 4) / 4, np.rint(offset * 4) / 4
    return normalization.AffineOp.make(
        [d.value((2, 3, 4, 5))], [d.element()], factor=factor, offset=offset
    )


def _accumulated(product: Case) -> Case:
    """What follows a product's accumulator: factors of either sign, offsets that may cancel it."""

    def draw(d: Draw) -> GraphOp:
        op = product(d)
        x, weight = op.operands[:2]
        qx, qw = quantization_of(x), quantization_of(weight)
        assert qx is not None
        assert qw is not None
        layout = op.properties.get("layout")
        shape = shape_of(op.results[0])
        axis = len(shape) - 1 if layout is None else layout.data.index("C")
        scales = np.array(qw.scales) * qx.scale
        if len(scales) > 1:
            scales = np.resize(scales, shape[axis])
        element = uniform(np.dtype(np.int32), scales, 0, axis)
        missing = [None] * (len(type(op).get_irdl_definition().operands) - 2)
        properties = {k: v for k, v in op.properties.items() if k != "origin"}
        sums = type(op).make([x, weight, *missing], [element], **properties)
        d.block.add_op(sums)
        along = [n if i == axis else 1 for i, n in enumerate(shape)]
        along = [along, [1], list(shape)][d.small(0, 2)]
        factor = d.rng.normal(0, 0.5, along) * (d.rng.random(along) > 0.1)
        offset = d.rng.normal(0, [0, 3, 300][d.small(0, 2)], along)
        if d.small(0, 2) == 0:
            factor, offset = np.rint(factor * 4) / 4, np.rint(offset * 4) / 4
        result = [d.element(0.05, 0.4)]
        return normalization.AffineOp.make(sums.results, result, factor=factor, offset=offset)

    return draw


def _standardize(kind: type[GraphOp]) -> Case:
    def draw(d: Draw) -> GraphOp:
        layer = kind is normalization.LayerNormOp
        shape = (2, 3, d.small(1, 8), d.small(1, 40))
        axis = d.small(1, 3)
        parameters = shape[axis:] if layer else shape[1:2]
        scale = d.real_constant(d.rng.normal(0, 1, parameters).astype(np.float32))
        bias = d.real_constant(d.rng.normal(0, 1, parameters).astype(np.float32))
        epsilon = float(np.float32(d.rng.choice([1e-5, 1e-3])))
        extra: dict[str, Any] = {"axis": axis} if layer else {}
        given = None if layer and d.small(0, 1) else bias
        element = d.element(0.02, 0.1)
        return kind.make([d.value(shape), scale, given], [element], epsilon=epsilon, **extra)

    return draw


def _arg_extreme(kind: type[GraphOp]) -> Case:
    def draw(d: Draw) -> GraphOp:
        shape = tuple(d.small(1, 40 if i == 1 else 5) for i in range(d.small(2, 4)))
        return kind.make(
            [d.value(shape)],
            [i64],
            axis=d.small(-len(shape), len(shape) - 1),
            keepdims=d.small(0, 1),
            select_last_index=d.small(0, 1),
        )

    return draw


def _cum_sum(d: Draw) -> GraphOp:
    shape = tuple(d.small(1, 7) for _ in range(d.small(1, 4)))
    return reduction.CumSumOp.make(
        [d.value(shape)],
        [d.element(0.05, 0.4)],
        axis=d.small(-len(shape), len(shape) - 1),
        exclusive=d.small(0, 1),
        reverse=d.small(0, 1),
    )


def _where(d: Draw) -> GraphOp:
    shape = (2, 3, 4, 5)
    shapes = [tuple(n if d.rng.integers(4) else 1 for n in shape)[d.small(0, 3) :] for _ in "cab"]
    condition = ConstantOp.make([], [i1], value=BlobAttr.of(d.rng.integers(2, size=shapes[0]) > 0))
    d.block.add_op(condition)
    element = d.element()
    alike = bool(d.rng.integers(2))
    a = d.value(shapes[1], element if alike else None)
    b = d.value(shapes[2], element if alike else None)
    return elementwise.WhereOp.make(
        [condition.result, a, b], [element if alike else d.element(0.05, 0.4)]
    )


def _unary(kind: type[GraphOp], **properties: Any) -> Case:
    def draw(d: Draw) -> GraphOp:
        element = d.element()
        x = d.value((2, 5, 7), element)
        return kind.make([x], [element if d.rng.integers(3) == 0 else d.element()], **properties)

    return draw


def _pool(kind: type[GraphOp]) -> Case:
    def draw(d: Draw) -> GraphOp:
        layout = str(d.rng.choice(["NCHW", "NHWC"]))
        at = {"N": 1, "C": d.small(1, 5), "H": d.small(5, 9), "W": d.small(5, 9)}
        kernel = [d.small(2, 3), d.small(2, 3)]
        element = d.element()
        extra: dict[str, Any] = (
            {"count_include_pad": d.small(0, 1)} if kind is pooling.AveragePoolOp else {}
        )
        return kind.make(
            [d.value(tuple(at[k] for k in layout), element)],
            [element if d.rng.integers(2) else d.element()],
            layout=layout,
            kernel_shape=kernel,
            strides=[d.small(1, 3), d.small(1, 3)],
            pads=[d.small(0, 1) for _ in range(4)],
            dilations=[1, 1],
            ceil_mode=d.small(0, 1),
            **extra,
        )

    return draw


def _pool_1d(kind: type[GraphOp]) -> Case:
    def draw(d: Draw) -> GraphOp:
        extra: dict[str, Any] = (
            {"count_include_pad": d.small(0, 1)} if kind is pooling.AveragePoolOp else {}
        )
        return kind.make(
            [d.value((2, 3, d.small(5, 9)))],
            [d.element()],
            layout="NCW",
            kernel_shape=[d.small(2, 3)],
            strides=[d.small(1, 3)],
            pads=[d.small(0, 1), d.small(0, 1)],
            dilations=[1],
            ceil_mode=d.small(0, 1),
            **extra,
        )

    return draw


def _pool_3d(kind: type[GraphOp]) -> Case:
    def draw(d: Draw) -> GraphOp:
        extra: dict[str, Any] = (
            {"count_include_pad": d.small(0, 1)} if kind is pooling.AveragePoolOp else {}
        )
        element = d.element()
        kernel = [d.small(1, 3), 2, d.small(2, 3)]
        return kind.make(
            [d.value((d.small(1, 2), d.small(1, 3), d.small(3, 5), d.small(4, 6), 5), element)],
            [element if d.rng.integers(2) else d.element()],
            layout="NCDHW",
            kernel_shape=kernel,
            strides=[d.small(1, 2) for _ in range(3)],
            pads=[d.small(0, min(1, k - 1)) for k in kernel * 2],
            dilations=[1, 1, 1],
            ceil_mode=d.small(0, 1),
            **extra,
        )

    return draw


def _reduce(kind: type[GraphOp]) -> Case:
    def draw(d: Draw) -> GraphOp:
        element = d.element()
        axes = sorted(d.rng.choice(4, d.small(1, 3), replace=False).tolist())
        return kind.make(
            [d.value((2, 3, 4, 6), element)],
            [element if d.rng.integers(2) else d.element(0.05, 0.4)],
            axes=axes,
            keepdims=d.small(0, 1),
        )

    return draw


def _softmax(d: Draw) -> GraphOp:
    shape = (d.small(1, 4), d.small(2, 12))
    return reduction.SoftmaxOp.make(
        [d.value(shape)],
        [uniform(np.dtype(np.int8), 1 / 256, -128)],
        axis=d.small(-1, 1),
        beta=1.0,
    )


def _log_softmax(d: Draw) -> GraphOp:
    return reduction.LogSoftmaxOp.make(
        [d.value((d.small(1, 4), d.small(1, 12), 3))],
        [d.element(0.02, 0.3)],
        axis=d.small(-1, 1),
        beta=1.0,
    )


def _lp_normalization(p: int) -> Case:
    def draw(d: Draw) -> GraphOp:
        x = d.value((2, d.small(1, 9), d.small(1, 40)))
        y = d.element(0.004, 0.01)
        return reduction.LpNormalizationOp.make([x], [y], axis=d.small(-2, 2), p=p)

    return draw


def _block(kind: type[GraphOp]) -> Case:
    def draw(d: Draw) -> GraphOp:
        layout = str(d.rng.choice(["NCHW", "NHWC"]))
        size = d.small(1, 3)
        deep = kind is rearrangement.DepthToSpaceOp
        channels, space = (2 * size * size, 1) if deep else (2, size)
        at = {"N": 2, "C": channels, "H": 2 * space, "W": 3 * space}
        return kind.make(
            [d.value(tuple(at[k] for k in layout))],
            [d.element()],
            blocksize=size,
            mode=str(d.rng.choice(["DCR", "CRD"])),
            layout=layout,
        )

    return draw


def _gather(d: Draw) -> GraphOp:
    axis = d.small(0, 2)
    indices = d.rng.integers(0, (2, 5, 4)[axis], d.small(1, 7)).tolist()
    return rearrangement.GatherOp.make(
        [d.value((2, 5, 4))], [d.element()], axis=axis, indices=indices
    )


def _concat(d: Draw) -> GraphOp:
    axis = d.small(0, 2)
    operands: list[SSAValue] = []
    for _ in range(d.small(1, 4)):
        shape = [2, 3, 4]
        shape[axis] = d.small(1, 5)
        operands.append(d.value(tuple(shape)))
    return movement.ConcatOp.make([operands], [d.element()], axis=axis)


def _split(d: Draw) -> GraphOp:
    element = d.element()
    return movement.SplitOp.make(
        [d.value((2, 6, 3), element)], [element, d.element()], axis=1, split=[2, 4]
    )


def _slice(d: Draw) -> GraphOp:
    return movement.SliceOp.make(
        [d.value((4, 6, 5))], [d.element()], starts=[0, 5, 1], ends=[4, -1, 5], steps=[2, -2, 1]
    )


def _pad(d: Draw) -> GraphOp:
    mode = str(d.rng.choice(["constant", "reflect", "edge"]))
    return movement.PadOp.make(
        [d.value((1, 3, 4, 5))],
        [d.element()],
        pads=[0, d.small(0, 2), d.small(0, 2), 1, 0, 0, d.small(0, 2), d.small(0, 3)],
        mode=mode,
        value=float(d.rng.choice([0.0, 0.37, -1.0])),
    )


def _resize(d: Draw) -> GraphOp:
    h, w = d.small(2, 5), d.small(2, 5)
    sizes = [d.small(1, 11), d.small(1, 11)]
    return movement.ResizeOp.make(
        [d.value((1, 2, h, w))],
        [d.element()],
        layout="NCHW",
        mode=str(d.rng.choice(["nearest", "linear"])),
        coordinates=str(d.rng.choice(["half_pixel", "align_corners", "asymmetric"])),
        nearest_mode=str(d.rng.choice(["round_prefer_floor", "round_prefer_ceil", "floor"])),
        sizes=sizes,
        scales=[sizes[0] / h, sizes[1] / w],
    )


def _resize_nd(d: Draw) -> GraphOp:
    extents = [d.small(1, 4) for _ in range(d.small(0, 1) * 2 + 1)]
    sizes = [d.small(1, 7) for _ in extents]
    return movement.ResizeOp.make(
        [d.value((2, 2, *extents))],
        [d.element()],
        layout="NCDHW" if len(extents) == 3 else "NCW",
        mode=str(d.rng.choice(["nearest", "linear"])),
        coordinates=str(d.rng.choice(["half_pixel", "align_corners", "asymmetric"])),
        nearest_mode=str(d.rng.choice(["round_prefer_floor", "round_prefer_ceil", "floor"])),
        sizes=sizes,
        scales=[s / n for s, n in zip(sizes, extents, strict=True)],
    )


CASES: dict[str, Case] = {
    "conv": _conv,
    "conv_1d": _conv_1d,
    "conv_3d": _conv_3d,
    "conv_transpose": _conv_transpose,
    "conv_transpose_3d": _conv_transpose_3d,
    "gemm": _gemm,
    "mat_mul": _mat_mul,
    "add": _binary(elementwise.AddOp),
    "sub": _binary(elementwise.SubOp),
    "mul": _binary(elementwise.MulOp),
    "div": _div,
    "sum": _nary(normalization.SumOp),
    "mean": _nary(normalization.MeanOp),
    "affine": _affine,
    "affine_of_conv": _accumulated(_conv),
    "affine_of_conv_1d": _accumulated(_conv_1d),
    "affine_of_conv_3d": _accumulated(_conv_3d),
    "affine_of_conv_transpose": _accumulated(_conv_transpose),
    "affine_of_gemm": _accumulated(_gemm),
    "affine_of_mat_mul": _accumulated(_mat_mul),
    "layer_norm": _standardize(normalization.LayerNormOp),
    "instance_norm": _standardize(normalization.InstanceNormOp),
    "p_relu": _p_relu,
    "pow": _pow,
    "minimum": _binary(elementwise.MinimumOp),
    "maximum": _binary(elementwise.MaximumOp),
    "relu": _unary(elementwise.ReluOp),
    "clip": _unary(elementwise.ClipOp, minimum=0.0, maximum=1.5),
    "leaky_relu": _unary(elementwise.LeakyReluOp, alpha=float(np.float32(0.1))),
    "sigmoid": _unary(elementwise.SigmoidOp),
    "tanh": _unary(elementwise.TanhOp),
    "gelu": _unary(functions.GeluOp),
    "hard_swish": _unary(functions.HardSwishOp),
    "quantize": _unary(quantization.QuantizeOp),
    "max_pool": _pool(pooling.MaxPoolOp),
    "average_pool": _pool(pooling.AveragePoolOp),
    "max_pool_1d": _pool_1d(pooling.MaxPoolOp),
    "average_pool_1d": _pool_1d(pooling.AveragePoolOp),
    "max_pool_3d": _pool_3d(pooling.MaxPoolOp),
    "average_pool_3d": _pool_3d(pooling.AveragePoolOp),
    "reduce_min": _reduce(reduction.ReduceMinOp),
    "reduce_l1": _reduce(reduction.ReduceL1Op),
    "reduce_l2": _reduce(reduction.ReduceL2Op),
    "reduce_sum_square": _reduce(reduction.ReduceSumSquareOp),
    "lp_normalization_1": _lp_normalization(1),
    "lp_normalization_2": _lp_normalization(2),
    "log_softmax": _log_softmax,
    "reduce_mean": _reduce(reduction.ReduceMeanOp),
    "reduce_sum": _reduce(reduction.ReduceSumOp),
    "reduce_max": _reduce(reduction.ReduceMaxOp),
    "arg_max": _arg_extreme(reduction.ArgMaxOp),
    "arg_min": _arg_extreme(reduction.ArgMinOp),
    "cum_sum": _cum_sum,
    "where": _where,
    "softmax": _softmax,
    "reshape": lambda d: movement.ReshapeOp.make([d.value((2, 3, 4))], [d.element()], shape=[4, 6]),
    "transpose": lambda d: movement.TransposeOp.make(
        [d.value((2, 3, 4))], [d.element()], perm=[2, 0, 1]
    ),
    "expand": lambda d: movement.ExpandOp.make([d.value((3, 1))], [d.element()], shape=[2, 3, 4]),
    "tile": lambda d: movement.TileOp.make([d.value((2, 3))], [d.element()], repeats=[2, 3]),
    "depth_to_space": _block(rearrangement.DepthToSpaceOp),
    "space_to_depth": _block(rearrangement.SpaceToDepthOp),
    "gather": _gather,
    "concat": _concat,
    "split": _split,
    "slice": _slice,
    "pad": _pad,
    "resize": _resize,
    "resize_1d_3d": _resize_nd,
}
"""Operator -> a function that draws one of its quantised forms."""
