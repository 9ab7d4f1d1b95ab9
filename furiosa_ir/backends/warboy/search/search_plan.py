"""`search-plan`: looks for better decisions than those that `plan-tiles` takes by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp

from furiosa_ir.backends.warboy.assembly import assemble_program
from furiosa_ir.backends.warboy.passes.allocate import Allocate
from furiosa_ir.backends.warboy.passes.plan_tiles import PlanTiles, prepare
from furiosa_ir.backends.warboy.passes.schedule import Schedule
from furiosa_ir.backends.warboy.planning.decisions import DECISIONS, Decisions
from furiosa_ir.backends.warboy.search.chains import Space, jobs, packed
from furiosa_ir.backends.warboy.simulator.timeline import cycles
from furiosa_ir.backends.warboy.stages import require
from furiosa_ir.backends.warboy.target import machine_of
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.ir.passes import Pass
from furiosa_ir.ir.remarks import held_remarks
from furiosa_ir.ir.segments import is_npu
from furiosa_ir.program import Provenance
from furiosa_ir.schedule_search import search, surroundings
from furiosa_ir.workers import Work

FINALISTS = 4
"""States that are compiled to the end, so that their timelines decide."""


@dataclass(frozen=True)
class SearchPlan(Pass):
    """Writes to each `@npu_K` what `plan-tiles` is to decide, if a search finds something better.

    The decisions are the layouts of buffers. The search is seeded, and its budget a number of
    candidates (`schedule_search`); the best ones are planned, allocated and scheduled, and the
    fastest program decides. It changes no operation.

        func.func private @npu_0(%x: ...) { ... }

    becomes

        func.func private @npu_0(%x: ...) attributes {warboy.decisions = "[[16,8,...],...]"} { ... }

    Attributes:
        seconds: the budget, at `schedule_search.RATE` candidates a second.
        seed: of the random numbers.
    """

    name = "search-plan"
    reads_target = True

    seconds: int = 30
    seed: int = 0

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        require(op, PlanTiles.name)
        with held_remarks():  # of plans that are not taken
            self._search(ctx, op)

    def _search(self, ctx: Context, op: ModuleOp) -> None:
        machine = machine_of(op)
        functions = [f for f in op.ops if isinstance(f, FuncOp) and is_npu(f)]
        workloads = [prepare(function, machine).workload for function in functions]
        space, data = Space(workloads, machine), packed(workloads, machine)
        work = Work(jobs, data=data, agrees=surroundings().agrees)
        own, agreed = (space.cost(), space.start), space.agreed()
        space.set(agreed)
        cost, start = min(own, (space.cost(), agreed))
        space.set(space.start)
        found = search(work, start, cost, seconds=self.seconds, seed=self.seed)
        if start != space.start:
            found.append((cost, tuple(start)))
        first = _cycles(ctx, op, None)
        if first is None:
            return  # `plan-tiles` or `allocate` will say why
        least = first
        best: Sequence[Decisions] | None = None
        for _, state in found[:FINALISTS]:
            decisions = space.decisions(state)
            took = _cycles(ctx, op, decisions)
            if took is not None and took < least:
                least, best = took, decisions
        if best is not None:
            _write(op, best)
        surroundings().on_end(first, least, space.least())


def _write(module: ModuleOp, decisions: Sequence[Decisions]) -> None:
    functions = [f for f in module.ops if isinstance(f, FuncOp) and is_npu(f)]
    for function, decided in zip(functions, decisions, strict=True):
        function.attributes[DECISIONS] = StringAttr(decided.to_json())


def _cycles(ctx: Context, module: ModuleOp, decisions: Sequence[Decisions] | None) -> int | None:
    """Cycles of the program that decisions lead to; None if they fit into no memory."""
    copy = module.clone()
    if decisions is not None:
        _write(copy, decisions)
    try:
        for each in (PlanTiles(), Allocate(), Schedule()):
            each.apply(ctx, copy)
        return cycles(assemble_program(copy, Provenance("", {}, "", (), "", "onnx")))
    except CompilationFailure:
        return None
