"""`ftensor-channels-last`: the same elements, and nothing is transposed that need not be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp, StringAttr, i8, i32
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Region, SSAValue

from furiosa_ir.backends.mlir.passes.ftensor_channels_last import ChannelsLast
from furiosa_ir.dialects.ftensor import (
    AddOp,
    BroadcastOp,
    ClampOp,
    ConcatOp,
    ConstantOp,
    ConvOp,
    DivideOp,
    GatherOp,
    InterpolateOp,
    LookupOp,
    MatMulOp,
    MaximumOp,
    MulOp,
    PadOp,
    ReduceOp,
    ReduceWindowOp,
    RescaleOp,
    ReshapeOp,
    SliceOp,
    SubOp,
    TensorOp,
    TransposeOp,
    i48,
)
from furiosa_ir.ir.context import make_context
from furiosa_ir.ir.segments import PLACEMENT
from furiosa_ir.ir.shaped_operation import shape_of, tensor_type
from furiosa_ir.ir.verifier import verify_module
from tests.backends.mlir.native_functions import NativeFunctions, defined_results

RNG = np.random.default_rng(0)
SHAPE = (2, 6, 9, 7)
WINDOWS = {
    "layout": "NCHW",
    "strides": [2, 1],
    "pads": [1, 0, 1, 2],
    "dilations": [1, 2],
}


class Network:
    """A function of an image [2, 6, 9, 7] of i8 in NCHW, which begins with a convolution."""

    def __init__(self) -> None:
        self.block = Block(arg_types=[tensor_type(i8, SHAPE)])
        self.x: SSAValue = self.block.args[0]
        self.image = self.rescaled(self.conv(self.x))

    def emit(self, operation: Any, operands: Any, element: Any, **properties: Any) -> SSAValue:
        op = operation.make(operands, [element], **properties)
        self.block.add_op(op)
        return op.results[0]

    def constant(
        self, *shape: int, low: int = -128, high: int = 127, element: Any = i8
    ) -> SSAValue:
        dtype = {i8: np.int8, i32: np.int32}[element]
        held = RNG.integers(low, high + 1, shape).astype(dtype)
        return self.emit(ConstantOp, [], element, value=held)

    def conv(self, x: SSAValue, **properties: Any) -> SSAValue:
        held = {**WINDOWS, "x_zp": 3, **properties}
        group = held.get("group", 1)
        weight = self.constant(6, 3, 2, shape_of(x)[1] // group)
        bias = self.constant(6, low=-999, high=999, element=i32)
        return self.emit(ConvOp, [x, weight, bias], i32, **held)

    def rescaled(self, x: SSAValue, *shape: int) -> SSAValue:
        shape = shape or (shape_of(x)[1], 1, 1)
        multiplier = self.constant(*shape, low=1 << 30, high=(1 << 31) - 1, element=i32)
        shift = self.constant(*shape, low=38, high=42)
        return self.emit(RescaleOp, [x, multiplier, shift], i8, rounding="near_even")

    def function(self, *values: SSAValue) -> FuncOp:
        self.block.add_op(ReturnOp(*values))
        types = [a.type for a in self.block.args], [v.type for v in values]
        function = FuncOp("npu_0", types, Region(self.block))
        function.attributes[PLACEMENT] = StringAttr("npu")
        return function


def turned(network: Network, *values: SSAValue) -> dict[str, int]:
    """How many operations of each kind the pass leaves, of a function that stays what it was."""
    function = network.function(*values)
    x = RNG.integers(-128, 128, SHAPE).astype(np.int8)
    wanted = defined_results(function, [x])
    module = ModuleOp([function])
    ChannelsLast().apply(make_context(), module)
    verify_module(module)
    for a, b in zip(defined_results(function, [x]), wanted, strict=True):
        np.testing.assert_array_equal(a, b)
    counts: dict[str, int] = {}
    for op in function.body.block.ops:
        if isinstance(op, TensorOp):
            name = op.name.removeprefix("ftensor.")
            counts[name] = counts.get(name, 0) + 1
        if isinstance(op, ConvOp | ReduceWindowOp):
            assert op.layout.data == "NHWC"
    return counts


FORMS: dict[str, Any] = {
    "conv": lambda n, x: n.conv(x),
    "grouped": lambda n, x: n.conv(x, group=3),
    "depthwise": lambda n, x: n.conv(x, group=6),
    "transposed": lambda n, x: n.conv(x, input_dilation=[2, 3], strides=[1, 1]),
    "pool": lambda n, x: n.emit(ReduceWindowOp, [x], i8, kind="max", window=[2, 2], **WINDOWS),
    "clamp": lambda n, x: n.emit(ClampOp, [x], i8, minimum=-9, maximum=44),
    "per tensor": lambda n, x: n.emit(
        RescaleOp,
        [x, n.constant(low=1 << 30, high=1 << 30, element=i32), n.constant(low=31, high=31)],
        i8,
        rounding="double",
    ),
    "per row": lambda n, x: n.rescaled(x, shape_of(x)[2], 1),
    "lookup": lambda n, x: n.emit(LookupOp, [x, n.constant(256)], i8),
    "add": lambda n, x: n.emit(AddOp, [x, n.emit(ClampOp, [x], i8, minimum=0, maximum=9)], i32),
    "channels": lambda n, x: n.emit(MulOp, [n.constant(shape_of(x)[1], 1, 1), x], i32),
    "a number": lambda n, x: n.emit(MaximumOp, [x, n.constant(low=5, high=5)], i8),
    "gate": lambda n, x: n.emit(
        MulOp, [x, n.emit(ReduceOp, [x], i8, kind="max", axes=[2, 3])], i32
    ),
    "divide": lambda n, x: n.emit(
        DivideOp,
        [
            n.emit(AddOp, [x, x], i48),
            n.emit(AddOp, [n.constant(1, low=9), n.constant(1, low=9)], i48),
        ],
        i8,
    ),
    "sum": lambda n, x: n.emit(ReduceOp, [x], i32, kind="sum", axes=[1], x_zp=2),
    "concat": lambda n, x: n.emit(ConcatOp, [[x, x]], i8, axis=1),
    "concat of rows": lambda n, x: n.emit(ConcatOp, [[x, n.constant(*shape_of(x))]], i8, axis=2),
    "pad": lambda n, x: n.emit(PadOp, [x], i8, pads=[0, 1, 2, 3, 1, 0, 0, 2], value=-5),
    "slice": lambda n, x: n.emit(
        SliceOp, [x], i8, starts=[0, 1, 0, 2], ends=[2, 6, 3, 5], steps=[1, 2, 1, 2]
    ),
    "gather": lambda n, x: n.emit(GatherOp, [x], i8, axis=3, indices=[3, 0, 1, 1, 2]),
    "interpolate": lambda n, x: n.emit(
        InterpolateOp,
        [x],
        i32,
        axis=2,
        lower=[0, 1, 2],
        upper=[1, 2, 2],
        lower_weight=[3, 1, 4],
        upper_weight=[1, 3, 0],
    ),
    "broadcast": lambda n, x: n.emit(
        BroadcastOp, [n.emit(ReduceOp, [x], i8, kind="max", axes=[1])], i8, shape=shape_of(x)
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms(form: str) -> None:
    """Each between a convolution and the end: what comes in is transposed, and what goes out."""
    network = Network()
    made = FORMS[form](network, network.image)
    counts = turned(network, made)
    assert counts.get("transpose", 0) + counts.get("reshape", 0) == 2


def test_what_asks_for_channels_last_gets_them() -> None:
    """A detector's heads: nothing is transposed behind the first image."""
    network = Network()
    last = network.emit(TransposeOp, [network.image], i8, perm=[0, 2, 3, 1])
    size = int(np.prod(shape_of(last)))
    assert turned(network, network.emit(ReshapeOp, [last], i8, shape=[size]))["transpose"] == 1


