"""Quantised operators, rewritten as what they mean: dequantise - operator - quantise.

QLinear operators of the standard and of onnxruntime (domain com.microsoft): what its quantiser
writes with `QuantFormat.QOperator`. `graph-fold-quantization` then makes one quantised operation of
the three, as it does of networks that are written so. Signatures and defaults are those of
onnxruntime/docs/ContribOperators.md and of the ONNX operator schemas.

`MEANINGS` is the table: an operator is one line, or a function that adds nodes to an `_Expansion`.
A function raises LookupError where the operator means something else than constant scales of 8-bit
data; the node then stays whole, and runs on the host.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from furiosa_ir.dialects.graph import ONNX_OPERATORS
from furiosa_ir.importers.onnx import tensors
from furiosa_ir.importers.onnx.builder import Builder, is_static
from furiosa_ir.ir.shaped_operation import element_of, shape_of
from furiosa_ir.limits import limit
from furiosa_ir.numerics.array import Array

_MOST_DIMENSIONS = 5
"""Of an operand of ConvInteger and MatMulInteger; what the NPU cannot take stays one operator."""

_STORAGE = (np.dtype(np.int8), np.dtype(np.uint8))


@dataclass
class _Expansion:
    """The nodes that one quantised node becomes; names derive from that of its output."""

    builder: Builder
    node: Any
    nodes: list[Any] = field(default_factory=list[Any])

    def __post_init__(self) -> None:
        self.attributes = {str(a.name): a for a in self.node.attribute}
        self.count = 0

    def input(self, index: int) -> str:
        """The name of an input; "" where it is left out."""
        return str(self.node.input[index]) if index < len(self.node.input) else ""

    def rank(self, index: int) -> int:
        """The rank of an input."""
        return len(shape_of(self.builder.value(self.input(index))))

    def dtype(self, index: int) -> np.dtype[Any]:
        """The element type of an input."""
        return tensors.dtype_of_element(element_of(self.builder.value(self.input(index))))

    def take(self, name: str, default: Any) -> Any:
        """Removes an attribute, which the operator itself does not have; returns its value."""
        attribute = self.attributes.pop(name, None)
        return default if attribute is None else tensors.attribute_value(attribute)

    def set(self, name: str, value: Any) -> None:
        """Gives the operator an attribute."""
        self.attributes[name] = helper.make_attribute(name, value)

    def constant(self, index: int) -> Array:
        """The elements of an input.

        Raises:
            LookupError: it is not constant.
        """
        array = self.builder.constant_elements(self.input(index))
        if array is None:
            raise LookupError(self.input(index))
        return array

    def scale(self, index: int) -> Array:
        """The elements of a scale.

        Raises:
            LookupError: they are not constant, not float32 or not positive.
        """
        scale = self.constant(index)
        if scale.dtype != np.float32 or not bool(np.all(np.isfinite(scale) & (scale > 0))):
            raise LookupError(self.input(index))
        return scale

    def zero_point(self, index: int, dtype: np.dtype[Any]) -> str:
        """The name of a zero point; where it is left out, of a zero.

        Raises:
            LookupError: it is not constant, or not of 8 bits.
        """
        if dtype not in _STORAGE or (self.input(index) and self.constant(index).dtype != dtype):
            raise LookupError(self.input(index))
        return self.input(index) or self.tensor("zero_point", np.zeros((), dtype))

    def points(self, index: int) -> Array:
        """The zero points of input `index`, int64 [n]; 0 where they are left out.

        Raises:
            LookupError: they are not constant.
        """
        given = bool(self.input(index))
        return self.constant(index).reshape(-1).astype(np.int64) if given else np.zeros(1, np.int64)

    def one(self) -> str:
        """A scale that changes nothing."""
        return self.tensor("one", np.ones((), np.float32))

    def tensor(self, suffix: str, array: Array) -> str:
        """Adds an initialiser; returns its name."""
        name = f"{self.node.output[0]}/{suffix}/{self.count}"
        self.count += 1
        self.builder.declare_tensor(name, tensors.tensor_of_array(array, name))
        return name

    def dequantized(self, index: int, axis: int | None = None) -> str:
        """The real numbers of input `index`, whose scale and zero point follow it."""
        return self.dequantized_by(index, index + 1, index + 2, axis)

    def dequantized_by(
        self, index: int, scale: int, zero_point: int, axis: int | None = None
    ) -> str:
        """The real numbers of input `index`; `axis` if it has scales along one.

        Raises:
            LookupError: it has several scales, but no axis for them.
        """
        several = self.scale(scale).size > 1
        if several and axis is None:
            raise LookupError(self.input(scale))
        inputs = [self.input(index), self.input(scale)]
        inputs.append(self.zero_point(zero_point, self.dtype(index)))
        return self.add("DequantizeLinear", inputs, axis=axis if several else None)

    def accumulator(self, index: int, unit: Array) -> str:
        """An i32 bias, in units of the accumulator, as the real numbers it stands for."""
        array = unit.astype(np.float32).reshape(-1)
        axis = self.rank(index) - 1 if array.size > 1 else None
        if axis is not None and shape_of(self.builder.value(self.input(index)))[-1:] != array.shape:
            raise LookupError(self.input(index))
        scale = self.tensor("bias_scale", array if axis is not None else array.reshape(()))
        return self.add("DequantizeLinear", [self.input(index), scale], axis=axis)

    def add(self, op_type: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Adds a node; returns its output."""
        output = f"{self.node.output[0]}/{len(self.nodes)}"
        given = {k: v for k, v in attributes.items() if v is not None}
        name = self.node.name or self.node.output[0]
        self.nodes.append(helper.make_node(op_type, inputs, [output], name=name, **given))
        return output

    def operator(self, op_type: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Adds the operator itself, with the attributes of the quantised node.

        Raises:
            LookupError: it would run on the host: one node does there what three would.
        """
        if op_type not in ONNX_OPERATORS:
            raise LookupError(op_type)
        output = self.add(op_type, inputs, **attributes)
        self.nodes[-1].attribute.extend(self.attributes.values())
        return output

    def quantize(self, x: str, index: int, dtype: np.dtype[Any] | None = None) -> None:
        """Ends with the node's output, whose scale is input `index`; by default of x's dtype."""
        if self.scale(index).size > 1:
            raise LookupError(self.input(index))
        zero_point = self.zero_point(index + 1, self.dtype(0) if dtype is None else dtype)
        self.add("QuantizeLinear", [x, self.input(index), zero_point])
        self.end()

    def end(self) -> None:
        """The last node makes the node's output."""
        self.nodes[-1].output[0] = self.node.output[0]


Meaning = Callable[[_Expansion], None]


def _of(op_type: str, operands: Sequence[int], result: int) -> Meaning:
    """Inputs `operands` dequantised, the operator, quantised by the scale at `result`."""

    def meaning(e: _Expansion) -> None:
        e.quantize(e.operator(op_type, [e.dequantized(i) for i in operands]), result)

    return meaning


def _with_layout(op_type: str, operands: Sequence[int], result: int) -> Meaning:
    """As `_of`; with `channels_last` the first operand and the result are [N, spatial, C]."""

    def meaning(e: _Expansion) -> None:
        x, *others = [e.dequantized(i) for i in operands]
        e.quantize(_channels_first(e, op_type, [x, *others]), result)

    return meaning


def _channels_first(e: _Expansion, op_type: str, operands: Sequence[str]) -> str:
    if not e.take("channels_last", 0):
        return e.operator(op_type, operands)
    rank, (x, *others) = e.rank(0), operands
    x = e.add("Transpose", [x], perm=[0, rank - 1, *range(1, rank - 1)])
    y = e.operator(op_type, [x, *others])
    return e.add("Transpose", [y], perm=[0, *range(2, rank), 1])


def _average_pool(e: _Expansion) -> None:
    """QLinearAveragePool: where padding counts, onnxruntime's also counts what ceil_mode adds.

    The standard's AveragePool does not, so that becomes padding.
    """
    if e.take("count_include_pad", 0):
        e.set("count_include_pad", 1)
        if e.take("ceil_mode", 0):
            e.set("pads", _whole_windows(e))
    _with_layout("AveragePool", [0], 3)(e)


def _whole_windows(e: _Expansion) -> list[int]:
    """The pads under which no window of an operator with ceil_mode leaves the padded input.

    Raises:
        LookupError: the padding follows from `auto_pad`.
    """
    if e.take("auto_pad", "NOTSET") not in ("", "NOTSET"):
        raise LookupError("auto_pad")
    kernel: list[int] = tensors.attribute_value(e.attributes["kernel_shape"])
    n = len(kernel)
    pads: list[int] = list(e.take("pads", [0] * (2 * n)))
    strides: list[int] = e.take("strides", [1] * n)
    e.set("strides", strides)
    first = 1 if "channels_last" in e.attributes and e.attributes["channels_last"].i else 2
    extents = shape_of(e.builder.value(e.input(0)))[first : first + n]
    for i, (extent, k, stride) in enumerate(zip(extents, kernel, strides, strict=True)):
        last = -(-(extent + pads[i] + pads[i + n] - k) // stride) * stride
        if last >= extent + pads[i]:
            last -= stride  # a window that starts behind the input is none
        pads[i + n] = max(pads[i + n], last + k - extent - pads[i])
    return pads


def _conv(e: _Expansion) -> None:
    """QLinearConv: x and its scale and zero point, w and its, those of y, bias."""
    operands = [e.dequantized(0), e.dequantized(3, 0)]
    if e.input(8):
        operands.append(e.accumulator(8, e.scale(1).astype(np.float64) * e.scale(4)))
    e.quantize(_channels_first(e, "Conv", operands), 6, e.constant(7).dtype)


def _mat_mul(e: _Expansion) -> None:
    """QLinearMatMul: a, b, each with scale and zero point, and those of y."""
    operands = [e.dequantized(0), e.dequantized(3, e.rank(3) - 1)]
    e.quantize(e.operator("MatMul", operands), 6, e.constant(7).dtype)


def _gemm(e: _Expansion) -> None:
    """QGemm: a, b, each with scale and zero point, bias, scale and zero point of y.

    y = alpha * (op(a) @ op(b)) + bias, whose unit is alpha * a_scale * b_scale. Without a scale y
    is float.
    """
    alpha = e.take("alpha", 1.0)
    transposed = "transB" in e.attributes and e.attributes["transB"].i
    operands = [e.dequantized(0), e.dequantized(3, 0 if transposed else 1)]
    if e.input(6):
        operands.append(e.accumulator(6, e.scale(1).astype(np.float64) * e.scale(4) * alpha))
    y = e.operator("Gemm", operands, alpha=alpha)
    if e.input(7):
        e.quantize(y, 7)
    else:
        e.end()


def _mat_mul_to_float(e: _Expansion) -> None:
    """MatMulIntegerToFloat: a, b, their scales, their zero points, a float bias; y is float."""
    operands = [e.dequantized_by(0, 2, 4), e.dequantized_by(1, 3, 5, e.rank(1) - 1)]
    y = e.operator("MatMul", operands)
    if e.input(6):
        e.add("Add", [y, e.input(6)])
    e.end()


def _integer(op_type: str) -> Meaning:
    """ConvInteger, MatMulInteger: x, w, their zero points; y = op(x - x_zp, w - w_zp) in int32.

    In real numbers of scale 1. A zero point of x that the network computes (DynamicQuantizeLinear)
    is subtracted behind the operator, which is linear: op(x - z, w) = op(x, w) - z * op(1, w).
    """

    def meaning(e: _Expansion) -> None:
        if e.rank(0) > _MOST_DIMENSIONS or len(e.points(3)) != 1:
            raise LookupError(op_type)
        varies = bool(e.input(2)) and e.builder.constant_elements(e.input(2)) is None
        if op_type == "Conv":
            e.constant(1)
        points = [np.zeros(1, np.int64) if varies else e.points(2), e.points(3)]
        if len(points[0]) != 1:
            raise LookupError(e.input(2))
        operands = [
            e.add("DequantizeLinear", [e.input(i), e.one(), e.tensor("zero_point", point[0])])
            for i, point in enumerate(p.astype(e.dtype(k)) for k, p in enumerate(points))
        ]
        real = e.operator(op_type, operands)
        y = e.add("QuantizeLinear", [real, e.one(), e.tensor("zero", np.zeros((), np.int32))])
        if varies:
            shape = shape_of(e.builder.value(e.input(0)))
            # All rows and samples are alike; one is enough.
            alike = shape[-1:] if op_type == "MatMul" else (1, *shape[1:])
            if prod(alike) > limit("FOLDED_ELEMENTS"):
                raise LookupError(e.input(0))
            ones = np.ones(alike, np.float32)
            weight = (e.constant(1).astype(np.int64) - points[1][0]).astype(np.float32)
            operands = [e.tensor("ones", ones), e.tensor("weight", weight)]
            sums = e.add("Cast", [e.operator(op_type, operands)], to=TensorProto.INT32)
            shift = e.add("Cast", [e.input(2)], to=TensorProto.INT32)
            e.add("Sub", [y, e.add("Mul", [shift, sums])])
        e.end()

    return meaning


def _concat(e: _Expansion) -> None:
    """QLinearConcat: scale and zero point of y, then each operand with its own."""
    operands = [e.dequantized(i) for i in range(2, len(e.node.input), 3)]
    e.quantize(e.operator("Concat", operands), 0, e.constant(1).dtype)


def _softmax(e: _Expansion) -> None:
    """QLinearSoftmax, whose attribute `opset` says which Softmax it is.

    Before operator set 13 everything from the axis on was one dimension. The nodes mean the same in
    either operator set.
    """
    rank = e.rank(0)
    shape = shape_of(e.builder.value(e.input(0)))
    axis, opset = int(e.take("axis", -1)) % max(rank, 1), int(e.take("opset", 0))
    x = e.dequantized(0)
    if opset < 13 and axis < rank - 1:
        rows = np.array([int(np.prod(shape[:axis])), int(np.prod(shape[axis:]))], np.int64)
        x = e.add("Reshape", [x, e.tensor("rows", rows)])
        y = e.operator("Softmax", [x], axis=1)
        y = e.add("Reshape", [y, e.tensor("shape", np.array(shape, np.int64))])
    elif axis < rank - 1:
        perm = [i for i in range(rank) if i != axis] + [axis]
        y = e.operator("Softmax", [e.add("Transpose", [x], perm=perm)], axis=rank - 1)
        y = e.add("Transpose", [y], perm=[perm.index(i) for i in range(rank)])
    else:
        y = e.operator("Softmax", [x], axis=rank - 1)
    e.quantize(y, 3)


def _where(e: _Expansion) -> None:
    """QLinearWhere: the condition, x, y, each with scale and zero point, those of z."""
    operands = [e.input(0), e.dequantized(1), e.dequantized(4)]
    e.quantize(e.operator("Where", operands), 7, e.dtype(1))


def _standard(e: _Expansion) -> None:
    """com.microsoft's QuantizeLinear and DequantizeLinear of 8 bits are the standard's."""
    e.scale(1)
    source = e.constant(2).dtype if e.input(2) else np.dtype(np.uint8)
    if source not in _STORAGE:
        raise LookupError(e.input(2))
    e.operator(str(e.node.op_type), [i for i in map(str, e.node.input) if i])
    e.end()


def _gelu(**attributes: str) -> Meaning:
    """Gelu of x plus a bias, which may be left out: BiasGelu, FastGelu."""

    def meaning(e: _Expansion) -> None:
        x = e.add("Add", [e.input(0), e.input(1)]) if e.input(1) else e.input(0)
        e.operator("Gelu", [x], **attributes)
        e.end()

    return meaning


MEANINGS: dict[str, Meaning] = {
    "QLinearConv": _conv,
    "QLinearMatMul": _mat_mul,
    "com.microsoft::QLinearConv": _conv,
    "ConvInteger": _integer("Conv"),
    "MatMulInteger": _integer("MatMul"),
    "com.microsoft::QLinearAdd": _of("Add", [0, 3], 6),
    "com.microsoft::QLinearMul": _of("Mul", [0, 3], 6),
    "com.microsoft::QLinearSigmoid": _of("Sigmoid", [0], 3),
    "com.microsoft::QLinearLeakyRelu": _of("LeakyRelu", [0], 3),
    "com.microsoft::QLinearReduceMean": _of("ReduceMean", [0], 3),
    "com.microsoft::QLinearAveragePool": _average_pool,
    "com.microsoft::QLinearGlobalAveragePool": _with_layout("GlobalAveragePool", [0], 3),
    "com.microsoft::QLinearConcat": _concat,
    "com.microsoft::QLinearSoftmax": _softmax,
    "com.microsoft::QLinearWhere": _where,
    "com.microsoft::QGemm": _gemm,
    "com.microsoft::MatMulIntegerToFloat": _mat_mul_to_float,
    "com.microsoft::QuantizeLinear": _standard,
    "com.microsoft::DequantizeLinear": _standard,
    "com.microsoft::BiasGelu": _gelu(),
    "com.microsoft::FastGelu": _gelu(approximate="tanh"),
}
"""ONNX operator with its domain -> what it means in operators of the standard."""


def expanded(builder: Builder, node: Any) -> list[Any] | None:
    """The nodes that a quantised node stands for; None for any other, or where scales vary.

    One whose operands have extents, or types, that only running the network tells stays as it is:
    only the host can run it, and there what it stands for need not be valid.
    """
    domain = "" if node.domain in ("", "ai.onnx") else f"{node.domain}::"
    meaning = MEANINGS.get(domain + str(node.op_type))
    names = [str(i) for i in node.input if i]
    if meaning is None or any(
        builder.is_hidden(n) or not is_static(builder.value(n)) for n in names
    ):
        return None
    expansion = _Expansion(builder, node)
    try:
        meaning(expansion)
    except LookupError:
        return None
    return expansion.nodes
