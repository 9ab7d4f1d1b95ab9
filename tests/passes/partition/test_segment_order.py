"""The cut into segments: valid, and no other cut of the network has fewer."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from furiosa_ir.passes.partition.segment_order import fewest_segments
from tests.draws import draws


@st.composite
def networks(draw: st.DrawFn) -> tuple[list[str | None], list[list[int]]]:
    """Up to nine operations of up to three kinds, with what each reads of those before it."""
    names = draw(st.sampled_from([["host", "npu"], ["host", "npu", None], ["a", "b", "c"]]))
    count = draw(st.integers(1, 9))
    kinds = draw(st.lists(st.sampled_from(names), min_size=count, max_size=count))
    operands = [
        sorted(draw(st.sets(st.integers(0, i - 1), max_size=3))) if i else [] for i in range(count)
    ]
    if not any(kinds):
        kinds[0] = "host"
    return kinds, operands


def least(kinds: list[str | None], operands: list[list[int]]) -> int:
    """The number of segments of the best order, all orders being tried."""
    count = len(kinds)
    best: dict[tuple[int, str | None], int] = {(0, None): 0}
    whole = (1 << count) - 1
    # Sets of what has run, with the kind of the last segment, in order of size.
    for done in range(whole):
        for (before, last), cost in [(k, v) for k, v in best.items() if k[0] == done]:
            for i in range(count):
                if done >> i & 1 or any(not before >> j & 1 for j in operands[i]):
                    continue
                kind = kinds[i] if kinds[i] is not None else last
                choices = [kind] if kind is not None else sorted({k for k in kinds if k})
                for chosen in choices:
                    key, total = (done | 1 << i, chosen), cost + (chosen != last)
                    best[key] = min(best.get(key, count + 1), total)
    return min(cost for (done, _), cost in best.items() if done == whole)


@settings(max_examples=draws(300), deadline=None)
@given(networks())
def test_as_few_as_any_order_has(network: tuple[list[str | None], list[list[int]]]) -> None:
    kinds, operands = network
    stages, order = fewest_segments(kinds, operands)
    for i, sources in enumerate(operands):
        assert kinds[i] in (None, order[stages[i]])
        assert all(stages[j] <= stages[i] for j in sources)
    assert all(a != b for a, b in itertools.pairwise(order))
    assert len(order) == least(kinds, operands)


def test_a_host_operation_that_can_wait() -> None:
    """npu -> host, and another operation of the host that reads the input only."""
    assert fewest_segments(["host", "npu", "host"], [[], [], [0, 1]])[1] == ("npu", "host")


def test_diamonds() -> None:
    """Of each diamond one branch is on the host; branches of one level share their segments."""
    kinds: list[str | None] = []
    operands: list[list[int]] = []
    for _ in range(10):
        base = len(kinds)
        kinds += ["npu", "npu", "host", "npu"]
        operands += [[base - 1] if base else [], [base], [base], [base + 1, base + 2]]
    assert fewest_segments(kinds, operands)[1] == ("npu", *("host", "npu") * 10)


def test_many_operations_take_no_time() -> None:
    """Three kinds at random: the number of beginnings is bounded."""
    rng = np.random.default_rng(0)
    kinds: list[str | None] = [str(k) for k in rng.choice(["a", "b", "c"], 400)]
    operands = [
        [int(j) for j in rng.integers(max(0, i - 9), i, 2)] if i else [] for i in range(400)
    ]
    stages, order = fewest_segments(kinds, operands)
    assert all(kinds[i] == order[s] for i, s in enumerate(stages))


def test_operations_of_no_kind() -> None:
    with pytest.raises(ValueError, match="no operation has a kind"):
        fewest_segments([None], [[]])
