"""The constant section of a segment: all its constants, one behind the other, each once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from furiosa_ir.backends.warboy.enf.section import GatheredSection
from furiosa_ir.ir.constants import Constant
from furiosa_ir.numerics.array import Array

ALIGNMENT = 64
"""Constants begin at multiples of this (a cache line; ENF sections are mapped, not read)."""

SMALL = 4096
"""Constants of at most this many bytes are compared by content at once."""


@dataclass(frozen=True, slots=True)
class SectionLayout:
    """Where constants lie.

    Attributes:
        addresses: of each constant.
        size: bytes of the section.
    """

    addresses: tuple[int, ...]
    size: int


def lay_out(constants: Sequence[Constant]) -> SectionLayout:
    """Addresses in the order given; constants of equal bytes share one."""
    known: dict[object, list[tuple[Constant, int]]] = {}
    addresses: list[int] = []
    end = 0
    for constant in constants:
        size = constant.size * constant.dtype.itemsize
        same = known.setdefault(_key(constant, size), [])
        address = next((at for other, at in same if _equal(constant, other)), None)
        if address is None:
            address = end
            end = -(-(address + size) // ALIGNMENT) * ALIGNMENT
            same.append((constant, address))
        addresses.append(address)
    return SectionLayout(tuple(addresses), end)


def _key(constant: Constant, size: int) -> object:
    if size <= SMALL:
        return np.ascontiguousarray(constant.array).tobytes()
    # Large ones are rarely equal: some elements tell, without reading all of them.
    step = max(constant.size // 64, 1)
    return size, constant.array.flat[::step].tobytes()


def _flat(constant: Constant) -> Array:
    return np.ascontiguousarray(constant.array).reshape(-1).view(np.uint8)


def _equal(constant: Constant, other: Constant) -> bool:
    if constant is other:
        return True
    if constant.size * constant.dtype.itemsize <= SMALL:
        return True
    return bool(np.array_equal(_flat(constant), _flat(other)))


def build_section(constants: Sequence[Constant], layout: SectionLayout) -> GatheredSection:
    """The section: its bytes are gathered from the constants when they are written."""
    parts: dict[int, Array] = {}
    for constant, address in zip(constants, layout.addresses, strict=True):
        if constant.size:
            parts.setdefault(address, constant.array)
    return GatheredSection(list(parts.items()), layout.size)
