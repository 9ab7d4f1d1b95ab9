"""`graph.opaque`: operators that only their own framework knows, evaluated by it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np

from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.dialects.graph.structure import OpaqueOp
from furiosa_ir.errors import ExecutionFailure
from furiosa_ir.ir.constants import Array
from furiosa_ir.ir.location import layer_name
from furiosa_ir.onnxruntime_session import onnx_session, run_session


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
        declared = [info.type for info in session.get_inputs()]
        inputs = [_as_declared(a, d) for a, d in zip(operands, declared, strict=True)]
        return [np.asarray(o) for o in run_session(session, inputs)]
    except Exception as error:  # onnxruntime's exceptions share no public base
        text = str(error).strip().splitlines()
        reason = text[0] if text else type(error).__name__
        raise ExecutionFailure(f"{name} does not run: {reason}", layer=layer) from error


_DTYPES: dict[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(bfloat16)": ml_dtypes.bfloat16,
}


def _as_declared(array: Array, declared: str) -> Array:
    """Reals as the float type that the operator takes (the interpreter holds them as doubles)."""
    dtype = _DTYPES.get(declared)
    return array if dtype is None else array.astype(dtype)
