"""Which function lowers which operation of `ftensor` to TOSA."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from xdsl.ir import SSAValue

from furiosa_ir.backends.mlir.tosa.lowering.emission import Emitter
from furiosa_ir.dialects.ftensor.base import TensorOp

Lowering = Callable[[Any, Emitter], SSAValue]
"""From an operation to the value that stands for its result; raises where it would not be exact."""

_F = TypeVar("_F", bound=Callable[..., SSAValue])

LOWERINGS: dict[type[TensorOp], Lowering] = {}


def lowers(*operations: type[TensorOp]) -> Callable[[_F], _F]:
    """Declares that a function is the lowering of operations."""

    def declare(function: _F) -> _F:
        LOWERINGS.update(dict.fromkeys(operations, function))
        return function

    return declare
