"""A segment from `ftensor` to linalg, tensor and arith."""

from __future__ import annotations

from functools import partial
from typing import cast

from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute

from furiosa_ir.backends.mlir.lowering import contraction, elementwise, movement, rescale
from furiosa_ir.backends.mlir.lowering.emission import Emitter, Parameters, upstream
from furiosa_ir.backends.mlir.lowering.registry import LOWERINGS
from furiosa_ir.backends.mlir.lowering.two_orders import make_first_what_is_read_in_two_orders
from furiosa_ir.backends.mlir.segment_conversion import Conversion
from furiosa_ir.dialects.ftensor.base import TensorOp
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.ir.segments import body_of
from furiosa_ir.ir.shaped_operation import AnyTensor

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
    emitter = partial(Emitter, parameters=parameters)
    Conversion(_argument, emitter, LOWERINGS, _missing).convert(function)
    _remove_unused(function)
    make_first_what_is_read_in_two_orders(function)


def _remove_unused(function: FuncOp) -> None:
    """Removes what only another form was made of: shapes, and what was joined with what follows.

    All operations on tensors are without effects, which xDSL does not know of `linalg.generic`.
    """
    op = body_of(function).last_op
    while op is not None:
        before = op.prev_op
        if op.results and not any(result.first_use for result in op.results):
            op.detach()
            op.erase()
        op = before


def _argument(type_: Attribute) -> Attribute:
    return upstream(cast("AnyTensor", type_))


def _missing(op: TensorOp) -> CompilationFailure:
    return CompilationFailure(f"{op.name} has no form in linalg")
