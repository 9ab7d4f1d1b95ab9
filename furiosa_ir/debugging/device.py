"""Below the schedule: the program that a module becomes, beside the kernels that it is made of.

The interpreter gives plans, addresses and commands no meaning; the simulator does. Where a module
is kernels, the rest of the pipeline makes a program of a copy of it. What each device segment makes
is compared with what its kernels make; where that differs, each command's result is, as `--verify`
does it, to find the first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from typing_extensions import override
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import CallOp, FuncOp
from xdsl.ir import Operation

from furiosa_ir.backends import Executor, backend_for
from furiosa_ir.backends.target import backend_of
from furiosa_ir.comparison import Coverage, Disagreement, Where, as_stored, check_equal
from furiosa_ir.debugging.change import Change
from furiosa_ir.debugging.execution import FastInterpreter, Memory
from furiosa_ir.debugging.inputs import NumberedInput
from furiosa_ir.errors import FuriosaError
from furiosa_ir.ir.context import make_context
from furiosa_ir.ir.pipeline import Pipeline, run_pipeline
from furiosa_ir.ir.segments import is_npu
from furiosa_ir.lowering.operation import lower_operation
from furiosa_ir.numerics.array import Array
from furiosa_ir.pipeline_selection import phases_to_run
from furiosa_ir.program import DeviceSegment, Program
from furiosa_ir.verification.commands import has_commands, program_of
from furiosa_ir.verification.host_operator import run_host_operator
from furiosa_ir.verification.levels import LevelCheck, as_declared
from furiosa_ir.verification.trace import CompileTrace, Snapshot, copy_module


def is_on_device(module: ModuleOp) -> bool:
    """Whether a module is at its backend's own level, where plans and commands are."""
    dialect = f"{backend_of(module).levels[-1]}."
    segments = (f for f in module.ops if isinstance(f, FuncOp) and is_npu(f))
    return any(op.name.startswith(dialect) for f in segments for op in f.body.block.ops)


@dataclass(frozen=True)
class DeviceCheck:
    """A program and its kernels.

    Attributes:
        trace: how the program came to be.
        program: it.
        memory: convolutions that have been computed.
    """

    trace: CompileTrace
    program: Program
    memory: Memory

    @classmethod
    def of(cls, module: ModuleOp, kernels: ModuleOp | None, memory: Memory) -> DeviceCheck:
        """The check of a module at its backend's level.

        Args:
            module: kernels or commands; stays as it is.
            kernels: what commands were made of.
            memory: convolutions that have been computed.

        Raises:
            FuriosaError: no program can be made of it.
        """
        trace = CompileTrace()
        if kernels is not None and has_commands(module):
            trace.kernels, trace.final = Snapshot(kernels, {}), Snapshot(module, {})
        else:
            module = copy_module(module, {})
            backend = backend_of(module)
            phases = phases_to_run(module, backend.levels[-1], backend)
            run_pipeline(make_context(), module, Pipeline("rest", phases), instrumentation=[trace])
            trace.finish(module)
        return cls(trace, program_of(module), memory)

    @cached_property
    def _executor(self) -> Executor:
        return backend_for(self.program.target).executor(self.program)

    def change(self, inputs: Sequence[NumberedInput]) -> Change | None:
        """What the program computes otherwise, on the first input that shows it."""
        for on in inputs:
            runs = _Both(
                self.trace.last.module,
                lower_operation,
                run_host_operator,
                see=_ignore,
                memory=self.memory,
                program=self.program,
                executor=self._executor,
            )
            try:
                runs.run(on.feeds)
            except Disagreement as error:
                return self._first_command(on) or failure_change(error, on)
            except FuriosaError as error:
                return failure_change(error, on)
        return None

    def _first_command(self, on: NumberedInput) -> Change | None:
        module = self.trace.last.module
        level = backend_of(module).levels[-1]
        try:
            check = LevelCheck.of(self.trace, self.trace.last, level, self.program)
            check.compare(on.feeds, {}, Coverage())
        except Disagreement as error:
            return failure_change(error, on)
        return None


def _ignore(_op: Operation, _operands: Sequence[Array], _results: Sequence[Array]) -> None:
    """Nobody asks for values on the way."""


@dataclass
class _Both(FastInterpreter):
    """Runs the kernels and, at each call of a device segment, the program's."""

    program: Program = field(kw_only=True)
    executor: Executor = field(kw_only=True)

    @override
    def evaluate(self, op: Operation, operands: Sequence[Array]) -> Sequence[Array]:
        results = super().evaluate(op, operands)
        if isinstance(op, CallOp):
            self._compare(op.callee.string_value(), operands, results)
        return results

    def _compare(self, name: str, operands: Sequence[Array], results: Sequence[Array]) -> None:
        program = self.program
        index = [segment.name for segment in program.segments].index(name)
        segment = program.segments[index]
        if not isinstance(segment, DeviceSegment):
            return
        bindings = zip(segment.inputs, operands, strict=True)
        inputs = {b.tensor: as_declared(a, program.tensors[b.tensor].dtype) for b, a in bindings}
        outputs: Mapping[int, Array] = self.executor.run_segment(index, inputs)
        for binding, want in zip(segment.outputs, results, strict=True):
            tensor = program.tensors[binding.tensor]
            where = Where(tensor.name, backend_for(program.target).container.name, "output")
            check_equal(as_stored(np.asarray(outputs[binding.tensor])), want, where)


def device_change(
    module: ModuleOp, inputs: Sequence[NumberedInput], kernels: ModuleOp | None, memory: Memory
) -> Change | None:
    """What the program of a module computes otherwise than its kernels.

    Args:
        module: kernels or commands.
        inputs: what to run.
        kernels: what commands were made of.
        memory: convolutions that have been computed.
    """
    try:
        check = DeviceCheck.of(module, kernels, memory)
    except FuriosaError as error:
        return failure_change(error, inputs[0])
    return check.change(inputs)


def failure_change(error: FuriosaError, on: NumberedInput) -> Change:
    """A disagreement, or another failure, as a change."""
    element = error.element if isinstance(error, Disagreement) else None
    if element is None:
        return Change(error.layer or "", error.message, on)
    where = (error.hint or "").partition(";")[0]
    index, got, want, share = element.index, element.got, element.want, element.share
    return Change(error.layer or "", where, on, index, got, want, share)
