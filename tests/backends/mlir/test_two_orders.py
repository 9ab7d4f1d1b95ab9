"""Reductions that one operation reads in two orders: IREE 3.13 makes wrong elements of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from xdsl.dialects.builtin import i8, i32
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Region, SSAValue

pytest.importorskip("iree.compiler", reason="the extra `iree` is not installed")

from furiosa_ir.backends.mlir.dialect import OptimizationBarrierOp
from furiosa_ir.backends.mlir.lowering.conversion import convert_function
from furiosa_ir.backends.mlir.lowering.emission import Parameters
from furiosa_ir.dialects.ftensor import (
    AddOp,
    ConcatOp,
    ConstantOp,
    ConvOp,
    LookupOp,
    MatMulOp,
    MaximumOp,
    ReduceOp,
    ReduceWindowOp,
    RescaleOp,
    ReshapeOp,
    SubOp,
    TensorOp,
    TransposeOp,
)
from furiosa_ir.ir.shaped_operation import shape_of, tensor_type
from furiosa_ir.numerics.array import Array
from tests.backends.mlir.native_functions import NativeFunctions
from tests.draws import draws


class Drawn:
    """A function of one argument, [1, N, N, C] of i8, that is drawn."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.extent, self.channels = (
            int(self.rng.choice([4, 6, 8])),
            int(self.rng.choice([1, 2, 16])),
        )
        shape = 1, self.extent, self.extent, self.channels
        self.argument: Array = self.rng.integers(-128, 128, shape).astype(np.int8)
        self.block = Block(arg_types=[tensor_type(i8, shape)])

    def made(self, op: TensorOp) -> SSAValue:
        op.verify_()
        self.block.add_op(op)
        return op.results[0]

    def bytes(self, *shape: int) -> SSAValue:
        value = self.rng.integers(-128, 128, shape).astype(np.int8)
        return self.made(ConstantOp.make([], [i8], value=value))

    def rescaled(self, x: SSAValue, shift: int = 36) -> SSAValue:
        rounding = str(self.rng.choice(["double", "near_even", "up"]))
        held = [(np.array(1 << 30, np.int32), i32), (np.array(shift, np.int8), i8)]
        factors = [self.made(ConstantOp.make([], [kind], value=a)) for a, kind in held]
        return self.made(RescaleOp.make([x, *factors], [i8], rounding=rounding))

    def reduction(self, x: SSAValue) -> SSAValue:
        """To [1, M, M, C], i8."""
        kind = self.rng.integers(5)
        if kind == 0:
            return self.made(ReduceWindowOp.make(
                [x], [i8], kind="max", layout="NHWC", window=[2, 2], strides=[2, 2]
            ))  # fmt: skip
        if kind == 1:
            return self.rescaled(self.made(ReduceWindowOp.make(
                [x], [i32], kind="sum", layout="NHWC", window=[2, 2], strides=[2, 2]
            )), 33)  # fmt: skip
        if kind == 2:
            weight = self.bytes(self.channels, 2, 2, 1)
            sums = ConvOp.make([x, weight, None], [i32], layout="NHWC", group=self.channels)
        elif kind == 3:
            weight = self.bytes(self.channels, 3, 3, self.channels)
            sums = ConvOp.make([x, weight, None], [i32], layout="NHWC")
        else:
            weight = self.bytes(self.channels, self.channels)
            sums = MatMulOp.make([x, weight, None], [i32], transpose_b=1)
        return self.rescaled(self.made(sums))

    def path(self, x: SSAValue) -> SSAValue:
        """Other elements of the same shape, in some order."""
        for _ in range(self.rng.integers(3)):
            kind, shape = self.rng.integers(5), shape_of(x)
            if kind == 0:
                x = self.made(TransposeOp.make([x], [i8], perm=[0, 2, 1, 3]))
            elif kind == 1:
                flat = self.made(ReshapeOp.make([x], [i8], shape=[shape[1] * shape[2], shape[3]]))
                turned = self.made(TransposeOp.make([flat], [i8], perm=[1, 0]))
                x = self.made(ReshapeOp.make([turned], [i8], shape=shape))
            elif kind == 2:
                x = self.made(LookupOp.make([x, self.bytes(256)], [i8]))
            elif kind == 3:
                x = self.rescaled(x, 31)
            else:
                last = self.made(ReduceOp.make([x], [i8], kind="max", axes=[0]))
                x = self.made(ReshapeOp.make([last], [i8], shape=shape))
        return x

    def join(self, a: SSAValue, b: SSAValue) -> SSAValue:
        kind = self.rng.integers(6)
        if kind == 0:
            return self.made(ConcatOp.make([[a, b]], [i8], axis=3))
        if kind == 1:
            return self.made(MaximumOp.make([a, b], [i8]))
        if kind == 2:
            sums = MatMulOp.make([a, b, None], [i32], transpose_b=1)
        elif kind == 3:
            count = int(np.prod(shape_of(a)))
            one, other = (
                self.made(ReshapeOp.make([v], [i8], shape=shape))
                for v, shape in ((a, [count, 1]), (b, [1, count]))
            )
            sums = AddOp.make([one, other], [i32])
        else:
            sums = (AddOp if kind == 4 else SubOp).make([a, b], [i32])
        return self.rescaled(self.made(sums), int(self.rng.integers(31, 36)))

    def function(self) -> FuncOp:
        """Whose results are all that the join is made of, now and then."""
        x = self.block.args[0]
        root = self.reduction(x)
        a, b = self.path(root), self.path(root)
        returned = [self.join(a, b)]
        if self.rng.integers(4) == 0:
            returned += [a, b]
        self.block.add_op(ReturnOp(*returned))
        types = [x.type], [v.type for v in returned]
        return FuncOp("f", types, Region(self.block))


