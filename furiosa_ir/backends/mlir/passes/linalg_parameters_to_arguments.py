"""`linalg-parameters-to-arguments`: constants are what functions are given, and no globals."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import FunctionType, ModuleOp
from xdsl.dialects.func import CallOp, FuncOp

from furiosa_ir.backends.mlir.dialect import GlobalLoadOp, GlobalOp, OptimizationBarrierOp
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.ir.passes import Pass
from furiosa_ir.ir.value_tracking import note_replaced


@dataclass(frozen=True)
class LinalgParametersToArguments(Pass):
    """Has each function take the constants that it loads as further arguments, by symbol in order.

    For tools that know upstream's dialects alone (mlir-opt, mlir-runner). It is of modules whose
    functions nobody calls, as `furiosa compile --target-npu mlir -o net.mlir` writes them.

        util.global private @c0 = #flow.parameter.named<"model"::"..."> : tensor<8x4xi8>
        func.func @npu_0(%x: tensor<4x4xi8>) -> tensor<4x8xi32> {
          %w = util.global.load @c0 : tensor<8x4xi8>

    becomes

        func.func @npu_0(%x: tensor<4x4xi8>, %c0: tensor<8x4xi8>) -> tensor<4x8xi32> {
    """

    name = "linalg-parameters-to-arguments"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        called = {c.callee.string_value() for c in op.walk() if isinstance(c, CallOp)}
        globals_ = [g for g in op.ops if isinstance(g, GlobalOp)]
        order = {g.sym_name.data: i for i, g in enumerate(globals_)}
        for function in op.ops:
            if not isinstance(function, FuncOp):
                continue
            loads = [load for load in function.walk() if isinstance(load, GlobalLoadOp)]
            for barrier in list(function.walk()):
                if isinstance(barrier, OptimizationBarrierOp):  # IREE's, too
                    note_replaced(barrier.result, barrier.x)
                    barrier.result.replace_all_uses_with(barrier.x)
                    barrier.detach()
                    barrier.erase()
            if loads and function.sym_name.data in called:
                raise CompilationFailure(
                    f"'{self.name}': @{function.sym_name.data} is called, with what it takes now",
                    hint="write the device functions alone: furiosa compile --target-npu mlir "
                    "-o net.mlir",
                )
            _take(function, loads, order)
        for held in globals_:
            held.detach()
            held.erase()


def _take(function: FuncOp, loads: list[GlobalLoadOp], order: dict[str, int]) -> None:
    block = function.body.block
    names = sorted({load.global_.string_value() for load in loads}, key=order.__getitem__)
    types = {load.global_.string_value(): load.result.type for load in loads}
    added = {name: block.insert_arg(types[name], len(block.args)) for name in names}
    for load in loads:
        argument = added[load.global_.string_value()]
        argument.name_hint = load.global_.string_value()
        note_replaced(load.result, argument)
        load.result.replace_all_uses_with(argument)
        load.detach()
        load.erase()
    outputs = list(function.function_type.outputs)
    function.function_type = FunctionType.from_lists([a.type for a in block.args], outputs)
