"""The network's inputs: element types and static shapes, the batch size put in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from xdsl.dialects.builtin import TensorType

from furiosa_ir.dialects.graph.base import AnyTensor
from furiosa_ir.errors import ImportFailure
from furiosa_ir.importers.onnx import tensors


@dataclass
class BatchSize:
    """What symbolic dimensions stand for: the first dimension of an input is the batch.

    Attributes:
        size: the batch size.
        names: the symbols (`dim_param`) that mean the batch.
    """

    size: int
    names: set[str] = field(default_factory=set[str])

    def learn(self, inputs: list[Any]) -> None:
        """Collects the symbols that stand first in an input's shape."""
        for value in inputs:
            dims = value.type.tensor_type.shape.dim
            if dims and dims[0].dim_param:
                self.names.add(str(dims[0].dim_param))


def input_type(value: Any, batch: BatchSize) -> AnyTensor:
    """The static type of a network input (a `ValueInfoProto`).

    Raises:
        ImportFailure: it is not a tensor of known rank, or a dimension other than the batch is
            symbolic.
    """
    name = str(value.name)
    if not value.type.HasField("tensor_type"):
        kind = value.type.WhichOneof("value") or "nothing"
        raise ImportFailure(f"the input '{name}' is declared as {kind}, not as a tensor")
    tensor = value.type.tensor_type
    element = tensors.element_type(tensor.elem_type)
    if element is None:
        raise ImportFailure(
            f"the input '{name}' has elements of type {tensors.type_name(tensor.elem_type)}, "
            "which is not supported"
        )
    if not tensor.HasField("shape"):
        raise ImportFailure(f"the input '{name}' has no shape", hint=_fix(name))
    shape: list[int] = []
    for index, dim in enumerate(tensor.shape.dim):
        static = dim.dim_value if dim.HasField("dim_value") else -1
        if static >= 0:
            shape.append(int(static))
        elif index == 0 or dim.dim_param in batch.names:
            # Some exporters write -1 where the batch size is open.
            shape.append(batch.size)
        else:
            symbol = f"'{dim.dim_param}'" if dim.dim_param else "open"
            raise ImportFailure(
                f"dimension {index} of the input '{name}' is {symbol}; only the batch size may be",
                hint=_fix(name),
            )
    return TensorType(element, shape)


def _fix(name: str) -> str:
    return (
        "fix it with python -m onnxruntime.tools.make_dynamic_shape_fixed "
        f"--input_name {name} --input_shape ..."
    )
