"""Quantised floats: which integers float32 arithmetic may make of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.ir import Operation

from furiosa_ir.comparison import FLOAT_TOLERANCE
from furiosa_ir.dialects.graph.base import quantization_of
from furiosa_ir.dialects.graph.quantization import QuantizeOp
from furiosa_ir.dialects.quant.arithmetic import quantize
from furiosa_ir.interpreter.elements import is_float
from furiosa_ir.ir.shaped_operation import element_of
from furiosa_ir.numerics.array import Array


def margins(op: Operation, operands: Sequence[Array]) -> tuple[Array, Array] | None:
    """The least and the greatest integers that an operation may make, if it quantises floats.

    Rounding before the quantisation moves a real number by `FLOAT_TOLERANCE` of the greatest.
    """
    if not isinstance(op, QuantizeOp) or not is_float(element_of(op.x)):
        return None
    q = quantization_of(op.result)
    if q is None:
        return None
    x = operands[0].astype(np.float64, copy=False)
    finite = np.abs(x[np.isfinite(x)])
    margin = FLOAT_TOLERANCE * float(finite.max(initial=0.0))
    return quantize(x - margin, q), quantize(x + margin, q)
