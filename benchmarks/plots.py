"""Bars and a line as SVG: all that the benchmarks' plots need, without a plotting library."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, log10
from pathlib import Path
from xml.etree import ElementTree as ET

COLOURS = ("#1f6feb", "#e08a1e", "#2da44e", "#8250df")
"""Of the series, in order: told apart by people who see no red or no green, too."""
INK, FAINT = "#24292f", "#d0d7de"
WIDTH, LABELS, RIGHT = 760, 250, 60
"""Pixels of a plot, of its labels on the left, and of the room for the longest bar's number."""
TOP, BAR, GAP = 76, 11, 7


class Drawing:
    """An SVG document on white.

    Args:
        height: in pixels.
        title: above the plot.
        subtitle: what is measured, below the title.
    """

    def __init__(self, height: int, title: str, subtitle: str) -> None:
        self.height = height
        size = {"width": str(WIDTH), "height": str(height), "viewBox": f"0 0 {WIDTH} {height}"}
        fonts = {"font-family": "system-ui, sans-serif", "font-size": "12"}
        self._root = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", **size, **fonts})
        self.rectangle(0, 0, WIDTH, height, "#ffffff")
        ET.SubElement(self._root, "title").text = title
        self.text(16, 24, title, size=16)
        self.text(16, 42, subtitle, colour="#57606a")

    def rectangle(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        """A filled rectangle."""
        self._add("rect", x=x, y=y, width=width, height=height, fill=colour)

    def line(self, x1: float, y1: float, x2: float, y2: float, colour: str) -> None:
        """A line."""
        self._add("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=colour)

    def polyline(self, points: Sequence[tuple[float, float]], colour: str) -> None:
        """A line through points, each marked."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._add("polyline", points=path, fill="none", stroke=colour)
        for x, y in points:
            self._add("circle", cx=x, cy=y, r=4, fill=colour)

    def text(
        self, x: float, y: float, words: str, *, anchor: str = "start", size: int = 12,
        colour: str = INK,
    ) -> None:  # fmt: skip
        """Words, with their baseline at `y`."""
        attributes = {"text-anchor": anchor, "font-size": str(size), "fill": colour}
        self._add("text", x=x, y=y, **attributes).text = words

    def legend(self, names: Sequence[str]) -> None:
        """The names of the series, in their colours."""
        x = 16.0
        for name, colour in zip(names, COLOURS, strict=False):
            self.rectangle(x, 52, 10, 10, colour)
            self.text(x + 15, 61, name)
            x += 36 + 6.5 * len(name)

    def write(self, path: Path) -> None:
        """The document as a file."""
        ET.indent(self._root)
        path.write_text(ET.tostring(self._root, "unicode") + "\n", encoding="utf-8")

    def _add(self, tag: str, **attributes: float | str) -> ET.Element:
        values = {
            name: value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")
            for name, value in attributes.items()
        }
        return ET.SubElement(self._root, tag, values)


def step(greatest: float) -> float:
    """A round distance between ticks, four to eight of them up to `greatest`."""
    power = 10.0 ** floor(log10(greatest))
    return next(power * part for part in (0.2, 0.5, 1, 2) if greatest / (power * part) <= 8)


def bars(
    path: Path,
    title: str,
    subtitle: str,
    series: Sequence[str],
    rows: Sequence[tuple[str, Sequence[float | None]]],
    *,
    reference: float | None = None,
) -> None:
    """Writes horizontal bars, a group of them a row.

    Args:
        path: the SVG file.
        title, subtitle: above.
        series: the name of each bar of a row.
        rows: (label, a value a series or None).
        reference: a value that a line marks.
    """
    drawn = [[value for value in values if value is not None] for _, values in rows]
    heights = [BAR * len(values) + GAP for values in drawn]
    drawing = Drawing(TOP + sum(heights) + 34, title, subtitle)
    drawing.legend(series)
    greatest = max([value for values in drawn for value in values] + [reference or 0])
    scale = (WIDTH - LABELS - RIGHT) / greatest
    tick, bottom = step(greatest), TOP + sum(heights)
    for index in range(floor(greatest / tick + 1e-9) + 1):
        x = LABELS + index * tick * scale
        drawing.line(x, TOP - 4, x, bottom, FAINT)
        drawing.text(x, bottom + 16, f"{index * tick:g}", anchor="middle")
    y = float(TOP)
    for (label, values), height in zip(rows, heights, strict=True):
        shown = label if len(label) <= 36 else label[:35] + "…"
        drawing.text(LABELS - 8, y + (height - GAP) / 2 + 4, shown, anchor="end")
        for value, colour in zip(values, COLOURS, strict=False):
            if value is not None:
                drawing.rectangle(LABELS, y, max(value * scale, 1), BAR - 1, colour)
                drawing.text(LABELS + value * scale + 5, y + 9, f"{value:.3g}", size=10)
                y += BAR
        y += GAP
    if reference is not None:
        x = LABELS + reference * scale
        drawing.line(x, TOP - 4, x, bottom, INK)
    drawing.write(path)


def power_law(
    path: Path, title: str, subtitle: str, points: Sequence[tuple[float, float]], axis: str
) -> None:
    """Writes positive points on two logarithmic axes, joined; `axis` names the horizontal one."""
    left, right, top, bottom = 70, WIDTH - 30, TOP, 360
    drawing = Drawing(bottom + 48, title, subtitle)
    spans: list[tuple[int, int]] = []
    for values in zip(*points, strict=True):
        low, high = floor(log10(min(values))), ceil(log10(max(values)))
        spans.append((low, max(high, low + 1)))
    (x0, x1), (y0, y1) = spans

    def at(x: float, y: float) -> tuple[float, float]:
        across, up = (log10(x) - x0) / (x1 - x0), (log10(y) - y0) / (y1 - y0)
        return left + across * (right - left), bottom - up * (bottom - top)

    for power in range(x0, x1 + 1):
        x, _ = at(10.0**power, 10.0**y0)
        drawing.line(x, top, x, bottom, FAINT)
        drawing.text(x, bottom + 16, f"{10.0**power:g}", anchor="middle")
    for power in range(y0, y1 + 1):
        _, y = at(10.0**x0, 10.0**power)
        drawing.line(left, y, right, y, FAINT)
        drawing.text(left - 8, y + 4, f"{10.0**power:g}", anchor="end")
    drawing.text((left + right) / 2, bottom + 36, axis, anchor="middle")
    drawing.polyline([at(x, y) for x, y in points], COLOURS[0])
    for x, y in points:
        across, down = at(x, y)
        drawing.text(across - 8, down - 8, f"{y:.3g}", anchor="end", size=10)
    drawing.write(path)
