"""Between real and stored numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from xdsl.dialects.builtin import (
    Float32Type,
    IntegerType,
    Signedness,
    TensorType,
    f32,
    i8,
    i16,
    i32,
)
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, result_def

from furiosa_ir.dialects.graph.base import GraphOp, OnnxNode, TFLiteNode
from furiosa_ir.dialects.graph.onnx_arguments import axes_from_front, given
from furiosa_ir.dialects.graph.structure import ConstantOp
from furiosa_ir.dialects.quant import UniformType, uniform
from furiosa_ir.errors import VerificationFailure
from furiosa_ir.ir.shaped_operation import Shape, element_of, shape_of


@irdl_op_definition
class QuantizeOp(GraphOp):
    """Stores a value under the result's quantised type: float -> quantised, or requantises.

    Its parameters are the result's element type. Saturates.
    """

    name = "graph.quantize"
    ONNX: ClassVar = ("QuantizeLinear",)
    IGNORED: ClassVar = {
        "axis": "of several scales, where it is read",
        "output_dtype": "the zero point's, if there is one; else it is read",
        "saturate": "of floats of 8 bits, which stay whole",
    }
    TFLITE: ClassVar = ("QUANTIZE",)

    x = operand_def(TensorType)
    result = result_def(TensorType)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Sequence[SSAValue]:
        element = onnx_quantization(node)
        (x, scale, *_) = node.operands
        if element is None or x is None or scale is None:
            return node.unsupported()
        if not isinstance(element_of(x), Float32Type) or element_of(scale) != f32:
            return node.unsupported()
        (result,) = node.emit(cls, [x], elements=[element])
        return node.emit(StorageCastOp, [result], elements=[storage_type(element)])

    def result_shapes(self) -> Sequence[Shape]:
        return [shape_of(self.x)]


@irdl_op_definition
class DequantizeOp(GraphOp):
    """The real numbers (f32) that a quantised value stands for."""

    name = "graph.dequantize"
    ONNX: ClassVar = ("DequantizeLinear",)
    IGNORED: ClassVar = {"axis": "of several scales, where it is read"}
    TFLITE: ClassVar = ("DEQUANTIZE",)

    x = operand_def(TensorType)
    result = result_def(TensorType)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Sequence[SSAValue]:
        element = onnx_quantization(node)
        (x, scale, *_) = node.operands
        if element is None or x is None or scale is None or element_of(scale) != f32:
            return node.unsupported()
        if element_of(x) != storage_type(element):
            raise VerificationFailure(
                f"the elements are {element_of(x)}, the zero point is {storage_type(element)}"
            )
        if isinstance(x.owner, StorageCastOp) and element_of(x.owner.x) == element:
            stored = x.owner.x
        elif isinstance(x.owner, ConstantOp):
            stored = node.value(x.owner.value, element)
        else:
            (stored,) = node.emit(StorageCastOp, [x], elements=[element])
        return node.emit(cls, [stored], elements=[f32])

    @classmethod
    def from_tflite(cls, node: TFLiteNode) -> Sequence[SSAValue]:
        x = node.operands[0]
        if x is not None and isinstance(element_of(x), IntegerType):
            return node.unsupported()  # integers that stand for nothing
        return node.emit(cls, node.operands)

    def result_shapes(self) -> Sequence[Shape]:
        return [shape_of(self.x)]


@irdl_op_definition
class StorageCastOp(GraphOp):
    """The same stored bytes under another type: quantised or plain, int8 or uint8; no arithmetic.

    Between uint8 (`!quant.uniform<u8:...>` or ui8) and int8 storage the top bit flips: value less
    128, which is how the NPU holds uint8 data. It stands where an integer input or output of an
    ONNX file meets a quantised type, and around calls of lowered NPU segments.
    """

    name = "graph.storage_cast"

    x = operand_def(TensorType)
    result = result_def(TensorType)

    def result_shapes(self) -> Sequence[Shape]:
        return [shape_of(self.x)]

    def verify_(self) -> None:
        super().verify_()
        for value in (self.x, self.result):
            element = element_of(value)
            if not isinstance(element, IntegerType | UniformType):
                raise VerificationFailure(f"graph.storage_cast: {element} stores no integers")


def storage_type(element: UniformType) -> IntegerType:
    """The plain integer type that a quantised element is stored as."""
    storage = element.data.storage
    sign = Signedness.UNSIGNED if storage.startswith("u") else Signedness.SIGNLESS
    return IntegerType(int(storage.lstrip("iu")), sign)


def onnx_quantization(node: OnnxNode) -> UniformType | None:
    """The quantised type of a QuantizeLinear or DequantizeLinear; None for forms without one.

    Those are scales that the network computes, blocks, and storage of 4 bits or of floats.
    """
    scale, zero_point = node.constant(1), node.constant(2)
    if (
        scale is None
        or (given(node, 2) and zero_point is None)
        or node.attributes.get("block_size")
    ):
        return None
    plain = (0, 1)  # not said, or float32
    if node.attributes.get("precision", 0) not in plain:
        return None
    if node.op_type == "DequantizeLinear" and node.attributes.get("output_dtype", 0) not in plain:
        return None
    (x, *_) = node.operands
    if zero_point is not None:
        dtype = zero_point.dtype
    elif node.op_type == "QuantizeLinear":
        if node.attributes.get("output_dtype"):
            return None
        dtype = np.dtype(np.uint8)
    else:
        assert x is not None
        dtype = _DTYPES.get(element_of(x), np.dtype(np.float32))
    if dtype not in _DTYPES.values() or scale.size == 0 or scale.ndim > 1:
        return None
    if not bool(np.all(np.isfinite(scale)) and np.all(scale > 0)):
        return None
    axis = None
    if scale.size > 1:
        (axis,) = axes_from_front([node.attributes.get("axis", 1)], len(node.shape(0)))
        if node.shape(0)[axis] != scale.size:
            raise VerificationFailure(
                f"{scale.size} scales for the extent {node.shape(0)[axis]} of axis {axis}"
            )
    if zero_point is not None and zero_point.size not in (1, scale.size):
        raise VerificationFailure(f"{zero_point.size} zero points for {scale.size} scales")
    return uniform(dtype, scale.astype(np.float64), 0 if zero_point is None else zero_point, axis)


_DTYPES: dict[Attribute, np.dtype[Any]] = {
    i8: np.dtype(np.int8),
    IntegerType(8, Signedness.UNSIGNED): np.dtype(np.uint8),
    i16: np.dtype(np.int16),
    IntegerType(16, Signedness.UNSIGNED): np.dtype(np.uint16),
    i32: np.dtype(np.int32),
}
