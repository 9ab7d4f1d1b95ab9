"""Unary operators: a clamp where input and output share their quantisation, else a table."""

from __future__ import annotations

from xdsl.dialects.builtin import FloatAttr, i8
from xdsl.ir import SSAValue

from furiosa_ir import hints
from furiosa_ir.dialects.ftensor import arithmetic
from furiosa_ir.dialects.graph.elementwise import (
    ClipOp,
    LeakyReluOp,
    ReluOp,
    SigmoidOp,
    TanhOp,
    UnaryOp,
)
from furiosa_ir.dialects.graph.functions import (
    AbsOp,
    EluOp,
    ExpOp,
    GeluOp,
    HardSwishOp,
    LogOp,
    NegOp,
    RsqrtOp,
    SqrtOp,
)
from furiosa_ir.lowering.constraints import not_8bit
from furiosa_ir.lowering.litert import factors, function_tables
from furiosa_ir.lowering.registry import LITERT, Emitter, lowers

MOST_STEPS = float(1 << 30)


@lowers(ReluOp, LITERT, unless=[not_8bit])
def relu(op: ReluOp, emit: Emitter) -> SSAValue:
    """RELU."""
    return _bounded(op, 0.0, None, emit)


def far_bounds(op: ClipOp) -> hints.Hint | None:
    """A bound so many steps away that LiteRT's conversion to an integer of 32 bits overflows."""
    y = Emitter.quantization(op.result)
    for bound in (op.minimum, op.maximum):
        if bound is not None and abs(bound.value.data) / y.scale >= MOST_STEPS:
            return hints.form(op.name, f"at {bound.value.data:g} with a scale of {y.scale:g}")
    return None


@lowers(ClipOp, LITERT, unless=[not_8bit, far_bounds])
def clip(op: ClipOp, emit: Emitter) -> SSAValue:
    """RELU6, RELU_N1_TO_1, RELU_0_TO_1."""
    return _bounded(op, _number(op.minimum), _number(op.maximum), emit)


def _number(bound: FloatAttr | None) -> float | None:
    return None if bound is None else bound.value.data


def _bounded(op: UnaryOp, low: float | None, high: float | None, emit: Emitter) -> SSAValue:
    """``QuantizedReluX``: rescale, then clamp to the stored integers of the bounds."""
    x, y = emit.quantization(op.x), emit.quantization(op.result)
    minimum, maximum = factors.stored_range(low, high, y.scale, y.zero_point)
    if (x.scale, x.zero_point) == (y.scale, y.zero_point):
        operand = emit.operand(op.x)
        return emit.emit(arithmetic.ClampOp, [operand], minimum=minimum, maximum=maximum)
    return emit.rescale(
        emit.operand(op.x),
        *factors.ratio_float(x.scale, y.scale),
        rounding="double",
        input_zp=x.zero_point,
        output_zp=y.zero_point,
        minimum=minimum,
        maximum=maximum,
    )


@lowers(SigmoidOp, LITERT, unless=[not_8bit])
def logistic(op: SigmoidOp, emit: Emitter) -> SSAValue:
    """LOGISTIC."""
    return lookup(
        op, function_tables.from_function(function_tables.logistic, *_quantizations(op, emit)), emit
    )


@lowers(TanhOp, LITERT, unless=[not_8bit])
def tanh(op: TanhOp, emit: Emitter) -> SSAValue:
    """TANH."""
    return lookup(
        op, function_tables.from_function(function_tables.tanh, *_quantizations(op, emit)), emit
    )


@lowers(LeakyReluOp, LITERT, unless=[not_8bit])
def leaky_relu(op: LeakyReluOp, emit: Emitter) -> SSAValue:
    """LEAKY_RELU."""
    return lookup(
        op, function_tables.leaky_relu(*_quantizations(op, emit), op.alpha.value.data), emit
    )


@lowers(ExpOp, LITERT, unless=[not_8bit])
def exp(op: ExpOp, emit: Emitter) -> SSAValue:
    """EXP."""
    return lookup(
        op, function_tables.from_function(function_tables.exp, *_quantizations(op, emit)), emit
    )


@lowers(LogOp, LITERT, unless=[not_8bit])
def log(op: LogOp, emit: Emitter) -> SSAValue:
    """LOG."""
    return lookup(op, function_tables.log(*_quantizations(op, emit)), emit)


@lowers(SqrtOp, LITERT, unless=[not_8bit])
def sqrt(op: SqrtOp, emit: Emitter) -> SSAValue:
    """SQRT."""
    return lookup(op, function_tables.sqrt(*_quantizations(op, emit)), emit)


def wide_shift(op: RsqrtOp | HardSwishOp) -> hints.Hint | None:
    """LiteRT's kernel would shift by more bits than its numbers have, or by less than 0."""
    x, y = Emitter.quantization(op.x), Emitter.quantization(op.result)
    fits = (
        function_tables.rsqrt_fits if isinstance(op, RsqrtOp) else function_tables.hard_swish_fits
    )
    if fits(x.scale, y.scale):
        return None
    return hints.form(op.name, "with scales that are millions apart")


@lowers(RsqrtOp, LITERT, unless=[not_8bit, wide_shift])
def rsqrt(op: RsqrtOp, emit: Emitter) -> SSAValue:
    """RSQRT."""
    return lookup(op, function_tables.rsqrt(*_quantizations(op, emit)), emit)


@lowers(AbsOp, LITERT, unless=[not_8bit])
def absolute(op: AbsOp, emit: Emitter) -> SSAValue:
    """ABS."""
    return lookup(op, function_tables.absolute(*_quantizations(op, emit)), emit)


@lowers(NegOp, LITERT, unless=[not_8bit])
def neg(op: NegOp, emit: Emitter) -> SSAValue:
    """NEG."""
    return lookup(op, function_tables.NEGATED, emit)


@lowers(EluOp, LITERT, unless=[not_8bit])
def elu(op: EluOp, emit: Emitter) -> SSAValue:
    """ELU."""
    return lookup(
        op, function_tables.from_function(function_tables.elu, *_quantizations(op, emit)), emit
    )


@lowers(GeluOp, LITERT, unless=[not_8bit])
def gelu(op: GeluOp, emit: Emitter) -> SSAValue:
    """GELU."""
    approximate = op.approximate is not None and op.approximate.data == "tanh"
    function = function_tables.gelu_approximate if approximate else function_tables.gelu
    return lookup(op, function_tables.from_function(function, *_quantizations(op, emit)), emit)


@lowers(HardSwishOp, LITERT, unless=[not_8bit, wide_shift])
def hard_swish(op: HardSwishOp, emit: Emitter) -> SSAValue:
    """HARD_SWISH."""
    return lookup(op, function_tables.hard_swish(*_quantizations(op, emit)), emit)


def lookup(op: UnaryOp, table: function_tables.Table, emit: Emitter) -> SSAValue:
    """A unary operator by its table."""
    return emit.emit(arithmetic.LookupOp, [emit.operand(op.x), emit.constant(table, i8)])


def _quantizations(
    op: UnaryOp, emit: Emitter
) -> tuple[function_tables.Quantization, function_tables.Quantization]:
    x, y = emit.quantization(op.x), emit.quantization(op.result)
    return function_tables.Quantization(x.scale, x.zero_point), function_tables.Quantization(
        y.scale, y.zero_point
    )
