"""Small `ftensor` functions: build, compile, run on the simulator, compare with `evaluate`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from xdsl.builder import Builder
from xdsl.dialects.builtin import FunctionType, StringAttr, TensorType, i8
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Region, SSAValue
from xdsl.rewriter import InsertPoint

from furiosa_ir.backends.warboy.commands.segment import generate
from furiosa_ir.backends.warboy.enf.records import NpuSegment
from furiosa_ir.backends.warboy.machine import Machine, load_machine
from furiosa_ir.backends.warboy.passes.allocate import allocate_segments
from furiosa_ir.backends.warboy.passes.assign_views import assign_views
from furiosa_ir.backends.warboy.passes.copy_parts import copy_parts
from furiosa_ir.backends.warboy.passes.fuse_kernels import fuse_kernels
from furiosa_ir.backends.warboy.passes.plan_tiles import plan_segments
from furiosa_ir.backends.warboy.passes.schedule import schedule
from furiosa_ir.backends.warboy.simulator.simulator import Simulator
from furiosa_ir.dialects.ftensor import TensorOp
from furiosa_ir.ir.shaped_operation import shape_of
from furiosa_ir.lowering.registry import Emitter
from furiosa_ir.program import Layer, Program, Tensor

Array = np.ndarray[Any, np.dtype[Any]]
Build = Callable[[Emitter, list[SSAValue]], SSAValue | Sequence[SSAValue]]

Rewrite = Callable[[FuncOp], None]

WARBOY = load_machine("warboy")


def small_machine(slice_bytes: int = 2048, slices: int = 4) -> Machine:
    """A machine so small that little tensors have to be tiled and spilled."""
    return replace(
        WARBOY,
        num_slices=slices,
        size_actual_sram_slice=slice_bytes,
        size_sram_slice_address_space=max(slice_bytes, 4096),
    )


def build_function(shapes: Sequence[Sequence[int]], build: Build) -> FuncOp:
    """A segment with i8 arguments of these shapes and the body that `build` emits."""
    block = Block(arg_types=[TensorType(i8, list(s)) for s in shapes])
    emit = Emitter(Builder(InsertPoint.at_end(block)), {})
    results = build(emit, list(block.args))
    results = [results] if isinstance(results, SSAValue) else list(results)
    block.add_op(ReturnOp(*results))
    function = FuncOp(
        "npu_0",
        FunctionType.from_lists([a.type for a in block.args], [r.type for r in results]),
        Region(block),
        visibility="private",
    )
    function.attributes["graph.placement"] = StringAttr("npu")
    return function


def evaluate(function: FuncOp, inputs: Sequence[Array]) -> list[Array]:
    """The function's results, operation by operation."""
    values: dict[SSAValue, Array] = dict(zip(function.body.block.args, inputs, strict=True))
    for op in function.body.block.ops:
        if isinstance(op, ReturnOp):
            return [values[v] for v in op.arguments]
        assert isinstance(op, TensorOp)
        results = op.evaluate(*[values[v] for v in op.operands])
        values.update(zip(op.results, results, strict=True))
    raise AssertionError("no return")


def compile_segment(
    function: FuncOp,
    machine: Machine,
    rewrite: Rewrite | None = None,
    rewrite_views: Rewrite | None = None,
) -> tuple[NpuSegment, Sequence[Layer]]:
    """Everything from `ftensor` to the segment; the function is transformed in place.

    Args:
        function: the segment.
        machine: the target.
        rewrite: what is done to it once its kernels are fused.
        rewrite_views: what is done to it once its tensors have views.
    """
    fuse_kernels(function)
    if rewrite is not None:
        rewrite(function)
    assign_views(function)
    copy_parts(function, machine)
    if rewrite_views is not None:
        rewrite_views(function)
    plan_segments([function], machine)
    allocate_segments([function], machine)
    schedule(function, machine)
    return generate(function)


def make_program(
    segment: NpuSegment, layers: Any, shapes: Any, outputs: Any, machine: Machine
) -> Program:
    """A program of one segment."""
    tensors = [Tensor(f"t{i}", "int8", tuple(s)) for i, s in enumerate([*shapes, *outputs])]
    bound = tuple(replace(b, tensor=b.tensor + len(shapes)) for b in segment.outputs)
    return Program(
        target="warboy",
        machine=machine.parameters(),
        tensors=tuple(tensors),
        inputs=tuple(range(len(shapes))),
        outputs=tuple(range(len(shapes), len(tensors))),
        segments=(replace(segment, outputs=bound),),
        layers=tuple(layers),
    )


def check(
    shapes: Sequence[Sequence[int]],
    build: Build,
    machine: Machine = WARBOY,
    *,
    seed: int = 0,
    rewrite: Rewrite | None = None,
    rewrite_views: Rewrite | None = None,
) -> Program:
    """Compiles the function and compares the simulator with `evaluate` on random inputs."""
    function = build_function(shapes, build)
    rng = np.random.default_rng(seed)
    inputs = [rng.integers(-128, 128, s, dtype=np.int8) for s in shapes]
    expected = evaluate(function, inputs)
    returned = function.body.block.last_op
    assert returned is not None
    outputs = [shape_of(v) for v in returned.operands]
    segment, layers = compile_segment(function, machine, rewrite, rewrite_views)
    function.verify()
    program = make_program(segment, layers, shapes, outputs, machine)
    simulator = Simulator(program)
    results = simulator.run_segment(0, dict(enumerate(inputs)))
    for index, array in enumerate(expected):
        np.testing.assert_array_equal(results[len(shapes) + index], array)
    return program
