"""`ftensor-to-linalg`: device segments from `ftensor` to upstream's dialects."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import FunctionType, ModuleOp
from xdsl.dialects.func import FuncOp

from furiosa_ir import stages
from furiosa_ir.backends.mlir.calls import retype_calls
from furiosa_ir.backends.mlir.lowering.conversion import convert_function
from furiosa_ir.backends.mlir.lowering.emission import Parameters
from furiosa_ir.ir.passes import Pass
from furiosa_ir.ir.segments import is_npu


@dataclass(frozen=True)
class FTensorToLinalg(Pass):
    """Replaces the integer arithmetic of every `@npu_K` by linalg, tensor and arith.

    Each operation's form is its lowering's business (`backends/mlir/lowering`). i48 is held in i64.
    Constants of more than 16 elements become parameters: globals of the module, whose elements lie
    in the safetensors file beside the text, from which IREE reads them
    (`--parameters=model=net.safetensors`).

        %w = ftensor.constant #graph.blob<"..."> : tensor<8x1x1x4xi8>
        %r = ftensor.conv %x, %w {layout = "NHWC"} : tensor<1x2x2x8xi32>

    becomes

        util.global private @c0 = #flow.parameter.named<"model"::"..."> : tensor<8x4xi8>
        ...
        %rows = tensor.collapse_shape %x [[0, 1, 2], [3]] : tensor<1x2x2x4xi8> into tensor<4x4xi8>
        %w = util.global.load @c0 : tensor<8x4xi8>
        %sums = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d2)>,
            affine_map<(d0, d1, d2) -> (d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>],
            iterator_types = ["parallel", "parallel", "reduction"]}
            ins(%rows, %w : ...) outs(%zeros : tensor<4x8xi32>) {...} -> tensor<4x8xi32>
        %r = tensor.expand_shape %sums [[0, 1, 2], [3]] : ... into tensor<1x2x2x8xi32>
    """

    name = "ftensor-to-linalg"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        stages.require(op, self.name)
        parameters = Parameters({})
        signatures: dict[str, FunctionType] = {}
        for function in op.ops:
            if isinstance(function, FuncOp) and is_npu(function):
                convert_function(function, parameters)
                signatures[function.sym_name.data] = function.function_type
        first = op.body.block.first_op
        for made in parameters.globals.values():
            assert first is not None
            op.body.block.insert_op_before(made, first)
        retype_calls(op, signatures)
