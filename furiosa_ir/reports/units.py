"""Figures for people."""

from __future__ import annotations

import math


def format_value(value: float | None, unit: str) -> str:
    """A figure for people.

    Args:
        value: None, or a number that is not finite, is unknown.
        unit: microseconds, count, share (0 to 1), bytes, or latency: microseconds on the NPU, where
            0 means that nothing runs there, or that its backend estimates no time.
    """
    if value is None or not math.isfinite(value):
        return "unknown"
    if unit == "share":
        return f"{value * 100:.4g} %"
    if unit == "latency" and value == 0:
        return "none, as nothing runs whose time is estimated"
    if unit in ("microseconds", "latency"):
        return f"{value / 1000:.4g} ms" if value >= 1000 else f"{value:.4g} µs"
    if unit == "bytes":
        size = float(value)
        for name in ("B", "KiB", "MiB", "GiB"):
            if size < 1024 or name == "GiB":
                return f"{size:.4g} {name}"
            size /= 1024
    return f"{value:,.0f}"
