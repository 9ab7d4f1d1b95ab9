"""Every stage prints as text that parses back to the same IR and compiles to the same segment."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from furiosa_ir.backends.warboy.commands.segment import generate
from furiosa_ir.backends.warboy.enf.records import NpuSegment
from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.passes.allocate import allocate_segments
from furiosa_ir.backends.warboy.passes.assign_views import assign_views
from furiosa_ir.backends.warboy.passes.fuse_kernels import fuse_kernels
from furiosa_ir.backends.warboy.passes.plan_tiles import plan_segments
from furiosa_ir.backends.warboy.passes.schedule import schedule
from furiosa_ir.ir.constants import ConstantTable
from furiosa_ir.ir.location import name_loc
from furiosa_ir.ir.text import large_constants, parse_module, print_module
from furiosa_ir.ir.verifier import verify_module
from tests.backends.warboy.networks import Pieces
from tests.backends.warboy.segments import Build, build_function, small_machine
from tests.backends.warboy.test_random_networks import random_network
from tests.draws import draws

MACHINE = small_machine(3072, 4)


def residual(e, a):
    p = Pieces(e)
    e.location = name_loc('stem "quoted" \\ née')
    x = p.conv(a[0], 8)
    e.location = name_loc("block")
    y = p.add(p.conv(p.conv(x, 8), 8), x)
    return p.matmul(p.reshape(p.mean(y, (2, 3)), 1, 8), 5, bias=True)


def movement(e, a):
    p = Pieces(e)
    x = p.pad(p.pool(a[0], "sum"), (0, 0, 1, 1, 0, 0, 1, 1), 7)
    y = p.concat(1, p.conv(x, 4), p.slice(x, [0, 1, 0, 0], [1, 3, 6, 6]))
    return [p.reshape(p.transpose(y, 0, 2, 3, 1), 1, 216), p.softmax(p.reshape(y, 6, 36), 1)]


def passes(machine: Machine) -> list[Callable[[FuncOp], None]]:
    return [
        fuse_kernels,
        assign_views,
        lambda f: plan_segments([f], machine),
        lambda f: allocate_segments([f], machine),
        lambda f: schedule(f, machine),
    ]


def reread(function: FuncOp) -> FuncOp:
    """The function printed and parsed; checks that it is the same."""
    module = function.parent_op()
    assert isinstance(module, ModuleOp)
    verify_module(module)
    table = ConstantTable()
    for constant in large_constants(module):
        table.add(constant)
    text = print_module(module)
    again = parse_module(text, table)
    verify_module(again)
    assert again.is_structurally_equivalent(module)
    assert print_module(again) == text
    (parsed,) = again.ops
    assert isinstance(parsed, FuncOp)
    return parsed


@pytest.mark.parametrize(
    ("shape", "build"),
    [((1, 3, 8, 8), residual), ((1, 4, 8, 8), movement)],
    ids=["residual", "movement"],
)
def test_text_of_every_stage(shape: tuple[int, ...], build: Build) -> None:
    go_through_text(shape, build)


@settings(max_examples=draws(4))
@given(seed=st.integers(0, 1 << 30), layout=st.sampled_from(["NCHW", "NHWC"]))
def test_text_of_every_stage_of_random_networks(seed: int, layout: str) -> None:
    """Padding, windows and copies among them: what a stage knows has to be in its text."""
    shape = tuple({"N": 1, "C": 3, "H": 9, "W": 7}[d] for d in layout)
    go_through_text(shape, random_network(seed, 6, layout), small_machine(16384, 4))


def go_through_text(shape: tuple[int, ...], build: Build, machine: Machine = MACHINE) -> None:
    segments: list[NpuSegment] = []
    for through_text in (False, True):
        function = build_function([shape], build)
        ModuleOp([function])
        for apply in passes(machine):
            apply(function)
            if through_text:
                function = reread(function)
        segment, layers = generate(function)
        assert layers
        segments.append(segment)
    direct, read = segments
    assert direct.commands == read.commands
    assert bytes(direct.constants) == bytes(read.constants)
    assert (direct.inputs, direct.outputs) == (read.inputs, read.outputs)


def test_planned_and_allocated_kernels_still_evaluate() -> None:
    """A kernel is its body: the interpreter can run the planned stage."""
    import numpy as np

    from tests.backends.warboy.segments import evaluate

    function = build_function([(1, 3, 8, 8)], residual)
    ModuleOp([function])
    inputs = [np.random.default_rng(0).integers(-128, 128, (1, 3, 8, 8), dtype=np.int8)]
    expected = evaluate(function, inputs)
    fuse_kernels(function)
    np.testing.assert_array_equal(run_kernels(function, inputs), expected[0])
    assign_views(function)
    plan_segments([function], MACHINE)
    np.testing.assert_array_equal(run_kernels(function, inputs), expected[0])


def run_kernels(function, inputs):
    values = dict(zip(function.body.block.args, inputs, strict=True))
    for op in function.body.block.ops:
        if op.name == "func.return":
            return values[op.operands[0]]
        results = op.evaluate(*[values[v] for v in op.operands])
        values.update(zip(op.results, results, strict=True))
    raise AssertionError("no return")
