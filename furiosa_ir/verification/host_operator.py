"""One operator on its own, run as a host segment in a process that may be lost: `run_host`."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Region, SSAValue

from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.dialects.graph.structure import ConstantOp, OpaqueOp
from furiosa_ir.exporters import export_segment
from furiosa_ir.host_kernels import find_kernel
from furiosa_ir.interpreter.opaque import run_opaque
from furiosa_ir.ir.location import layer_name
from furiosa_ir.numerics.array import Array
from furiosa_ir.program import HostSegment
from furiosa_ir.runtime.engines import host_engine
from furiosa_ir.runtime.isolation import SharedProcessEngine


def run_host_operator(op: GraphOp, operands: Sequence[Array]) -> Sequence[Array]:
    """Evaluates an opaque operator of either framework, or any of TFLite.

    Raises:
        FuriosaError: its framework does not run it.
    """
    is_python = isinstance(op, OpaqueOp) and find_kernel(op.operator.data) is not None
    if op.origin is not None and op.origin.data[0] == "onnx" and not is_python:
        return run_opaque(op, operands)
    block = Block()
    values: dict[SSAValue, SSAValue] = {}
    variable: list[Array] = []
    for operand, array in zip(op.operands, operands, strict=True):
        if operand in values:
            continue
        if isinstance(operand.owner, ConstantOp):
            constant = operand.owner.clone()
            block.add_op(constant)
            values[operand] = constant.results[0]
        else:
            values[operand] = block.insert_arg(operand.type, len(block.args))
            variable.append(array)
    copy = op.clone(values)
    copy.location = op.location
    block.add_op(copy)
    block.add_op(ReturnOp(*copy.results))
    function = FuncOp("host_0", (block.arg_types, op.result_types), Region(block))
    source = "tflite" if op.origin is None else op.origin.data[0]
    module = ModuleOp([function], {"graph.source": StringAttr(source)})
    whole = op.get_toplevel_object()
    if isinstance(whole, ModuleOp) and "graph.kernels" in whole.attributes:
        module.attributes["graph.kernels"] = whole.attributes["graph.kernels"]
    framework, model = export_segment(function)
    name = layer_name(op) or op.name
    segment = HostSegment(
        name,
        framework,
        tuple(range(len(variable))),
        tuple(range(len(variable), len(variable) + len(op.results))),
        model,
        ((op.operator.data, name, 0, ""),) if isinstance(op, OpaqueOp) else (),
    )
    return host_engine(segment, SharedProcessEngine).run(variable)
