"""Another batch size for a network that was imported with a batch of one sample.

The network is imported as its file has it; then the arguments' batch dimension grows from 1 to N
and the change is carried through `@main`, operation by operation. For each value that depends on
the inputs it is known which dimension holds the samples, so constants that hold the batch (a
Reshape to [1, 1001], an Expand, a Slice) are put right, and what computes across samples is
refused: the results for N samples are those of N single runs, one behind the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, cast

import numpy as np
from xdsl.dialects.builtin import UNKNOWN_LOC, DenseArrayBase, IntegerAttr, StringAttr, TensorType
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Operation, SSAValue

from furiosa_ir.dialects.graph.base import GraphOp, constant_of
from furiosa_ir.dialects.graph.convolution import ConvTransposeOp, GemmOp, MatMulOp
from furiosa_ir.dialects.graph.movement import (
    ConcatOp,
    ExpandOp,
    PadOp,
    ReshapeOp,
    SliceOp,
    SplitOp,
    TileOp,
    TransposeOp,
)
from furiosa_ir.dialects.graph.rearrangement import BatchToSpaceOp, SpaceToBatchOp
from furiosa_ir.dialects.graph.structure import ConstantOp, OpaqueOp
from furiosa_ir.errors import FuriosaError, ImportFailure
from furiosa_ir.ir.attribute_values import as_attribute
from furiosa_ir.ir.constants import BlobAttr
from furiosa_ir.ir.location import layer_name
from furiosa_ir.ir.shaped_operation import (
    DYNAMIC,
    AnyTensor,
    Shape,
    element_of,
    ints,
    normal_axis,
    shape_of,
)
from furiosa_ir.ir.value_tracking import note_replaced

__all__ = ["batch_axes", "set_batch"]


@dataclass(frozen=True)
class _Batched:
    """A value that holds several samples.

    Attributes:
        axis: the dimension that grew.
        single: the shape for one sample.
    """

    axis: int
    single: Shape

    def shape(self, size: int) -> Shape:
        """The shape for `size` samples."""
        shape = list(self.single)
        shape[self.axis] *= size
        return tuple(shape)


def batch_axes(shapes: Sequence[tuple[str, Shape]], size: int) -> list[int] | None:
    """Which dimension of each input becomes `size`; None if they have that batch size already.

    Args:
        shapes: (name, shape) of the inputs; the first dimension is the batch.
        size: the batch size asked for.

    Raises:
        ImportFailure: `size` is not positive, or the batch of an input is neither 1 nor `size`.
    """
    if size < 1:
        raise ImportFailure(f"the batch size {size} is not positive")
    if all(shape[:1] == (size,) for _, shape in shapes):
        return None
    for name, shape in shapes:
        if shape[:1] != (1,):
            raise ImportFailure(
                f"cannot make the batch size {size}: the input '{name}' has the shape {list(shape)}"
            )
    return [0] * len(shapes)


def set_batch(function: FuncOp, axes: Sequence[int | None], size: int) -> None:
    """Changes the batch size of a network in place.

    Args:
        function: `@main` with graph operations, for one sample.
        axes: for each argument the dimension of extent 1 that becomes `size`; None leaves it.
        size: how many samples.

    Raises:
        ImportFailure: an operator computes across samples, or cannot be told to do more of them.
    """
    block = function.body.block
    change = _Change(block, size)
    for argument, axis in zip(block.args, axes, strict=True):
        if axis is not None:
            change.grow(argument, _Batched(axis, shape_of(argument)))
    for op in list(block.ops):
        if isinstance(op, GraphOp) and any(v in change.batched for v in op.operands):
            try:
                change.operation(op)
            except FuriosaError as error:
                message = f"cannot change the batch size: {error.message}"
                raise ImportFailure(message, layer=error.layer or layer_name(op)) from None
    terminator = cast("ReturnOp", block.last_op)
    for index, value in enumerate(terminator.arguments):
        held = change.batched.get(value)
        if held is None and shape_of(value)[:1] == (1,):
            # Anchors, for example: every sample's results have them.
            whole = ConcatOp.make([[value] * size], [element_of(value)], axis=0)
            whole.location = (
                value.owner.location if isinstance(value.owner, GraphOp) else UNKNOWN_LOC
            )
            block.insert_op_before(whole, terminator)
            terminator.operands[index] = whole.result
        if held is not None and held.axis != 0:
            raise ImportFailure(
                f"cannot change the batch size: a result of shape {list(shape_of(value))} holds "
                f"the samples in dimension {held.axis}",
                layer=layer_name(value.owner) if isinstance(value.owner, Operation) else None,
            )
    function.update_function_type()


class _Change:
    """The change on its way through a block.

    Attributes:
        batched: the values that have grown.
        size: the batch size.
    """

    def __init__(self, block: Block, size: int) -> None:
        self.batched: dict[SSAValue, _Batched] = {}
        self.size = size
        self._block = block

    def grow(self, value: SSAValue, held: _Batched) -> None:
        """Gives a value the type of several samples."""
        self._retype(value, held.shape(self.size))
        self.batched[value] = held

    @staticmethod
    def _retype(value: SSAValue, shape: Shape) -> None:
        element = cast("AnyTensor", value.type).element_type
        value._type = TensorType(element, shape)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

    def operation(self, op: GraphOp) -> None:
        """Carries the change from an operation's operands to its results.

        Raises:
            FuriosaError: it cannot be done.
        """
        if isinstance(op, OpaqueOp):
            self._sample_by_sample(op)
            return
        rule = next((r for cls, r in _RULES.items() if isinstance(op, cls)), _elementwise)
        before = dict(op.properties)
        axes = rule(op, self)
        if op.properties != before or isinstance(op, ConvTransposeOp):
            # The origin holds the constants that were right for one sample.
            op.origin = None
        for result, axis, shape in zip(op.results, axes, op.checked_shapes(), strict=True):
            held = _Batched(axis, shape_of(result))
            if tuple(shape) != held.shape(self.size):
                raise _mixes(op)
            self.grow(result, held)

    def operand(self, op: GraphOp) -> _Batched:
        """What the only batched operand of an operation, its first, holds.

        Raises:
            ImportFailure: another one depends on the samples, too.
        """
        held = self.batched.get(op.operands[0])
        if held is None or any(v in self.batched for v in op.operands[1:]):
            raise _mixes(op)
        return held

    def repeated(self, value: SSAValue, axis: int) -> SSAValue:
        """A constant once for every sample."""
        array = constant_of(value)
        if array is None:
            raise ImportFailure("one of its operands holds no samples")
        repeats = [self.size if i == axis else 1 for i in range(array.ndim)]
        blob = BlobAttr.of(np.tile(array, repeats))
        made = ConstantOp.make([], [element_of(value)], value=blob)
        owner = cast("Operation", value.owner)
        made.location = owner.location
        self._block.insert_op_after(made, owner)
        return made.result

    def _sample_by_sample(self, op: OpaqueOp) -> None:
        """An operator that nothing is known of: once for each sample, as the file has it."""
        name = op.operator.data
        if any(DYNAMIC in shape_of(r) or not shape_of(r) for r in op.outputs):
            raise ImportFailure(f"the operator {name} has results without a batch dimension")
        made: list[OpaqueOp] = []
        for index in range(self.size):
            operands = [self._sample(op, v, index) for v in op.operands]
            copy = OpaqueOp.build(
                operands=[operands],
                result_types=[[r.type for r in op.outputs]],
                properties=dict(op.properties),
                attributes=dict(op.attributes),
            )
            copy.location = op.location
            self._block.insert_op_before(copy, op)
            made.append(copy)
        for index, result in enumerate(op.outputs):
            parts = [copy.outputs[index] for copy in made]
            whole = ConcatOp.make([parts], [element_of(result)], location=op.location, axis=0)
            self._block.insert_op_before(whole, op)
            note_replaced(result, whole.result)
            result.replace_all_uses_with(whole.result)
            self.batched[whole.result] = _Batched(0, shape_of(result))
        op.detach()
        op.erase()

    def _sample(self, op: OpaqueOp, value: SSAValue, index: int) -> SSAValue:
        """One sample of an operand; the operand itself if it holds none."""
        held = self.batched.get(value)
        if held is None:
            return value
        starts, ends = [0] * len(held.single), list(held.single)
        starts[held.axis] = index * held.single[held.axis]
        ends[held.axis] += starts[held.axis]
        part = SliceOp.make(
            [value],
            [element_of(value)],
            location=op.location,
            starts=starts,
            ends=ends,
            steps=[1] * len(starts),
        )
        self._block.insert_op_before(part, op)
        return part.results[0]


def _mixes(op: GraphOp) -> ImportFailure:
    return ImportFailure(f"{op.name.removeprefix('graph.')} works along it")


Rule = Callable[[Any, _Change], Sequence[int]]
"""Adapts an operation's properties and operands; the batch dimension of each result."""


