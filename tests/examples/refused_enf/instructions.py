"""Files with an instruction that breaks a rule: I."""

from __future__ import annotations

import numpy as np

from furiosa_ir.backends.warboy.enf.records import (
    Dot,
)
from tests.backends.warboy.enf.vector_builder import op
from tests.examples.refused_enf.whole import (
    LIMITS,
    Files,
    breaks,
    changed,
    instruction,
    vector_of,
)


@breaks("I1")
def _() -> Files:
    yield instruction(op("add", 0))
    yield instruction(op("clamp", 0, 0, immediates=(1, 2)))
    yield instruction(op("add", 0, 1))
    yield instruction(op("add", 0, 0, immediates=(1,)))
    yield instruction(op("clamp", 0, immediates=(1,)))
    yield instruction(op("add", 0, 0, mode="even"))
    yield instruction(op("reduce", 0, immediates=(0, 1), mode="even"), shape=(1, 1, 3, 4))
    yield instruction(op("reduce", 0, immediates=(0, 1)), shape=(1, 1, 3, 4))
    yield changed(Dot, program=(op("add", 0, 0, to=2), op("add", 0, 0)))


TABLE = (np.zeros(256), "int8")


@breaks("I2")
def _() -> Files:
    yield instruction(op("lookup", 0, 1), parameters=[(3, "int8")])
    yield instruction(op("lookup", 0, 1, to=4), parameters=[TABLE], element=4)
    yield instruction(op("add", 0, 1), parameters=[TABLE])
    yield instruction(op("lookup", 1, 1), parameters=[TABLE])


@breaks("I3")
def _() -> Files:
    yield instruction(op("add", 0, 1), parameters=[([1, 2, 3],)])
    shapes = [((1, 1, 3, 4), "int8"), ((1, 2, 3, 4), "int8")]
    rescale = op("rescale", 0, 1, 1, immediates=LIMITS, mode="up")
    yield vector_of(shapes, [rescale], shape=(1, 2, 3, 4))


@breaks("I4")
def _() -> Files:
    def limited(*limits: int, name: str = "rescale", to: int = 1) -> bytes:
        parameters = [(1,), (1, "int8")][: 2 if name == "rescale" else 1]
        operands = range(1 + len(parameters))
        mode = "up" if name == "rescale" else ""
        made = op(name, *operands, immediates=limits, mode=mode, to=to)
        return instruction(made, parameters=parameters, element=to)

    for limits in (
        (0, 0, 5, 4),
        (0, 0, -129, 127),
        (0, 0, -128, 128),
        (1 << 31, 0, -128, 127),
        (0, -(1 << 31) - 1, -128, 127),
    ):
        yield limited(*limits)
        yield limited(*limits[1:], name="divide") if limits[0] == 0 else limited(*limits)
    yield limited(0, 1, -(1 << 63), 0, to=8)
    yield limited(0, -1, 0, (1 << 63) - 1, to=8)


@breaks("I5")
def _() -> Files:
    for limits in ((5, 4), (128, 300), (-300, -129)):
        yield instruction(op("clamp", 0, immediates=limits))
    yield instruction(op("clamp", 0, immediates=(0, 1), to=4), element=4)


@breaks("I6")
def _() -> Files:
    yield instruction(op("lookup", 0, 1), parameters=[TABLE], dtype="int32", element=1)


@breaks("I7")
def _() -> Files:
    for axes in ((), (4,), (-1,), (1, 1)):
        reduced = op("reduce", 0, immediates=(0, *axes), mode="sum")
        yield instruction(reduced, shape=(1, 1, 3, 4))
    yield instruction(op("reduce", 0, mode="sum"))


@breaks("I8")
def _() -> Files:
    for numbers in ((), (2,), (4, 0), (-1, 0), (2, 3), (2, -1)):
        yield instruction(op("gather", 0, immediates=numbers), shape=(1, 2, 1, 4))
    yield instruction(op("gather", 0, immediates=(2, 0), to=4), shape=(1, 2, 1, 4), element=4)


@breaks("I9")
def _() -> Files:
    good = (2, 1, 0, 0, 1, 1)
    for numbers in (
        (),
        (2,),
        (2, 0),
        (2, -1),
        (4, *good[1:]),
        good[:-1],
        (*good, 1),
        (2, 1, 3, 0, 1, 1),
        (2, 1, 0, -1, 1, 1),
    ):
        yield instruction(op("interpolate", 0, immediates=numbers), shape=(1, 2, 1, 4))
