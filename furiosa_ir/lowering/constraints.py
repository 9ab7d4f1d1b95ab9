"""Constraints that several lowerings share: from an operation to a `Hint`, or None."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import numpy as np
from xdsl.dialects.builtin import IntegerType, Signedness
from xdsl.ir import SSAValue

from furiosa_ir import hints
from furiosa_ir.dialects.graph.accumulator import sums_fit
from furiosa_ir.dialects.graph.base import GraphOp, constant_of, quantization_of
from furiosa_ir.dialects.graph.contraction import ContractionOp
from furiosa_ir.dialects.graph.convolution import ConvOp, ConvTransposeOp
from furiosa_ir.dialects.graph.elementwise import DivOp, SquaredDifferenceOp
from furiosa_ir.dialects.graph.movement import ConcatOp, PadOp, SliceOp, TileOp
from furiosa_ir.dialects.graph.pooling import AveragePoolOp, WindowPoolOp
from furiosa_ir.dialects.graph.rearrangement import MOST_INDICES
from furiosa_ir.dialects.graph.resize import ResizeOp
from furiosa_ir.ir.shaped_operation import element_of, ints, shape_of
from furiosa_ir.numerics.fixed_point import GREATEST_FACTOR

GREATEST_SCALE = 2.0**64
"""Real numbers of such a size, or of its inverse, are no activations of a network."""

MOST_COUNTED = 1 << 20
"""Windows whose counts of elements become constants, of 13 bytes each."""


def extreme_scale(op: GraphOp) -> hints.Hint | None:
    """A scale with which float arithmetic on factors is no longer exact, or possible at all.

    Weights may have any small scale: channels that never speak have.
    """
    for value in (*op.operands, *op.results):
        q = quantization_of(value)
        if q is None:
            continue
        least = 0.0 if constant_of(value) is not None else 1 / GREATEST_SCALE
        for scale in (min(q.scales), max(q.scales)):
            if not least <= scale <= GREATEST_SCALE:
                return hints.form(op.name, f"with a scale of {scale:g}")
    return None


def scales_far_apart(op: GraphOp) -> hints.Hint | None:
    """A factor between the scales that is no multiplier and shift to the right.

    The kernel on the host has its own way with it: LiteRT's shifts to the left, modulo 32 from 32
    on, as the machine's instruction does.
    """
    results = [q for v in op.results if (q := quantization_of(v)) is not None]
    given = [(v, q) for v in op.operands if (q := quantization_of(v)) is not None]
    scales = [max(q.scales) for v, q in given if q.storage != "i32" or constant_of(v) is None]
    if not results or not scales:
        return None
    product = math.prod(scales) if len(scales) == 2 else 0.0
    if isinstance(op, SquaredDifferenceOp):
        product = max(scales) ** 2
    if isinstance(op, DivOp):
        product = scales[0] / scales[-1] if scales[-1] else math.inf
    if isinstance(op, ConcatOp):
        product = max(scales) * 256  # LiteRT's takes the rescaled numbers for integers of 32 bits
    factor = max(product, *scales) / max(min(min(q.scales) for q in results), 1 / GREATEST_SCALE)
    if factor < GREATEST_FACTOR:
        return None
    return hints.form(op.name, f"with scales of a factor of {factor:g}")


def long_gather(op: ResizeOp | TileOp | SliceOp | PadOp) -> hints.Hint | None:
    """More indices along a dimension than a gather holds: what repeats, mirrors or turns around."""
    match op:
        case ResizeOp():
            extents = ints(op.sizes)
        case TileOp():
            shape = zip(shape_of(op.result), ints(op.repeats), strict=True)
            extents = [extent for extent, repeats in shape if repeats != 1]
        case SliceOp():
            shape = zip(shape_of(op.result), ints(op.steps), strict=True)
            extents = [extent for extent, step in shape if step < 0]
        case PadOp():
            listed = op.mode.data != "constant"
            shape = zip(shape_of(op.x), shape_of(op.result), strict=True)
            extents = [after for before, after in shape if listed and after != before]
    if max(extents, default=0) > MOST_INDICES:
        return hints.form(op.name, f"to more than {MOST_INDICES} along a dimension")
    return None


def many_windows(op: AveragePoolOp) -> hints.Hint | None:
    """So many windows at the border and elsewhere that what they count is no small table."""
    layout = zip(op.layout.data, shape_of(op.result), strict=True)
    count = math.prod(extent for d, extent in layout if d not in "NC")
    if count > MOST_COUNTED and (any(ints(op.pads)) or op.ceil_mode.value.data):
        return hints.form(op.name, f"with {count} windows that count differently")
    return None


def many_slices(op: ConvOp | ConvTransposeOp | WindowPoolOp) -> hints.Hint | None:
    """Of windows of three dimensions: more slices, once for each window, than a gather holds."""
    if "D" not in op.layout.data:
        return None
    if isinstance(op, WindowPoolOp):
        deep = ints(op.kernel_shape)[0]
    else:
        deep = shape_of(op.weight)[op.kernel_layout.data.index("D")]
    slices = deep * shape_of(op.result)[op.layout.data.index("D")]
    if slices > MOST_INDICES:
        return hints.form(op.name, f"of {slices} slices of its windows' depth")
    return None


def channels_elsewhere(op: ContractionOp) -> hints.Hint | None:
    """The weight's scales belong to another dimension than its output channels."""
    q = quantization_of(op.operands[1])
    if q is not None and q.axis is not None and q.axis != op.weight_channel_axis:
        return hints.form(op.name, f"with scales along dimension {q.axis} of its weight")
    return None


