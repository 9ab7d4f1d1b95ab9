"""`graph.opaque`: operators that only their own framework knows, evaluated by it."""

from __future__ import annotations

from collections.abc import Sequence

from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.dialects.graph.structure import OpaqueOp
from furiosa_ir.errors import ExecutionFailure, FuriosaError
from furiosa_ir.ir.location import layer_name
from furiosa_ir.limits import limit
from furiosa_ir.native_onnx import run_model
from furiosa_ir.native_process import NativeCrash, NativeRefusal
from furiosa_ir.numerics.array import Array


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
        seconds = limit("HOST_SECONDS")
        return run_model(blob.array.tobytes(), operands, seconds=seconds, bounded=False)[0]
    except (NativeRefusal, FuriosaError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ExecutionFailure(f"{name} does not run: {reason}", layer=layer) from error
    except NativeCrash as crash:
        raise ExecutionFailure(
            f"{name} does not run: onnxruntime {crash}", layer=layer, hint=crash.hint
        ) from None
