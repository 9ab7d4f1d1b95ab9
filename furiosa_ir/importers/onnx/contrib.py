"""Types of operators that onnx knows nothing of, but onnxruntime does (domain com.microsoft)."""

from __future__ import annotations

import onnx
from onnx import helper

from furiosa_ir.native_onnx import output_types
from furiosa_ir.native_process import NativeRefusal


def infer_with_onnxruntime(model: onnx.ModelProto) -> dict[str, onnx.ValueInfoProto]:
    """The types of a one-node model's outputs, as far as onnxruntime tells them.

    It does not tell those of a scalar, which it reports as a tensor of unknown rank.

    Raises:
        NativeCrash: the model ends onnxruntime's process.
    """
    try:
        outputs = output_types(model.SerializeToString())
    except NativeRefusal:
        return {}
    found: dict[str, onnx.ValueInfoProto] = {}
    for output, kind, shape in outputs:
        element = kind.removeprefix("tensor(").removesuffix(")")
        name = {"float": "FLOAT", "double": "DOUBLE"}.get(element, element.upper())
        if not shape or name not in onnx.TensorProto.DataType.keys():  # noqa: SIM118
            continue
        code = onnx.TensorProto.DataType.Value(name)
        found[output] = helper.make_tensor_value_info(output, code, shape)
    return found
