"""A module in TOSA as a program: the text of each device segment, its constants within."""

from __future__ import annotations

from math import prod

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation

from furiosa_ir.assembly import assemble
from furiosa_ir.backends.mlir.assembly import layers_of
from furiosa_ir.backends.mlir.segment import MlirSegment
from furiosa_ir.backends.mlir.tosa import dialect as tosa
from furiosa_ir.backends.mlir.tosa.text import function_text
from furiosa_ir.backends.target import module_target
from furiosa_ir.ir.constants import BlobAttr
from furiosa_ir.ir.shaped_operation import shape_of
from furiosa_ir.program import Binding, Layer, Program, Provenance


def assemble_program(module: ModuleOp, provenance: Provenance) -> Program:
    """The program of a module that has been through the pipeline.

    Raises:
        CompilationFailure: a host segment cannot be written in its framework, or the network was
            not partitioned.
    """
    target = module_target(module)
    assert target is not None, "its pipeline begins with one"
    return assemble(module, target, {}, provenance, _segment)


def _segment(function: FuncOp, _first: int) -> tuple[MlirSegment, list[Layer]]:
    signature = function.function_type
    made = MlirSegment(
        name=function.sym_name.data,
        inputs=tuple(Binding(i, i) for i in range(len(signature.inputs))),
        outputs=tuple(Binding(i, i) for i in range(len(signature.outputs))),
        globals_=(),
        function=function_text(function),
        parameters=b"",
    )
    return made, layers_of(function, multiply_accumulates, weight_bytes)


def multiply_accumulates(op: Operation) -> int:
    """Of a contraction, its products; 0 of anything else."""
    if isinstance(op, tosa.Conv2DOp):
        return prod(shape_of(op.output)) * prod(shape_of(op.arguments[1])[1:])
    if isinstance(op, tosa.DepthwiseConv2DOp):
        return prod(shape_of(op.output)) * prod(shape_of(op.arguments[1])[:2])
    if isinstance(op, tosa.MatMulOp):
        return prod(shape_of(op.output)) * shape_of(op.arguments[0])[-1]
    return 0


def weight_bytes(op: Operation) -> int:
    """Of a constant, its bytes; 0 of anything else."""
    if isinstance(op, tosa.ConstOp) and isinstance(op.values, BlobAttr):
        constant = op.values.data
        return constant.size * constant.dtype.itemsize
    return 0
