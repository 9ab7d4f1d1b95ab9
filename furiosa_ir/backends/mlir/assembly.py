"""A module in linalg as a program: the text of each device segment, and its parameters."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import cast

from xdsl.dialects.builtin import DictionaryAttr, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation

from furiosa_ir.assembly import assemble
from furiosa_ir.backends.mlir.dialect import GlobalLoadOp
from furiosa_ir.backends.mlir.lowering.emission import element
from furiosa_ir.backends.mlir.multiplications import multiply_accumulates
from furiosa_ir.backends.mlir.segment import MlirSegment
from furiosa_ir.backends.mlir.upstream_module import loaded_globals, parameters_of
from furiosa_ir.backends.mlir.upstream_text import function_text, global_text
from furiosa_ir.backends.target import module_target
from furiosa_ir.ir.constant_file import constant_chunks
from furiosa_ir.ir.location import layer_name
from furiosa_ir.ir.segments import OPERATORS, body_of
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

    def segment(function: FuncOp, _first: int) -> tuple[MlirSegment, list[Layer]]:
        return _segment(module, function)

    program = assemble(module, target, {}, provenance, segment)
    if target == "iree-cpu":
        # Now, so that sessions find it made.
        from furiosa_ir.backends.mlir.native_code import native_code  # noqa: PLC0415

        for made in program.segments:
            if isinstance(made, MlirSegment):
                native_code(made, is_ours=True)
    return program


def _segment(module: ModuleOp, function: FuncOp) -> tuple[MlirSegment, list[Layer]]:
    globals_ = loaded_globals(module, [function])
    signature = function.function_type
    made = MlirSegment(
        name=function.sym_name.data,
        inputs=tuple(Binding(i, i) for i in range(len(signature.inputs))),
        outputs=tuple(Binding(i, i) for i in range(len(signature.outputs))),
        globals_=tuple(map(global_text, globals_)),
        function=function_text(function),
        parameters=b"".join(constant_chunks(parameters_of(globals_))),
    )
    return made, layers_of(function, multiply_accumulates, _weight_bytes)


def layers_of(
    function: FuncOp,
    multiplications: Callable[[Operation], int],
    weight_bytes: Callable[[Operation], int],
) -> list[Layer]:
    """Rows of the report, in the order in which layers begin.

    Args:
        function: of a device segment.
        multiplications: how many multiply-accumulates an operation makes.
        weight_bytes: how many bytes of constants it holds.
    """
    operators = cast("DictionaryAttr", function.attributes.get(OPERATORS, DictionaryAttr({})))
    macs: dict[str, int] = {}
    weights: dict[str, int] = {}
    for op in body_of(function).ops:
        name = layer_name(op)
        if not name:
            continue
        macs[name] = macs.get(name, 0) + multiplications(op)
        weights[name] = weights.get(name, 0) + weight_bytes(op)
    return [
        Layer(name, _operator(operators, name), 0, count, weights[name])
        for name, count in macs.items()
    ]


def _weight_bytes(op: Operation) -> int:
    if not isinstance(op, GlobalLoadOp):
        return 0
    return prod(shape_of(op.result)) * element(op.result).width.data // 8


def _operator(operators: DictionaryAttr, name: str) -> str:
    found = operators.data.get(name)
    return found.data if isinstance(found, StringAttr) else ""