def _elementwise(op: GraphOp, change: _Change) -> Sequence[int]:
    """Element by element, with numpy's broadcasting; or along what `axis` and `layout` say."""
    layout, axis, axes = (op.properties.get(k) for k in ("layout", "axis", "axes"))
    if isinstance(layout, StringAttr):
        held = change.operand(op)
        if layout.data.index("N") != held.axis:
            raise _mixes(op)
        return [held.axis] * len(op.results)
    if isinstance(axis, IntegerAttr) or isinstance(axes, DenseArrayBase):
        return _along(op, change)
    rank = max(len(shape_of(v)) for v in op.operands)
    found = {
        held.axis + rank - len(held.single)
        for v in op.operands
        if (held := change.batched.get(v)) is not None
    }
    if len(found) > 1:
        raise _mixes(op)
    return [*found] * len(op.results)


def _along(op: GraphOp, change: _Change) -> Sequence[int]:
    """Something along other dimensions than the batch; `keepdims` = 0 drops those."""
    held = change.operand(op)
    rank = len(held.single)
    axis, axes, keep = (op.properties.get(k) for k in ("axis", "axes", "keepdims"))
    if isinstance(axes, DenseArrayBase):
        given: Sequence[int] = ints(cast("DenseArrayBase[Any]", axes))
    else:
        given = [cast("IntegerAttr", axis).value.data]
    taken = {normal_axis(op, a, rank) for a in given}
    if held.axis in taken:
        raise _mixes(op)
    dropped = isinstance(keep, IntegerAttr) and not keep.value.data
    return [held.axis - sum(a < held.axis for a in taken) * dropped] * len(op.results)


