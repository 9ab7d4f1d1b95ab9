"""`Written` beside one flag a byte, and what it costs."""

from __future__ import annotations

import resource
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from furiosa_ir.backends.warboy.written import Ranges, Written

SIZE = 1200

EXTENT = st.integers(0, 4)
STRIDE = st.sampled_from([0, 1, 2, 3, 4, 8, 12, -1, -3, -8])
Axes = Sequence[tuple[int, int]]


def from_its_first_byte(low: int, axes: Axes) -> tuple[int, Axes]:
    """A window whose lowest byte is this one, as it is told: from where its strides lead away."""
    return low + sum((n - 1) * -stride for n, stride in axes if stride < 0 < n), axes


ANY = st.builds(from_its_first_byte, st.integers(0, 60), st.lists(st.tuples(EXTENT, STRIDE)))
WHOLE = st.tuples(st.integers(0, 60), st.tuples(st.integers(0, 100), st.just(1)).map(lambda a: [a]))
LINES = st.tuples(
    st.sampled_from([0, 32, 64, 128]),
    st.tuples(
        st.tuples(EXTENT, st.sampled_from([32, 64, 96])),
        st.tuples(EXTENT, st.sampled_from([0, 128])),
        st.tuples(st.sampled_from([32, 64]), st.just(1)),
    ),
)
Window = tuple[int, Axes]
WINDOW = st.one_of(ANY.filter(lambda w: 0 < len(w[1]) < 4), WHOLE, LINES)


@pytest.mark.parametrize("least", [1, 4, 1000])
@given(st.lists(st.tuples(st.booleans(), WINDOW), max_size=40))
def test_beside_flags(least: int, steps: list[tuple[bool, Window]]) -> None:
    flags, written = np.zeros(SIZE, np.bool_), Written(SIZE, least_run=least)
    for adds, (address, axes) in steps:
        extent, strides = [n for n, _ in axes], [stride for _, stride in axes]
        view = np.ndarray(tuple(extent), np.bool_, flags.data, address, tuple(strides))
        if adds:
            view[...] = True
            written.add(address, extent, strides)
        else:
            assert written.hold(address, extent, strides) == view.all()


def test_what_lies_backwards_in_front_of_what_was_written() -> None:
    """It reaches from unwritten bytes to written ones, and behind its first nothing is missing."""
    written = Written(1024)
    written.add(0, [192], [1])
    assert written.hold(184, [4, 8], [-8, 1])
    assert not written.hold(312, [4, 3, 2, 8], [-8, -32, -96, 1])


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 10), st.booleans()), max_size=40))
def test_ranges_beside_sets(steps: list[tuple[int, int, bool]]) -> None:
    ranges, there = Ranges(), set[int]()
    for start, size, takes in steps:
        wanted = set(range(start, start + size))
        assert ranges.cover(start, start + size) == (wanted <= there)
        if takes:
            taken = {i for a, b in ranges.take(start, start + size) for i in range(a, b)}
            assert taken <= there
            assert wanted & there <= taken
            there -= taken
        else:
            ranges.add(start, start + size)
            there |= wanted


def test_whole_ranges_take_no_memory() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    written = Written(1 << 34)
    for start in range(0, 1 << 34, 1 << 30):
        written.add(start, [1 << 10, 1 << 20], [1 << 20, 1])
    assert written.hold(0, [1 << 34], [1])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10
