"""`graph`: the network as its framework means it, one operation an operator."""

from typing import TYPE_CHECKING

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
    resize,
    structure,
    trigonometric,
    variables,
)
from furiosa_ir.dialects.graph.base import GraphOp, OriginAttr, StringType
from furiosa_ir.errors import FuriosaError
from furiosa_ir.ir.constants import BlobAttr
from furiosa_ir.plugins import is_ours, is_registered_from_outside

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
        resize,
        rearrangement,
    )
    for op in vars(module).values()
    if isinstance(op, type)
    and op.__module__ == module.__name__  # not what it imports
    and "name" in vars(op)
    and issubclass(op, GraphOp)
]
"""Every operation, in the order of the documentation."""

Graph = Dialect("graph", [*OPERATIONS, *variables.OPERATIONS], [BlobAttr, OriginAttr, StringType])

# `fi.graph.ReluOp`, `from furiosa_ir.dialects.graph import ReluOp`
if TYPE_CHECKING:
    from furiosa_ir.dialects.graph.activation import *  # noqa: F403
    from furiosa_ir.dialects.graph.convolution import *  # noqa: F403
    from furiosa_ir.dialects.graph.elementwise import *  # noqa: F403
    from furiosa_ir.dialects.graph.functions import *  # noqa: F403
    from furiosa_ir.dialects.graph.movement import *  # noqa: F403
    from furiosa_ir.dialects.graph.normalization import *  # noqa: F403
    from furiosa_ir.dialects.graph.pooling import *  # noqa: F403
    from furiosa_ir.dialects.graph.quantization import *  # noqa: F403
    from furiosa_ir.dialects.graph.rearrangement import *  # noqa: F403
    from furiosa_ir.dialects.graph.reduction import *  # noqa: F403
    from furiosa_ir.dialects.graph.resize import *  # noqa: F403
    from furiosa_ir.dialects.graph.structure import *  # noqa: F403
    from furiosa_ir.dialects.graph.trigonometric import *  # noqa: F403
    from furiosa_ir.dialects.graph.variables import (
        AssignVariableOp as AssignVariableOp,
    )
    from furiosa_ir.dialects.graph.variables import (
        ReadVariableOp as ReadVariableOp,
    )
    from furiosa_ir.dialects.graph.variables import (
        VariableOp as VariableOp,
    )
else:
    globals().update({op.__name__: op for op in Graph.operations})

ONNX_OPERATORS: dict[str, type[GraphOp]] = {name: op for op in OPERATIONS for name in op.ONNX}
"""ONNX operator ("Conv", "com.microsoft::Gelu") -> the operation that models it."""

TFLITE_OPERATORS: dict[str, type[GraphOp]] = {name: op for op in OPERATIONS for name in op.TFLITE}
"""TFLite builtin operator ("CONV_2D") -> the operation that models it."""


def register(op: type[GraphOp]) -> type[GraphOp]:
    """Adds an operation that a plug-in declares; a decorator. Those of this package need none.

    It counts from the next compile on. One of its name that was registered before makes room for
    it, with the operators it modelled: a plug-in that has been edited is loaded again.

    Raises:
        FuriosaError: the name is that of an operation of this package.
    """
    is_registered_from_outside(op)
    former = next((other for other in OPERATIONS if other.name == op.name), None)
    if former is not None and is_ours(former):
        raise FuriosaError(
            f"the operation '{op.name}' of {op.__module__} has the name of one of the compiler's",
            hint="give it another name; ONNX and TFLITE may claim the same operators",
        )
    if former is not None:
        OPERATIONS.remove(former)
        Graph._operations.remove(former)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        for table in (ONNX_OPERATORS, TFLITE_OPERATORS):
            for name in [name for name, model in table.items() if model is former]:
                del table[name]
    OPERATIONS.append(op)
    Graph._operations.append(op)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    ONNX_OPERATORS.update(dict.fromkeys(op.ONNX, op))
    TFLITE_OPERATORS.update(dict.fromkeys(op.TFLITE, op))
    return op