def _concat(op: ConcatOp, change: _Change) -> Sequence[int]:
    axes = {held.axis for v in op.operands if (held := change.batched.get(v)) is not None}
    (batch, *others) = axes
    if others or normal_axis(op, op.axis.value.data, len(shape_of(op.result))) == batch:
        raise _mixes(op)
    for index, value in enumerate(op.operands):
        if value not in change.batched:
            op.operands[index] = change.repeated(value, batch)
    return [batch]


def _split(op: SplitOp, change: _Change) -> Sequence[int]:
    held = change.operand(op)
    if len(op.results) == 1:
        op.properties["split"] = as_attribute([held.shape(change.size)[op.axis.value.data]])
        return [held.axis]
    return _along(op, change)


def _reshape(op: ReshapeOp, change: _Change) -> Sequence[int]:
    """The samples stay in order if as many elements vary slower than they as before."""
    held = change.operand(op)
    single, outer = shape_of(op.result), prod(held.single[: held.axis])
    fitting = [i for i in range(len(single)) if prod(single[:i]) == outer]
    if not fitting:
        raise _mixes(op)
    # Behind a dimension of extent 1 the next one would do as well: the nearest to where it was.
    best = min(fitting, key=lambda i: abs(i - held.axis))
    op.properties["shape"] = as_attribute(_Batched(best, single).shape(change.size))
    return [best]


