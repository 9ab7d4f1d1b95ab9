"""What becomes of values while passes run: a listener that hears of each replacement.

`furiosa compile --verify` compares every tensor of a compiled network with the value that the
source gives it. Which value of the last level is which of the source, nothing in the IR says;
instead whoever puts a value in another's place says so here. The rewrite driver does that for all
rules; a pass that replaces values by hand calls `note_replaced`, and one that does not costs the
names of the values that it replaces, no more: what computes them is compared at the next value
whose name is known.

A value keeps its meaning as long as it lives: a pass may replace a value by one that means the same
elements, and must not change what a value holds in place.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from xdsl.ir import SSAValue


@dataclass
class ValueTracker:
    """Names of values, handed on from a value to what replaces it.

    Attributes:
        names: value -> the names it has; several where values turned out to be one.
        tensors: value -> the tensor of the model file that the importer made it of: its name in
            ONNX, its index in TFLite.
    """

    names: dict[SSAValue, tuple[int, ...]] = field(default_factory=dict[SSAValue, tuple[int, ...]])
    tensors: dict[SSAValue, str | int] = field(default_factory=dict[SSAValue, "str | int"])

    def replaced(self, old: SSAValue, new: SSAValue) -> None:
        """`new` means what `old` meant, from now on."""
        if old is new:
            return
        names = self.names.get(old)
        if names is not None:
            self.names[new] = tuple(dict.fromkeys((*self.names.get(new, ()), *names)))
        tensor = self.tensors.get(old)
        if tensor is not None:
            self.tensors.setdefault(new, tensor)


_TRACKERS: ContextVar[tuple[ValueTracker, ...]] = ContextVar("value_trackers", default=())


@contextmanager
def tracking(tracker: ValueTracker) -> Generator[ValueTracker]:
    """Within it, `tracker` hears of every replacement, as do those that are listening already."""
    token = _TRACKERS.set((*_TRACKERS.get(), tracker))
    try:
        yield tracker
    finally:
        _TRACKERS.reset(token)


def note_replaced(old: SSAValue, new: SSAValue) -> None:
    """Says that `new` stands where `old` stood and means the same elements.

    The types may differ as far as the two hold one thing differently: a quantised tensor and the
    i8 tensor that it is lowered to.
    """
    for tracker in _TRACKERS.get():
        tracker.replaced(old, new)


def note_all_replaced(replacements: Mapping[SSAValue, SSAValue]) -> None:
    """`note_replaced` of several."""
    for tracker in _TRACKERS.get():
        for old, new in replacements.items():
            tracker.replaced(old, new)


def note_tensor(value: SSAValue, tensor: str | int) -> None:
    """Says which tensor of the model file a value is: its name (ONNX) or index (TFLite)."""
    for tracker in _TRACKERS.get():
        tracker.tensors.setdefault(value, tensor)
