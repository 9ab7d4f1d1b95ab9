"""A segment from `ftensor` to upstream's dialects: each operation's lowering, one after another."""

from __future__ import annotations

from typing import cast

from xdsl.dialects.builtin import FunctionType
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Region, SSAValue

from furiosa_ir.backends.mlir.lowering import contraction, elementwise, movement, rescale
from furiosa_ir.backends.mlir.lowering.emission import Emitter, Parameters, upstream
from furiosa_ir.backends.mlir.lowering.registry import LOWERINGS
from furiosa_ir.dialects.ftensor.arithmetic import ConstantOp
from furiosa_ir.dialects.ftensor.base import TensorOp
from furiosa_ir.errors import CompilationFailure, FuriosaError
from furiosa_ir.ir.location import layer_name
from furiosa_ir.ir.rewrite_watch import step
from furiosa_ir.ir.segments import body_of
from furiosa_ir.ir.shaped_operation import AnyTensor
from furiosa_ir.ir.value_tracking import note_all_replaced

MODULES = (contraction, elementwise, movement, rescale)
"""What declares lowerings by being imported."""


def convert_function(function: FuncOp, parameters: Parameters) -> None:
    """Lowers a device segment's function in place.

    Args:
        function: of `ftensor` operations.
        parameters: of its module; what the function needs is added.

    Raises:
        CompilationFailure: an operation has no lowering.
    """
    old = body_of(function)
    new = Block(arg_types=[upstream(cast("AnyTensor", a.type)) for a in old.args])
    values: dict[SSAValue, SSAValue] = dict(zip(old.args, new.args, strict=True))
    for before, after in zip(old.args, new.args, strict=True):
        after.name_hint, after.location = before.name_hint, before.location
    emit = Emitter(new, values, parameters)
    for op in old.ops:
        if isinstance(op, ConstantOp):
            emit.know(op.result, op.value.array)
            continue
        emit.location = op.location
        if isinstance(op, ReturnOp):
            new.add_op(ReturnOp(*[emit.operand(v) for v in op.arguments]))
            continue
        lowering = LOWERINGS.get(type(op)) if isinstance(op, TensorOp) else None
        if lowering is None:
            raise CompilationFailure(f"{op.name} has no form in linalg", layer=layer_name(op))
        last = new.last_op
        with step(lowering.__name__, op) as done:
            try:
                result = lowering(op, emit)
            except FuriosaError as error:
                raise error.at(layer=layer_name(op)) from None
            result.name_hint = result.name_hint or op.results[0].name_hint
            values[op.results[0]] = result
            note_all_replaced({op.results[0]: result})
            made = new.first_op if last is None else last.next_op
            while made is not None:
                done.made.append(made)
                made = made.next_op
            done.values.append(result)
    region = function.body
    function.detach_region(region)
    function.add_region(Region(new))
    region.drop_all_references()
    returned = cast("ReturnOp", new.last_op).arguments
    function.function_type = FunctionType.from_lists(
        [a.type for a in new.args], [v.type for v in returned]
    )
