"""The digits network as the planner of tiles sees it."""

from __future__ import annotations

from functools import cache

from xdsl.dialects.func import FuncOp

from furiosa_ir.backends.warboy.machine import load_machine
from furiosa_ir.backends.warboy.passes.plan_tiles import prepare
from furiosa_ir.backends.warboy.planning.workload import Workload
from furiosa_ir.backends.warboy.target import machine_of
from furiosa_ir.driver import compile_source
from furiosa_ir.ir.segments import is_npu
from tests.conftest import DIGITS

MACHINE = load_machine("warboy-2pe")
UNPLANNED = "graph,ftensor,fuse-kernels,assign-views"


@cache
def workloads() -> list[Workload]:
    """Of each segment."""
    module = compile_source(
        DIGITS / "digits_int8.tflite", target="warboy-2pe", target_ir="warboy", passes=UNPLANNED
    ).module
    functions = [f for f in module.ops if isinstance(f, FuncOp) and is_npu(f)]
    return [prepare(function, machine_of(module)).workload for function in functions]
