"""A segment from `ftensor` to TOSA: each operation's lowering, one after another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from xdsl.dialects.builtin import FunctionType
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Operation, Region, SSAValue

from furiosa_ir.backends.mlir.tosa import dialect as tosa
from furiosa_ir.backends.mlir.tosa.lowering import contraction, elementwise, movement, rescale
from furiosa_ir.backends.mlir.tosa.lowering.emission import Emitter, Inexact, inexact
from furiosa_ir.backends.mlir.tosa.lowering.registry import LOWERINGS
from furiosa_ir.dialects.ftensor.arithmetic import ConstantOp
from furiosa_ir.dialects.ftensor.base import TensorOp
from furiosa_ir.errors import CompilationFailure, FuriosaError
from furiosa_ir.ir.location import layer_name
from furiosa_ir.ir.rewrite_watch import step
from furiosa_ir.ir.segments import body_of
from furiosa_ir.ir.shaped_operation import element_of, shape_of
from furiosa_ir.ir.value_tracking import note_all_replaced

MODULES = (contraction, elementwise, movement, rescale)
"""What declares lowerings by being imported."""


def convert_function(function: FuncOp) -> None:
    """Lowers a device segment's function in place.

    Args:
        function: of `ftensor` operations.

    Raises:
        CompilationFailure: an operation has no exact form in TOSA.
    """
    old = body_of(function)
    new = Block(arg_types=[a.type for a in old.args])
    values: dict[SSAValue, SSAValue] = dict(zip(old.args, new.args, strict=True))
    for before, after in zip(old.args, new.args, strict=True):
        after.name_hint, after.location = before.name_hint, before.location
    emit = Emitter(new, values)
    for op in old.ops:
        if isinstance(op, ConstantOp):
            emit.know(op.result, op.value.array)
            continue
        emit.location = op.location
        if isinstance(op, ReturnOp):
            new.add_op(ReturnOp(*_returned(emit, [emit.operand(v) for v in op.arguments])))
            continue
        _convert(op, emit, new, values)
    region = function.body
    function.detach_region(region)
    function.add_region(Region(new))
    region.drop_all_references()
    returned = cast("ReturnOp", new.last_op).arguments
    function.function_type = FunctionType.from_lists(
        [a.type for a in new.args], [v.type for v in returned]
    )


def _returned(emit: Emitter, values: Sequence[SSAValue]) -> list[SSAValue]:
    """Values as a graph may give them: each once, and made by it."""
    found: list[SSAValue] = []
    for value in values:
        is_made = isinstance(value.owner, tosa.TosaOp) and not isinstance(value.owner, tosa.ConstOp)
        again = not is_made or value in found
        found.append(
            emit.made(tosa.IdentityOp, [value], shape_of(value), element_of(value))
            if again
            else value
        )
    return found


def refused(op: Operation, why: Inexact) -> CompilationFailure:
    """The sentence that names an operation and its layer."""
    return CompilationFailure(
        f"'{op.name}' has no exact form in TOSA: {why}",
        layer=layer_name(op),
        hint="compile a part of the network without it, or for --target-npu mlir",
    )


def _convert(op: Operation, emit: Emitter, new: Block, values: dict[SSAValue, SSAValue]) -> None:
    assert isinstance(op, TensorOp)
    lowering = LOWERINGS.get(type(op))
    last = new.last_op
    with step(lowering.__name__ if lowering is not None else op.name, op) as done:
        try:
            if lowering is None:
                raise inexact("nobody has written one")
            result = lowering(op, emit)
        except Inexact as error:
            raise refused(op, error) from None
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
