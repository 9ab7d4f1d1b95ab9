"""Passes on parts of a module, each on inputs of its own: what a network's inputs do not show.

A rewrite that is wrong for -128 alone, or for a tie, changes nothing on inputs after which no layer
makes a -128. An operation, with what makes its operands, is a module as well, and its inputs may be
anything (`inputs`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod
from time import monotonic

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import CallOp

from furiosa_ir.debugging.finding import Finding
from furiosa_ir.debugging.inputs import DEFAULT_COUNT, inputs_of, thorough_count
from furiosa_ir.debugging.numerics_test import NumericsTest
from furiosa_ir.debugging.part import operations_of, part_of, producers, with_calls
from furiosa_ir.debugging.state import same_operations
from furiosa_ir.errors import FuriosaError
from furiosa_ir.ir.context import make_context
from furiosa_ir.ir.passes import Pass
from furiosa_ir.verification.trace import copy_module

WINDOW_SECONDS = 10.0
"""For the windows of a module."""

_STEPS = 3
"""Of producers: a window is an operation alone, then with what makes its operands, and so on."""

_MOST_ELEMENTS = 1 << 16
"""Of a window's inputs that are gone through: where there are more, noise has all values."""

_FEW = 4
"""Inputs of a window that has more."""


@dataclass(frozen=True)
class WindowFinding:
    """A part of a module of which a pass changes a value.

    Attributes:
        window: the part.
        test: shows it.
        finding: what it finds.
    """

    window: ModuleOp
    test: NumericsTest
    finding: Finding


def wrong_window(
    what: Pass, module: ModuleOp, seconds: float = WINDOW_SECONDS
) -> WindowFinding | None:
    """The first part of a module of which a pass changes a value, the smallest windows first.

    Args:
        what: the pass.
        module: in front of it; operations and kernels, no commands.
        seconds: when to give up.
    """
    until = monotonic() + seconds
    for window in _windows(module):
        if monotonic() > until:
            return None
        if not _is_changed_by(what, window):
            continue
        try:
            inputs = inputs_of(window)
        except FuriosaError:
            continue  # what nothing can be drawn for
        thorough = thorough_count(inputs)
        many = sum(prod(i.shape) for i in inputs) > _MOST_ELEMENTS
        test = NumericsTest((what,), what.name, _FEW if many else max(thorough, DEFAULT_COUNT))
        with np.errstate(all="ignore"):  # what divides may be given 0
            finding = test.finding(window)
        if finding is not None and finding.change.sort == test.sort:
            return WindowFinding(window, test, replace(finding, of_part=True))
    return None


def change_of_part(what: Pass, module: ModuleOp) -> Finding | None:
    """What `wrong_window` finds: for `Numerics.parts`."""
    found = wrong_window(what, module)
    return None if found is None else found.finding


def _is_changed_by(what: Pass, window: ModuleOp) -> bool:
    copy = copy_module(window, {})
    try:
        what.apply(make_context(), copy)
    except Exception:  # noqa: BLE001  # what a pass cannot do with is none of its windows
        return False
    return not same_operations(copy, window)


def _windows(module: ModuleOp) -> Iterator[ModuleOp]:
    ops = [op for op in operations_of(module) if not isinstance(op, CallOp)]
    kept = {op: {op} for op in ops}
    for _ in range(_STEPS):
        for op in ops:
            part = part_of(module, with_calls(module, kept[op]))
            if part is not None:
                yield part
            kept[op] |= set(producers(kept[op]))
