"""What lowerings make the bodies of loops with: integers of one element each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Any, cast

import numpy as np
from xdsl.dialects import arith, tensor
from xdsl.dialects.builtin import IndexType, IntegerAttr, IntegerType, f64, i1, i32, i64
from xdsl.dialects.linalg import ops as linalg
from xdsl.ir import Attribute, Block, SSAValue
from xdsl.irdl import IRDLOperation

from furiosa_ir.ir.shaped_operation import AnyTensor
from furiosa_ir.numerics.float_factors import MAGIC


class Elements:
    """Makes the body of a `linalg.generic`: integers of one element each.

    Operations are made by `create`, of types and properties that are made once: xDSL's constructors
    take three times as long, and these are most of a module's operations.
    """

    def __init__(self, block: Block) -> None:
        self._block = block
        self._constants: dict[tuple[int, Attribute], SSAValue] = {}
        self._numbers: dict[SSAValue, int] = {}
        self._distances: dict[SSAValue, SSAValue] = {}

    def _made(
        self,
        kind: type[IRDLOperation],
        operands: Sequence[SSAValue],
        type_: Attribute,
        properties: Mapping[str, Attribute] = MappingProxyType({}),
    ) -> SSAValue:
        """Appends an operation; its result."""
        op = kind.create(operands=operands, result_types=(type_,), properties=properties)
        self._block.add_op(op)
        return op.results[0]

    def constant(self, value: int, type_: Attribute) -> SSAValue:
        """A number."""
        key = value, type_
        found = self._constants.get(key)
        if found is None:
            held = {"value": number_attribute(value, cast("IntegerType", type_))}
            found = self._constants[key] = self._made(arith.ConstantOp, (), type_, held)
            self._numbers[found] = value
        return found

    def like(self, value: int, other: SSAValue) -> SSAValue:
        """A number of the type of another value."""
        return self.constant(value, other.type)

    def cast(self, value: SSAValue, type_: Attribute) -> SSAValue:
        """A value in another width: its sign extended, or its lower bits."""
        given, wanted = cast("IntegerType", value.type), cast("IntegerType", type_)
        if given == wanted:
            return value
        kind = arith.ExtSIOp if given.width.data < wanted.width.data else arith.TruncIOp
        return self._made(kind, (value,), wanted, _defaults(kind))

    def _binary(
        self,
        kind: type[IRDLOperation],
        a: SSAValue,
        b: SSAValue,
        meaning: Callable[[int, int], int] | None = None,
    ) -> SSAValue:
        """A function of two values of one type; the number that it is, if they are numbers.

        Args:
            kind: the operation.
            a, b: the values.
            meaning: its meaning for numbers, of which the lower bits count.
        """
        if meaning is not None and a in self._numbers and b in self._numbers:
            return self.constant(
                _wrapped(meaning(self._numbers[a], self._numbers[b]), a.type), a.type
            )
        return self._made(kind, (a, b), a.type, _defaults(kind))

    def add(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """a + b, modulo the type's width, as all of these."""
        return self._binary(arith.AddiOp, a, b, int.__add__)

    def sub(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """a - b."""
        return self._binary(arith.SubiOp, a, b, int.__sub__)

    def mul(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """a * b."""
        return self._binary(arith.MuliOp, a, b)

    def minimum(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """The lesser one."""
        return self._binary(arith.MinSIOp, a, b)

    def maximum(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """The greater one."""
        return self._binary(arith.MaxSIOp, a, b)

    def clamp(self, value: SSAValue, low: int, high: int) -> SSAValue:
        """min(max(value, low), high)."""
        return self.minimum(self.maximum(value, self.like(low, value)), self.like(high, value))

    def shifted_right(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """a >> b, the sign moving in."""
        return self._binary(arith.ShRSIOp, a, self._distance(b), int.__rshift__)

    def shifted_left(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """a << b."""
        return self._binary(arith.ShLIOp, a, self._distance(b), int.__lshift__)

    def _distance(self, value: SSAValue) -> SSAValue:
        """By how much is shifted: data, too, are less than the width (`text_safety`)."""
        if value in self._numbers:
            return value
        found = self._distances.get(value)
        if found is None:
            width = cast("IntegerType", value.type).width.data
            found = self._distances[value] = self.clamp(value, 0, width - 1)
        return found

    def both(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """a & b."""
        return self._binary(arith.AndIOp, a, b)

    def remainder(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """What is left of a when it is divided by b, with the sign of a."""
        return self._binary(arith.RemSIOp, a, b)

    def quotient(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """a / b, towards zero."""
        return self._binary(arith.DivSIOp, a, b)

    def compare(self, a: SSAValue, how: str, b: SSAValue) -> SSAValue:
        """Whether a is `how` ("eq", "slt", "sle", "sgt", "sge") to b: i1."""
        return self._made(arith.CmpiOp, (a, b), i1, _predicate(arith.CmpiOp, i64, how))

    def select(self, condition: SSAValue, a: SSAValue, b: SSAValue) -> SSAValue:
        """A where the condition holds, else b."""
        return self._made(arith.SelectOp, (condition, a, b), a.type)

    def real(self, value: SSAValue) -> SSAValue:
        """An i32 as f64."""
        return self._made(arith.SIToFPOp, (value,), f64)

    def real_of_bits(self, bits: SSAValue) -> SSAValue:
        """The f64 of 64 bits, an i64."""
        return self._made(arith.BitcastOp, (bits,), f64)

    def real_constant(self, value: float) -> SSAValue:
        """A number as f64, by its bits: no decimal digits to be read."""
        return self.real_of_bits(self.constant(int(np.float64(value).view(np.int64)), i64))

    def real_product(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """a * b, each f64."""
        return self._made(arith.MulfOp, (a, b), f64, _defaults(arith.MulfOp, f64))

    def real_sum(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """a + b, each f64."""
        return self._made(arith.AddfOp, (a, b), f64, _defaults(arith.AddfOp, f64))

    def rounded_product(
        self, a: SSAValue, b: SSAValue, low: int, high: int, nudge: float = 0.0
    ) -> SSAValue:
        """round(clamp(a * b + nudge)) of two f64, ties to even, as i32; limits of 32 bits."""
        within = self.real_product(a, b)
        if nudge:
            within = self.real_sum(within, self.real_constant(nudge))
        # Between product and sum, so that no multiply-add leaves out that the product is rounded.
        for limit, how in ((low, "ogt"), (high, "olt")):
            bound = self.real_constant(limit)
            kept = self._made(arith.CmpfOp, (within, bound), i1, _predicate(arith.CmpfOp, f64, how))
            within = self.select(kept, within, bound)
        placed = self.real_sum(within, self.real_constant(MAGIC))
        bits = self._made(arith.BitcastOp, (placed,), i64)
        return self._made(arith.TruncIOp, (bits,), i32)

    def index(self, dimension: int) -> SSAValue:
        """The index of a loop."""
        return self._made(linalg.IndexOp, (), _INDEX, {"dim": number_attribute(dimension, i64)})

    def as_index(self, value: SSAValue, extent: int) -> SSAValue:
        """An integer as an index of a dimension, which it cannot leave (`text_safety`)."""
        within = self.clamp(value, 0, extent - 1)
        return self._made(arith.IndexCastOp, (within,), _INDEX)

    def extract(self, from_: SSAValue, indices: Sequence[SSAValue]) -> SSAValue:
        """The element of a tensor at these indices."""
        type_ = cast("AnyTensor", from_.type)
        return self._made(tensor.ExtractOp, (from_, *indices), type_.element_type)


_INDEX = IndexType()


@lru_cache(maxsize=1 << 10)
def number_attribute(value: int, type_: IntegerType | IndexType) -> IntegerAttr[Any]:
    """An integer as an attribute: the same one for the same number."""
    return IntegerAttr(value, type_)


def _wrapped(value: int, type_: Attribute) -> int:
    """An integer as a type of some width holds it."""
    half = 1 << (cast("IntegerType", type_).width.data - 1)
    return (value + half) % (2 * half) - half


@cache
def _defaults(kind: type[IRDLOperation], operand: Attribute = i64) -> Mapping[str, Attribute]:
    """The properties that an operation has where nobody says anything: nothing is promised."""
    value = Block(arg_types=[operand]).args[0]
    if issubclass(kind, arith.ExtSIOp | arith.TruncIOp):
        return {}
    make: Any = kind
    return MappingProxyType(make(value, value).properties)


@cache
def _predicate(
    kind: type[arith.CmpiOp | arith.CmpfOp], operand: Attribute, how: str
) -> Mapping[str, Attribute]:
    value = Block(arg_types=[operand]).args[0]
    return MappingProxyType(kind(value, value, how).properties)
