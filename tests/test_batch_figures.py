"""Which batch size is the best one, and when no further one is tried."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from furiosa_ir.batch_figures import (
    MAX_BATCH,
    PATIENCE,
    TOLERANCE,
    BatchFigures,
    best_batch,
    is_worth_more,
)
from furiosa_ir.latency import Latency

SIZES = (1, 2, 4, 8, 16, 32, 64)
image_times = st.lists(st.floats(0.1, 1e6), min_size=1, max_size=len(SIZES))


def rows_of(times: list[float]) -> list[BatchFigures]:
    """Rows of which each image takes so many microseconds."""
    return [
        BatchFigures(size, Latency(npu_latency_us=us * size), 0, 0)
        for size, us in zip(SIZES, times, strict=False)
    ]


@given(image_times)
def test_the_smallest_that_is_as_good_as_any(times: list[float]):
    rows = rows_of(times)
    chosen = best_batch(rows)
    least = (1 - TOLERANCE) * max(row.images_per_second for row in rows)
    for row in rows:
        good = row.images_per_second >= least
        assert good if row.batch_size == chosen else not good or row.batch_size > chosen


@given(st.lists(st.floats(0.1, 1e6), min_size=len(SIZES), max_size=len(SIZES)))
def test_it_ends_after_doublings_without_a_gain(times: list[float]):
    rows: list[BatchFigures] = []
    while is_worth_more(rows):
        rows.append(rows_of(times)[len(rows)])
    assert len(rows) > PATIENCE
    speeds = [row.images_per_second for row in rows]
    gains = [
        speeds[i] * (1 - TOLERANCE) > max(speeds[:i])
        for i in range(len(rows) - PATIENCE, len(rows))
    ]
    assert rows[-1].batch_size == MAX_BATCH or not any(gains)
    # The next one that it would have been worth it was tried.
    for count in range(PATIENCE + 1, len(rows)):
        before = range(count - PATIENCE, count)
        assert any(speeds[i] * (1 - TOLERANCE) > max(speeds[:i]) for i in before)


def test_a_network_that_takes_no_time_stays_as_it_is():
    assert best_batch([BatchFigures(n, Latency(), 0, 0) for n in (1, 2, 4)]) == 1
