"""How far a module is: which passes it cannot do without, and which of them it still lacks.

What a pass leaves behind can be seen in the IR, whatever a history says; so a pass whose
predecessor is missing is refused by name, and a compile that goes on from text begins at the right
place. Passes in between, which only make programs better, are known from the history.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from furiosa_ir.backends import Backend
from furiosa_ir.backends.target import backend_of
from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.ir.history import history_of
from furiosa_ir.ir.location import layer_name
from furiosa_ir.ir.pipeline import Phase
from furiosa_ir.ir.segments import PLACEMENT, body_of, is_npu
from furiosa_ir.passes.partition.graph_partition import outside_of_segments

_SHARED = ("graph-partition", "lower-to-ftensor")
"""The passes that every backend's programs need; its own (`Backend.stages`) come behind them."""


def level_of(module: ModuleOp) -> str | None:
    """The last phase that a module has been through; None for a freshly imported network.

    Raises:
        CompilationFailure: a segment's function has no body.
    """
    level, levels = None, backend_of(module).levels
    for function in module.ops:
        if not isinstance(function, FuncOp) or PLACEMENT not in function.attributes:
            continue
        level = level or levels[0]
        for op in body_of(function).ops:
            dialect = op.name.partition(".")[0]
            if dialect in levels[1:]:
                return dialect
    return level


def require(module: ModuleOp, what: str | None = None) -> None:
    """Refuses a step whose predecessors have not run.

    Args:
        module: at any level.
        what: a pass that a program needs; None for the program itself.

    Raises:
        CompilationFailure: one is missing; the message names the pass and where that can be seen.
    """
    backend = backend_of(module)
    stages = (*_SHARED, *backend.stages)
    if what is not None and what not in stages:
        raise CompilationFailure(
            f"'{what}' is no pass of {backend.title}, which the module is compiled for"
        )
    step = len(stages) if what is None else stages.index(what)
    name = "a program" if what is None else f"'{what}'"
    for missing, where, layer in _missing(module, backend):
        if stages.index(missing) < step:
            raise CompilationFailure(
                f"{name} needs the pass '{missing}', which has not run: {where}",
                layer=layer,
                hint=f"run {missing} first",
            )


def remaining_phases(module: ModuleOp, backend: Backend) -> tuple[Phase, ...]:
    """What is left of a backend's pipeline for a module that may have been through some of it.

    A pass that a program cannot do without is left if the IR lacks what it makes; the passes
    between two of those, if the history does not name them, be it as left out.
    """
    pipeline = backend.pipeline()
    passes = [(phase.name, what) for phase in pipeline.phases for what in phase.resolve()]
    names = [what.name for _, what in passes]
    seen, missing = _progress(module, backend)
    begin = 0 if seen is None else names.index(seen) + 1
    history = history_of(module)
    ran = history.names | history.left_out
    while begin < len(passes) and names[begin] in ran and names[begin] != missing:
        begin += 1
    left: list[Phase] = []
    for phase in pipeline.phases:
        mine = tuple(what for name, what in passes[begin:] if name == phase.name)
        if mine:
            left.append(replace(phase, passes=mine))
    return tuple(left)


def _progress(module: ModuleOp, backend: Backend) -> tuple[str | None, str | None]:
    """The last needed pass that can be seen to have run, the first that can be seen not to have.

    Without a segment on the device, nothing behind the partition can be seen.
    """
    stages = (*_SHARED, *backend.stages)
    functions = [f for f in module.ops if isinstance(f, FuncOp)]
    if not any(PLACEMENT in f.attributes for f in functions):
        return None, None
    missing = min((name for name, _, _ in _missing(module, backend)), key=stages.index, default="")
    if missing:
        step = stages.index(missing)
        return (stages[step - 1] if step else None), missing
    return stages[-1 if any(map(is_npu, functions)) else 0], None


def _missing(module: ModuleOp, backend: Backend) -> Iterator[tuple[str, str, str | None]]:
    """(pass that has not run, where that can be seen, layer), at most one a function."""
    for function in module.ops:
        if not isinstance(function, FuncOp):
            continue
        found = None
        if function.sym_name.data == "main":
            found = _missing_in_main(function)
        elif is_npu(function):
            found = _missing_in_segment(function, backend)
        if found is not None:
            yield found


def _missing_in_main(main: FuncOp) -> tuple[str, str, str | None] | None:
    op = outside_of_segments(main)
    if op is None:
        return None
    return _SHARED[0], f"'{op.name}' stands in @main, outside of all segments", layer_name(op)


def _missing_in_segment(function: FuncOp, backend: Backend) -> tuple[str, str, str | None] | None:
    operations = list(body_of(function).ops)
    graphs = {kind for kind in {type(op) for op in operations} if issubclass(kind, GraphOp)}
    for op in operations:
        if type(op) in graphs:
            where = f"'{op.name}' stands in @{function.sym_name.data}"
            return _SHARED[1], where, layer_name(op)
    return None if backend.missing is None else backend.missing(function)
