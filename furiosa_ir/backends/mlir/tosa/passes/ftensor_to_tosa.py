"""`ftensor-to-tosa`: device segments from `ftensor` to TOSA."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import FunctionType, ModuleOp
from xdsl.dialects.func import FuncOp

from furiosa_ir import stages
from furiosa_ir.backends.mlir.calls import retype_calls
from furiosa_ir.backends.mlir.tosa.lowering.conversion import convert_function
from furiosa_ir.ir.passes import Pass
from furiosa_ir.ir.rewriting import remove_dead_operations
from furiosa_ir.ir.segments import is_npu


@dataclass(frozen=True)
class FTensorToTosa(Pass):
    """Replaces the integer arithmetic of every `@npu_K` by TOSA where that is exact.

    Each operation's form is its lowering's business (`backends/mlir/tosa/lowering`). What TOSA
    cannot say without a difference (more than 32 bits, ties to even, quotients) is refused, and
    the layer named. i48 is held in i32 where the values' ranges allow it.

        %c = ftensor.conv %x, %w {layout = "NHWC", x_zp = -128} : tensor<1x2x2x8xi32>
        %r = ftensor.rescale %c, %m, %s {output_zp = 3, rounding = "double"} : tensor<1x2x2x8xi8>

    becomes

        %c = "tosa.conv2d"(%x, %w, %zeros, %x_zp, %w_zp) <{acc_type = i32, pad = array<i64: 0, 0,
            0, 0>, stride = array<i64: 1, 1>, dilation = array<i64: 1, 1>}> : ...
        %r = "tosa.rescale"(%c, %m, %s, %zero, %zp) <{rounding_mode = #tosa.rounding_mode<
            DOUBLE_ROUND>, scale32 = true, per_channel = true, ...}> : ...
    """

    name = "ftensor-to-tosa"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        stages.require(op, self.name)
        signatures: dict[str, FunctionType] = {}
        for function in op.ops:
            if isinstance(function, FuncOp) and is_npu(function):
                convert_function(function)
                signatures[function.sym_name.data] = function.function_type
        # Shapes that only another shape was made of.
        remove_dead_operations(op)
        retype_calls(op, signatures)
