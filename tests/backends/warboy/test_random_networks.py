"""Random small networks on random small machines: the simulator agrees with `evaluate`."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.ir import SSAValue

from furiosa_ir.errors import CompilationFailure
from furiosa_ir.ir.shaped_operation import shape_of
from furiosa_ir.lowering.registry import Emitter
from tests.backends.warboy.networks import Pieces
from tests.backends.warboy.segments import check, small_machine
from tests.draws import draws


def random_network(seed: int, length: int, layout: str, most: int = 6000):
    """A function that emits `length` random operations on images, of `most` elements or fewer."""

    def build(emit: Emitter, args: list[SSAValue]):
        rng = np.random.default_rng(seed)
        p = Pieces(emit, seed)
        h, w, c = (layout.index(d) for d in "HWC")
        values = list(args)
        for _ in range(length):
            x = values[-1] if rng.random() < 0.7 else values[int(rng.integers(len(values)))]
            shape = list(shape_of(x))
            same = [v for v in values if shape_of(v) == tuple(shape)]
            choice = rng.integers(12)
            if choice < 4:
                k = int(rng.integers(1, 4))
                stride = int(rng.integers(1, 3)) if min(shape[h], shape[w]) > 3 else 1
                group = shape[c] if rng.random() < 0.3 else 1
                outputs = group if group > 1 else int(rng.integers(1, 14))
                y = p.conv(
                    x,
                    outputs,
                    (k, k),
                    layout=layout,
                    strides=(stride, stride),
                    pads=(k // 2,) * 4,
                    group=group,
                )
            elif choice == 4 and min(shape[h], shape[w]) > 2:
                kind = "max" if rng.random() < 0.5 else "sum"
                y = p.pool(x, kind, layout=layout)
            elif choice == 5:
                y = p.add(x, same[int(rng.integers(len(same)))])
            elif choice == 6:
                axis = int(rng.integers(1, 4))
                fits = [
                    v
                    for v in values
                    if all(shape_of(v)[i] == shape[i] for i in range(4) if i != axis)
                ]
                parts = [fits[int(rng.integers(len(fits)))] for _ in range(2)]
                y = p.concat(axis, x, *parts)
            elif choice == 7:
                axis = int(rng.integers(1, 4))
                low = int(rng.integers(shape[axis]))
                high = int(rng.integers(low, shape[axis])) + 1
                starts, ends = [0] * 4, list(shape)
                starts[axis], ends[axis] = low, high
                y = p.slice(x, starts, ends)
            elif choice == 8:
                pads = [0] * 8
                pads[h], pads[w + 4], pads[c] = (int(v) for v in rng.integers(0, 3, 3))
                y = p.pad(x, pads, int(rng.choice([3, -128, 5])))
            elif choice == 9:
                y = p.softmax(x, c)
            elif choice == 10:
                swapped = [0, 1, 2, 3]
                swapped[h], swapped[w] = w, h
                y = p.transpose(x, *swapped)
            else:
                y = p.lookup(x)
            if np.prod(shape_of(y)) <= most:
                values.append(y)
        chosen = [v for v in values[len(args) :] if not v.uses]
        return chosen or values[-1:]

    return build


@settings(max_examples=draws(60), deadline=None)
@given(
    seed=st.integers(0, 1 << 30),
    length=st.integers(1, 12),
    layout=st.sampled_from(["NCHW", "NHWC"]),
    slices=st.sampled_from([2, 4, 6, 64]),
    slice_bytes=st.sampled_from([2048, 4096, 16384]),
    batch=st.integers(1, 2),
)
def test_random_network(
    seed: int, length: int, layout: str, slices: int, slice_bytes: int, batch: int
) -> None:
    at = {"N": batch, "C": 3, "H": 9, "W": 7}
    shape = [at[d] for d in layout]
    machine = small_machine(slice_bytes, slices)
    build = random_network(seed, length, layout)
    try:
        check([shape], build, machine)
    except CompilationFailure as failure:
        # Two tables of 2 KiB for exp leave no room in the least machines.
        if slices * slice_bytes > 16384 or "does not fit" not in str(failure):
            raise


@pytest.mark.parametrize("seed", range(12))
def test_longer_random_network(seed: int) -> None:
    at = {"N": 1, "C": 5, "H": 13, "W": 11}
    layout = ["NCHW", "NHWC"][seed % 2]
    machine = small_machine([4096, 8192][seed // 2 % 2], 8)
    check([[at[d] for d in layout]], random_network(seed, 30, layout), machine)
