"""`ftensor-channels-last`: images whose channels are innermost, from the first one to the last."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, cast

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import DenseArrayBase, IntegerAttr, ModuleOp, StringAttr, i64
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Block, OpResult, SSAValue

from furiosa_ir.dialects.ftensor.arithmetic import (
    AddOp,
    ClampOp,
    ConstantOp,
    DivideOp,
    LookupOp,
    MaximumOp,
    MinimumOp,
    MulOp,
    RescaleOp,
    SubOp,
)
from furiosa_ir.dialects.ftensor.base import TensorOp
from furiosa_ir.dialects.ftensor.contraction import ConvOp, ReduceOp, ReduceWindowOp
from furiosa_ir.dialects.ftensor.movement import (
    BroadcastOp,
    ConcatOp,
    GatherOp,
    InterpolateOp,
    PadOp,
    ReshapeOp,
    SliceOp,
    TransposeOp,
)
from furiosa_ir.ir.constants import BlobAttr
from furiosa_ir.ir.passes import Pass
from furiosa_ir.ir.rewrite_watch import step
from furiosa_ir.ir.segments import body_of, is_npu
from furiosa_ir.ir.shaped_operation import Shape, element_of, ints, shape_of, tensor_type
from furiosa_ir.ir.value_tracking import note_replaced

_LAST = (0, 2, 3, 1)
"""Which dimension of an image NCHW each one of its other form is."""
_FIRST = (0, 3, 1, 2)
"""And back; also where a dimension of NCHW is in the other form."""


@dataclass(frozen=True)
class ChannelsLast(Pass):
    """Computes convolutions of NCHW, and what is between them, on images whose channels are last.

    IREE reads windows element by element along an image's columns, and as vectors along its
    channels: a depthwise convolution takes 25 times as long in NCHW, and a product of matrices is
    faster by rows of channels, too. What comes in and what is neither element by element nor
    movement along one dimension is transposed.

        %w = ftensor.conv %x, %k {layout = "NCHW", ...} : tensor<1x8x5x5xi32>
        %y = ftensor.rescale %w, %m, %s {...} : tensor<1x8x5x5xi8>       // %m: 8x1x1
        func.return %y : tensor<1x8x5x5xi8>

    becomes

        %0 = ftensor.transpose %x {perm = [0, 2, 3, 1]} : tensor<1x5x5x8xi8>
        %w = ftensor.conv %0, %k {layout = "NHWC", ...} : tensor<1x5x5x8xi32>
        %y = ftensor.rescale %w, %n, %t {...} : tensor<1x5x5x8xi8>       // %n: 1x1x1x8
        %1 = ftensor.transpose %y {perm = [0, 3, 1, 2]} : tensor<1x8x5x5xi8>
        func.return %1 : tensor<1x8x5x5xi8>
    """

    name = "ftensor-channels-last"
    is_function_pass = True

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in op.ops:
            if isinstance(function, FuncOp) and is_npu(function):
                _Images(body_of(function)).run()


class _Images:
    """The images of a function, as they are made with their channels last.

    Args:
        block: the function's.
    """

    def __init__(self, block: Block) -> None:
        self._block = block
        # Results that there is nothing else of; operands from elsewhere; results as they were.
        self._results: dict[SSAValue, SSAValue] = {}
        self._last: dict[SSAValue, SSAValue] = {}
        self._first: dict[SSAValue, SSAValue] = {}
        self._here: Any = None

    def run(self) -> None:
        """Visits each operation once, in order."""
        operations = list(self._block.ops)
        for op in operations:
            self._here = op
            if isinstance(op, TensorOp) and self._is_of_images(op):
                with step("channels_last", op) as done:
                    result, made = op.results[0], _FORMS[type(op)](op, self)
                    made.name_hint = result.name_hint
                    if isinstance(op, TransposeOp):
                        note_replaced(result, made)
                        result.replace_all_uses_with(made)
                    else:
                        self._results[result] = made
                    done.values.append(made)
                continue
            for index, operand in enumerate(op.operands):
                if operand in self._results:
                    op.operands[index] = self._as_it_was(operand)
        for op in reversed(operations):
            if isinstance(op, TensorOp) and not any(r.uses for r in op.results):
                op.detach()
                op.erase()

    def _is_of_images(self, op: TensorOp) -> bool:
        """Whether an operation is made anew: one begins with windows, others go on with it."""
        if isinstance(op, ConvOp | ReduceWindowOp):
            return op.layout.data == "NCHW"
        if type(op) not in _FORMS or not any(v in self._results for v in op.operands):
            return False
        tables = op.operands[1:] if isinstance(op, LookupOp) else ()
        return all(_can_turn(v) for v in op.operands if v not in tables)

    def last(self, value: SSAValue) -> SSAValue:
        """An operand with its channels last; a scalar as it is."""
        made = self._results.get(value, self._last.get(value))
        if made is None:
            made = self._last[value] = self._turned(value)
        return made

    def _turned(self, value: SSAValue) -> SSAValue:
        shape, owner = shape_of(value), value.owner
        if prod(shape) == 1 and len(shape) < 4:
            return value
        if isinstance(owner, ConstantOp):
            array = owner.value.array.reshape((*[1] * (4 - len(shape)), *shape))
            held = BlobAttr.of(np.ascontiguousarray(array.transpose(_LAST)))
            turned = tuple(array.shape[i] for i in _LAST)
            return self.made(ConstantOp, [], element_of(value), turned, {"value": held})
        return self._moved(value, _LAST)

    def _as_it_was(self, value: SSAValue) -> SSAValue:
        """The image whose channels are not last, which somebody asks for."""
        if value not in self._first:
            made = self._moved(self._results[value], _FIRST)
            note_replaced(value, made)
            self._first[value] = made
        return self._first[value]

    def _moved(self, value: SSAValue, perm: Sequence[int]) -> SSAValue:
        """A transposed value; a reshaped one, if no element is moved."""
        given = shape_of(value)
        shape = tuple(given[i] for i in perm)
        moved = [i for i in perm if given[i] != 1]
        if moved == sorted(moved):
            held = {"shape": DenseArrayBase.from_list(i64, shape)}
            return self.made(ReshapeOp, [value], element_of(value), shape, held)
        held = {"perm": DenseArrayBase.from_list(i64, perm)}
        return self.made(TransposeOp, [value], element_of(value), shape, held)

    def transposed(self, value: SSAValue, perm: Sequence[int]) -> SSAValue:
        """An image of which somebody wants the dimensions in another order: often in this one."""
        places = [_FIRST[i] for i in perm]
        made = self.last(value)
        return made if places == [0, 1, 2, 3] else self._moved(made, places)

    def made(
        self,
        kind: type[TensorOp],
        operands: Sequence[SSAValue],
        element: Attribute,
        shape: Shape,
        properties: Mapping[str, Attribute],
    ) -> OpResult:
        """Puts an operation in front of that which is visited."""
        op = kind.create(
            operands=operands,
            result_types=[tensor_type(element, shape)],
            properties=properties,
            location=self._here.location,
        )
        self._block.insert_op_before(op, self._here)
        return op.results[0]

    def like(self, op: TensorOp, operands: Sequence[SSAValue], **changed: Attribute) -> SSAValue:
        """An operation on other operands, whose result has its channels last."""
        result = op.results[0]
        shape = tuple(shape_of(result)[i] for i in _LAST)
        held = {**op.properties, **changed}
        return self.made(type(op), operands, element_of(result), shape, held)


def _can_turn(value: SSAValue) -> bool:
    """Whether dimensions of a value are those of an image, as numpy's broadcasting has them."""
    shape = shape_of(value)
    return len(shape) == 4 or prod(shape) == 1 or isinstance(value.owner, ConstantOp)