def test_dimensions_in_another_order() -> None:
    network = Network()
    made = network.emit(TransposeOp, [network.image], i8, perm=[2, 1, 0, 3])
    assert turned(network, made)["transpose"] == 2


def test_a_vector_of_channels_is_reshaped() -> None:
    """Behind global pooling there is nothing to move."""
    network = Network()
    pooled = network.emit(ReduceOp, [network.image], i8, kind="max", axes=[2, 3])
    rows = network.emit(ReshapeOp, [pooled], i8, shape=[2, 6])
    product = network.emit(MatMulOp, [rows, network.constant(6, 5), None], i32)
    assert turned(network, product)["transpose"] == 1


def test_an_image_that_is_read_in_both_ways() -> None:
    """It is transposed back once; an image that comes from elsewhere once, too."""
    network = Network()
    flat = network.emit(ReshapeOp, [network.image], i8, shape=[2, 6 * 5 * 7])
    rows = network.emit(ReshapeOp, [network.image], i8, shape=[12, 5 * 7])
    both = network.emit(AddOp, [network.conv(network.x), network.conv(network.x)], i32)
    counts = turned(network, flat, rows, both)
    assert counts["transpose"] == 3


def test_a_network_without_windows_stays() -> None:
    network = Network()
    network.block = Block(arg_types=[tensor_type(i8, SHAPE)])
    x = network.block.args[0]
    made = network.emit(SubOp, [x, network.constant(6, 1, 1)], i32)
    assert turned(network, made) == {"constant": 1, "sub": 1}


@pytest.mark.parametrize("reader", ["padded", "gathered"])
def test_what_is_moved_and_read_elsewhere_is_made_first(reader: str) -> None:
    """IREE 3.13 refuses to unpack a product of matrices to both ("large vector sizes")."""
    pytest.importorskip("iree.compiler", reason="the extra `iree` is not installed")
    network = Network()
    network.block = Block(arg_types=[tensor_type(i8, (1, 64, 80, 80))])
    straight = {"layout": "NCHW", "strides": [1, 1], "pads": [0] * 4, "dilations": [1, 1]}
    weight = network.constant(64, 1, 1, 64)
    product = network.emit(ConvOp, [network.block.args[0], weight, None], i32, **straight)
    image = network.rescaled(product)
    moved = (
        network.emit(PadOp, [image], i8, pads=[0, 0, 1, 1, 0, 0, 1, 1], value=3)
        if reader == "padded"
        else network.emit(GatherOp, [image], i8, axis=2, indices=[i // 2 for i in range(160)])
    )
    function = network.function(moved, network.emit(ConcatOp, [[image, image]], i8, axis=1))
    ChannelsLast().apply(make_context(), ModuleOp([function]))
    function.detach()
    function.attributes.clear()
    native = NativeFunctions()
    native.add(function, [RNG.integers(-128, 128, (1, 64, 80, 80)).astype(np.int8)])
    assert native.differing() == []
