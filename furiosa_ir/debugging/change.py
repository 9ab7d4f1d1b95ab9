"""The first value that two states of a compile give other elements."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from xdsl.ir import Operation, SSAValue

from furiosa_ir.comparison import differences
from furiosa_ir.debugging.execution import Record, elements
from furiosa_ir.debugging.inputs import NumberedInput
from furiosa_ir.debugging.state import State
from furiosa_ir.debugging.text import operation_lines
from furiosa_ir.ir.constants import BlobAttr
from furiosa_ir.ir.location import layer_name
from furiosa_ir.ir.rewriting import Maker, made_by
from furiosa_ir.numerics.array import Array

_NAMES_AND_NUMBERS = re.compile(r"'[^']*'|\"[^\"]*\"|[@%][\w.]+|\d+")


@dataclass(frozen=True)
class Change:
    """A value that is another than it was.

    Attributes:
        layer: that makes it.
        what: which of its values, or what is wrong where there are no two elements to show.
        on: the input that shows it.
        index: the first element that differs; None where there is none.
        got, want: that element, after and before.
        share: of the elements that differ.
        before, after: the operation that made it, and that makes it now; "" where there is none.
        operand: what is different of a constant operand, where the two read alike; "" elsewhere.
        number: of the value, in the state before; None of what has none.
        maker: the rule that made the operation, if one did.
    """

    layer: str
    what: str
    on: NumberedInput
    index: tuple[int, ...] | None = None
    got: Any = None
    want: Any = None
    share: float = 1.0
    before: str = ""
    after: str = ""
    operand: str = ""
    number: int | None = None
    maker: Maker | None = None

    @property
    def sort(self) -> str:
        """Changes of one sort have the same: "" of an element, else what is wrong, less names."""
        return "" if self.index is not None else _NAMES_AND_NUMBERS.sub("_", self.what)

    @property
    def sentence(self) -> str:
        """What is different, as in "element [0, 3]: 12 instead of 14 (2 % of the elements ...)"."""
        if self.index is None:
            return self.what
        what = f"{self.what}: " if self.what else ""
        return what + _element_text(self.index, self.got, self.want, self.share)


def _element_text(index: Sequence[int], got: object, want: object, share: float) -> str:
    differ = f"{share * 100:.3g} % of the elements differ"
    return f"element {list(index)}: {got} instead of {want} ({differ})"


def find_change(
    before: State, known: Record, after: State, seen: Record, on: NumberedInput
) -> Change | None:
    """The first value of a state, in order of execution, that differs from an earlier one's.

    Args:
        before: the earlier state.
        known: what it computes on the input.
        after: the later state.
        seen: what that computes.
        on: the input.
    """
    wanted: dict[int, tuple[SSAValue, bytes]] = {}
    for value, digest in known.digests.items():
        for number in before.names.get(value, ()):
            wanted[number] = value, digest
    for value, digest in seen.digests.items():
        for number in after.names.get(value, ()):
            was = wanted.get(number)
            if was is not None and was[1] != digest:
                change = _between(before, was[0], after, value, number, on)
                if change is not None:  # None: the same elements in a wider type
                    return change
    return _changed_output(known.outputs, seen.outputs, on)


def _between(
    before: State, old: SSAValue, after: State, new: SSAValue, number: int, on: NumberedInput
) -> Change | None:
    want = elements(before.module, on.feeds, old)
    got = elements(after.module, on.feeds, new)
    was, now = old.owner, new.owner
    assert isinstance(was, Operation)
    assert isinstance(now, Operation)
    layer = layer_name(now) or layer_name(was)
    maker = after.makers.get(now) or made_by(now)
    (was_text,), (now_text,) = operation_lines([was]), operation_lines([now])
    if got.shape != want.shape:
        what = f"shape {list(got.shape)} instead of {list(want.shape)}"
        return Change(layer, what, on, before=was_text, after=now_text, number=number, maker=maker)
    wrong = differences(got, want)
    if wrong is None:
        return None
    at, share = _first(wrong)
    operand = _other_constant(was, now) if was_text == now_text else ""
    return Change(
        layer, "", on, at, got[at], want[at], share, was_text, now_text, operand, number, maker
    )


def _other_constant(was: Operation, now: Operation) -> str:
    """The first constant operand that holds something else: texts leave out what it holds."""
    for number, (old, new) in enumerate(zip(was.operands, now.operands, strict=True)):
        got, want = _constant(new), _constant(old)
        if got is None or want is None or got.shape != want.shape:
            continue
        wrong = differences(got, want)
        if wrong is not None:
            at, share = _first(wrong)
            return f"operand {number}, {_element_text(at, got[at], want[at], share)}"
    return ""


def _constant(value: SSAValue) -> Array | None:
    """The elements of a constant; None of other values."""
    held = value.owner.properties.get("value") if isinstance(value.owner, Operation) else None
    return held.array if isinstance(held, BlobAttr) else None


def _first(wrong: Array) -> tuple[tuple[int, ...], float]:
    return tuple(int(i) for i in np.argwhere(wrong)[0]), float(wrong.mean())


def _changed_output(
    want: Mapping[str, Array], got: Mapping[str, Array], on: NumberedInput
) -> Change | None:
    if list(want) != list(got):
        return Change("", f"outputs {', '.join(got)} instead of {', '.join(want)}", on)
    for name, array in got.items():
        if array.shape != want[name].shape:
            what = f"shape {list(array.shape)} instead of {list(want[name].shape)}"
            return Change(name, what, on)
        wrong = differences(array, want[name])
        if wrong is not None:
            at, share = _first(wrong)
            return Change(name, "output", on, at, array[at], want[name][at], share)
    return None
