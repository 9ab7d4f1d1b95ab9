"""Calls of device segments that give other types than `ftensor` has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from xdsl.dialects.builtin import FunctionType, ModuleOp
from xdsl.dialects.func import CallOp
from xdsl.ir import Block

from furiosa_ir.dialects.graph.quantization import StorageCastOp
from furiosa_ir.ir.segments import main_function
from furiosa_ir.ir.value_tracking import note_replaced


def retype_calls(module: ModuleOp, signatures: Mapping[str, FunctionType]) -> None:
    """Has `@main` call functions for what they give now: i64 or i32 for i48.

    Args:
        module: with the functions.
        signatures: theirs, by symbol.
    """
    for call in list(main_function(module).body.block.ops):
        if isinstance(call, CallOp) and call.callee.string_value() in signatures:
            _retype(call, signatures[call.callee.string_value()])


def _retype(call: CallOp, signature: FunctionType) -> None:
    if [r.type for r in call.results] == list(signature.outputs):
        return
    block = cast("Block", call.parent)
    new = CallOp(call.callee, list(call.operands), list(signature.outputs))
    new.location = call.location
    block.insert_op_before(new, call)
    for old, result in zip(call.results, new.results, strict=True):
        note_replaced(old, result)
        old.replace_all_uses_with(result)
    call.detach()
    call.erase()
    for result in new.results:
        for use in list(result.uses):
            cast_ = use.operation
            if isinstance(cast_, StorageCastOp) and cast_.result.type == result.type:
                note_replaced(cast_.result, result)
                cast_.result.replace_all_uses_with(result)
                cast_.detach()
                cast_.erase()
