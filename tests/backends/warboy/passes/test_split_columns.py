"""Groups of kernels band by band: the same bytes as one kernel after the other."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue

from furiosa_ir.backends.warboy.checker import check_program
from furiosa_ir.backends.warboy.dialect.segment import kernels_of
from furiosa_ir.backends.warboy.enf.records import DramTile, Load, NpuSegment, Store
from furiosa_ir.backends.warboy.passes.assign_views import assign_views
from furiosa_ir.backends.warboy.passes.fuse_kernels import fuse_kernels
from furiosa_ir.backends.warboy.passes.split_columns import (
    best_groups,
    may_spill,
    split_groups,
    split_segment,
)
from furiosa_ir.backends.warboy.planning.assigned_views import read_views
from furiosa_ir.backends.warboy.planning.band_rewrite import group_of, split_columns
from furiosa_ir.backends.warboy.planning.bands import NoBands
from furiosa_ir.backends.warboy.planning.batch_rewrite import split_batch
from furiosa_ir.backends.warboy.planning.images import image_work
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.ir.shaped_operation import shape_of
from furiosa_ir.lowering.registry import Emitter
from furiosa_ir.program import Program
from tests.backends.warboy.networks import Pieces
from tests.backends.warboy.segments import Build, build_function, check, small_machine
from tests.backends.warboy.test_random_networks import random_network
from tests.draws import draws

Draw = Callable[[int, int], int]


def columns_network(seed: int, length: int, layout: str, most: int = 8000) -> Build:
    """Random operations of `most` elements or fewer that leave columns what they are, but few."""

    def build(emit: Emitter, args: list[SSAValue]) -> list[SSAValue]:
        rng = np.random.default_rng(seed)
        p = Pieces(emit, seed)
        w, c = layout.index("W"), layout.index("C")
        values = list(args)
        for _ in range(length):
            x = values[-1] if rng.random() < 0.7 else values[int(rng.integers(len(values)))]
            shape = shape_of(x)
            same = [v for v in values if shape_of(v) == shape]
            match int(rng.integers(7)):
                case 0 | 1 | 2:
                    k, stride = int(rng.integers(1, 5)), int(rng.integers(1, 3))
                    pads = [int(v) for v in rng.integers(0, k, 4)]
                    dilation = int(rng.integers(1, 3)) if k > 1 else 1
                    if min(shape[w], shape[layout.index("H")]) <= dilation * (k - 1) + stride:
                        continue
                    group = shape[c] if rng.random() < 0.3 else 1
                    y = p.conv(
                        x,
                        group if group > 1 else int(rng.integers(1, 9)),
                        (k, k),
                        layout=layout,
                        strides=(stride, stride),
                        pads=pads,
                        dilations=(dilation, dilation),
                        group=group,
                    )
                case 3:
                    y = p.pool(x, "max" if rng.random() < 0.5 else "sum", layout=layout)
                case 4:
                    y = p.add(x, same[int(rng.integers(len(same)))])
                case 5:
                    y = p.concat(c, x, same[int(rng.integers(len(same)))])
                case _:
                    y = p.lookup(x)
            if shape_of(y)[w] > 1 and np.prod(shape_of(y)) <= most:
                values.append(y)
        chosen = [v for v in values[len(args) :] if not v.uses]
        return chosen or [p.lookup(values[0])]

    return build


def split_some(function: FuncOp, draw: Draw, count: int) -> int:
    """Splits a group that is drawn: how many kernels it has, 0 if it cannot work band by band."""
    kernels = kernels_of(function)
    first = draw(0, len(kernels) - 1)
    last = draw(first, len(kernels) - 1)
    try:
        group = group_of(function, kernels[first : last + 1])
        split_columns(group, read_views(function), count)
    except NoBands:
        assert kernels_of(function) == kernels
        return 0
    return last + 1 - first


@settings(max_examples=draws(100), deadline=None)
@given(
    seed=st.integers(0, 1 << 30),
    length=st.integers(2, 10),
    layout=st.sampled_from(["NCHW", "NHWC"]),
    slices=st.sampled_from([2, 4, 64]),
    slice_bytes=st.sampled_from([2048, 4096, 16384]),
    width=st.sampled_from([7, 20, 70]),
    count=st.sampled_from([2, 3, 5]),
    network=st.sampled_from([columns_network, columns_network, random_network]),
    data=st.data(),
)
def test_bands_make_the_same_bytes(
    seed: int,
    length: int,
    layout: str,
    slices: int,
    slice_bytes: int,
    width: int,
    count: int,
    network: Callable[[int, int, str], Build],
    data: st.DataObject,
) -> None:
    at = {"N": 1, "C": 3, "H": 6, "W": width}

    def draw(low: int, high: int) -> int:
        return data.draw(st.integers(low, high))

    try:
        program = check(
            [[at[d] for d in layout]],
            network(seed, length, layout),
            small_machine(slice_bytes, slices),
            rewrite_views=lambda function: void(split_some(function, draw, count)),
        )
    except CompilationFailure as failure:
        if slices * slice_bytes > 16384 or "does not fit" not in str(failure):
            raise
    else:
        check_program(program)


def void(_: object) -> None:
    """Nothing, of anything."""


def test_most_groups_can_work_band_by_band() -> None:
    rng = np.random.default_rng(0)
    found: list[int] = []
    for seed in range(40):
        function = build_function([[1, 3, 6, 70]], columns_network(seed, 8, "NCHW"))
        fuse_kernels(function)
        assign_views(function)
        found.append(split_some(function, lambda a, b: int(rng.integers(a, b + 1)), 3))
    assert sum(n > 0 for n in found) >= 25
    assert sum(n > 2 for n in found) >= 8


def stem(e: Emitter, a: list[SSAValue]) -> SSAValue:
    """A wide convolution whose result a pool makes small again, and two blocks of a ResNet."""
    p = Pieces(e)
    x = p.pool(p.conv(a[0], 16, (7, 7), pads=(3, 3, 3, 3)), "max", strides=(2, 2))
    for _ in range(2):
        x = p.add(p.conv(p.conv(x, 16), 16), x)
    return p.conv(x, 4, strides=(2, 2))


IMAGE = [1, 3, 64, 256]


def test_bands_keep_in_sram_what_would_not_fit() -> None:
    machine = small_machine(12 * 1024, 16)
    chosen: list[int] = []

    def split(function: FuncOp) -> None:
        assert may_spill(function, machine)
        groups = best_groups(function, machine)
        chosen.extend(group.count for group in groups)
        split_groups(function, kernels_of(function), groups)

    before = check([IMAGE], stem, machine)
    after = check([IMAGE], stem, machine, rewrite_views=split)
    assert chosen
    assert traffic(after) < traffic(before)
    check_program(after)
    # Bands of a kernel are one layer, which multiplies as often as it did.
    assert len(after.layers) == len(before.layers)
    assert [row.macs for row in after.layers] == [row.macs for row in before.layers]


def traffic(program: Program) -> int:
    """Bytes of activations that a run loads and stores."""
    (segment,) = program.segments
    assert isinstance(segment, NpuSegment)
    tiles = [
        c.target if isinstance(c, Store) else c.source
        for c in segment.commands[segment.setup :]
        if isinstance(c, Store | Load)
    ]
    inside = [t for t in tiles if isinstance(t, DramTile) and t.region == "workspace"]
    return sum(prod(t.extent) for t in inside)


@pytest.mark.parametrize("slice_bytes", [32 << 10, 64 << 10])
def test_where_all_fits_nothing_is_split(slice_bytes: int) -> None:
    machine = small_machine(slice_bytes, 16)
    function = build_function([IMAGE], stem)
    fuse_kernels(function)
    assign_views(function)
    assert not best_groups(function, machine)
    assert may_spill(function, machine) == (slice_bytes < 64 << 10)


def window_of_a_kernel(e: Emitter, a: list[SSAValue]) -> SSAValue:
    p = Pieces(e)
    return p.slice(p.conv(a[0], 4), [0, 0, 2, 0], [2, 4, 5, 40])


def kernel_and_its_transpose(e: Emitter, a: list[SSAValue]) -> list[SSAValue]:
    p = Pieces(e)
    x = p.conv(a[0], 4)
    return [p.transpose(x, 0, 2, 3, 1), x]


@pytest.mark.parametrize(
    "network",
    [
        window_of_a_kernel,
        kernel_and_its_transpose,
        *[random_network(seed, 6, "NCHW") for seed in range(draws(20))],
    ],
)
def test_passes_over_a_batch_may_work_band_by_band(network: Build) -> None:
    machine = small_machine(4096, 4)

    def split(function: FuncOp) -> None:
        work = image_work(function)
        if work.images == 2:
            split_batch(function, work, 2)

    program = check(
        [[2, 3, 9, 40]],
        network,
        machine,
        rewrite=split,
        rewrite_views=lambda function: split_segment(function, machine),
    )
    check_program(program)
