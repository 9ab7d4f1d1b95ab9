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

from xdsl.dialects.builtin import StringAttr
from xdsl.dialects.func import FuncOp

from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.planning.buffers import Storage
from furiosa_ir.backends.warboy.planning.layouts import Layout, layouts, narrow_layouts
from furiosa_ir.errors import CompilationFailure

DECISIONS = "warboy.decisions"
"""The attribute."""

Slicing = tuple[int, int, str]
"""(Ho, Co, order) of a buffer."""


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
        return Decisions(tuple((*layout.slices, layout.order) for layout in chosen))

    def to_json(self) -> str:
        """As text."""
        return json.dumps(self.slicings, separators=(",", ":"))

    @staticmethod
    def from_json(text: str) -> Decisions:
        """What `to_json` made.

        Raises:
            CompilationFailure: the text has another form.
        """
        try:
            rows = cast("list[Any]", json.loads(text))
            return Decisions(tuple((int(ho), int(co), str(order)) for ho, co, order in rows))
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
        for number, (storage, (ho, co, order)) in enumerate(
            zip(storages, self.slicings, strict=True)
        ):
            args = storage.shape, storage.element, machine.slices, machine.line_bytes
            legal = (*layouts(*args), *narrow_layouts(*args))
            found = [x for x in legal if (x.slices, x.order) == ((ho, co), order)]
            if not found:
                raise CompilationFailure(
                    f"buffer {number}, {list(storage.shape)}, cannot lie in {ho} x {co} slices in "
                    f"order {order}"
                )
            chosen.append(found[0])
        return chosen


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
