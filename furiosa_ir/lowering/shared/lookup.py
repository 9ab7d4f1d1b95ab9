"""Functions of one 8-bit element that are given as their 256 results."""

from __future__ import annotations

import numpy as np
from xdsl.dialects.builtin import i8
from xdsl.ir import SSAValue

from furiosa_ir.dialects.ftensor import arithmetic
from furiosa_ir.dialects.graph.elementwise import TableOp
from furiosa_ir.lowering.constraints import not_8bit
from furiosa_ir.lowering.registry import EXACT, LITERT, Emitter, lowers


@lowers(TableOp, EXACT, LITERT, unless=[not_8bit])
def table(op: TableOp, emit: Emitter) -> SSAValue:
    """The table as it is; stored uint8 in and out become int8 (entry order stays: 0..255)."""
    entries = op.table.array
    if entries.dtype == np.uint8:
        entries = (entries ^ np.uint8(0x80)).view(np.int8)
    return emit.emit(arithmetic.LookupOp, [emit.operand(op.x), emit.constant(entries, i8)])
