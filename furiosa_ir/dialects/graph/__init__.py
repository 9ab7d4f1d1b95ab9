"""`graph`: the network as its framework means it, one operation an operator."""

from xdsl.ir import Dialect

from furiosa_ir.dialects.graph import (
    activation,
    convolution,
    elementwise,
    functions,
    movement,
    pooling,
    quantization,
    reduction,
    structure,
    trigonometric,
)
from furiosa_ir.dialects.graph.base import GraphOp, OriginAttr
from furiosa_ir.ir.constants import BlobAttr

OPERATIONS: list[type[GraphOp]] = [
    op
    for module in (
        structure,
        quantization,
        convolution,
        pooling,
        elementwise,
        functions,
        activation,
        trigonometric,
        reduction,
        movement,
    )
    for op in vars(module).values()
    if isinstance(op, type)
    and issubclass(op, GraphOp)
    and "name" in vars(op)
    and op.__module__ == module.__name__  # not what it imports
]
"""Every operation, in the order of the documentation."""

Graph = Dialect("graph", list(OPERATIONS), [BlobAttr, OriginAttr])

ONNX_OPERATORS: dict[str, type[GraphOp]] = {name: op for op in OPERATIONS for name in op.ONNX}
"""ONNX operator ("Conv", "com.microsoft::Gelu") -> the operation that models it."""

TFLITE_OPERATORS: dict[str, type[GraphOp]] = {name: op for op in OPERATIONS for name in op.TFLITE}
"""TFLite builtin operator ("CONV_2D") -> the operation that models it."""
