"""A segment from `ftensor` to TOSA, or why it is none."""

from __future__ import annotations

from functools import wraps
from typing import Any

from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, SSAValue

from furiosa_ir.backends.mlir.segment_conversion import Conversion, Lowering
from furiosa_ir.backends.mlir.tosa.lowering import contraction, elementwise, movement, rescale
from furiosa_ir.backends.mlir.tosa.lowering.emission import Emitter, Inexact
from furiosa_ir.backends.mlir.tosa.lowering.registry import LOWERINGS
from furiosa_ir.dialects.ftensor.base import TensorOp
from furiosa_ir.errors import CompilationFailure

MODULES = (contraction, elementwise, movement, rescale)
"""What declares lowerings by being imported."""


def convert_function(function: FuncOp) -> None:
    """Lowers a device segment's function in place.

    Args:
        function: of `ftensor` operations.

    Raises:
        CompilationFailure: an operation has no exact form in TOSA.
    """
    lowerings = {kind: _explained(lowering) for kind, lowering in LOWERINGS.items()}
    try:
        Conversion(_argument, Emitter, lowerings, _missing).convert(function)
    except Inexact as why:  # of what is returned as it was given
        raise _refused("a result", why.reason) from None


def _argument(type_: Attribute) -> Attribute:
    return type_


def _missing(op: TensorOp) -> CompilationFailure:
    return _refused(f"'{op.name}'", "nobody has written one")


def _refused(what: str, why: str) -> CompilationFailure:
    return CompilationFailure(
        f"{what} has no exact form in TOSA: {why}",
        hint="compile a part of the network without it, or for --target-npu mlir",
    )


def _explained(lowering: Lowering) -> Lowering:
    """A lowering whose refusals name the operation."""

    @wraps(lowering)
    def lower(op: TensorOp, emit: Any) -> SSAValue:
        try:
            return lowering(op, emit)
        except Inexact as why:
            raise _refused(f"'{op.name}'", why.reason) from None

    return lower
