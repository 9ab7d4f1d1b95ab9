"""`lower-to-ftensor`: NPU segments from `graph` to `ftensor`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from xdsl.context import Context
from xdsl.dialects.builtin import (
    FunctionType,
    ModuleOp,
    TensorType,
)
from xdsl.dialects.func import CallOp, FuncOp
from xdsl.ir import Attribute, Block, Operation, SSAValue

from furiosa_ir.dialects.graph.quantization import StorageCastOp
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.ir.passes import Pass
from furiosa_ir.ir.rewrite_watch import Step, step
from furiosa_ir.ir.rewriting import remove_dead_operations
from furiosa_ir.ir.segments import OPERATORS, is_npu, main_function, numerics_of
from furiosa_ir.ir.value_tracking import note_replaced
from furiosa_ir.lowering.function import lower_function
from furiosa_ir.passes.partition.graph_partition import require_segments


@dataclass(frozen=True)
class LowerToFTensor(Pass):
    """Replaces the operations of every `@npu_K` by integer arithmetic on i8 tensors.

    What an operation becomes is its lowering's business (`lowering`). uint8 data
    becomes i8 with the top bit flipped, bool i8 of 1 and 0. Results that are no 8-bit data leave as
    i32, or as i48, which takes 64 bits in memory. `graph.dtype`, `graph.scale` and
    `graph.zero_point` of arguments and results keep what the outside sees. In `@main`,
    `graph.storage_cast` stands before and behind the call, where the two views of the same bytes
    meet.

        func.func private @npu_1(%x: tensor<1x4x!quant.uniform<u8:f32, 0.5:128>>) -> ... {
          %r = graph.relu %x : ...
          func.return %r
        }

    becomes

        func.func private @npu_1(%x: tensor<1x4xi8> {graph.dtype = "uint8", ...}) -> ... {
          %table = ftensor.constant #graph.blob<"..."> : tensor<256xi8>
          %r = ftensor.lookup %x, %table : tensor<1x4xi8>
          func.return %r
        }
    """

    name = "lower-to-ftensor"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        require_segments(op, f"'{self.name}'")
        numerics = numerics_of(op)
        signatures: dict[str, FunctionType] = {}
        for function in op.ops:
            if isinstance(function, FuncOp) and is_npu(function):
                if OPERATORS in function.attributes:
                    what = f"@{function.sym_name.data} is lowered already"
                    raise CompilationFailure(f"'{self.name}' comes too late: {what}")
                lower_function(function, numerics)
                signatures[function.sym_name.data] = function.function_type
        remove_dead_operations(op)
        _retype_calls(main_function(op), signatures)


def _retype_calls(main: FuncOp, signatures: dict[str, FunctionType]) -> None:
    """Calls the lowered segments with i8 tensors: storage casts stand where the views meet."""
    for call in list(main.body.block.ops):
        if isinstance(call, CallOp) and call.callee.string_value() in signatures:
            with step("retype_call", call) as done:
                _retype_call(call, signatures[call.callee.string_value()], done)


def _retype_call(call: CallOp, signature: FunctionType, done: Step) -> None:
    operands = [
        _cast(call, v, cast("TensorType[Attribute]", t), done)
        for v, t in zip(call.operands, signature.inputs, strict=True)
    ]
    new = CallOp(call.callee, operands, list(signature.outputs))
    new.location = call.location
    cast("Block", call.parent).insert_op_before(new, call)
    done.made.append(new)
    for old, result in zip(call.results, new.results, strict=True):
        view = _cast(call, result, cast("TensorType[Attribute]", old.type), done)
        done.values.append(view)
        note_replaced(old, view)
        old.replace_all_uses_with(view)
    call.detach()
    call.erase()


def _cast(before: Operation, value: SSAValue, type_: TensorType[Attribute], done: Step) -> SSAValue:
    if value.type == type_:
        return value
    op = StorageCastOp.make([value], [type_.element_type])
    cast("Block", before.parent).insert_op_before(op, before)
    done.made.append(op)
    return op.result
