"""What holds of a module in linalg beyond each operation's own rules."""

from __future__ import annotations

from collections.abc import Iterator

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import CallOp, FuncOp

from furiosa_ir.dialects.ftensor.base import TensorOp
from furiosa_ir.ir.segments import body_of, is_npu, main_function
from furiosa_ir.ir.verifier import Fault, raise_faults


def verify_upstream(module: ModuleOp) -> None:
    """Device segments hold upstream's operations alone, and calls have their types.

    Raises:
        OperationFailure: an operation of the tensor level is left, or a call has other types.
    """
    raise_faults(_faults(module))


def _faults(module: ModuleOp) -> Iterator[Fault]:
    segments = {f.sym_name.data: f for f in module.ops if isinstance(f, FuncOp) and is_npu(f)}
    for function in segments.values():
        for op in body_of(function).ops:
            if isinstance(op, TensorOp):
                yield (
                    op,
                    f"it is left in @{function.sym_name.data}, which is to be in upstream dialects",
                )
    for call in body_of(main_function(module)).ops:
        if isinstance(call, CallOp) and call.callee.string_value() in segments:
            signature = segments[call.callee.string_value()].function_type
            given = [v.type for v in call.operands], [v.type for v in call.results]
            if given != (list(signature.inputs), list(signature.outputs)):
                yield call, f"@{call.callee.string_value()} takes or gives other types"
