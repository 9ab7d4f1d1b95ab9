"""A scheduled module as an ENF program, checked as every program is before it runs."""

from __future__ import annotations

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from furiosa_ir.assembly import assemble
from furiosa_ir.backends.target import module_target
from furiosa_ir.backends.warboy.checker import check_program
from furiosa_ir.backends.warboy.commands.segment import generate
from furiosa_ir.backends.warboy.dialect.commands import CommandOp
from furiosa_ir.backends.warboy.enf.validation import CommandFailure
from furiosa_ir.backends.warboy.target import machine_of
from furiosa_ir.errors import VerificationFailure
from furiosa_ir.ir.segments import body_of
from furiosa_ir.ir.verifier import OperationFailure
from furiosa_ir.program import Program, Provenance
from furiosa_ir.spans import span


def assemble_program(module: ModuleOp, provenance: Provenance) -> Program:
    """The program of a module that has been through the pipeline.

    Raises:
        CompilationFailure: a host segment cannot be written in its framework, or the network was
            not partitioned.
        VerificationFailure: a segment is not scheduled, or a command breaks a rule of the machine.
    """
    machine, target = machine_of(module), module_target(module)
    assert target is not None, "it has a machine"
    with span("code"):
        program = assemble(module, target, machine.parameters(), provenance, generate)
    try:
        with span("check"):
            check_program(program)
    except CommandFailure as error:
        raise _of_operation(error, module) from error
    return program


def _of_operation(error: CommandFailure, module: ModuleOp) -> VerificationFailure:
    """The failure of a command as that of its operation."""
    for function in module.ops:
        if isinstance(function, FuncOp) and function.sym_name.data == error.segment:
            commands = [op for op in body_of(function).ops if isinstance(op, CommandOp)]
            failure = OperationFailure(error.message, layer=error.layer, hint=error.hint)
            failure.operation = commands[error.index]
            return failure
    return error
