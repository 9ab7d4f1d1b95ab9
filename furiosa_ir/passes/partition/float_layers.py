"""Why an operator of a network that is quantised in part is still of floats, and what helps.

`furiosa quantize` takes such a network as long as an operator in it has data that nobody quantised;
these are the operators that get hint 2. Whatever else floats between quantisations gets hint 6.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import SSAValue

from furiosa_ir import hints
from furiosa_ir.dialects.graph.base import GraphOp, constant_of
from furiosa_ir.dialects.graph.contraction import ContractionOp
from furiosa_ir.dialects.graph.elementwise import BinaryOp, ClipOp, PReluOp, ReluOp
from furiosa_ir.dialects.graph.movement import ConcatOp
from furiosa_ir.dialects.graph.normalization import SumOp
from furiosa_ir.dialects.graph.quantization import QuantizeOp
from furiosa_ir.dialects.graph.structure import OpaqueOp
from furiosa_ir.passes.affine_expression import stored_of

_FUSED = (ReluOp, ClipOp)
"""Operators that belong to the one in front of them, when a network is quantised."""

_MOST_FUSED = 8
"""Of them in a row: each of thousands would look at all in front of it."""


def float_hint(op: GraphOp) -> hints.Hint:
    """The hint of an ONNX operator that works on floats."""
    producer = _fused_into(op)
    data = _data(producer)
    floats = [v for v in data if not _is_dequantized(v)]
    if len(floats) == len(data) or (floats and producer is not op):
        return hints.not_quantized(op.name)
    if floats:
        return hints.not_quantized(op.name, f"its {_name(op, floats[0])} is not quantised")
    if all(_is_quantized(result) for result in op.results):
        return hints.form(op.name, "between quantisations that have no integers here")
    return hints.result_not_quantized(op.name)


def _fused_into(op: GraphOp) -> GraphOp:
    """The operator that an activation belongs to; itself where it stands alone."""
    for _ in range(_MOST_FUSED):
        if not isinstance(op, _FUSED) or _is_dequantized(op.x):
            break
        if not isinstance(op.x.owner, GraphOp):
            break
        op = op.x.owner
    return op


def _data(op: GraphOp) -> Sequence[SSAValue]:
    """The operands that have to be quantised."""
    if isinstance(op, ContractionOp):
        return op.operands[:2]
    several = isinstance(op, BinaryOp | ConcatOp | SumOp) and not isinstance(op, PReluOp)
    return op.operands if several else op.operands[:1]


def _name(op: GraphOp, value: SSAValue) -> str:
    index = next(i for i, v in enumerate(op.operands) if v is value)
    if isinstance(op, ContractionOp) and index == 1:
        return "weight"
    return "constant" if constant_of(value) is not None else f"operand {index}"


def _is_dequantized(value: SSAValue) -> bool:
    """Whether a value was quantised before, in whatever form."""
    if stored_of(value) is not None:
        return True
    owner = value.owner
    return isinstance(owner, OpaqueOp) and owner.operator.data.endswith("DequantizeLinear")


def _is_quantized(value: SSAValue) -> bool:
    """Whether everybody that uses a value quantises it."""
    users = [use.operation for use in value.uses]
    return bool(users) and all(
        isinstance(user, QuantizeOp)
        or (isinstance(user, OpaqueOp) and user.operator.data.endswith("QuantizeLinear"))
        for user in users
    )