def _transpose(op: TransposeOp, change: _Change) -> Sequence[int]:
    return [ints(op.perm).index(change.operand(op).axis)]


def _slice(op: SliceOp, change: _Change) -> Sequence[int]:
    held = change.operand(op)
    axis, extent = held.axis, held.single[held.axis]
    if (ints(op.starts)[axis], ints(op.ends)[axis], ints(op.steps)[axis]) != (0, extent, 1):
        raise _mixes(op)
    ends = list(ints(op.ends))
    ends[axis] *= change.size
    op.properties["ends"] = as_attribute(ends)
    return [axis]


def _pad(op: PadOp, change: _Change) -> Sequence[int]:
    held = change.operand(op)
    pads = ints(op.pads)
    if pads[held.axis] or pads[held.axis + len(held.single)]:
        raise _mixes(op)
    return [held.axis]


def _expand(op: ExpandOp, change: _Change) -> Sequence[int]:
    held, single = change.operand(op), shape_of(op.results[0])
    axis = held.axis + len(single) - len(held.single)
    if single[axis] != held.single[held.axis]:
        raise _mixes(op)
    op.properties["shape"] = as_attribute(_Batched(axis, single).shape(change.size))
    return [axis]


def _tile(op: TileOp, change: _Change) -> Sequence[int]:
    held = change.operand(op)
    if ints(op.repeats)[held.axis] != 1:
        raise _mixes(op)
    return [held.axis]


def _blocks_of_batch(op: SpaceToBatchOp | BatchToSpaceOp, _: _Change) -> Sequence[int]:
    """Between the two, a sample's batches would not stand together."""
    raise _mixes(op)


def _gemm(op: GemmOp, change: _Change) -> Sequence[int]:
    """Rows of a, or columns of b, are samples; the bias of one sample serves all."""
    rows = 1 if op.trans_a.value.data else 0
    columns = 0 if op.trans_b.value.data else 1
    a, b = change.batched.get(op.a), change.batched.get(op.b)
    if op.c is not None and op.c in change.batched:
        raise _mixes(op)
    if a is not None and b is None and a.axis == rows:
        return [0]
    if b is not None and a is None and b.axis == columns:
        return [1]
    raise _mixes(op)


def _mat_mul(op: MatMulOp, change: _Change) -> Sequence[int]:
    """Samples in a leading dimension, in the rows of a or in the columns of b."""
    vectors = [len(shape_of(v)) == 1 for v in (op.a, op.b)]
    # Counted as if no operand were a vector, whose dimension the result drops again.
    rank = len(shape_of(op.result)) + sum(vectors)
    held = [change.batched.get(v) for v in (op.a, op.b)]
    found = {h.axis + rank - len(h.single) for h in held if h is not None}
    for free, one, vector in zip((rank - 2, rank - 1), held, vectors, strict=True):
        if one is not None and (vector or not found <= {*range(rank - 2), free}):
            raise _mixes(op)
    if len(found) != 1:
        raise _mixes(op)
    (axis,) = found
    return [axis - 1 if axis == rank - 1 and vectors[0] else axis]


_RULES: dict[type[GraphOp], Rule] = {
    ConcatOp: _concat,
    SplitOp: _split,
    ReshapeOp: _reshape,
    TransposeOp: _transpose,
    SliceOp: _slice,
    PadOp: _pad,
    ExpandOp: _expand,
    TileOp: _tile,
    SpaceToBatchOp: _blocks_of_batch,
    BatchToSpaceOp: _blocks_of_batch,
    GemmOp: _gemm,
    MatMulOp: _mat_mul,
}
"""Operations whose properties or operands hold the batch; all others are `_elementwise`."""
