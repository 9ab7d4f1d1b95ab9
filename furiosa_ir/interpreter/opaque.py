"""`graph.opaque`: operators that only their own framework knows, evaluated by it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.dialects.graph.structure import OpaqueOp
from furiosa_ir.errors import ExecutionFailure
from furiosa_ir.ir.constants import Array
from furiosa_ir.ir.location import layer_name


def run_opaque(op: GraphOp, operands: Sequence[Array]) -> list[Array]:
    """Evaluates an opaque ONNX operator by onnxruntime.

    Raises:
        ExecutionFailure: the operator is TFLite's, or onnxruntime has no kernel for it.
    """
    name = op.operator.data if isinstance(op, OpaqueOp) else op.name
    layer = layer_name(op) or None
    if op.origin is None or op.origin.data[0] != "onnx":
        raise ExecutionFailure(
            f"the interpreter cannot evaluate the TFLite operator {name} by itself",
            layer=layer,
            hint="pass it the backend's host executor",
        )
    blob = op.origin.data[1]
    try:
        session = onnx_session(blob.array.tobytes())
        feeds: dict[str, Any] = {
            info.name: _as_declared(array, info.type)
            for info, array in zip(session.get_inputs(), operands, strict=True)
        }
        return [np.asarray(o) for o in session.run(None, feeds)]
    except Exception as error:  # onnxruntime's exceptions share no public base
        text = str(error).strip().splitlines()
        reason = text[0] if text else type(error).__name__
        raise ExecutionFailure(f"{name} does not run: {reason}", layer=layer) from error


def onnx_session(model: bytes) -> Any:
    """An onnxruntime session without optimisations, and silent."""
    import onnxruntime  # noqa: PLC0415  # takes 0.1 s; most networks need none

    options = cast("Any", onnxruntime.SessionOptions())
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


_DTYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16}


def _as_declared(array: Array, declared: str) -> Array:
    """Reals as the float type that the operator takes (the interpreter holds them as doubles)."""
    dtype = _DTYPES.get(declared)
    return array if dtype is None else cast("Array", array.astype(dtype))