def _windows(op: ConvOp | ReduceWindowOp, images: _Images) -> SSAValue:
    rest = op.operands[1:]
    return images.like(op, [images.last(op.x), *rest], layout=StringAttr("NHWC"))


def _elementwise(op: TensorOp, images: _Images) -> SSAValue:
    return images.like(op, [images.last(v) for v in op.operands])


def _lookup(op: LookupOp, images: _Images) -> SSAValue:
    return images.like(op, [images.last(op.x), op.table])


def _transpose(op: TransposeOp, images: _Images) -> SSAValue:
    return images.transposed(op.x, ints(op.perm))


def _along_an_axis(op: ConcatOp | GatherOp | InterpolateOp, images: _Images) -> SSAValue:
    axis = IntegerAttr(_FIRST[op.axis.value.data], i64)
    return images.like(op, [images.last(v) for v in op.operands], axis=axis)


def _reduce(op: ReduceOp, images: _Images) -> SSAValue:
    axes = sorted(_FIRST[axis] for axis in ints(op.axes))
    return images.like(op, [images.last(op.x)], axes=DenseArrayBase.from_list(i64, axes))


def _listed(*names: str) -> Callable[[TensorOp, _Images], SSAValue]:
    """The form of movement whose properties have a number for each dimension, or two."""

    def form(op: TensorOp, images: _Images) -> SSAValue:
        changed: dict[str, Attribute] = {}
        for name in names:
            numbers = ints(cast("DenseArrayBase", op.properties[name]))
            parts = [numbers[i : i + 4] for i in range(0, len(numbers), 4)]
            turned = [part[i] for part in parts for i in _LAST]
            changed[name] = DenseArrayBase.from_list(i64, turned)
        return images.like(op, [images.last(v) for v in op.operands], **changed)

    return form


_FORMS: Mapping[type[TensorOp], Callable[[Any, _Images], SSAValue]] = {
    **dict.fromkeys([ConvOp, ReduceWindowOp], _windows),
    **dict.fromkeys(
        [RescaleOp, ClampOp, AddOp, SubOp, MulOp, MinimumOp, MaximumOp, DivideOp], _elementwise
    ),
    LookupOp: _lookup,
    TransposeOp: _transpose,
    **dict.fromkeys([ConcatOp, GatherOp, InterpolateOp], _along_an_axis),
    ReduceOp: _reduce,
    PadOp: _listed("pads"),
    SliceOp: _listed("starts", "ends", "steps"),
    BroadcastOp: _listed("shape"),
}
"""What each operation becomes; of a transposition, a value as it was wanted."""
