"""One host operation on arrays, by its framework: for checking modules without a program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Region

from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.errors import ExecutionFailure
from furiosa_ir.exporters import export_segment
from furiosa_ir.ir.constants import Array


def segment_of(op: GraphOp) -> FuncOp:
    """A host function, in a module of its own, of a clone of one operation."""
    assert op.origin is not None, "a host operation has an origin"
    block = Block(arg_types=[v.type for v in op.operands])
    clone = op.clone(value_mapper=dict(zip(op.operands, block.args, strict=True)))
    clone.location = op.location
    block.add_ops([clone, ReturnOp(*clone.results)])
    types = ([v.type for v in op.operands], [v.type for v in op.results])
    function = FuncOp("host", types, Region(block), visibility="private")
    ModuleOp([function], {"graph.source": StringAttr(op.origin.data[0])})
    return function


def run_tflite_operation(op: GraphOp, operands: Sequence[Array]) -> list[Array]:
    """The results of a TFLite operation, by LiteRT's reference kernels.

    Raises:
        ExecutionFailure: LiteRT is not installed or has no kernel for it.
        CompilationFailure: the operation has no form in TFLite.
    """
    try:
        from ai_edge_litert.interpreter import (
            Interpreter,
            OpResolverType,
        )
    except ImportError:
        raise ExecutionFailure(
            "TFLite operators need the package ai-edge-litert",
            hint="pip install 'furiosa-ir[litert]'",
        ) from None
    _, model = export_segment(segment_of(op))
    reason = ""
    for resolver in (OpResolverType.BUILTIN_REF, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES):
        try:
            interpreter = cast(
                "Any",
                Interpreter(
                    model_content=model, experimental_op_resolver_type=resolver, num_threads=1
                ),
            )
            interpreter.allocate_tensors()
            for detail, array in zip(interpreter.get_input_details(), operands, strict=True):
                interpreter.set_tensor(detail["index"], array)
            interpreter.invoke()
            return [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]
        except (RuntimeError, ValueError) as error:
            reason = str(error).strip().partition("\n")[0]
    raise ExecutionFailure(f"LiteRT does not run {op.name}: {reason}")
