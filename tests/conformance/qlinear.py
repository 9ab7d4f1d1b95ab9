"""Drawn cases as the quantised operators of ONNX and of onnxruntime (QLinearAdd, QGemm, ...).

`FORMS` is the table: operation of `graph` -> how it is written between stored integers. A form
returns None for a draw that has no such operator. These operators take one type of data
throughout, so every tensor gets that of the result: uint8 is int8 with 128 added to the stored
integers and to the zero point.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from onnx import helper, numpy_helper
from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue

from furiosa_ir.dialects.graph import (
    convolution,
    elementwise,
    functions,
    movement,
    pooling,
    quantization,
    rearrangement,
    reduction,
)
from furiosa_ir.dialects.graph.base import GraphOp, constant_of, quantization_of
from furiosa_ir.dialects.graph.resize import ResizeOp
from furiosa_ir.dialects.quant.arithmetic import dequantize, quantize
from furiosa_ir.interpreter.elements import numpy_dtype
from furiosa_ir.ir.shaped_operation import element_of, ints, shape_of

MICROSOFT = "com.microsoft"
OPSET = 17


def as_dtype(array: Any, dtype: np.dtype[Any]) -> Any:
    """8-bit integers as int8 or uint8, which differ by the top bit; wider ones as they are."""
    if array.dtype == dtype or array.dtype.itemsize > 1:
        return array
    return (array.view(np.uint8) ^ np.uint8(128)).view(dtype)


class Writer:
    """The graph being written.

    Args:
        function: one operation between arguments and results of quantised types.
        op: that operation.
    """

    def __init__(self, function: FuncOp, op: GraphOp) -> None:
        quantized = quantization_of(op.results[0]) or quantization_of(op.operands[0])
        assert quantized is not None
        self.dtype = np.dtype(quantized.dtype)
        self.nodes: list[Any] = []
        self.tensors: list[Any] = []
        self.names: dict[SSAValue, str] = {
            v: f"x{i}" for i, v in enumerate(function.body.block.args)
        }
        self.inputs = [self._info(n, v) for v, n in self.names.items()]
        self.outputs = [self._info(f"y{i}", v) for i, v in enumerate(op.results)]

    def _info(self, name: str, value: SSAValue) -> Any:
        stored = quantization_of(value) is not None
        dtype = self.dtype if stored else numpy_dtype(element_of(value))
        element = helper.np_dtype_to_tensor_dtype(dtype)
        return helper.make_tensor_value_info(name, element, shape_of(value))

    def tensor(self, array: Any) -> str:
        """An initialiser."""
        name = f"c{len(self.tensors)}"
        self.tensors.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def scale(self, value: SSAValue) -> list[str]:
        """Scale and zero point of a value: constants keep their type, others have the result's."""
        q = quantization_of(value)
        assert q is not None
        dtype = np.dtype(q.dtype)
        points = np.array(q.zero_points)
        if constant_of(value) is None and dtype != self.dtype:
            points, dtype = points + (128 if self.dtype == np.uint8 else -128), self.dtype
        scales, points = np.array(q.scales, np.float32), points.astype(dtype)
        if q.axis is None:
            scales, points = scales[0], points[0]
        return [self.tensor(scales), self.tensor(points)]

    def stored(self, value: SSAValue, perm: list[int] | None = None) -> str:
        """The stored integers of a value."""
        constant = constant_of(value)
        if constant is None:
            return self.names[value]
        return self.tensor(
            constant if perm is None else np.ascontiguousarray(constant.transpose(perm))
        )

    def operand(self, value: SSAValue, perm: list[int] | None = None) -> list[str]:
        """A value with its scale and zero point."""
        return [self.stored(value, perm), *self.scale(value)]

    def node(self, op_type: str, inputs: list[str], output: str, domain: str = "", **a: Any) -> str:
        """Appends a node."""
        given = {k: v for k, v in a.items() if v is not None}
        self.nodes.append(helper.make_node(op_type, inputs, [output], domain=domain, **given))
        return output

    def contrib(self, op_type: str, inputs: list[str], **attributes: Any) -> bool:
        """Appends the node of com.microsoft that makes the result."""
        self.node(op_type, inputs, "y0", MICROSOFT, **attributes)
        return True

    def model(self) -> bytes:
        """The model."""
        graph = helper.make_graph(self.nodes, "qlinear", self.inputs, self.outputs, self.tensors)
        imports = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()


