"""How far a module is: which passes it cannot do without, and which of them it still lacks.

What a pass leaves behind can be seen in the IR, whatever a history says; so a pass whose
predecessor is missing is refused by name, and a compile that goes on from text begins at the right
place. Passes in between, which only make programs better, are known from the history.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Operation

from furiosa_ir.backends.warboy.dialect.attributes import ADDRESSES, LAYERS, MEMORY, VIEW
from furiosa_ir.backends.warboy.dialect.kernels import MOVEMENT, KernelOp
from furiosa_ir.dialects.ftensor import TensorOp
from furiosa_ir.dialects.ftensor.arithmetic import ConstantOp
from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.ir.history import history_of
from furiosa_ir.ir.location import layer_name
from furiosa_ir.ir.pipeline import Phase, Pipeline
from furiosa_ir.ir.segments import PLACEMENT, body_of, is_npu
from furiosa_ir.passes.partition.graph_partition import outside_of_segments

STAGES = (
    "graph-partition",
    "lower-to-ftensor",
    "fuse-kernels",
    "assign-views",
    "plan-tiles",
    "allocate",
    "schedule",
)
"""The passes that a program cannot do without, in order."""


def require(module: ModuleOp, what: str) -> None:
    """Refuses a step whose predecessors have not run, or that has been taken already.

    Args:
        module: at any level.
        what: one of `STAGES`, or "enf" for the program.

    Raises:
        CompilationFailure: one is missing, or it is too late; the message names the pass and where
            that can be seen.
    """
    step = len(STAGES) if what == "enf" else STAGES.index(what)
    name = "a program" if what == "enf" else f"'{what}'"
    for missing, where, layer in _missing(module):
        if STAGES.index(missing) < step:
            raise CompilationFailure(
                f"{name} needs the pass '{missing}', which has not run: {where}",
                layer=layer,
                hint=f"run {missing} first",
            )
    for function in module.ops:
        if isinstance(function, FuncOp) and LAYERS in function.attributes and step < len(STAGES):
            raise CompilationFailure(
                f"'{what}' comes too late: @{function.sym_name.data} is scheduled already"
            )


def remaining_phases(module: ModuleOp, pipeline: Pipeline) -> tuple[Phase, ...]:
    """What is left of a pipeline for a module that may have been through some of it.

    A pass that a program cannot do without is left if the IR lacks what it makes; the passes
    between two of those, if the history does not name them.
    """
    passes = [(phase.name, what) for phase in pipeline.phases for what in phase.resolve()]
    names = [what.name for _, what in passes]
    seen, missing = _progress(module)
    begin = 0 if seen is None else names.index(seen) + 1
    ran = history_of(module).names
    while begin < len(passes) and names[begin] in ran and names[begin] != missing:
        begin += 1
    left: list[Phase] = []
    for phase in pipeline.phases:
        mine = tuple(what for name, what in passes[begin:] if name == phase.name)
        if mine:
            left.append(replace(phase, passes=mine))
    return tuple(left)


def _progress(module: ModuleOp) -> tuple[str | None, str | None]:
    """The last of `STAGES` that can be seen to have run, the first that can be seen not to have.

    Without a segment on the NPU, nothing behind the partition can be seen.
    """
    functions = [f for f in module.ops if isinstance(f, FuncOp)]
    if not any(PLACEMENT in f.attributes for f in functions):
        return None, None
    missing = min((name for name, _, _ in _missing(module)), key=STAGES.index, default=None)
    if missing is not None:
        step = STAGES.index(missing)
        return (STAGES[step - 1] if step else None), missing
    return STAGES[-1 if any(LAYERS in f.attributes for f in functions) else 0], None


def _missing(module: ModuleOp) -> Iterator[tuple[str, str, str | None]]:
    """(pass that has not run, where that can be seen, layer), at most one a function."""
    for function in module.ops:
        if not isinstance(function, FuncOp):
            continue
        found = None
        if function.sym_name.data == "main":
            op = outside_of_segments(function)
            if op is not None:
                where = f"'{op.name}' stands in @main, outside of all segments"
                found = STAGES[0], where, layer_name(op)
        elif is_npu(function):
            found = missing_in_segment(function)
        if found is not None:
            yield found


def missing_in_segment(function: FuncOp) -> tuple[str, str, str | None] | None:
    """The first of `STAGES` that an NPU segment lacks, where that can be seen, and the layer."""
    if LAYERS in function.attributes:
        return None
    name = f"@{function.sym_name.data}"
    operations = [op for op in body_of(function).ops if not isinstance(op, ReturnOp)]
    for op in operations:
        if isinstance(op, GraphOp):
            return "lower-to-ftensor", f"'{op.name}' stands in {name}", layer_name(op)
    for op in operations:
        if isinstance(op, TensorOp) and not isinstance(op, (*MOVEMENT, ConstantOp)):
            return (
                "fuse-kernels",
                f"'{op.name}' stands in {name} outside of a kernel",
                layer_name(op),
            )
    for op in operations:
        if VIEW not in op.attributes if isinstance(op, MOVEMENT) else _lacks_views(op):
            return "assign-views", f"'{op.name}' in {name} has no views", layer_name(op)
    for op in operations:
        if isinstance(op, KernelOp) and op.plan is None:
            return "plan-tiles", f"'{op.name}' in {name} has no plan", layer_name(op)
    if MEMORY not in function.attributes:
        return "plan-tiles", f"{name} has no '{MEMORY}'", None
    if ADDRESSES not in function.attributes:
        return "allocate", f"{name} has no '{ADDRESSES}'", None
    return "schedule", f"{name} has no commands", None


def _lacks_views(op: Operation) -> bool:
    return isinstance(op, KernelOp) and op.views is None
