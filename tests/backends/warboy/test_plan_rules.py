"""A plan that contradicts itself or its kernels is refused, whoever has edited it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from furiosa_ir.backends.warboy.commands.segment import generate
from furiosa_ir.backends.warboy.dialect.attributes import AddressesAttr, MemoryAttr, PlanAttr
from furiosa_ir.backends.warboy.dialect.kernels import KernelOp
from furiosa_ir.backends.warboy.dialect.plan import LiveRange, MemoryPlan, OperandBinding, Runs
from furiosa_ir.backends.warboy.machine import load_machine
from furiosa_ir.backends.warboy.passes.allocate import allocate_segments
from furiosa_ir.backends.warboy.passes.assign_views import assign_views
from furiosa_ir.backends.warboy.passes.fuse_kernels import fuse_kernels
from furiosa_ir.backends.warboy.passes.plan_tiles import plan_segments
from furiosa_ir.backends.warboy.passes.schedule import schedule
from furiosa_ir.compiler import compile_source
from furiosa_ir.errors import FuriosaError
from furiosa_ir.ir.segments import is_npu
from furiosa_ir.ir.verifier import verify_module
from tests.conftest import DIGITS
from tests.draws import draws

MACHINE = load_machine("warboy")


@cache
def planned() -> ModuleOp:
    """The bundled network, allocated."""
    module = compile_source(DIGITS / "digits_int8.tflite", target_ir="ftensor").module
    assert module is not None
    function = segment(module)
    fuse_kernels(function)
    assign_views(function)
    plan_segments([function], MACHINE)
    allocate_segments([function], MACHINE)
    return module


def segment(module: ModuleOp) -> FuncOp:
    return next(f for f in module.ops if isinstance(f, FuncOp) and is_npu(f))


def carry_on(module: ModuleOp) -> None:
    """What happens to IR that was read from text."""
    verify_module(module)
    function = segment(module)
    allocate_segments([function], MACHINE)
    schedule(function, MACHINE)
    generate(function)


def memory(**changes: Any) -> Callable[[FuncOp], None]:
    def change(function: FuncOp) -> None:
        plan = function.attributes["warboy.memory"].data
        made = {name: to(getattr(plan, name)) for name, to in changes.items()}
        function.attributes["warboy.memory"] = MemoryAttr(replace(plan, **made))

    return change


def first(**changes: Any) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    return lambda items: (replace(items[0], **changes), *items[1:])


def alias_of_nothing(buffers: tuple[Any, ...]) -> tuple[Any, ...]:
    at = next(i for i, b in enumerate(buffers) if b.allocation is None or i)
    allocation = replace(buffers[0].allocation, kind="alias", index=at)
    made = replace(buffers[at], allocation=None)
    return (replace(buffers[0], allocation=allocation), *buffers[1:at], made, *buffers[at + 1 :])


def in_runs(kind: str, *runs: tuple[int, int]) -> Callable[..., tuple[Any, ...]]:
    """The first buffer is the second one's alias, in runs of (dimension, extent)."""

    def change(buffers: tuple[Any, ...]) -> tuple[Any, ...]:
        known = next(b.allocation for b in buffers if b.allocation is not None)
        root = replace(known, kind="own", index=0, offset=0)
        made = replace(
            root, kind=kind, index=int(kind == "alias"), runs=tuple(Runs(*r, 64) for r in runs)
        )
        first, second, *others = buffers
        return replace(first, allocation=made), replace(second, allocation=root), *others

    return change


def kernel_plan(**changes: Any) -> Callable[[FuncOp], None]:
    def change(function: FuncOp) -> None:
        kernel = next(op for op in function.walk() if isinstance(op, KernelOp))
        kernel.plan = PlanAttr(replace(kernel.plan.data, **changes))

    return change


