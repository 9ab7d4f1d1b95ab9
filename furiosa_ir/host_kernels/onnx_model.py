"""ONNX sub-models of custom operators, for their Python kernels."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, cast

import numpy as np
import onnx
from onnx import helper, numpy_helper

from furiosa_ir.errors import ExecutionFailure
from furiosa_ir.host_kernels import HostOperator, HostTensor
from furiosa_ir.host_kernels.sub_model import Step, SubModel
from furiosa_ir.onnx_messages import check_complete


def read_steps(data: bytes) -> SubModel:
    """A sub-model's operators.

    Raises:
        FuriosaError: it holds others than custom ones, or is not complete in itself.
        Exception: it is no ONNX model.
    """
    check_complete(data)
    model = onnx.ModelProto.FromString(data)
    graph: Any = model.graph
    types = {str(v.name): v for v in (*graph.input, *graph.value_info, *graph.output)}
    steps = [_step(node, types) for node in graph.node]
    return SubModel(
        tuple(str(i.name) for i in graph.input),
        tuple(str(o.name) for o in graph.output),
        {str(t.name): numpy_helper.to_array(t) for t in graph.initializer},
        tuple(steps),
    )


def _step(node: Any, types: dict[str, Any]) -> Step:
    inputs = tuple(str(i) or None for i in node.input)
    outputs = tuple(str(o) for o in node.output if o)
    if node.op_type == "Identity" and not node.domain:
        return Step(None, inputs, outputs)
    if not node.domain:
        raise ExecutionFailure(f"the operator '{node.op_type}' stands among custom ones")
    operator = HostOperator(
        f"{node.domain}::{node.op_type}",
        str(node.name),
        tuple(None if i is None else _tensor(i, types.get(i)) for i in inputs),
        tuple(_tensor(o, types.get(o)) for o in outputs),
        attributes_of(node),
    )
    return Step(operator, inputs, outputs)


def attributes_of(node: Any) -> dict[str, Any]:
    """The attributes of a node: numbers, texts, lists of them, and arrays."""
    return {str(a.name): _plain(helper.get_attribute_value(a)) for a in node.attribute}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        with suppress(UnicodeDecodeError):  # then the kernel gets the bytes
            return value.decode()
        return value
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    if isinstance(value, list | tuple):
        return [_plain(v) for v in cast("Sequence[Any]", value)]
    return value


def _tensor(name: str, info: Any) -> HostTensor:
    if info is None:
        return HostTensor(name, None, np.dtype(np.float32))
    tensor = info.type.tensor_type
    shape = tuple(int(d.dim_value) if d.HasField("dim_value") else -1 for d in tensor.shape.dim)
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    return HostTensor(name, shape if tensor.HasField("shape") else None, dtype)
