"""What is computed at import: constants of constants, as long as that takes no time and memory.

A file of a few bytes can ask for anything (ConstantOfShape, Tile, a Loop of 2^60 rounds). What is
not computed here is an operation like any other, and computed when the network runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any

from xdsl.ir import Attribute

from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.dialects.graph.convolution import ConvOp, ConvTransposeOp, GemmOp, MatMulOp
from furiosa_ir.dialects.graph.pooling import WindowPoolOp
from furiosa_ir.dialects.graph.rearrangement import MOST_INDICES
from furiosa_ir.dialects.graph.resize import ResizeOp
from furiosa_ir.ir.shaped_operation import DYNAMIC, Shape, element_of, ints, shape_of
from furiosa_ir.ir.sizes import words
from furiosa_ir.limits import limit

_MOST_MACS = 1 << 30
"""Multiply-accumulates (comparisons, of a pooling) of one operation, some seconds in numpy."""

_FEW_ELEMENTS = 1 << 16
"""Of an operator that may take more than one step an element."""

_ONE_STEP_AN_ELEMENT = frozenset(
    {
        *("Abs", "Add", "And", "ArgMax", "ArgMin", "BitShift", "BitwiseAnd", "BitwiseNot"),
        *("BitwiseOr", "BitwiseXor", "Cast", "CastLike", "Ceil", "Clip", "Compress", "Concat"),
        *("ConstantOfShape", "CumSum", "DepthToSpace", "DequantizeLinear", "Div", "Equal", "Exp"),
        *("Expand", "EyeLike", "Flatten", "Floor", "Gather", "GatherElements", "GatherND"),
        *("Greater", "GreaterOrEqual", "Identity", "IsInf", "IsNaN", "Less", "LessOrEqual", "Log"),
        *("Max", "Mean", "Min", "Mod", "Mul", "Neg", "NonZero", "Not", "OneHot", "Or", "Pad"),
        *("Pow", "QuantizeLinear", "Range", "Reciprocal", "ReduceL1", "ReduceL2", "ReduceMax"),
        *("ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare", "Relu"),
        *("Reshape", "ReverseSequence", "Round", "ScatterElements", "ScatterND", "Shape"),
        *("Sigmoid", "Sign", "Size", "Slice", "Softmax", "SpaceToDepth", "Split", "Sqrt"),
        *("Squeeze", "Sub", "Sum", "Tanh", "Tile", "Transpose", "Trilu", "Unsqueeze", "Where"),
        *("Xor",),
    }
)

_TIMES_OVER = 4
"""How often the constants of a file may be made anew, whatever their size."""

_NEVER_LARGER = frozenset({"Compress", "NonMaxSuppression", "NonZero", "Unique"})
"""Operators whose results' extents depend on elements, and are bounded by the operands'."""


def _room(op: ConvOp | ConvTransposeOp | WindowPoolOp, window: Sequence[int]) -> int:
    """At most how many elements a sliding operation computes on: pads, gaps and what is cropped."""
    batch, channels, *extents = shape_of(op.x)
    strides, dilations, pads = ints(op.strides), ints(op.dilations), ints(op.pads)
    room = batch * max(channels, shape_of(op.result)[1])
    for i, extent in enumerate(extents):
        reach = (window[i] - 1) * dilations[i] + 1
        padded = extent + abs(pads[i]) + abs(pads[i + len(extents)]) + reach
        room *= padded * (strides[i] if isinstance(op, ConvTransposeOp) else 1)
    return room


class Folding:
    """Which constants may be made; counts all of them, for what they are made of is kept as well.

    A network whose file has many constants may make as many of them a few times over (as float32,
    transposed); from few nobody may make many.
    """

    def __init__(self, sparse: int = 0) -> None:
        """Begins to count.

        Args:
            sparse: elements of sparse initialisers that were made dense: those are made, not given.
        """
        self._given = -sparse
        self._made = min(sparse, limit("FOLDED_GROWTH") * 3 // 4)  # some room stays for shapes
        self.seconds = float(limit("NATIVE_SECONDS"))
        """Of processor time that is left for what onnxruntime computes."""

    def give(self, count: int) -> None:
        """Counts the elements of a constant that is in the file."""
        self._given += count

    def of_operation(self, op: GraphOp) -> bool:
        """Whether to compute an operation on constants."""
        room = 0
        match op:
            case GemmOp() | MatMulOp():
                cost = op.macs()
            case ConvOp() | ConvTransposeOp():
                cost = op.macs()
                room = _room(op, shape_of(op.weight)[2:])
            case WindowPoolOp():
                window = ints(op.kernel_shape)
                cost, room = prod(shape_of(op.result)) * prod(window), _room(op, window)
            case ResizeOp():  # dimension by dimension
                cost = 0
                extents = zip(shape_of(op.x), shape_of(op.result), strict=True)
                room = prod(max(pair) for pair in extents)
                if max(ints(op.sizes), default=0) > MOST_INDICES:
                    return False
            case _:
                cost = 0
        if cost > _MOST_MACS or room > limit("FOLDED_ELEMENTS"):
            return False
        return self._make([shape_of(r) for r in op.results], map(element_of, op.results))

    def of_sparse(self, count: int) -> bool:
        """Whether a sparse constant of so many elements (of four bytes) may be made dense."""
        return self._take([count], count)

    def of_operator(
        self,
        node: Any,
        given: Iterable[int],
        shapes: Iterable[Shape],
        elements: Iterable[Attribute],
    ) -> bool:
        """Whether to have onnxruntime compute an operator on constants.

        Args:
            node: the `NodeProto`.
            given: how many elements each operand has.
            shapes, elements: of the results, as inferred.
        """
        if self.seconds <= 0:
            return False
        given, shapes = list(given), list(shapes)
        cheap = not node.domain and node.op_type in _ONE_STEP_AN_ELEMENT
        if not cheap and sum(given) > _FEW_ELEMENTS:
            return False
        if any(DYNAMIC in shape for shape in shapes):
            return node.op_type in _NEVER_LARGER
        if not cheap and sum(map(prod, shapes)) > _FEW_ELEMENTS:
            return False
        return self._make(shapes, elements)

    def _make(self, shapes: Iterable[Shape], elements: Iterable[Attribute]) -> bool:
        counts = [prod(shape) for shape in shapes]
        made = [words(n, e) for n, e in zip(counts, elements, strict=True)]
        return self._take(made, max(counts, default=0))

    def _take(self, made: Sequence[int], largest: int) -> bool:
        if largest > limit("FOLDED_ELEMENTS"):
            return False
        if self._made + sum(made) > limit("FOLDED_GROWTH") + _TIMES_OVER * max(self._given, 0):
            return False
        self._made += sum(made)
        return True
