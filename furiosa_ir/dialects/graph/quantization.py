"""Between real and stored numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from xdsl.dialects.builtin import TensorType
from xdsl.irdl import irdl_op_definition, operand_def, result_def

from furiosa_ir.dialects.graph.base import GraphOp, Shape, shape_of


@irdl_op_definition
class QuantizeOp(GraphOp):
    """Stores a value under the result's quantised type: float -> quantised, or requantises.

    Its parameters are the result's element type. Saturates.
    """

    name = "graph.quantize"
    ONNX: ClassVar = ("QuantizeLinear",)
    TFLITE: ClassVar = ("QUANTIZE",)

    x = operand_def(TensorType)
    result = result_def(TensorType)

    def result_shapes(self) -> Sequence[Shape]:
        return [shape_of(self.x)]


@irdl_op_definition
class DequantizeOp(GraphOp):
    """The real numbers (f32) that a quantised value stands for."""

    name = "graph.dequantize"
    ONNX: ClassVar = ("DequantizeLinear",)
    TFLITE: ClassVar = ("DEQUANTIZE",)

    x = operand_def(TensorType)
    result = result_def(TensorType)

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
