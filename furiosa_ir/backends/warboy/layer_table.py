"""The report's row of a kernel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from xdsl.dialects.builtin import DictionaryAttr, StringAttr
from xdsl.ir import Attribute

from furiosa_ir.backends.warboy.dialect.attributes import PART
from furiosa_ir.backends.warboy.dialect.kernels import CopyOp, DotOp, KernelOp, VectorOp
from furiosa_ir.backends.warboy.dialect.plan import LayerRow
from furiosa_ir.backends.warboy.planning.geometry import element_bytes
from furiosa_ir.backends.warboy.planning.kernel_views import is_constant, weight_operands
from furiosa_ir.dialects.ftensor.contraction import ContractionOp
from furiosa_ir.ir.location import layer_name, layer_names
from furiosa_ir.ir.segments import OPERATORS
from furiosa_ir.ir.shaped_operation import shape_of


def layer_rows(kernels: Sequence[KernelOp]) -> tuple[tuple[LayerRow, ...], list[int]]:
    """The rows of a segment's kernels, and the row of each kernel: parts of one share theirs."""
    rows: list[LayerRow] = []
    layers: list[int] = []
    known: dict[Attribute, int] = {}
    for op in kernels:
        mine, part = layer_row(op), op.attributes.get(PART)
        if part is None:
            layers.append(len(rows))
            rows.append(mine)
            continue
        number = known.setdefault(part, len(rows))
        layers.append(number)
        if number == len(rows):
            rows.append(mine)
            continue
        # The kernel itself is the row; copies bring what it reads. All parts read the same weights.
        one = rows[number]
        row = one if one.macs or isinstance(op, CopyOp | VectorOp) else mine
        weights = max(one.weight_bytes, mine.weight_bytes)
        rows[number] = replace(row, macs=one.macs + mine.macs, weight_bytes=weights)
    return tuple(rows), layers


def layer_row(op: KernelOp) -> LayerRow:
    """Name, operator, multiply-accumulates and bytes of weights (and biases) of a kernel."""
    head = op.head if isinstance(op, DotOp) else None
    macs = head.macs() if isinstance(head, ContractionOp) else 0
    weights = sum(
        math.prod(shape_of(op.inputs[i])) * element_bytes(op.inputs[i])
        for i in weight_operands(op)
        if is_constant(op.inputs[i])
    )
    return LayerRow(layer_name(op), _operators(op), macs, weights)


def _operators(op: KernelOp) -> str:
    """The framework's operators that the kernel carries out; its own kind where none is known."""
    function = op.parent_op()
    known = function.attributes.get(OPERATORS) if function is not None else None
    found: dict[str, None] = {}
    if isinstance(known, DictionaryAttr):
        for name in layer_names(op):
            entry = known.data.get(name)
            if isinstance(entry, StringAttr):
                found.update(dict.fromkeys(entry.data.split("+")))
    return "+".join(found) or op.name.removeprefix("warboy.")
