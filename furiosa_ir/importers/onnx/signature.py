"""The network's inputs: element types, static shapes and where the batch is."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from furiosa_ir.errors import ImportFailure
from furiosa_ir.importers.batch import batch_axes
from furiosa_ir.importers.onnx import tensors
from furiosa_ir.ir.shaped_operation import AnyTensor, tensor_type
from furiosa_ir.ir.sizes import check_shape
from furiosa_ir.network_part import way_out_of_open


def batch_symbols(inputs: Sequence[Any]) -> frozenset[str]:
    """The symbols (`dim_param`) that mean the batch: those that stand first in a shape."""
    first = [v.type.tensor_type.shape.dim[:1] for v in inputs]
    return frozenset(str(d.dim_param) for dims in first for d in dims if d.dim_param)


def input_axes(
    inputs: Sequence[Any], types: Sequence[AnyTensor], size: int
) -> Sequence[int | None] | None:
    """Which dimension of each input becomes `size`; None if the inputs are as they should be.

    Where the file leaves the batch open, that dimension, and only of the inputs that have it;
    else the first one of all.

    Raises:
        ImportFailure: the inputs cannot have that batch size.
    """
    axes: list[int | None] = []
    for value in inputs:
        open_axes = [i for i, d in enumerate(value.type.tensor_type.shape.dim) if _is_open(d)]
        if len(open_axes) > 1 and size != 1:
            raise ImportFailure(
                f"cannot make the batch size {size}: it stands in dimensions "
                f"{' and '.join(map(str, open_axes))} of the input '{value.name}'"
            )
        axes.append(open_axes[0] if open_axes else None)
    if size >= 1 and any(axis is not None for axis in axes):
        return axes if size > 1 else None
    shapes = [(str(v.name), t.get_shape()) for v, t in zip(inputs, types, strict=True)]
    return batch_axes(shapes, size)


def _is_open(dim: Any) -> bool:
    """Whether an extent is left open; some exporters write -1 for that."""
    return not dim.HasField("dim_value") or dim.dim_value < 0


def input_type(value: Any, symbols: Collection[str]) -> AnyTensor:
    """The static type of a network input (a `ValueInfoProto`), an open batch as 1.

    Args:
        value: the input.
        symbols: those that mean the batch.

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
        raise ImportFailure(
            f"the input '{name}' has no shape", hint=f"--input-shape {name}=1,3,H,W gives it one"
        )
    shape: list[int] = []
    for index, dim in enumerate(tensor.shape.dim):
        if not _is_open(dim):
            shape.append(int(dim.dim_value))
        elif index == 0 or dim.dim_param in symbols:
            shape.append(1)
        else:
            symbol = f"'{dim.dim_param}'" if dim.dim_param else "open"
            raise ImportFailure(
                f"dimension {index} of the input '{name}' is {symbol}; only the batch size may be",
                hint=_way_out(name, tensor.shape.dim),
            )
    check_shape(shape, f"the input '{name}'")
    return tensor_type(element, tuple(shape))


def _way_out(name: str, dims: Any) -> str:
    return way_out_of_open(name, [None if _is_open(d) else int(d.dim_value) for d in dims])
