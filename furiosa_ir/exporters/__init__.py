"""What stays on the host, written as a model of its own framework."""

from __future__ import annotations

from typing import cast

from xdsl.dialects.builtin import StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp

from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.dialects.graph.structure import OpaqueOp
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.host_kernels import find_kernel
from furiosa_ir.ir.location import layer_name


def export_segment(function: FuncOp) -> tuple[str, bytes]:
    """The framework of a host function's module ("onnx" or "tflite") and its sub-model there.

    Raises:
        CompilationFailure: the framework has no form of an operation, or nothing that runs it.
    """
    module = function.parent_op()
    assert module is not None, "a host function outside a module"
    framework = cast("StringAttr", module.attributes["graph.source"]).data
    for op in function.body.block.ops:
        if not isinstance(op, GraphOp | ReturnOp):
            raise CompilationFailure(
                f"'{op.name}' stands in the host segment @{function.sym_name.data}, and only "
                "operators of the network can",
                layer=layer_name(op),
            )
    if framework == "tflite":
        from furiosa_ir.exporters.tflite.export import export_tflite  # noqa: PLC0415

        return framework, export_tflite(function)
    from furiosa_ir.exporters.onnx.export import export_onnx  # noqa: PLC0415

    model = export_onnx(function)
    from furiosa_ir.exporters.onnx.kernel_check import (  # noqa: PLC0415
        check_kernels,
        is_foreign,
    )

    check_kernels(
        model,
        [
            (op.operator.data, layer_name(op))
            for op in function.body.block.ops
            if isinstance(op, OpaqueOp)
            and is_foreign(op.operator.data)
            and find_kernel(op.operator.data) is None
        ],
    )
    return framework, model
