"""Element-by-element integer arithmetic: what the vector engine's instructions do.

All of them broadcast as numpy does. In i48 the values must fit 48 bits; whoever builds the
operation sees to that (a 9-bit difference times a 31-bit multiplier takes 40).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import ClassVar, cast

import numpy as np
from typing_extensions import override
from xdsl.dialects.builtin import IntegerAttr, StringAttr, TensorType, i64
from xdsl.ir import Attribute
from xdsl.irdl import operand_def, prop_def, result_def

from furiosa_ir.dialects.ftensor.base import NUMPY_DTYPE, TensorOp, check_limits
from furiosa_ir.errors import VerificationFailure
from furiosa_ir.ir.constants import BlobAttr, element_name
from furiosa_ir.ir.operation_definition import irdl_op_definition
from furiosa_ir.ir.shaped_operation import Shape, broadcast_shapes, element_of, shape_of
from furiosa_ir.numerics import fixed_point
from furiosa_ir.numerics.array import Array


@irdl_op_definition
class ConstantOp(TensorOp):
    """Integers known at compile time: weights (i8), biases and multipliers (i32), tables."""

    name = "ftensor.constant"

    LEADING: ClassVar = "value"

    result = result_def(TensorType)
    value = prop_def(BlobAttr)

    def result_shapes(self) -> Sequence[Shape]:
        return [self.value.data.shape]

    @override
    def _rules_look_at(self, name: str, value: Attribute) -> Hashable:
        if isinstance(value, BlobAttr):
            return value.data.shape, value.data.dtype
        return super()._rules_look_at(name, value)

    @override
    def verify_(self) -> None:
        super().verify_()
        element, held = element_of(self.result), self.value.data.dtype
        if held != NUMPY_DTYPE[element]:
            raise VerificationFailure(f"{self.name}: elements of {element_name(held)} as {element}")

    def evaluate(self, *_operands: Array) -> Sequence[Array]:
        return [self.value.array]


@irdl_op_definition
class RescaleOp(TensorOp):
    """clamp(round((x - input_zp) * multiplier * 2**-shift) + output_zp, minimum, maximum).

    Operands: x of i8, i32 or i48; multiplier (i32 tensor) and shift (i8 tensor, 0 to 62), both of a
    shape that broadcasts to x's ([] for per tensor, [C, 1, 1] for NCHW channels, ...). The product
    is taken in 64 bits. `rounding` is one of `numerics.fixed_point.ROUNDINGS` (TOSA's RESCALE with
    more roundings).
    """

    name = "ftensor.rescale"

    DEFAULTS: ClassVar = {"input_zp": 0, "output_zp": 0, "minimum": -128, "maximum": 127}

    x = operand_def(TensorType)
    multiplier = operand_def(TensorType)
    shift = operand_def(TensorType)
    result = result_def(TensorType)
    input_zp = prop_def(IntegerAttr.constr(i64))
    output_zp = prop_def(IntegerAttr.constr(i64))
    minimum = prop_def(IntegerAttr.constr(i64))
    maximum = prop_def(IntegerAttr.constr(i64))
    rounding = prop_def(StringAttr)

    def result_shapes(self) -> Sequence[Shape]:
        x = shape_of(self.x)
        shape = broadcast_shapes(self, [x, shape_of(self.multiplier), shape_of(self.shift)])
        if shape != x:
            raise VerificationFailure("ftensor.rescale: the multiplier is larger than x")
        if self.rounding.data not in fixed_point.ROUNDINGS:
            raise VerificationFailure(f"ftensor.rescale: unknown rounding '{self.rounding.data}'")
        return [x]

    @override
    def verify_(self) -> None:
        super().verify_()
        check_limits(self, self.result)
        shift = self.shift.owner
        if isinstance(shift, ConstantOp):
            low, high = shift.value.array.min(initial=0), shift.value.array.max(initial=0)
            if low < 0 or high > fixed_point.MAX_SHIFT:
                wrong = low if low < 0 else high
                raise VerificationFailure(
                    f"ftensor.rescale: a shift of {wrong}, not of 0 to {fixed_point.MAX_SHIFT}"
                )

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        x, multiplier, shift = operands
        return [
            fixed_point.rescale(
                x,
                multiplier,
                shift,
                input_zero_point=self.input_zp.value.data,
                output_zero_point=self.output_zp.value.data,
                rounding=cast("fixed_point.Rounding", self.rounding.data),
                minimum=self.minimum.value.data,
                maximum=self.maximum.value.data,
                dtype=NUMPY_DTYPE[element_of(self.result)],
            )
        ]


class BinaryOp(TensorOp):
    """An operation on pairs of elements, computed in the result's type."""

    a = operand_def(TensorType)
    b = operand_def(TensorType)
    result = result_def(TensorType)

    def result_shapes(self) -> Sequence[Shape]:
        return [broadcast_shapes(self, [shape_of(self.a), shape_of(self.b)])]

    def wide(self, operands: Sequence[Array]) -> Sequence[Array]:
        """The operands in the result's dtype."""
        dtype = NUMPY_DTYPE[element_of(self.result)]
        return [o.astype(dtype, copy=False) for o in operands]