Form = Callable[[Any, Writer], bool | None]
FORMS: dict[type[GraphOp], Form] = {}
"""Operation -> its quantised operator; true where it has one."""

WITHOUT_KERNEL = (reduction.ReduceMeanOp,)
"""Written as operators that onnxruntime declares, but cannot run: QLinearReduceMean."""


def _writes(*ops: type[GraphOp]) -> Callable[[Form], Form]:
    def declare(form: Form) -> Form:
        FORMS.update(dict.fromkeys(ops, form))
        return form

    return declare


def _same(op_type: str, *attributes: str) -> Form:
    """The operator on all operands, with some of the operation's properties as attributes."""

    def form(op: GraphOp, w: Writer) -> bool:
        inputs = [name for v in op.operands for name in w.operand(v)]
        given = {name: cast("Any", op.properties[name]).value.data for name in attributes}
        return w.contrib(op_type, [*inputs, *w.scale(op.results[0])], **given)

    return form


FORMS[elementwise.AddOp] = _same("QLinearAdd")
FORMS[elementwise.MulOp] = _same("QLinearMul")
FORMS[elementwise.SigmoidOp] = _same("QLinearSigmoid")
FORMS[elementwise.LeakyReluOp] = _same("QLinearLeakyRelu", "alpha")


@_writes(convolution.ConvOp)
def conv(op: convolution.ConvOp, w: Writer) -> bool:
    """QLinearConv; com.microsoft's where the channels stand last."""
    layout, kernel = op.layout.data, op.kernel_layout.data
    last = layout.endswith("C")
    perm = [kernel.index(d) for d in "OI" + "".join(d for d in kernel if d not in "OI")]
    inputs = [*w.operand(op.x), *w.operand(op.weight, perm), *w.scale(op.result)]
    if op.bias is not None:
        inputs.append(w.stored(op.bias))
    w.node(
        "QLinearConv",
        inputs,
        "y0",
        MICROSOFT if last else "",
        strides=ints(op.strides),
        pads=ints(op.pads),
        dilations=ints(op.dilations),
        group=op.group.value.data,
        channels_last=1 if last else None,
    )
    return True


@_writes(convolution.GemmOp)
def gemm(op: convolution.GemmOp, w: Writer) -> bool:
    """QGemm."""
    bias = "" if op.c is None else w.stored(op.c)
    return w.contrib(
        "QGemm",
        [*w.operand(op.a), *w.operand(op.b), bias, *w.scale(op.result)],
        alpha=op.alpha.value.data,
        transA=op.trans_a.value.data,
        transB=op.trans_b.value.data,
    )


@_writes(convolution.MatMulOp)
def mat_mul(op: convolution.MatMulOp, w: Writer) -> bool:
    """QLinearMatMul."""
    w.node("QLinearMatMul", [*w.operand(op.a), *w.operand(op.b), *w.scale(op.result)], "y0")
    return True


@_writes(pooling.AveragePoolOp)
def average_pool(op: pooling.AveragePoolOp, w: Writer) -> bool | None:
    """QLinearAveragePool, which counts differently where windows leave the padding."""
    if op.ceil_mode.value.data and op.count_include_pad.value.data:
        return None
    return w.contrib(
        "QLinearAveragePool",
        [*w.operand(op.x), *w.scale(op.result)],
        kernel_shape=ints(op.kernel_shape),
        strides=ints(op.strides),
        pads=ints(op.pads),
        ceil_mode=op.ceil_mode.value.data,
        count_include_pad=op.count_include_pad.value.data,
        channels_last=int(op.layout.data.endswith("C")),
    )


