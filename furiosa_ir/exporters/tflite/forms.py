"""Operations without an origin that means them, as TFLite operators.

These are what an operator becomes besides its main operation, what shape arithmetic leaves over,
what passes insert, and what text or passes have changed. Everything else on the host is written
from its origin.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.dialects.graph.convolution import MatMulOp
from furiosa_ir.dialects.graph.elementwise import ClipOp, LeakyReluOp, ReluOp, TanhOp
from furiosa_ir.dialects.graph.movement import (
    ConcatOp,
    ExpandOp,
    ReshapeOp,
    SliceOp,
    SplitOp,
    TransposeOp,
)
from furiosa_ir.dialects.graph.quantization import DequantizeOp, QuantizeOp
from furiosa_ir.dialects.graph.rearrangement import GatherOp
from furiosa_ir.dialects.graph.reduction import (
    ReduceMaxOp,
    ReduceMeanOp,
    ReduceMinOp,
    ReduceOp,
    ReduceSumOp,
    SoftmaxOp,
)
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.ir.shaped_operation import ints, shape_of
from furiosa_ir.numerics.array import Array


@dataclass(frozen=True)
class Form:
    """A builtin operator.

    Attributes:
        operator: upper-case name.
        options: name of the options table, "" for none.
        fields: of the options table (names of the object interface).
        parameters: int32 inputs beside the operands, each with its position among the inputs.
        version: of the operator: the first that takes every element type.
    """

    operator: str
    options: str = ""
    fields: dict[str, Any] = field(default_factory=dict[str, Any])
    parameters: Sequence[tuple[int, Array]] = ()
    version: int = 1


def _vector(numbers: Sequence[int]) -> Array:
    return np.array(numbers, np.int32)


def _reshape(op: ReshapeOp) -> Form:
    shape = list(ints(op.shape))
    return Form("RESHAPE", "ReshapeOptions", {"newShape": shape}, [(1, _vector(shape))])


def _transpose(op: TransposeOp) -> Form:
    return Form("TRANSPOSE", "TransposeOptions", {}, [(1, _vector(ints(op.perm)))], 2)


def _concat(op: ConcatOp) -> Form:
    return Form("CONCATENATION", "ConcatenationOptions", {"axis": op.axis.value.data}, (), 2)


def _split(op: SplitOp) -> Form:
    parameters = [(1, _vector(ints(op.split))), (2, np.array(op.axis.value.data, np.int32))]
    return Form("SPLIT_V", "SplitVOptions", {"numSplits": len(op.parts)}, parameters, 2)


def _slice(op: SliceOp) -> Form:
    steps = ints(op.steps)
    # A negative step that goes past the first element ends at "no end".
    open_ends = sum(
        1 << i for i, (e, s) in enumerate(zip(ints(op.ends), steps, strict=True)) if s < 0 and e < 0
    )
    parameters = [
        (i + 1, _vector(v)) for i, v in enumerate((ints(op.starts), ints(op.ends), steps))
    ]
    return Form("STRIDED_SLICE", "StridedSliceOptions", {"endMask": open_ends}, parameters, 2)


def _gather(op: GatherOp) -> Form:
    fields = {"axis": op.axis.value.data}
    return Form("GATHER", "GatherOptions", fields, [(1, _vector(ints(op.indices)))])


def _expand(op: ExpandOp) -> Form:
    return Form("BROADCAST_TO", "BroadcastToOptions", {}, [(1, _vector(shape_of(op.result)))], 2)


def _clip(op: ClipOp) -> Form:
    low = None if op.minimum is None else op.minimum.value.data
    high = None if op.maximum is None else op.maximum.value.data
    name = _CLIPS.get((low, high))
    if name is None:
        raise CompilationFailure(f"TFLite has no operator that clips to {low} .. {high}")
    return Form(name, version=2 if name in ("RELU", "RELU6") else 1)


def _reduce(op: ReduceOp) -> Form:
    options = {"keepDims": bool(op.keepdims.value.data)}
    return Form(op.TFLITE[0], "ReducerOptions", options, [(1, _vector(ints(op.axes)))], 2)


def _softmax(op: SoftmaxOp) -> Form:
    if op.axis.value.data not in (-1, len(shape_of(op.x)) - 1):
        raise CompilationFailure("TFLite has no softmax along another dimension than the last")
    return Form("SOFTMAX", "SoftmaxOptions", {"beta": op.beta.value.data}, version=2)


def _leaky_relu(op: LeakyReluOp) -> Form:
    return Form("LEAKY_RELU", "LeakyReluOptions", {"alpha": op.alpha.value.data}, version=2)


_CLIPS: dict[tuple[float | None, float | None], str] = {
    (0.0, None): "RELU",
    (0.0, 6.0): "RELU6",
    (-1.0, 1.0): "RELU_N1_TO_1",
    (0.0, 1.0): "RELU_0_TO_1",
}

_FORMS: dict[type[GraphOp], Callable[[Any], Form]] = {
    ReshapeOp: _reshape,
    TransposeOp: _transpose,
    ConcatOp: _concat,
    SplitOp: _split,
    SliceOp: _slice,
    ExpandOp: _expand,
    GatherOp: _gather,
    ClipOp: _clip,
    ReluOp: lambda _: Form("RELU", version=2),
    LeakyReluOp: _leaky_relu,
    SoftmaxOp: _softmax,
    **dict.fromkeys((ReduceMaxOp, ReduceMeanOp, ReduceMinOp, ReduceSumOp), _reduce),
    TanhOp: lambda _: Form("TANH", version=2),
    MatMulOp: lambda _: Form("BATCH_MATMUL", "BatchMatMulOptions", version=2),
    QuantizeOp: lambda _: Form("QUANTIZE", "QuantizeOptions", version=2),
    DequantizeOp: lambda _: Form("DEQUANTIZE", "DequantizeOptions", version=2),
}


def form_of(op: GraphOp) -> Form:
    """The TFLite operator of an operation.

    Raises:
        CompilationFailure: there is none.
    """
    form = _FORMS.get(type(op))
    if form is None:
        raise CompilationFailure(f"{op.name} has no form as a TFLite operator on the host")
    return form(op)