def not_8bit(op: GraphOp) -> hints.Hint | None:
    """A data operand or a result is not 8-bit quantised per tensor (an i32 bias may be)."""
    return not_8bit_values(op, (*op.operands, *op.results))


def not_8bit_product(op: GraphOp) -> hints.Hint | None:
    """A data operand or a result is not 8-bit quantised per tensor, nor is it the i32 accumulator.

    That is a result in units of x_scale * weight_scale.
    """
    x, weight, y = (quantization_of(v) for v in (*op.operands[:2], op.results[0]))
    if x is None or weight is None or y is None or y.storage != "i32":
        return not_8bit(op)
    units = [x.scale * scale for scale in weight.scales]
    # One scale for all, or for each channel (a transposed convolution's weight has a group's).
    same = set(units) == {y.scale} if y.axis is None else _repeated(units, y.scales)
    if any(y.zero_points) or not same:
        return hints.form(op.name, "with an i32 result that is not the accumulator")
    return not_8bit_values(op, op.operands)


def _repeated(period: Sequence[float], whole: Sequence[float]) -> bool:
    return [*period] * (len(whole) // len(period)) == [*whole]


def without_scale(op: GraphOp, value: SSAValue) -> hints.Hint:
    """Why a value that is not quantised keeps the operation on the host."""
    if not isinstance(element_of(value), IntegerType):
        return hints.not_quantized(op.name)
    element = cast("IntegerType", element_of(value))
    width = element.width.data
    if width == 1:
        return hints.form(op.name, "on bool data")
    data = f"{'u' if element.signedness.data == Signedness.UNSIGNED else 'i'}{width} data"
    return hints.form(op.name, f"on {data} without a scale" if width == 8 else f"on {data}")


def not_8bit_result(op: GraphOp) -> hints.Hint | None:
    """A result is not 8-bit quantised per tensor."""
    return not_8bit_values(op, op.results)


def not_8bit_values(op: GraphOp, values: Sequence[SSAValue]) -> hints.Hint | None:
    """One of the values is not 8-bit quantised per tensor (an i32 bias may be)."""
    for value in values:
        q = quantization_of(value)
        constant = constant_of(value)
        is_bias = constant is not None and any(value is v for v in op.operands[2:])
        if q is None:
            return without_scale(op, value)
        if q.storage not in ("i8", "u8") and not (is_bias and q.storage == "i32"):
            return hints.form(op.name, f"with {q.storage} data")
        if q.axis is not None and constant is None:
            return hints.form(op.name, "with per-channel activations")
    return None


def not_8bit_activation(op: GraphOp) -> hints.Hint | None:
    """The first operand or the result is not 8-bit quantised per tensor (constants need not be)."""
    for value in (*op.operands, *op.results):
        q = quantization_of(value)
        if constant_of(value) is not None and value is not op.operands[0]:
            continue
        if q is None:
            return without_scale(op, value)
        if q.storage not in ("i8", "u8") or q.axis is not None:
            return hints.form(op.name, f"with {q.storage} data")
    return None


def dynamic(op: GraphOp) -> hints.Hint | None:
    """An extent that only running the network tells."""
    if any(n < 0 for v in (*op.operands, *op.results) for n in shape_of(v)):
        return hints.dynamic_shape(op.name)
    return None


def many_dimensional(op: GraphOp) -> hints.Hint | None:
    """More than three spatial dimensions (or none)."""
    rank = len(shape_of(op.operands[0]))
    if rank not in (3, 4, 5):
        return hints.form(op.name, f"with {rank - 2} spatial dimensions")
    return None


def not_two_dimensional(op: GraphOp) -> hints.Hint | None:
    """Not exactly two spatial dimensions."""
    rank = len(shape_of(op.operands[0]))
    if rank != 4:
        return hints.form(op.name, f"with {rank - 2} spatial dimensions")
    return None


def variable_weight(op: GraphOp) -> hints.Hint | None:
    """The weight or the bias is computed by the network."""
    if any(constant_of(v) is None for v in op.operands[1:]):
        return hints.form(op.name, "with weights that are not constant")
    return None


def wide_sums(op: ContractionOp) -> hints.Hint | None:
    """A sum of products and its bias may not fit the 32-bit accumulator."""
    bias = constant_of(op.operands[2]) if len(op.operands) > 2 else None
    if not sums_fit(op, op.operands[0], op.operands[1], bias):
        return hints.form(op.name, "whose sums may exceed 32 bits")
    return None


def varying_zero_points(op: GraphOp) -> hints.Hint | None:
    """Zero points that differ from channel to channel."""
    for value in op.operands:
        q = quantization_of(value)
        if q is not None and len(set(q.zero_points)) > 1:
            return hints.form(op.name, "with zero points that differ between channels")
    return None


def bias_not_accumulator(op: ContractionOp) -> hints.Hint | None:
    """The bias (operand 2) is not an i32 constant in units of x_scale * weight_scale.

    The scales may differ by float32 rounding: then the exact product is meant.
    """
    if len(op.operands) < 3:
        return None
    x, weight, bias = (quantization_of(v) for v in op.operands[:3])
    if x is None or weight is None or bias is None:
        return without_scale(op, next(v for v in op.operands if quantization_of(v) is None))
    alpha, beta = op.factors
    if beta != 1.0:
        return hints.form(op.name, "with a bias factor beta")
    want = np.array(weight.scales) * x.scale * alpha
    if bias.storage != "i32" or not np.allclose(bias.scales, want, rtol=1e-5, atol=0):
        return hints.form(op.name, "with a bias that is not in the accumulator's scale")
    return None
