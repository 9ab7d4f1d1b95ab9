"""Small ONNX networks for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation

from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.importers.onnx import import_onnx

Dims = Sequence[int | str | None] | None


def network(
    nodes: Sequence[Any],
    inputs: Mapping[str, Any],
    outputs: Mapping[str, Any],
    constants: Mapping[str, np.ndarray] | None = None,
    opset: int = 17,
    domains: Mapping[str, int] | None = None,
) -> onnx.ModelProto:
    """A model. Inputs and outputs: name -> shape, or (shape, element type)."""
    graph = helper.make_graph(
        list(nodes),
        "network",
        [_info(n, d) for n, d in inputs.items()],
        [_info(n, d) for n, d in outputs.items()],
        [numpy_helper.from_array(a, n) for n, a in (constants or {}).items()],
    )
    imports = [helper.make_opsetid("", opset)]
    imports += [helper.make_opsetid(d, v) for d, v in (domains or {}).items()]
    return helper.make_model(graph, opset_imports=imports)


def _info(name: str, declared: Any) -> onnx.ValueInfoProto:
    if isinstance(declared, tuple):
        shape, element = declared
    else:
        shape, element = declared, TensorProto.FLOAT
    return helper.make_tensor_value_info(name, element, shape)


def imported(model: onnx.ModelProto, batch_size: int | None = None) -> ModuleOp:
    """The model as IR, verified."""
    module = import_onnx(model.SerializeToString(), batch_size=batch_size)
    module.verify()
    return module


def main_of(module: ModuleOp) -> FuncOp:
    return next(op for op in module.body.block.ops if isinstance(op, FuncOp))


def operations(module: ModuleOp, *, constants: bool = False) -> list[GraphOp]:
    """The graph operations, in order; without constants unless asked for."""
    ops = [op for op in main_of(module).body.block.ops if isinstance(op, GraphOp)]
    return [op for op in ops if constants or op.name != "graph.constant"]


def names(module: ModuleOp) -> list[str]:
    return [op.name.removeprefix("graph.") for op in operations(module)]


def result_shapes(module: ModuleOp) -> list[list[int]]:
    terminator: Operation | None = main_of(module).body.block.last_op
    assert terminator is not None
    return [list(v.type.get_shape()) for v in terminator.operands]
