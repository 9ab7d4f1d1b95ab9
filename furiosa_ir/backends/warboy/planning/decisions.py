r"""What `plan-tiles` decides freely of a segment, as plain data.

A function that has them as its attribute `warboy.decisions`, a text of JSON, is planned by them;
`search-plan` writes it, and whoever wants to try a plan by hand may:

    func.func private @npu_0(...) attributes {warboy.decisions = "[[16,8,\"HCW\"],...]"} { ... }
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from xdsl.dialects.builtin import IntegerAttr, StringAttr, i64
from xdsl.dialects.func import FuncOp

from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.planning.buffers import Storage
from furiosa_ir.backends.warboy.planning.layouts import Layout, layouts, narrow_layouts
from furiosa_ir.errors import CompilationFailure

DECISIONS = "warboy.decisions"
"""The attribute."""

Slicing = tuple[int, int, str, int]
"""(Ho, Co, order, images) of a buffer; in text the last only where each image lies apart."""


@dataclass(frozen=True)
class Decisions:
    """The free decisions of a segment's plan.

    Attributes:
        slicings: how each buffer lies in SRAM, in the order of the plan's buffers.
    """

    slicings: tuple[Slicing, ...]

    @staticmethod
    def of(chosen: Sequence[Layout]) -> Decisions:
        """Those that lead to these layouts."""
        return Decisions(tuple((*x.slices, x.order, x.images) for x in chosen))

    def to_json(self) -> str:
        """As text."""
        rows = [row[:3] if row[3] == 1 else row for row in self.slicings]
        return json.dumps(rows, separators=(",", ":"))

    @staticmethod
    def from_json(text: str) -> Decisions:
        """What `to_json` made.

        Raises:
            CompilationFailure: the text has another form.
        """
        try:
            rows = cast("list[Any]", json.loads(text))
            return Decisions(tuple(_slicing(*row) for row in rows))
        except (ValueError, TypeError, RecursionError):
            raise CompilationFailure(
                f"'{DECISIONS}' is no list of slicings", hint='as [[16,8,"HCW"],[1,128,"HWC"]]'
            ) from None

    def layouts(self, storages: Sequence[Storage], machine: Machine) -> list[Layout]:
        """The layouts that they mean.

        Raises:
            CompilationFailure: a buffer cannot be sliced so, or there are more or fewer.
        """
        if len(self.slicings) != len(storages):
            raise CompilationFailure(
                f"'{DECISIONS}' slices {len(self.slicings)} buffers of {len(storages)}"
            )
        chosen: list[Layout] = []
        for number, (storage, (ho, co, order, images)) in enumerate(
            zip(storages, self.slicings, strict=True)
        ):
            args = storage.shape, storage.element, machine.slices, machine.line_bytes
            legal = (*layouts(*args), *narrow_layouts(*args))
            wanted = (ho, co), order, images
            found = [x for x in legal if (x.slices, x.order, x.images) == wanted]
            if not found:
                apart = f", each of {images} images in its own," if images != 1 else ""
                raise CompilationFailure(
                    f"buffer {number}, {list(storage.shape)}, cannot lie in {ho} x {co} slices"
                    f"{apart} in order {order}"
                )
            chosen.append(found[0])
        return chosen


def _slicing(ho: Any, co: Any, order: Any, images: Any = 1) -> Slicing:
    if not all(type(n) is int for n in (ho, co, images)) or not isinstance(order, str):
        raise TypeError
    return ho, co, order, images


def take_decisions(function: FuncOp) -> Decisions | None:
    """What a function is to be planned by; the attribute has then done its work and goes.

    Raises:
        CompilationFailure: it has another form.
    """
    attribute = function.attributes.pop(DECISIONS, None)
    if attribute is None:
        return None
    if not isinstance(attribute, StringAttr):
        raise CompilationFailure(f"'{DECISIONS}' is no text")
    return Decisions.from_json(attribute.data)


def is_decided(function: FuncOp) -> bool:
    """Whether a function says how it is to be planned: its buffers are numbered, and must stay."""
    return DECISIONS in function.attributes


SLICES = "warboy.slices"
"""Of a function until it is planned: how many slices its plan may use, where not the machine's."""


def limit_slices(function: FuncOp, slices: int | None) -> None:
    """Has a function planned in so many slices; None: in the machine's."""
    if slices is None:
        function.attributes.pop(SLICES, None)
    else:
        function.attributes[SLICES] = IntegerAttr(slices, i64)


def limited_slices(function: FuncOp) -> int | None:
    """How many slices a function's plan may use; None: the machine's.

    Raises:
        CompilationFailure: the attribute is no positive number.
    """
    attribute = function.attributes.get(SLICES)
    if attribute is None:
        return None
    if not isinstance(attribute, IntegerAttr) or attribute.value.data < 1:
        raise CompilationFailure(f"'{SLICES}' is no positive number")
    return attribute.value.data