@pytest.mark.draws
def test_drawn_functions() -> None:
    native = NativeFunctions()
    for seed in range(draws(400)):
        drawn = Drawn(seed)
        native.add(drawn.function(), [drawn.argument])
    assert native.differing() == []


def barriers(make: Callable[[Drawn, SSAValue], Sequence[SSAValue]]) -> int:
    """How many a function gets that has no other reason for one."""
    drawn = Drawn(0)
    x = drawn.block.args[0]
    pooled = drawn.made(
        ReduceWindowOp.make([x], [i8], kind="max", layout="NHWC", window=[2, 2], strides=[2, 2])
    )
    returned = make(drawn, pooled)
    drawn.block.add_op(ReturnOp(*returned))
    function = FuncOp("f", ([x.type], [v.type for v in returned]), Region(drawn.block))
    convert_function(function, Parameters({}))
    return sum(isinstance(op, OptimizationBarrierOp) for op in function.walk())


def turned(drawn: Drawn, value: SSAValue) -> SSAValue:
    return drawn.made(TransposeOp.make([value], [i8], perm=[0, 2, 1, 3]))


def added(drawn: Drawn, a: SSAValue, b: SSAValue) -> list[SSAValue]:
    return [drawn.made(AddOp.make([a, b], [i32]))]


def blocks(count: int) -> Callable[[Drawn, SSAValue], Sequence[SSAValue]]:
    """Sums of sums, each of which reads all that were before."""

    def make(drawn: Drawn, value: SSAValue) -> Sequence[SSAValue]:
        for _ in range(count):
            looked = drawn.made(LookupOp.make([value, drawn.bytes(256)], [i8]))
            value = drawn.made(MaximumOp.make([value, looked], [i8]))
        return [value]

    return make


def test_of_many_readers_not_all_are_looked_at() -> None:
    assert barriers(blocks(20)) == 0
    assert barriers(blocks(40)) == 1


def test_one_order_needs_no_barrier() -> None:
    assert barriers(lambda d, v: added(d, v, v)) == 0
    assert barriers(lambda d, v: added(d, v, d.rescaled(v, 31))) == 0
    assert barriers(lambda d, v: [turned(d, v)]) == 0
    assert barriers(lambda d, v: added(d, turned(d, v), turned(d, v))) == 1  # two transposes
    assert barriers(lambda d, v: added(d, v, turned(d, v))) == 1
