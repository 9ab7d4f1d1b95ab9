"""What lies outside its memory never reaches the kernels: numpy refuses it, as it always has."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from furiosa_ir.backends.warboy.enf.records import (
    Copy,
    Dot,
    DramTile,
    DramView,
    Load,
    SramFlat,
    SramTile,
    Store,
    Vector,
)
from furiosa_ir.backends.warboy.simulator.native.encoding import Encoder
from furiosa_ir.backends.warboy.simulator.native.library import Packing
from furiosa_ir.backends.warboy.simulator.native.tiles import Sizes
from furiosa_ir.backends.warboy.simulator.native.words import Constants
from furiosa_ir.backends.warboy.vector_engine import Instruction

SIZES = Sizes(slices=8, slice_bytes=1024, workspace=4096, constants=512)
ZEROS = (0, 0, 0, 0)


def words(command, known=None, packing="bytes"):
    return Encoder(SIZES, Constants(), packing).encode(command, known or {})


def tile(address=0, shape=(1, 4, 4, 4), slices=(2, 2), order="HWC", element=1, **window):
    return SramTile(
        address, shape, slices, order, element, window.get("offset", ZEROS),
        window.get("extent", shape),
    )  # fmt: skip


def dram(region="workspace", address=0, extent=(1, 4, 4, 4), strides=(64, 16, 4, 1), element=1):
    return DramTile(region, address, extent, strides, element)


def test_what_is_inside_has_words():
    assert words(Load(dram(), tile(), 0)) is not None
    assert words(Store(tile(), dram(), 0)) is not None


@pytest.mark.parametrize(
    "command",
    [
        Load(dram(address=4096 - 63), tile(), 0),
        Load(dram(address=-1), tile(), 0),
        Load(dram(strides=(64, 16, 4, -1)), tile(), 0),
        Load(dram(strides=(64, 1 << 40, 4, 1)), tile(), 0),
        Load(dram("constant", 512 - 63), tile(), 0),
        Load(dram(), tile(8 * 1024 * 3), 0),
        Load(dram(), tile(slices=(4, 400)), 0),
        Store(tile(), dram("constant"), 0),
        Load(dram(extent=(1, 4, 4, 5)), tile(), 0),
        Load(dram(element=4), tile(), 0),
        Copy(
            DramView("workspace", 0, (8,), (1,), 1), DramView("constant", 0, (8,), (1,), 1), 0
        ),
        Copy(
            DramView("workspace", 0, (8,), (-1,), 1), DramView("workspace", 64, (8,), (1,), 1), 0
        ),
        Copy(
            DramView("workspace", 0, (8,), (1,), 1), DramView("workspace", 4, (8,), (1,), 1), 0
        ),
        Vector((tile(),), (), (Instruction("gather", (0,), (3, 9), "", 1),),
               tile(shape=(1, 4, 4, 1)), 0),
        Vector((tile(),), (), (Instruction("gather", (0,), (7, 0), "", 1),), tile(), 0),
        Vector((tile(),), (), (Instruction("add", (0, 5), element=1),), tile(), 0),
        Vector((tile(),), (), (Instruction("add", (0, 0), element=4),), tile(), 0),
        Vector(
            (tile(),), (), (Instruction("add", (0, 0), element=1),), tile(shape=(1, 4, 4, 8)), 0
        ),
        Vector((tile(),), (), (), tile(shape=(1, 4, 4, 2)), 0),
    ],
)  # fmt: skip
def test_what_is_outside_has_none(command):
    assert words(command) is None


@given(st.tuples(*[st.integers(1, 6)] * 4), st.tuples(*[st.integers(-200, 200)] * 4),
       st.integers(-50, 4200), st.sampled_from([1, 4]))  # fmt: skip
def test_bounds_are_those_of_the_memory(extent, strides, address, element):
    """Exactly what numpy takes for a view of the region has words."""
    extent = tuple(min(e, 4) for e in extent)
    inside = tile(shape=extent, slices=(1, 1), element=element)
    command = Load(dram("workspace", address, extent, strides, element), inside, 0)
    region = np.zeros(SIZES.workspace, np.uint8)
    try:
        if address < 0:
            raise ValueError("numpy counts from the end")  # noqa: TRY301
        np.ndarray(extent, f"<i{element}", region.data, address, strides)
        fits = True
    except (ValueError, TypeError):
        fits = False
    assert (words(command) is not None) == fits


@pytest.mark.parametrize("packing", get_args(Packing))
def test_channels_that_do_not_fit_have_none(packing):
    flat, bias = SramFlat(512, 16, 32), SramFlat(544, 32, 32)
    known = {flat: np.zeros(16, np.uint8), bias: np.zeros(32, np.uint8)}
    good = Dot(
        x=tile(), weight=flat, weight_shape=(4, 1, 1, 4), bias=None, strides=(1, 1),
        dilations=(1, 1), input_dilation=(1, 1), pads=ZEROS, group=1, x_zp=0, weight_zp=0,
        batched=False, operands=(), parameters=(), program=(),
        result=tile(element=4), layer=0,
    )  # fmt: skip
    assert words(good, known, packing) is not None
    for bad in (
        replace(good, weight_shape=(2, 1, 1, 8)),
        replace(good, weight_shape=(4, 1, 1, 5)),
        replace(good, group=2),
        replace(good, result=tile()),
        replace(good, strides=(1 << 62, 1 << 62), x=tile(shape=(1, 1, 1, 4))),
        replace(good, bias=bias),
    ):
        assert words(bad, known, packing) is None
