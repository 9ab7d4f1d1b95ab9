"""What is known of parameters when commands are made ready, and what makes it unknown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from furiosa_ir.backends.warboy.enf.records import DramFlat, Load, SramFlat, Vector
from furiosa_ir.backends.warboy.simulator.memory import Memory
from furiosa_ir.backends.warboy.simulator.native.library import load_kernels
from furiosa_ir.backends.warboy.simulator.native.tiles import Sizes
from furiosa_ir.backends.warboy.simulator.preparation import Preparation
from tests.backends.warboy.simulator.program_builder import ProgramBuilder, rescale, simulate

SHAPE = (1, 2, 3, 4)
KERNELS = ["0", ""]
X = np.arange(-12, 12, dtype=np.int8).reshape(SHAPE)


def halving(b: ProgramBuilder, x, shifts=(1, 2)):
    """A kernel for each shift, whose shift is loaded to one and the same place before it."""
    multiplier = b.parameter(np.full((1, 1, 1, 1), 1, np.int32))
    place = b.parameter(np.full((1, 1, 1, 1), shifts[0], np.int8))
    for number, shift in enumerate(shifts):
        if number:
            address = len(b.constants)
            b.constants += bytes([shift])
            waits = (len(b.commands) - 1,)
            b.commands.append(Load(DramFlat("constant", address, 1), place.memory, 0, waits))
        b.output(
            b.kernel(Vector((x,), (multiplier, place), (rescale(),), b.tile(SHAPE), 0)),
            f"y{number}",
        )


def expected(shift):
    return np.rint(X / 2.0**shift).astype(np.int8)


def test_a_parameter_that_is_overwritten_is_read_anew():
    b = ProgramBuilder(slices=8)
    halving(b, b.input(SHAPE))
    one, two = simulate(b, X)
    np.testing.assert_array_equal(one, expected(1))
    np.testing.assert_array_equal(two, expected(2))


@pytest.mark.parametrize("kernels", KERNELS)
def test_what_a_tile_overwrites_is_not_known_any_more(kernels):
    """The kernel takes what the run brought, not what the program's constants are."""
    b = ProgramBuilder(slices=8)
    x = b.input(SHAPE)
    halving(b, x, (1,))
    kernel = next(c for c in b.commands if isinstance(c, Vector))
    shift = kernel.parameters[1].memory
    brought = b.input((1, 1, 1, 1), "shift")
    at = b.commands.pop()
    b.commands.insert(
        b.commands.index(kernel), replace(at, target=replace(brought, address=shift.address))
    )
    memory, plans = prepared(b, kernels, [len(b.commands)])
    memory.workspace[: X.size] = X.reshape(-1).view(np.uint8)
    memory.workspace[b.inputs[1].address] = 2
    plans[0].run(memory)
    np.testing.assert_array_equal(output(b, memory), expected(2))


@pytest.mark.parametrize("kernels", KERNELS)
def test_what_one_plan_has_loaded_is_known_to_the_next(kernels):
    """Parameters are loaded once, the other commands run as often as there are inputs."""
    b = ProgramBuilder(slices=8)
    x = b.input(SHAPE)
    halving(b, x, (1,))
    parameters = [c for c in b.commands if isinstance(c, Load) and isinstance(c.target, SramFlat)]
    others = [c for c in b.commands if c not in parameters]
    b.commands = [*parameters, *others]
    memory, (once, run) = prepared(b, kernels, [len(parameters), len(others)])
    once.run(memory)
    for data in (X, X[..., ::-1]):
        memory.workspace[: X.size] = data.reshape(-1).view(np.uint8)
        run.run(memory)
        np.testing.assert_array_equal(output(b, memory), np.rint(data / 2).astype(np.int8))
    assert run.steps_in_numpy == (0 if load_kernels(kernels) else len(others))


def prepared(b: ProgramBuilder, kernels, counts):
    """A memory, and a plan of each so many commands."""
    machine, constants = b.machine, np.frombuffer(bytes(b.constants), np.uint8)
    sizes = Sizes(machine.slices, machine.slice_bytes, b.workspace, constants.size)
    preparation = Preparation(sizes, constants, load_kernels(kernels))
    commands, plans = iter(b.commands), []
    for count in counts:
        for _ in range(count):
            preparation.prepare(next(commands), "layer")
        plans.append(preparation.plan())
    memory = Memory(machine.slices, machine.slice_bytes)
    memory.workspace, memory.constants = np.zeros(b.workspace, np.uint8), constants
    return memory, plans


def output(b: ProgramBuilder, memory):
    address = b.outputs[0].address
    return memory.workspace[address : address + X.size].view(np.int8).reshape(SHAPE)
