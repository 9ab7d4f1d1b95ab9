"""Vectors of memory: tiles, slices, padding, strides, copies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from furiosa_ir.backends.warboy.enf.records import Copy, DramTile, DramView, Store
from tests.backends.warboy.enf.vector_builder import Builder, dense
from tests.backends.warboy.enf.vector_programs.declaration import (
    Made,
    draw,
    vector,
)


@vector(
    "load and store of every order, slices, elements; windows across blocks", order=["HCW", "HWC"]
)
def tiles(order: str) -> Made:
    b = Builder()
    runs: list[np.ndarray] = []
    for number, (dtype, slices, shape) in enumerate(
        [
            ("int8", (1, 1), (1, 3, 5, 4)),
            ("uint8", (3, 2), (2, 4, 33, 3)),
            ("int32", (2, 3), (1, 5, 9, 7)),
            ("int64", (4, 4), (1, 5, 5, 6)),
            ("bool", (2, 1), (1, 2, 3, 4)),
        ]
    ):
        x = draw(shape, "int8" if dtype == "bool" else dtype, number)
        runs.append(x > 0 if dtype == "bool" else x)
        tile = b.input(runs[-1], slices, order)
        b.output(tile, dtype)
        # A window that begins and ends within blocks, in both dimensions that are cut.
        window = replace(
            tile, offset=(0, 1, 1, 1), extent=(1, shape[1] - 1, shape[2] - 2, shape[3] - 2)
        )
        b.output(window, dtype)
    return b, [runs]


@vector("a tile that begins in another slice than the first, and one whose images lie apart")
def slices() -> Made:
    b = Builder()
    x = draw((4, 3, 5, 6))
    first = b.input(x, (3, 2), "HWC", first=17)
    apart = b.input(x[::-1].copy(), (3, 2), "HCW", images=4, first=5)
    some = replace(apart, offset=(1, 0, 2, 1), extent=(2, 3, 3, 4))
    copied = b.vector([first], slices=(2, 3), images=4, first=9, order="HWC")
    for tile in (first, some, copied, b.vector([some], slices=(1, 2), images=2)):
        b.output(tile)
    return b, [[x, x[::-1].copy()]]


@vector("which byte of which slice an element is: buffers of whole lines, read as plain bytes")
def layout() -> Made:
    b = Builder()
    run: list[np.ndarray] = []
    for dtype, shape, slices, order, images, first in (
        ("int8", (2, 4, 32, 6), (2, 3), "HCW", 1, 0),
        ("int8", (2, 4, 3, 64), (2, 2), "HWC", 1, 9),
        ("int32", (1, 2, 8, 4), (2, 2), "HCW", 1, 60),
        ("int64", (1, 4, 2, 12), (2, 3), "HWC", 1, 0),
        ("int8", (3, 2, 32, 2), (2, 1), "HCW", 3, 5),
        ("int8", (2, 4, 1, 64), (1, 2), "HWC", 2, 1),
    ):
        run.append(draw(shape, dtype))
        tile = b.input(run[-1], slices, order, images=images, first=first)
        count = images * slices[0] * slices[1]
        plain = b.tile((1, count, tile.slice_bytes, 1), (count, 1), first=first)
        b.output(replace(plain, address=tile.address))
    size = 5 * 32 + 7
    flat = b.constant(np.arange(size).astype(np.int8))
    whole = b.tile((1, 5, 32, 1), (5, 1))
    b.output(replace(whole, address=flat.address))
    rest = b.tile((1, 1, 7, 1), first=5)
    b.output(replace(rest, address=flat.address))
    return b, [run]


@vector("what a window's store leaves of the buffer around it, and of its padding")
def padding() -> Made:
    b = Builder()
    x, y = draw((1, 4, 5, 3)), draw((1, 2, 3, 2), seed=1)
    whole = b.input(x, (2, 2))
    part = b.input(y)
    b.vector([part], result=replace(whole, offset=(0, 1, 1, 1), extent=(1, 2, 3, 2)))
    b.output(whole)
    # A view of whole lines: what lies between W and the line's end belongs to nobody.
    b.output(replace(whole, offset=(0, 3, 0, 0), extent=(1, 1, 5, 3)))
    return b, [[x, y]]


@vector("strides of DRAM: repeated, reversed, transposed elements; places of all element sizes")
def strides() -> Made:
    b = Builder()
    x, wide = draw((1, 4, 5, 6)), draw((1, 2, 3, 4), "int64")
    tensor = b.tensor("x", "int8", x.shape)
    other = b.tensor("wide", "int64", wide.shape)
    b.inputs += [tensor, other]
    at, there = b.bind(tensor).address, b.bind(other).address
    turned = DramTile("workspace", at, (1, 6, 5, 4), (0, 1, 6, 30), 1)
    back = DramTile("workspace", at + 119, (1, 4, 5, 6), (0, -30, -6, -1), 1)
    again = DramTile("workspace", at + 7, (2, 3, 4, 5), (0, 30, 0, 1), 1)
    words = DramTile("workspace", there + 8 * 23, (1, 4, 3, 2), (0, -8, -32, -96), 8)
    for source in (turned, back, again, words):
        b.output(b.load(source, b.tile(source.extent, (2, 2), "HWC", source.element)))
    tile = b.load(turned, b.tile(turned.extent))
    made = b.tensor("transposed", "int8", (4, 5, 6, 1))
    b.outputs.append(made)
    address = b.room(120)
    b.here.outputs.append(b.here.inputs[0].__class__(made, address))
    b.add(Store(tile, DramTile("workspace", address, (1, 6, 5, 4), (120, 1, 6, 30), 1), 0))
    return b, [[x, wide]]


@vector("copies in DRAM: one to eight dimensions, strides of all signs, places that overlap")
def copies() -> Made:
    b = Builder()
    x = draw((2, 3, 4, 5))
    tensor = b.tensor("x", "int8", x.shape)
    b.inputs.append(tensor)
    at = b.bind(tensor).address
    views = [
        (1, (120,), (-1,), (1,)),
        (1, (5, 4, 3, 2), (1, 5, 20, 60), dense((5, 4, 3, 2), 1)),
        (4, (3, 10), (40, 4), (40, 4)),
        (8, (5, 3), (8, 40), (24, 8)),
        (
            1,
            (2, 1, 3, 1, 2, 2, 5, 1),
            (60, 9, 20, 9, 10, 5, 1, 0),
            dense((2, 1, 3, 1, 2, 2, 5, 1), 1),
        ),
        (1, (7, 120), (0, 1), (120, 1)),
    ]
    for number, (element, extent, source, target) in enumerate(views):
        size = int(np.prod(extent)) * element
        made = b.tensor(f"y{number}", "int8", (size,))
        b.outputs.append(made)
        address = b.room(size)
        b.here.outputs.append(b.here.inputs[0].__class__(made, address))
        first = at + max(0, -source[0] * (extent[0] - 1))
        view = DramView("workspace", first, extent, source, element)
        b.add(Copy(view, DramView("workspace", address, extent, target, element), 0))
    # From its own place, one byte on: as if all were read before anything is written.
    moved = b.room(121)
    whole = DramView("workspace", at, (120,), (1,), 1)
    b.add(Copy(whole, replace(whole, address=moved), 0))
    b.add(Copy(replace(whole, address=moved), replace(whole, address=moved + 1), 0))
    made = b.tensor("moved", "int8", (121,))
    b.outputs.append(made)
    b.here.outputs.append(b.here.inputs[0].__class__(made, moved))
    return b, [[x]]
