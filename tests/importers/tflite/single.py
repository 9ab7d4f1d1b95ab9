"""Networks of one TFLite operator: imported, written back, and compared on LiteRT."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import OpResolverType
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.dialects.graph.structure import ConstantOp, OpaqueOp
from furiosa_ir.exporters.tflite.export import export_tflite
from furiosa_ir.importers.tflite import import_tflite
from tests.oracle.litert import Operator, Tensor, build_model, run_reference

RESOLVER = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES


def options(table: str, **fields: Any) -> Any:
    """A `schema.<table>OptionsT` with these fields."""
    made = getattr(schema, f"{table}OptionsT")()
    for name, value in fields.items():
        assert hasattr(made, name), name
        setattr(made, name, value)
    return made


def vector(name: str, *numbers: int) -> Tensor:
    """A constant int32 vector."""
    return Tensor.constant(name, np.array(numbers, np.int32))


def main_of(module: ModuleOp) -> FuncOp:
    return next(op for op in module.ops if isinstance(op, FuncOp))


def names_of(module: ModuleOp) -> list[str]:
    """The operations of `@main` without constants; opaque ones by their operator."""
    return [
        op.operator.data if isinstance(op, OpaqueOp) else op.name.removeprefix("graph.")
        for op in main_of(module).body.block.ops
        if isinstance(op, GraphOp) and not isinstance(op, ConstantOp)
    ]


def sample(tensor: Tensor, rng: np.random.Generator) -> np.ndarray:
    """Random elements of a tensor, over the whole range if it is quantised."""
    dtype = np.dtype(tensor.dtype)
    if dtype.kind == "f":
        return rng.standard_normal(tensor.shape).astype(dtype)
    info = np.iinfo(dtype)
    low, high = (int(info.min), int(info.max)) if dtype.itemsize == 1 else (-100, 100)
    return rng.integers(low, high + 1, tensor.shape, dtype)


def round_trip(
    operators: Sequence[Operator], inputs: Sequence[Tensor]
) -> tuple[ModuleOp, list[np.ndarray], list[np.ndarray]]:
    """The imported module, LiteRT's outputs, and those of the module written back."""
    model = build_model(operators)
    module = import_tflite(model)
    module.verify()
    rng = np.random.default_rng(7)
    arrays = [sample(t, rng) for t in inputs]
    expected = run_reference(model, arrays, RESOLVER)
    actual = run_reference(export_tflite(main_of(module)), arrays, RESOLVER)
    return module, expected, actual
