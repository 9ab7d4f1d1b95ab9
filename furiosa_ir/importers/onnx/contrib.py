"""Types of operators that onnx knows nothing of, but onnxruntime does (domain com.microsoft)."""

from __future__ import annotations

from typing import Any, cast

import onnx
from onnx import helper


def infer_with_onnxruntime(model: onnx.ModelProto) -> dict[str, onnx.ValueInfoProto]:
    """The types of a one-node model's outputs, as far as onnxruntime tells them.

    It does not tell those of a scalar, which it reports as a tensor of unknown rank.
    """
    try:
        import onnxruntime  # noqa: PLC0415  # heavy, and used by few models
    except ImportError:
        return {}
    options = cast("Any", onnxruntime.SessionOptions())
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        session: Any = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception:  # noqa: BLE001  # it has no class of its own for models it does not take
        return {}
    found: dict[str, onnx.ValueInfoProto] = {}
    for output in session.get_outputs():
        kind = str(output.type).removeprefix("tensor(").removesuffix(")")
        name = {"float": "FLOAT", "double": "DOUBLE"}.get(kind, kind.upper())
        if not output.shape or name not in onnx.TensorProto.DataType.keys():  # noqa: SIM118
            continue
        dims = [d if isinstance(d, int) else None for d in output.shape]
        code = onnx.TensorProto.DataType.Value(name)
        found[str(output.name)] = helper.make_tensor_value_info(str(output.name), code, dims)
    return found
