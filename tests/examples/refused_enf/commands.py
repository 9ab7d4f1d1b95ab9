"""Files with a command that breaks a rule: C."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from furiosa_ir.backends.warboy.enf.records import (
    Copy,
    Dot,
    Load,
    Pool,
    Store,
    Vector,
)
from furiosa_ir.backends.warboy.enf.writer import write_program
from tests.examples.refused_enf.whole import (
    Files,
    breaks,
    changed,
    first,
    load_tile,
    moved,
    with_command,
    with_segment,
)


@breaks("C1")
def _() -> Files:
    yield write_program(with_segment(setup=2))


@breaks("C2")
def _() -> Files:
    number, command = load_tile()
    for element in (0, 2, 3, 16):
        yield moved(element=element)
        source = replace(command.source, element=element)
        yield with_command(number, replace(command, source=source))
    number, copy = first(Copy)
    yield with_command(number, replace(copy, source=replace(copy.source, element=2)))
    parameter = first(Dot)[1].parameters[0]
    parameters = (replace(parameter, element=2), *first(Dot)[1].parameters[1:])
    yield changed(Dot, parameters=parameters)


@breaks("C3")
def _() -> Files:
    yield moved(slices=(0, 2))
    yield moved(slices=(2, 0))
    yield moved(slices=(64, 3))
    yield moved(first=125)
    yield moved(images=2)
    yield moved(images=0)


@breaks("C4")
def _() -> Files:
    yield moved(offset=(0, 1, 0, 0))
    yield moved(offset=(-1, 0, 0, 0))
    yield moved(extent=(1, 0, 4, 8))
    yield moved(extent=(1, 4, -4, 8))
    yield moved(shape=(1, 4, 4, 7))


@breaks("C5")
def _() -> Files:
    yield moved(address=load_tile()[1].target.address + 1)
    yield moved(address=256 << 10)
    yield moved(address=(256 << 10) - 32)
    number, command = first(Load)
    flat = replace(command.target, address=(256 << 10))
    yield with_command(number, replace(command, target=flat))


@breaks("C6")
def _() -> Files:
    memory = first(Dot)[1].parameters[0].memory
    for fields in ({"slice_bytes": 0}, {"slice_bytes": 33}, {"size": 1 << 20}, {"size": 0}):
        yield with_parameter(memory=replace(memory, **fields))


@breaks("C7")
def _() -> Files:
    number, command = load_tile()
    for fields in (
        {"address": 1 << 40},
        {"strides": (128, 32, 8, -1)},
        {"strides": (128, 1 << 40, 8, 1)},
        {"extent": (1, 4, 4, 0)},
        {"region": "constant", "address": 1 << 12},
    ):
        source = replace(command.source, **fields)
        yield with_command(number, replace(command, source=source))
    flat_number, flat = first(Load)
    source = replace(flat.source, address=1 << 30)
    yield with_command(flat_number, replace(flat, source=source))
    number, copy = first(Copy)
    yield with_command(number, replace(copy, target=replace(copy.target, address=1 << 63)))


@breaks("C8")
def _() -> Files:
    number, copy = first(Copy)
    source = replace(copy.source, extent=(1,))
    target = replace(source, region="constant", address=0)
    yield with_command(number, replace(copy, target=target, source=source))


def with_parameter(**fields: Any) -> bytes:
    one, *others = first(Dot)[1].parameters
    return changed(Dot, parameters=(replace(one, **fields), *others))


@breaks("C9")
def _() -> Files:
    yield with_parameter(shape=(1, 1, 8))
    yield with_parameter(shape=(1, 1, 0, 8))
    yield with_parameter(shape=(1, 1, 1, 7))
    yield with_parameter(shape=(255,))
    yield with_parameter(element=8)


@breaks("C10")
def _() -> Files:
    number, command = load_tile()
    source = replace(command.source, extent=(1, 4, 4, 7))
    yield with_command(number, replace(command, source=source))
    yield moved(extent=(1, 4, 3, 8))
    number, copy = first(Copy)
    yield with_command(number, replace(copy, target=replace(copy.target, extent=(127,))))
    number, flat = first(Load)
    yield with_command(number, replace(flat, source=replace(flat.source, size=63)))
    number, store = first(Store)
    target = replace(store.target, element=8, strides=(0, 8, 8, 8))
    yield with_command(number, replace(store, target=target))


@breaks("C11")
def _() -> Files:
    yield changed(Vector, operands=())


@breaks("C12")
def _() -> Files:
    wide = first(Vector)[1].operands[0]
    for kind in (Dot, Pool):
        yield changed(kind, x=wide)
        for fields in (
            {"x_zp": 128},
            {"x_zp": -129},
            {"strides": (0, 1)},
            {"dilations": (1, -1)},
            {"pads": (4097, 0, 0, 0)},
        ):
            yield changed(kind, **fields)


@breaks("C13")
def _() -> Files:
    yield changed(Pool, window=(0, 3))
    yield changed(Pool, window=(1 << 12, 1 << 11))
    yield changed(Pool, pads=(1, -1, 1, 1))


@breaks("C14")
def _() -> Files:
    yield changed(Dot, weight_zp=128)
    yield changed(Dot, input_dilation=(0, 1))
    yield changed(Dot, input_dilation=(1, 4097))
    yield changed(Dot, pads=(0, -1, 0, 0))


@breaks("C15")
def _() -> Files:
    for fields in (
        {"weight_shape": (8, 1, 0, 8)},
        {"weight_shape": (8, 1, 1, 9)},
        {"weight_shape": (8, 2, 1, 8)},
        {"group": 0},
        {"group": 2},
        {"group": 3, "weight_shape": (8, 1, 1, 3)},
        {"weight": None},
    ):
        yield changed(Dot, **fields)


@breaks("C16")
def _() -> Files:
    dot = first(Dot)[1]
    yield changed(Dot, batched=True)
    yield changed(Dot, batched=True, weight=None)
    yield changed(Dot, batched=True, weight=None, operands=(first(Vector)[1].operands[0],))
    other = replace(dot.x, extent=(1, 3, 4, 8))
    yield changed(Dot, batched=True, weight=None, operands=(other,))
    yield changed(Dot, batched=True, weight=None, operands=(replace(dot.x, extent=(1, 4, 4, 7)),))


@breaks("C17")
def _() -> Files:
    yield changed(Pool, window=(7, 3))
    yield changed(Pool, dilations=(1, 3))
    one_row = replace(first(Dot)[1].x, extent=(1, 1, 4, 8))
    yield changed(Dot, x=one_row, pads=(-1, 0, 0, 0), input_dilation=(2, 1))


@breaks("C18")
def _() -> Files:
    yield changed(Dot, bias=replace(first(Dot)[1].bias, size=28))
    yield changed(Dot, bias=first(Dot)[1].weight)


@breaks("C19")
def _() -> Files:
    result = first(Dot)[1].result
    yield changed(Dot, result=replace(result, extent=(1, 4, 4, 7)))
    yield changed(Dot, program=())
    yield changed(Dot, strides=(2, 1))
    yield changed(Pool, kind="max")
