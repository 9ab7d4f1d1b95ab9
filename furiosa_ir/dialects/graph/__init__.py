"""`graph`: the network as its framework means it, one operation an operator."""

from xdsl.ir import Dialect

from furiosa_ir.dialects.graph import (
    activation,
    convolution,
    elementwise,
    functions,
    movement,
    normalization,
    pooling,
    quantization,
    rearrangement,
    reduction,
    structure,
    trigonometric,
)
from furiosa_ir.dialects.graph.base import GraphOp, OriginAttr, StringType
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
        normalization,
        reduction,
        movement,
        rearrangement,
    )
    for op in vars(module).values()
    if isinstance(op, type)
    and issubclass(op, GraphOp)
    and "name" in vars(op)
    and op.__module__ == module.__name__  # not what it imports
]
"""Every operation, in the order of the documentation."""

Graph = Dialect("graph", list(OPERATIONS), [BlobAttr, OriginAttr, StringType])

ONNX_OPERATORS: dict[str, type[GraphOp]] = {name: op for op in OPERATIONS for name in op.ONNX}
"""ONNX operator ("Conv", "com.microsoft::Gelu") -> the operation that models it."""

TFLITE_OPERATORS: dict[str, type[GraphOp]] = {name: op for op in OPERATIONS for name in op.TFLITE}
"""TFLite builtin operator ("CONV_2D") -> the operation that models it."""


def register(op: type[GraphOp]) -> type[GraphOp]:
    """Adds an operation that a plug-in declares; a decorator. Those of this package need none."""
    OPERATIONS.append(op)
    Graph._operations.append(op)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    ONNX_OPERATORS.update(dict.fromkeys(op.ONNX, op))
    TFLITE_OPERATORS.update(dict.fromkeys(op.TFLITE, op))
    return op