CASES = [
    (memory(live_ranges=lambda _: ()), "buffer . is not live at kernel 0"),
    (memory(live_ranges=first(last=99)), "a live range goes from kernel 0 to 99 of"),
    (memory(live_ranges=first(buffer=99)), "there is no buffer 99"),
    (memory(buffers=first(slices=(0, 1))), r"buffer 0 of shape .* over 1 x \(0, 1\) slices"),
    (memory(buffers=first(order="WHC")), "slices in order 'WHC'"),
    (memory(buffers=first(element=3)), "buffer 0 has elements of 3 bytes"),
    (memory(buffers=alias_of_nothing), "buffer 0 is an alias of buffer 1, no place"),
    (memory(buffers=in_runs("alias", (3, 0))), "buffer 0 .* in runs of 0 along dimension 3"),
    (memory(buffers=in_runs("alias", (3, -1))), "buffer 0 .* in runs of -1 along dimension 3"),
    (memory(buffers=in_runs("alias", (4, 1))), "buffer 0 .* in runs of 1 along dimension 4"),
    (memory(buffers=in_runs("own", (3, 1))), "buffer 0 cannot lie in own 0 in runs of 1 along"),
    (memory(buffers=in_runs("alias", (3, 1), (3, 2))), "in runs of 1 along dimension 3, 2 along"),
    (kernel_plan(prefetch=3), "warboy.dot: kernel 0 cannot prefetch 3 kernels ahead"),
    (kernel_plan(in_place=0), "buffer . cannot take the place of buffer . at kernel 0"),
    (kernel_plan(in_place=1), "kernel 0 has no tile as operand 1"),
    (kernel_plan(in_place=-1), "kernel 0 has no tile as operand -1"),
    (kernel_plan(whole=(9,)), r"warboy.dot: \[9\] are no dimensions"),
]


@pytest.mark.parametrize(("change", "sentence"), CASES)
def test_contradictions(change: Callable[[FuncOp], None], sentence: str) -> None:
    module = planned().clone()
    change(segment(module))
    with pytest.raises(FuriosaError, match=sentence):
        carry_on(module)


def test_addresses_beyond_a_slice() -> None:
    module = planned().clone()
    function = segment(module)
    known = function.attributes["warboy.addresses"].data
    far = tuple(1 << 30 for _ in known.live_ranges)
    function.attributes["warboy.addresses"] = AddressesAttr(replace(known, live_ranges=far))
    with pytest.raises(FuriosaError, match="the address 1073741824 is in no slice of"):
        schedule(function, MACHINE)


def integers(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to all integers in structured data."""
    if is_dataclass(value):
        items = [(f.name, getattr(value, f.name)) for f in fields(value)]
    elif isinstance(value, tuple):
        items = list(enumerate(value))
    else:
        return [path] if type(value) is int else []
    return [found for key, item in items for found in integers(item, (*path, key))]


def with_integer(value: Any, path: tuple[Any, ...], number: int) -> Any:
    if not path:
        return number
    key, rest = path[0], path[1:]
    if isinstance(value, tuple):
        return (*value[:key], with_integer(value[key], rest, number), *value[key + 1 :])
    return replace(value, **{key: with_integer(getattr(value, key), rest, number)})


@settings(max_examples=draws(40))
@given(data=st.data())
def test_any_number_may_be_another(data: st.DataObject) -> None:
    """It is refused, or it is a program: nothing else happens."""
    module = planned().clone()
    function = segment(module)
    kernels = [op for op in function.walk() if isinstance(op, KernelOp)]
    chosen = data.draw(st.integers(-1, len(kernels) - 1))
    known = function.attributes["warboy.memory"].data if chosen < 0 else kernels[chosen].plan.data
    path = data.draw(st.sampled_from(integers(known)))
    number = data.draw(st.sampled_from([0, 1, -1, 2, 3, 7, 32, 1 << 20, -(1 << 40)]))
    edited = with_integer(known, path, number)
    if chosen < 0:
        function.attributes["warboy.memory"] = MemoryAttr(edited)
    else:
        kernels[chosen].plan = PlanAttr(edited)
    with suppress(FuriosaError):
        carry_on(module)


def test_the_plan_holds_as_it_is() -> None:
    plan = segment(planned()).attributes["warboy.memory"].data
    assert isinstance(plan, MemoryPlan)
    assert all(isinstance(each, LiveRange) for each in plan.live_ranges)
    first_kernel = next(op for op in segment(planned()).walk() if isinstance(op, KernelOp))
    assert isinstance(first_kernel.kernel_plan.result, OperandBinding)
    carry_on(planned().clone())
