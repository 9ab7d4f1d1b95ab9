"""Movement below elementwise operators: random segments compute the same before and after."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import ModuleOp, StringAttr, TensorType
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Region, SSAValue

from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.dialects.graph.elementwise import AddOp, MulOp, SigmoidOp
from furiosa_ir.dialects.graph.movement import ConcatOp, PadOp, ReshapeOp, TransposeOp
from furiosa_ir.dialects.graph.normalization import AffineOp, SumOp
from furiosa_ir.dialects.graph.quantization import QuantizeOp
from furiosa_ir.dialects.graph.structure import ConstantOp
from furiosa_ir.dialects.quant import uniform
from furiosa_ir.interpreter import run_function
from furiosa_ir.ir.constants import BlobAttr
from furiosa_ir.ir.context import make_context
from furiosa_ir.ir.shaped_operation import shape_of
from furiosa_ir.passes.sink_movement import SinkMovement
from tests.draws import draws

SHAPE = (1, 2, 3, 4)


class Segment:
    """A segment of random operations on a few values, transposed this way and that."""

    def __init__(self, seed: int, length: int) -> None:
        self.rng = np.random.default_rng(seed)
        elements = [self.element(), self.element()]
        self.block = Block(arg_types=[TensorType(e, SHAPE) for e in elements])
        self.values: list[SSAValue] = list(self.block.args)
        for _ in range(length):
            self.step()
        results = self.values[-3:]
        self.block.add_op(ReturnOp(*results))
        types = [a.type for a in self.block.args], [r.type for r in results]
        self.function = FuncOp("npu_0", types, Region(self.block), visibility="private")
        self.function.attributes["graph.placement"] = StringAttr("npu")
        self.module = ModuleOp([self.function])
        self.module.attributes["graph.source"] = StringAttr("onnx")

    def element(self):
        return uniform(np.dtype(np.int8), self.rng.uniform(0.02, 0.1), self.rng.integers(-20, 20))

    def emit(self, op: type[GraphOp], operands, **properties: object) -> SSAValue:
        made = op.make(operands, [self.element()], **properties)
        self.block.add_op(made)
        return made.results[0]

    def like(self, op: type[GraphOp], x: SSAValue, **properties: object) -> SSAValue:
        made = op.make([x], [x.type.element_type], **properties)
        self.block.add_op(made)
        return made.results[0]

    def constant(self, shape: tuple[int, ...]) -> SSAValue:
        blob = BlobAttr.of(self.rng.integers(-99, 99, shape).astype(np.int8))
        return self.emit(ConstantOp, [], value=blob)

    def step(self) -> None:
        x = self.values[int(self.rng.integers(len(self.values)))]
        shape = shape_of(x)
        same = [v for v in self.values if shape_of(v) == shape]
        y = same[int(self.rng.integers(len(same)))]
        match int(self.rng.integers(10)):
            case 0 | 1 | 2:
                perms = [[0, 2, 3, 1], [0, 3, 1, 2], self.rng.permutation(len(shape)).tolist()]
                perm = perms[int(self.rng.integers(3))] if len(shape) == 4 else perms[2]
                result = self.like(TransposeOp, x, perm=perm)
            case 3:
                result = self.emit(SigmoidOp, [x])
            case 4:
                result = self.emit(QuantizeOp, [x])
            case 5:
                result = self.emit(AddOp, [x, y])
            case 6:
                # A constant of fewer axes, or one for a single axis.
                few = [n if self.rng.integers(2) else 1 for n in shape]
                result = self.emit(MulOp, [self.constant(tuple(few[int(few[0] == 1) :])), x])
            case 7:
                factor = self.rng.normal(size=shape[-1:])
                result = self.emit(AffineOp, [x], factor=factor, offset=factor * 2)
            case 8:
                axis = int(self.rng.integers(len(shape)))
                pads = [0] * (2 * len(shape))
                pads[axis] = 1
                made = [
                    lambda: self.like(PadOp, x, pads=pads, mode="constant", value=0.0),
                    lambda: self.emit(ConcatOp, [[x, y, x]], axis=axis),
                    lambda: self.emit(SumOp, [[x, y, x]]),
                ]
                result = made[int(self.rng.integers(3))]()
            case _:
                target = [shape[0] * shape[1], *shape[2:]] if len(shape) > 2 else [1, 1, *shape]
                result = self.like(ReshapeOp, x, shape=target)
        if np.prod(shape_of(result)) < 2000:
            self.values.append(result)


@settings(deadline=None, max_examples=draws(150))
@given(st.integers(0, 1 << 30), st.integers(1, 24))
def test_segments_compute_the_same(seed: int, length: int) -> None:
    segment = Segment(seed, length)
    segment.module.verify()
    inputs = [segment.rng.integers(-128, 128, SHAPE).astype(np.int8) for _ in range(2)]
    want = run_function(segment.function, inputs)
    SinkMovement().apply(make_context(), segment.module)
    segment.module.verify()
    for w, g in zip(want, run_function(segment.function, inputs), strict=True):
        np.testing.assert_array_equal(g, w)
    # Nothing of one operand that works element by element is left behind a transpose.
    for op in segment.function.body.block.ops:
        if isinstance(op, SigmoidOp | QuantizeOp | AffineOp):
            assert not isinstance(op.operands[0].owner, TransposeOp)
