"""One quantised operation and its inputs, drawn by a case function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from xdsl.dialects.builtin import ModuleOp, StringAttr, TensorType, f32
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Region, SSAValue

from furiosa_ir.dialects.graph.base import GraphOp, quantization_of
from furiosa_ir.dialects.graph.structure import ConstantOp
from furiosa_ir.dialects.quant import UniformType, uniform
from furiosa_ir.ir.constants import Array, BlobAttr
from furiosa_ir.ir.shaped_operation import shape_of
from tests.lowering.choices import Choices, described


class Draw(Choices):
    """A block under construction, and the choices that it is drawn from (none: written out)."""

    def __init__(self, draw: DrawFn | None = None) -> None:
        super().__init__(draw)
        self.block = Block()

    def element(self, low: float = 0.01, high: float = 0.2) -> UniformType:
        """A per-tensor 8-bit type; one in three scales is a power of two, so ties occur."""
        dtype = np.dtype(self.choose(np.int8, np.uint8))
        power = self.choose(True, False, False)
        scale = 2.0 ** self.integer(-7, -3) if power else self.real(low, high)
        info = np.iinfo(dtype)
        return uniform(dtype, scale, self.zero_point(int(info.min), int(info.max)))

    def value(self, shape: tuple[int, ...], element: UniformType | None = None) -> SSAValue:
        """An argument of the network."""
        return self.block.insert_arg(
            TensorType(element or self.element(), shape), len(self.block.args)
        )

    def constant(self, array: Array, element: UniformType) -> SSAValue:
        """A constant of stored integers."""
        op = ConstantOp.make([], [element], value=BlobAttr.of(array))
        self.block.add_op(op)
        return op.result

    def real_constant(self, array: Array) -> SSAValue:
        """A constant of real numbers (f32)."""
        op = ConstantOp.make([], [f32], value=BlobAttr.of(array.astype(np.float32)))
        self.block.add_op(op)
        return op.result

    def weight(self, shape: tuple[int, ...], axis: int | None) -> SSAValue:
        """int8 weights, with a scale for each index of `axis`."""
        count = 1 if axis is None else shape[axis]
        scales = np.array([self.real(0.002, 0.02) for _ in range(count)])
        return self.constant(
            self.array(shape, -127, 127), uniform(np.dtype(np.int8), scales, 0, axis)
        )

    def bias(self, x: SSAValue, weight: SSAValue, count: int, factor: float = 1.0) -> SSAValue:
        """An i32 bias in the accumulator's scale, times `factor`."""
        qx, qw = quantization_of(x), quantization_of(weight)
        assert qx is not None
        assert qw is not None
        scales = np.array(qw.scales) * qx.scale * factor
        array = self.array((count,), -2000, 2000, np.int32)
        return self.constant(
            array, uniform(np.dtype(np.int32), scales, 0, 0 if len(scales) > 1 else None)
        )


Case = Callable[[Draw], GraphOp]
"""Draws operands, properties and types of one operation."""


@dataclass(frozen=True)
class Drawn:
    """A network of one operation, in a module of ONNX numerics.

    Attributes:
        function: the operation between arguments and results of quantised types.
        op: the operation.
        inputs: a stored tensor for each argument.
    """

    function: FuncOp
    op: GraphOp
    inputs: list[Array]

    def __repr__(self) -> str:
        """The network as IR, and the inputs: what hypothesis prints of a failure."""
        inputs = "\n".join(f"input {described(x)}" for x in self.inputs)
        return f"\n{self.function}\n{inputs}\n"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        # Without it hypothesis prints a dataclass field by field.
        printer.text(repr(self))


def network_of(block: Block, op: GraphOp) -> FuncOp:
    """A function of the operation, whose operands stand in the block."""
    block.add_op(op)
    block.add_op(ReturnOp(*op.results))
    types = [a.type for a in block.args], [r.type for r in op.results]
    function = FuncOp("main", types, Region(block))
    module = ModuleOp([function])
    module.attributes["graph.source"] = StringAttr("onnx")
    return function


@st.composite
def drawn(draw: DrawFn, case: Case) -> Drawn:
    """Networks of one operation of a case."""
    d = Draw(draw)
    op = case(d)
    inputs: list[Array] = []
    for value in d.block.args:
        q = quantization_of(value)
        assert q is not None
        inputs.append(d.array(shape_of(value), *q.storage_range, q.dtype))
    return Drawn(network_of(d.block, op), op, inputs)
