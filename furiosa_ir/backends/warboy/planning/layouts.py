"""How a buffer is sliced: over how many slices its height and its channels go, and in which order.

Footprints differ a lot (`shared/warboy.md` §2): the innermost extent is rounded up to 32 bytes, so
7 columns in order HCW take 32, and 1x1x2048 in order HWC over 64 slices takes 32 bytes a slice.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from furiosa_ir.backends.warboy.dialect.plan import Shape4
from furiosa_ir.backends.warboy.machine import Machine


@dataclass(frozen=True, slots=True)
class Layout:
    """A way to slice a buffer, and what it takes.

    Attributes:
        slices: (Ho, Co).
        order: "HCW" or "HWC".
        slice_bytes: bytes of every slice.
        rows, channels: of the fullest slice; rows of all images that it has a part of.
        images: 1, or N: each image has slices of its own, one a half of the machine in a batch of
            two.
    """

    slices: tuple[int, int]
    order: str
    slice_bytes: int
    rows: int
    channels: int
    images: int = 1

    def work(self, unit: int) -> int:
        """What a step takes is proportional to it, if the engine takes channels by `unit`."""
        return self.rows * -(-self.channels // unit) * unit


@lru_cache(maxsize=4096)
def layouts(shape: Shape4, element: int, slices: int, line: int) -> tuple[Layout, ...]:
    """Every sensible layout of a buffer: both orders of each (Ho, Co), images together or apart."""
    n, h, w, c = shape
    per_line = max(line // element, 1)
    found: dict[tuple[int, int, int], tuple[Layout, Layout]] = {}
    for images in (1, n) if 1 < n <= slices else (1,):
        each, rest = n // images, slices // images
        for ho in _divisors(rest):
            # Slices beyond the extent hold nothing: the same as fewer.
            pair = (min(ho, h), min(rest // ho, c))
            hi, ci = -(-h // pair[0]), -(-c // pair[1])
            hcw = each * hi * ci * -(-w // per_line) * per_line * element
            hwc = each * hi * w * -(-ci // per_line) * per_line * element
            found[images, *pair] = (
                Layout(pair, "HWC", hwc, each * hi, ci, images),
                Layout(pair, "HCW", hcw, each * hi, ci, images),
            )
    return tuple(layout for both in found.values() for layout in both)


SMALL = 512
"""Elements of a slice: with fewer, how long slices take to agree weighs as much as their work."""


@lru_cache(maxsize=4096)
def narrow_layouts(shape: Shape4, element: int, slices: int, line: int) -> tuple[Layout, ...]:
    """Layouts of a small buffer over a half of the slices, a quarter, ...; none of a large one.

    Fewer slices agree sooner on a step's end, and data passes over fewer of them: 128 outputs take
    32 slices, four at a time, no longer than 128.
    """
    n, h, w, c = shape
    if n * h * w * c > SMALL * slices:
        return ()
    found: dict[tuple[tuple[int, int], str, int], Layout] = {}
    while slices > 1:
        slices //= 2
        for layout in layouts(shape, element, slices, line):
            if layout.rows * w * layout.channels <= SMALL:
                found[layout.slices, layout.order, layout.images] = layout
    return tuple(found.values())


@lru_cache
def _divisors(number: int) -> tuple[int, ...]:
    return tuple(d for d in range(1, number + 1) if number % d == 0)


@lru_cache(maxsize=4096)
def best_layout(
    shape: Shape4, element: int, machine: Machine, order: str | None = None, unit: int = 1
) -> Layout:
    """The layout that keeps the slices busy and takes little room; images lie together.

    Args:
        shape: (N, H, W, C).
        element: bytes of an element.
        machine: how many slices there are.
        order: the order that its readers want, or None.
        unit: channels that its writer's engine takes at once (4: the MAC array's height).
    """
    every = layouts(shape, element, machine.slices, machine.line_bytes)
    candidates = [layout for layout in every if layout.images == 1]
    least = min(layout.work(unit) for layout in candidates)
    return min(
        candidates,
        key=lambda x: (
            x.slice_bytes * (1 + 4 * (x.work(unit) - least) / least)
            + (x.slice_bytes if order not in (None, x.order) else 0),
            x.work(unit),
            x.slices,
        ),
    )


def flat_bytes(size: int, machine: Machine) -> int:
    """Bytes of every slice that a parameter takes, striped over all slices in whole lines."""
    line = machine.line_bytes
    per_slice = -(-size // machine.slices)
    return max(-(-per_slice // line), 1) * line


def sram_bytes(
    shape: Shape4, element: int, slices: tuple[int, int], order: str, machine: Machine
) -> int:
    """Bytes of every slice that a buffer takes in a layout."""
    n, h, w, c = shape
    hi, ci = -(-h // slices[0]), -(-c // slices[1])
    per_line = machine.line_bytes // element
    if order == "HCW":
        return n * hi * ci * -(-w // per_line) * machine.line_bytes
    return n * hi * w * -(-ci // per_line) * machine.line_bytes
