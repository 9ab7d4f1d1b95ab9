"""graph -> ftensor: what becomes of each operator, one function each.

A lowering is declared with `@lowers(Operation, numerics)`; it emits `ftensor` operations and
returns the results. `unless` lists constraints: functions from the operation to a `Hint` (why it
cannot run on the NPU) or None. To add an operator, copy a ten-line neighbour in the module of its
family (`exact/` for ONNX's arithmetic, `litert/` for LiteRT's reference kernels, `litert_default/`
for its other kernels where they differ).
"""

from __future__ import annotations

from furiosa_ir.lowering.registry import (
    Constraint,
    Emitter,
    Lowering,
    find_lowering,
    lowers,
    refusal,
)

__all__ = ["Constraint", "Emitter", "Lowering", "find_lowering", "lowers", "refusal"]
