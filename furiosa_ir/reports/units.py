"""Figures for people."""

from __future__ import annotations

import math


def format_value(value: float | None, unit: str) -> str:
    """A figure for people: ``unit`` is microseconds, count, share (0 to 1) or bytes."""
    if value is None or not math.isfinite(value):
        return "unknown"
    if unit == "share":
        return f"{value * 100:.4g} %"
    if unit == "microseconds":
        return f"{value / 1000:.4g} ms" if value >= 1000 else f"{value:.4g} µs"
    if unit == "bytes":
        size = float(value)
        for name in ("B", "KiB", "MiB", "GiB"):
            if size < 1024 or name == "GiB":
                return f"{size:.4g} {name}"
            size /= 1024
    return f"{value:,.0f}"
