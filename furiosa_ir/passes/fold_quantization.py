"""`graph-fold-quantization`: QuantizeLinear and DequantizeLinear become quantised types."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from typing_extensions import override
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp

from furiosa_ir.dialects.graph.base import is_from_tflite
from furiosa_ir.ir.passes import RewritePass
from furiosa_ir.ir.rewriting import Rule
from furiosa_ir.passes.fold_constants import CONSTANT_RULES, TFLITE_CONSTANT_RULES
from furiosa_ir.passes.fuse_tables import ISLAND_RULES
from furiosa_ir.passes.quantized_movement import MOVEMENT_RULES, TFLITE_MOVEMENT_RULES

# ruff: noqa: PLC0415  # most rules are for networks of ONNX alone
_TFLITE_RULES = (*TFLITE_CONSTANT_RULES, *TFLITE_MOVEMENT_RULES)


@cache
def _onnx_rules() -> tuple[Rule, ...]:
    from furiosa_ir.passes.quantized_accumulators import quantize_of_accumulator
    from furiosa_ir.passes.quantized_operators import OPERATOR_RULES
    from furiosa_ir.passes.quantized_ranges import RANGE_RULES

    return (
        *CONSTANT_RULES,
        *MOVEMENT_RULES,
        *ISLAND_RULES,
        *RANGE_RULES,
        *OPERATOR_RULES,
        quantize_of_accumulator,
    )


@dataclass(frozen=True)
class FoldQuantization(RewritePass):
    """Folds dequantise - operator - quantise into the operator on quantised types.

        %1 = graph.dequantize %x : tensor<1x8xf32>
        %2 = graph.sigmoid %1 : tensor<1x8xf32>
        %3 = graph.quantize %2 : tensor<1x8x!quant.uniform<i8:f32, 0.1:3>>

    becomes

        %3 = graph.sigmoid %x : tensor<1x8x!quant.uniform<i8:f32, 0.1:3>>

    Elements are moved as stored integers, and what only chooses among plain 8-bit ones (a Clip
    between QuantizeLinear and DequantizeLinear) is done on quantised types (`type_integers`). A
    clip after an unquantised result becomes a clip of the quantised one, or nothing where
    quantising saturates anyway; a float expression of one quantised value becomes a table; a batch
    normalisation, a float bias, factors and sums after a convolution or matrix product are applied
    to its i32 accumulator (`graph.affine`), which is rounded once. Results are those of exact
    arithmetic, element for element. What keeps a float operand or result (a network output) stays
    as it is, between `graph.dequantize` and `graph.quantize`.

    Of a TFLite network only what moves elements is folded: its quantised kernels compute something
    else than its float kernels between QUANTIZE and DEQUANTIZE.
    """

    name = "graph-fold-quantization"

    @classmethod
    @override
    def rule_list(cls) -> tuple[Rule, ...]:
        rules = _onnx_rules()
        return (*rules, *(rule for rule in _TFLITE_RULES if rule not in rules))

    def rules_for(self, module: ModuleOp) -> tuple[Rule, ...]:
        return _TFLITE_RULES if is_from_tflite(module) else _onnx_rules()

    @override
    def apply(self, ctx: Context, op: ModuleOp) -> None:
        if not is_from_tflite(op):
            from furiosa_ir.passes.integer_types import type_integers

            type_integers(op)
        super().apply(ctx, op)