@_writes(reduction.ReduceMeanOp)
def reduce_mean(op: reduction.ReduceMeanOp, w: Writer) -> bool:
    """QLinearGlobalAveragePool where it is one, else QLinearReduceMean."""
    inputs = [*w.operand(op.x), *w.scale(op.result)]
    if sorted(ints(op.axes)) == [2, 3] and op.keepdims.value.data:
        return w.contrib("QLinearGlobalAveragePool", inputs, channels_last=0)
    return w.contrib(
        "QLinearReduceMean", inputs, axes=ints(op.axes), keepdims=op.keepdims.value.data
    )


@_writes(reduction.SoftmaxOp)
def softmax(op: reduction.SoftmaxOp, w: Writer) -> bool:
    """QLinearSoftmax."""
    inputs = [*w.operand(op.x), *w.scale(op.result)]
    return w.contrib("QLinearSoftmax", inputs, axis=op.axis.value.data, opset=OPSET)


@_writes(movement.ConcatOp)
def concat(op: movement.ConcatOp, w: Writer) -> bool:
    """QLinearConcat."""
    inputs = [name for v in op.inputs for name in w.operand(v)]
    return w.contrib("QLinearConcat", [*w.scale(op.result), *inputs], axis=op.axis.value.data)


@_writes(functions.GeluOp)
def gelu(op: functions.GeluOp, w: Writer) -> bool:
    """com.microsoft's Gelu between its DequantizeLinear and QuantizeLinear."""
    real = w.node("DequantizeLinear", w.operand(op.x), "real", MICROSOFT)
    real = w.node("Gelu", [real], "gelu", MICROSOFT)
    return w.contrib("QuantizeLinear", [real, *w.scale(op.result)])


def _moved(op: Any, w: Writer, op_type: str, inputs: list[str], **attributes: Any) -> bool:
    """The operator on stored integers, the result requantised by com.microsoft's operators."""
    moved = w.node(op_type, [w.stored(op.x), *inputs], "moved", **attributes)
    real = w.node("DequantizeLinear", [moved, *w.scale(op.x)], "real", MICROSOFT)
    return w.contrib("QuantizeLinear", [real, *w.scale(op.result)])


@_writes(quantization.QuantizeOp)
def requantize(op: quantization.QuantizeOp, w: Writer) -> bool:
    """DequantizeLinear and QuantizeLinear of com.microsoft."""
    return _moved(op, w, "Identity", [])


@_writes(movement.TransposeOp)
def transpose(op: movement.TransposeOp, w: Writer) -> bool:
    """Transpose of stored integers."""
    return _moved(op, w, "Transpose", [], perm=ints(op.perm))


@_writes(movement.ReshapeOp)
def reshape(op: movement.ReshapeOp, w: Writer) -> bool:
    """Reshape of stored integers."""
    return _moved(op, w, "Reshape", [w.tensor(np.array(ints(op.shape), np.int64))])


@_writes(movement.SliceOp)
def slice_(op: movement.SliceOp, w: Writer) -> bool:
    """Slice of stored integers."""
    # Before the first element is the least integer, whatever the rank.
    ends = [e if e >= 0 else np.iinfo(np.int64).min for e in ints(op.ends)]
    axes = range(len(ends))
    arguments = [ints(op.starts), ends, axes, ints(op.steps)]
    return _moved(op, w, "Slice", [w.tensor(np.array(list(a), np.int64)) for a in arguments])


@_writes(movement.ExpandOp)
def expand(op: movement.ExpandOp, w: Writer) -> bool:
    """Expand of stored integers."""
    return _moved(op, w, "Expand", [w.tensor(np.array(ints(op.shape), np.int64))])


@_writes(movement.TileOp)
def tile(op: movement.TileOp, w: Writer) -> bool:
    """Tile of stored integers."""
    return _moved(op, w, "Tile", [w.tensor(np.array(ints(op.repeats), np.int64))])


