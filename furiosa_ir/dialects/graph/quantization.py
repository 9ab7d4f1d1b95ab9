"""Between real and stored numbers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from xdsl.dialects.builtin import (
    BFloat16Type,
    Float16Type,
    Float32Type,
    IntegerType,
    Signedness,
    TensorType,
)
from xdsl.ir import SSAValue
from xdsl.irdl import operand_def, result_def

from furiosa_ir.dialects.graph.base import GraphOp, OnnxNode, TFLiteNode, constant_of
from furiosa_ir.dialects.graph.elementwise import ClipOp
from furiosa_ir.dialects.graph.structure import ConstantOp, OpaqueOp
from furiosa_ir.dialects.quant import UniformType
from furiosa_ir.dialects.quant.arithmetic import dequantize
from furiosa_ir.errors import VerificationFailure
from furiosa_ir.ir.operation_definition import irdl_op_definition
from furiosa_ir.ir.shaped_operation import Shape, element_of, ints, shape_of

if TYPE_CHECKING:
    from furiosa_ir.dialects.graph.onnx_quantization import LinearQuantization

# ruff: noqa: PLC0415  # what ONNX means is for its networks
_FLOATS = (Float32Type, Float16Type, BFloat16Type)


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

    CONVERTS: ClassVar = True

    x = operand_def(TensorType)
    result = result_def(TensorType)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Sequence[SSAValue]:
        from furiosa_ir.dialects.graph.onnx_quantization import linear_quantization

        linear = linear_quantization(node)
        element = None if linear is None or linear.is_narrow else linear.type
        (x, *_) = node.operands
        if element is None or x is None or not isinstance(element_of(x), _FLOATS):
            return node.unsupported()
        (result,) = node.emit(cls, [x], elements=[element])
        return node.emit(StorageCastOp, [result], elements=[storage_type(element)])

    def result_shapes(self) -> Sequence[Shape]:
        return [shape_of(self.x)]


@irdl_op_definition
class DequantizeOp(GraphOp):
    """The real numbers (f32; of ONNX f16 and bf16, too) that a quantised value stands for."""

    name = "graph.dequantize"
    ONNX: ClassVar = ("DequantizeLinear",)
    IGNORED: ClassVar = {"axis": "of several scales, where it is read"}
    TFLITE: ClassVar = ("DEQUANTIZE",)

    CONVERTS: ClassVar = True

    x = operand_def(TensorType)
    result = result_def(TensorType)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Sequence[SSAValue]:
        from furiosa_ir.dialects.graph.onnx_quantization import linear_quantization

        linear = linear_quantization(node)
        (x, *_) = node.operands
        if linear is None or x is None:
            return node.unsupported()
        constant = node.constant(0)
        changed = None if constant is None else linear.of_constant(constant)
        if changed is not None:
            return node.emit(cls, [node.value(*changed)], elements=[linear.real])
        if linear.is_narrow:
            stored = _narrow(node, linear)
            if stored is None:
                return node.unsupported()
            return node.emit(cls, [stored], elements=[linear.real])
        element = linear.type
        if element is None:
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
        return node.emit(cls, [stored], elements=[linear.real])

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

    CONVERTS: ClassVar = True

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
    return _integer_type(element.data.storage)


@cache
def _integer_type(storage: str) -> IntegerType:
    sign = Signedness.UNSIGNED if storage.startswith("u") else Signedness.SIGNLESS
    return IntegerType(int(storage.lstrip("iu")), sign)


def _narrow(node: OnnxNode, linear: LinearQuantization) -> SSAValue | None:
    """What a QuantizeLinear makes of the same 4 or 2 bits, as 8-bit integers that a clip limits.

    Nothing between the two may know the integers; else both stay whole.
    """
    (x, *_) = node.operands
    assert x is not None
    maker, element = x.owner, linear.type
    if not isinstance(maker, OpaqueOp) or maker.operator.data != "QuantizeLinear":
        return None
    inputs = [None if slot < 0 else maker.operands[slot] for slot in ints(maker.slots)]
    theirs = [None if v is None else constant_of(v) for v in inputs[1:]]
    pairs = zip(theirs, map(node.constant, range(1, len(inputs))), strict=True)
    same = [a is b if a is None or b is None else np.array_equal(a, b) for a, b in pairs]
    if element is None or linear.axis is not None or not all(same) or inputs[0] is None:
        return None
    if not isinstance(element_of(inputs[0]), _FLOATS):
        return None
    low, high = (float(dequantize(np.array(b), element.data)) for b in linear.limits)
    (quantized,) = node.emit(QuantizeOp, [inputs[0]], elements=[element])
    return node.emit(ClipOp, [quantized], elements=[element], minimum=low, maximum=high)[0]
