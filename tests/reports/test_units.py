"""Figures as people read them."""

from __future__ import annotations

import pytest

from furiosa_ir.reports.units import format_value


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.5, "microseconds", "0.5 µs"),
        (1250.0, "microseconds", "1.25 ms"),
        (0.0, "microseconds", "0 µs"),
        (0.0, "latency", "none, as nothing runs whose time is estimated"),
        (1250.0, "latency", "1.25 ms"),
        (1, "share", "100 %"),
        (2**40, "bytes", "1024 GiB"),
        (1234567, "count", "1,234,567"),
        (None, "count", "unknown"),
        (float("nan"), "bytes", "unknown"),
    ],
)
def test_format_value(value: float | None, unit: str, text: str):
    assert format_value(value, unit) == text