@_writes(rearrangement.GatherOp)
def gather(op: rearrangement.GatherOp, w: Writer) -> bool:
    """Gather of stored integers."""
    indices = w.tensor(np.array(ints(op.indices), np.int64))
    return _moved(op, w, "Gather", [indices], axis=op.axis.value.data)


@_writes(reduction.ReduceMaxOp, reduction.ReduceMinOp)
def extreme(op: reduction.ExtremeOp, w: Writer) -> bool:
    """ReduceMax and ReduceMin of stored integers."""
    return _moved(op, w, op.ONNX[0], [], axes=ints(op.axes), keepdims=op.keepdims.value.data)


@_writes(reduction.ArgMaxOp, reduction.ArgMinOp)
def arg_extreme(op: reduction.ArgExtremeOp, w: Writer) -> bool:
    """ArgMax and ArgMin of stored integers."""
    names = ("axis", "keepdims", "select_last_index")
    given = {name: cast("Any", op.properties[name]).value.data for name in names}
    w.node(op.ONNX[0], [w.stored(op.x)], "y0", **given)
    return True


@_writes(elementwise.WhereOp)
def where(op: elementwise.WhereOp, w: Writer) -> bool:
    """QLinearWhere."""
    inputs = [w.stored(op.condition), *w.operand(op.a), *w.operand(op.b), *w.scale(op.result)]
    return w.contrib("QLinearWhere", inputs)


@_writes(movement.SplitOp)
def split(op: movement.SplitOp, w: Writer) -> bool:
    """Split of stored integers; every part requantised."""
    names = [f"part{i}" for i in range(len(op.parts))]
    inputs = [w.stored(op.x), w.tensor(np.array(ints(op.split), np.int64))]
    w.nodes.append(helper.make_node("Split", inputs, names, axis=op.axis.value.data))
    for i, (name, part) in enumerate(zip(names, op.parts, strict=True)):
        real = w.node("DequantizeLinear", [name, *w.scale(op.x)], f"real{i}", MICROSOFT)
        w.node("QuantizeLinear", [real, *w.scale(part)], f"y{i}", MICROSOFT)
    return True


@_writes(pooling.MaxPoolOp)
def max_pool(op: pooling.MaxPoolOp, w: Writer) -> bool | None:
    """MaxPool of stored integers."""
    if op.layout.data.endswith("C"):
        return None
    return _moved(
        op,
        w,
        "MaxPool",
        [],
        kernel_shape=ints(op.kernel_shape),
        strides=ints(op.strides),
        pads=ints(op.pads),
        ceil_mode=op.ceil_mode.value.data,
    )


@_writes(movement.PadOp)
def pad(op: movement.PadOp, w: Writer) -> bool | None:
    """Pad of stored integers, where the real number to put in is one of them."""
    q, value = quantization_of(op.x), np.array(op.value.value.data)
    assert q is not None
    mode = op.mode.data
    stored = quantize(value, q)
    if mode == "constant" and dequantize(stored, q) != value:
        return None
    inputs = [w.tensor(np.array(ints(op.pads), np.int64))]
    inputs.append(w.tensor(as_dtype(np.asarray(stored), w.dtype)))
    return _moved(op, w, "Pad", inputs, mode=mode)


@_writes(ResizeOp)
def resize(op: ResizeOp, w: Writer) -> bool | None:
    """Resize of stored integers to the nearest one."""
    if op.mode.data != "nearest":
        return None
    sizes = [*shape_of(op.x)[:2], *ints(op.sizes)]
    return _moved(
        op,
        w,
        "Resize",
        ["", "", w.tensor(np.array(sizes, np.int64))],
        mode="nearest",
        coordinate_transformation_mode=op.coordinates.data,
        nearest_mode=op.nearest_mode.data,
    )


def qlinear_model(function: FuncOp, op: GraphOp) -> tuple[bytes, np.dtype[Any]] | None:
    """The drawn operation as a quantised operator, and the type of its data; None without one."""
    w = Writer(function, op)
    if not FORMS[type(op)](op, w):
        return None
    return w.model(), w.dtype