@irdl_op_definition
class AddOp(BinaryOp):
    """a + b."""

    name = "ftensor.add"

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        a, b = self.wide(operands)
        return [a + b]


@irdl_op_definition
class SubOp(BinaryOp):
    """a - b."""

    name = "ftensor.sub"

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        a, b = self.wide(operands)
        return [a - b]


@irdl_op_definition
class MulOp(BinaryOp):
    """a * b."""

    name = "ftensor.mul"

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        a, b = self.wide(operands)
        return [a * b]


@irdl_op_definition
class MinimumOp(BinaryOp):
    """The lesser of a and b."""

    name = "ftensor.minimum"

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [np.minimum(*self.wide(operands))]


@irdl_op_definition
class MaximumOp(BinaryOp):
    """The greater of a and b."""

    name = "ftensor.maximum"

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [np.maximum(*self.wide(operands))]


@irdl_op_definition
class DivideOp(BinaryOp):
    """a / b rounded to the nearest integer, ties to even, plus output_zp, clamped. b > 0.

    Softmax's last step. i48 operands, i8 result.
    """

    name = "ftensor.divide"

    DEFAULTS: ClassVar = {"output_zp": 0, "minimum": -128, "maximum": 127}

    output_zp = prop_def(IntegerAttr.constr(i64))
    minimum = prop_def(IntegerAttr.constr(i64))
    maximum = prop_def(IntegerAttr.constr(i64))

    @override
    def verify_(self) -> None:
        super().verify_()
        check_limits(self, self.result)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        a, b = (o.astype(np.int64, copy=False) for o in operands)
        quotient, remainder = np.divmod(a, b)
        twice = remainder * 2
        up = (twice > b) | ((twice == b) & (quotient & 1 == 1))
        value = quotient + up + self.output_zp.value.data
        clamped = np.clip(value, self.minimum.value.data, self.maximum.value.data)
        return [clamped.astype(NUMPY_DTYPE[element_of(self.result)])]


@irdl_op_definition
class ClampOp(TensorOp):
    """min(max(x, minimum), maximum), in x's type."""

    name = "ftensor.clamp"

    x = operand_def(TensorType)
    result = result_def(TensorType)
    minimum = prop_def(IntegerAttr.constr(i64))
    maximum = prop_def(IntegerAttr.constr(i64))

    def result_shapes(self) -> Sequence[Shape]:
        return [shape_of(self.x)]

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [np.clip(operands[0], self.minimum.value.data, self.maximum.value.data)]


@irdl_op_definition
class LookupOp(TensorOp):
    """table[x + 128]: any function of an i8. The table has 256 entries of the result's type."""

    name = "ftensor.lookup"

    x = operand_def(TensorType)
    table = operand_def(TensorType)
    result = result_def(TensorType)

    def result_shapes(self) -> Sequence[Shape]:
        if shape_of(self.table) != (256,):
            raise VerificationFailure("ftensor.lookup: the table does not have 256 entries")
        return [shape_of(self.x)]

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        x, table = operands
        # Seen as bytes, -128..-1 are 128..255: rotate the table instead of shifting x.
        return [np.take(np.roll(table, 128), x.view(np.uint8))]
