"""Values that no result can tell from others, so that they need no room in a tensor's range.

A mask of attention is 0 or "minus infinity": -inf, the least float, -1e9, -1e4. A Softmax makes 0
of every value that far below its row's greatest, and would of -20 as well; but in 8 bits a range
down to -1e4 leaves the scores beside it steps of 40. So each tensor gets limits: what lies beyond
has the same effect as the limit itself. They begin at operators that saturate, and go against the
flow of data through sums, selections and movement, as far as every user of a tensor agrees.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from furiosa_ir.numerics.array import Array

_LOG = logging.getLogger(__name__)

Limits = tuple[float, float]
"""What is below the first may be the first; what is above the second, the second."""

EVERYTHING: Limits = (-math.inf, math.inf)

WIDE = 64.0
"""A wider range in front of a Softmax holds a mask, or no step of 8 bits that serves it."""

_LEAST_SHARE = 1 / 1024
"""Of a Softmax's result: what all values below the limit may come to, a quarter of a step."""

_ROWS = 512
"""Rows that are looked at to place a limit."""

_SATURATED = {"Sigmoid": (-10.0, 10.0), "Tanh": (-5.0, 5.0)}
"""Functions that stay within a quarter of a step of their end beyond these."""

_MOVEMENT = {
    *("Identity", "Cast", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Expand"),
    *("Slice", "Split", "Gather", "Tile", "Concat", "Pad", "Where", "Max", "Min", "Clip"),
    "MaxPool",
}
"""Every element of the result is one of the operands', or does not fall as an operand rises."""


@dataclass(frozen=True)
class Step:
    """An operator, as far as ranges go.

    Attributes:
        kind: as ONNX calls it.
        inputs, outputs: names of tensors; inputs that select (indices, shapes) are left out.
        axis: of a Softmax.
        extent: elements along the longest axis of the first input.
    """

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    axis: int = -1
    extent: int = 1


def is_wide(limits: Limits) -> bool:
    """Whether a range holds more than any resolution in 8 bits serves."""
    return not limits[1] - limits[0] <= WIDE


def wide_softmaxes(steps: Sequence[Step], ranges: Mapping[str, Limits]) -> dict[str, int]:
    """The inputs of Softmax operators whose range is wide, with the axis."""
    return {
        s.inputs[0]: s.axis
        for s in steps
        if s.kind == "Softmax" and s.inputs[0] in ranges and is_wide(ranges[s.inputs[0]])
    }


def saturates(steps: Sequence[Step], ranges: Mapping[str, Limits]) -> bool:
    """Whether any operator takes values that it cannot tell from others; few networks have one."""
    kinds = {"Softmax", "Exp", *_SATURATED}
    return any(
        s.kind in kinds and s.inputs[0] in ranges and is_wide(ranges[s.inputs[0]]) for s in steps
    )


def warn_of_clipping(name: str, tensors: Mapping[str, Limits]) -> None:
    """Says which tensors' values are clipped.

    Args:
        name: of the file.
        tensors: how far the values reach, by the user's name of the tensor.
    """
    if not tensors:
        return
    reach = max((end for limits in tensors.values() for end in limits), key=abs)
    shown = ", ".join(f"'{tensor}'" for tensor in list(tensors)[:3])
    more = f" and {len(tensors) - 3} more" if len(tensors) > 3 else ""
    _LOG.warning(
        "%s: values as far as %.4g are clipped where the Softmax behind them cannot tell: %s%s",
        name,
        reach,
        shown,
        more,
    )


def limits_of(
    steps: Sequence[Step],
    ranges: Mapping[str, Limits],
    constants: Mapping[str, Array],
    outputs: Iterable[str],
    floors: Mapping[str, float],
) -> dict[str, Limits]:
    """The limits of every tensor that has any, constants included.

    Args:
        steps: the network's operators, in order.
        ranges: of its tensors, from calibration.
        constants: its constant tensors.
        outputs: the network's; somebody sees all of their values.
        floors: the lower limit of inputs of Softmax operators.
    """
    return _Search(ranges, constants, floors, outputs).over(steps)


class _Search:
    """Limits on the way from the results to the inputs."""

    def __init__(
        self,
        ranges: Mapping[str, Limits],
        constants: Mapping[str, Array],
        floors: Mapping[str, float],
        outputs: Iterable[str],
    ) -> None:
        self.ranges, self.constants, self.floors = ranges, constants, floors
        self.found: dict[str, Limits] = dict.fromkeys(outputs, EVERYTHING)

    def over(self, steps: Sequence[Step]) -> dict[str, Limits]:
        for step in reversed(steps):
            limits = [self.found.get(o, EVERYTHING) for o in step.outputs]
            low, high = (
                (min(x[0] for x in limits), max(x[1] for x in limits)) if limits else EVERYTHING
            )
            for tensor, limit in zip(step.inputs, self._allowed(step, (low, high)), strict=True):
                unknown = any(map(math.isnan, limit))  # infinities on both sides
                allowed = EVERYTHING if unknown else limit
                before = self.found.get(tensor, allowed)
                self.found[tensor] = (min(before[0], allowed[0]), max(before[1], allowed[1]))
        return {t: limits for t, limits in self.found.items() if limits != EVERYTHING}

    def _range(self, tensor: str) -> Limits:
        if tensor in self.constants:
            elements = self.constants[tensor]
            return (float(elements.min()), float(elements.max())) if elements.size else (0.0, 0.0)
        return self.ranges.get(tensor, EVERYTHING)

    def _allowed(self, step: Step, wanted: Limits) -> list[Limits]:
        """The limits of a step's inputs if those of its results are so."""
        kind, inputs, (low, high) = step.kind, step.inputs, wanted
        nothing = [EVERYTHING] * len(inputs)
        if kind == "Softmax":
            return [(self.floors.get(inputs[0], -math.inf), math.inf)]
        if kind in _SATURATED and is_wide(self._range(inputs[0])):
            return [_SATURATED[kind]]
        if kind == "Exp" and is_wide(self._range(inputs[0])):
            # Half of a Softmax that was written out.
            return [(self._range(inputs[0])[1] + _fall(step.extent), math.inf)]
        if kind == "ReduceMax" and is_wide(self._range(inputs[0])):
            return [(max(low, self._range(step.outputs[0])[0]), high)]
        if wanted == EVERYTHING:
            return nothing
        if kind in _MOVEMENT:
            return [wanted] * len(inputs)
        if kind == "Neg":
            return [(-high, -low)]
        if kind == "Add" and len(inputs) == 2:
            a, b = map(self._range, inputs)
            return [(low - b[1], high - b[0]), (low - a[1], high - a[0])]
        if kind == "Sub":
            a, b = map(self._range, inputs)
            return [(low + b[0], high + b[1]), (a[0] - high, a[1] - low)]
        if kind == "Mul" and len(inputs) == 2:
            return self._of_product(inputs, wanted)
        if kind == "Div" and inputs[1] in self.constants:
            with np.errstate(all="ignore"):
                return [_divided(wanted, 1 / self.constants[inputs[1]].astype(float)), EVERYTHING]
        return nothing

    def _of_product(self, inputs: tuple[str, ...], wanted: Limits) -> list[Limits]:
        at = 0 if inputs[0] in self.constants else 1
        if inputs[at] not in self.constants:
            return [EVERYTHING] * 2
        factor = self.constants[inputs[at]].astype(float)
        allowed = _of_factor(self._range(inputs[1 - at]), wanted)
        result = [EVERYTHING] * 2
        if factor.size and (factor.min() < allowed[0] or factor.max() > allowed[1]):
            # 1 - mask times -1e9: the factor is a mask, and what is multiplied selects.
            result[at] = allowed
        else:
            result[1 - at] = _divided(wanted, factor)
        return result


def _of_factor(selector: Limits, wanted: Limits) -> Limits:
    """Limits of a factor with which one step of 8 bits of the other one is beyond those wanted."""
    (low, high), steps = wanted, 255
    if selector[0] >= 0 and 0 < selector[1] < math.inf:
        return (min(0.0, low) * steps / selector[1], max(0.0, high) * steps / selector[1])
    if selector[1] <= 0 and -math.inf < selector[0] < 0:
        return (max(0.0, high) * steps / selector[0], min(0.0, low) * steps / selector[0])
    return EVERYTHING


def _divided(wanted: Limits, factor: Array) -> Limits:
    """Limits of what is multiplied by a constant factor."""
    if not factor.size or not np.isfinite(factor).all() or factor.min() * factor.max() <= 0:
        return EVERYTHING
    ends = [[float(end / f) for f in (factor.min(), factor.max())] for end in wanted]
    low, high = ends if factor.min() > 0 else reversed(ends)
    return (min(low), max(high))


def _fall(extent: int) -> float:
    """How far below a row's greatest value so many values together are next to nothing."""
    return math.log(_LEAST_SHARE / max(extent, 1))


def some_rows(values: Array, axis: int) -> Array:
    """Some of the rows that a Softmax has along an axis, from all over them: (rows, values)."""
    if not values.size:
        return np.zeros((0, 1))
    rows = np.moveaxis(values, axis, -1).reshape(-1, values.shape[axis]).astype(np.float64)
    return rows[:: -(-len(rows) // _ROWS)]


def softmax_floor(samples: Sequence[Array]) -> float:
    """The lower limit of a Softmax's input with which its result, in 8 bits, is nearest.

    It lies so far below a row's greatest value that a whole row of it is next to nothing. Which
    row's, the error decides: rows that a mask hides altogether lie as low as the mask.

    Args:
        samples: values of the input, by `some_rows`.

    Returns:
        The limit; minus infinity if none is better.
    """
    longest = max((rows.shape[1] for rows in samples), default=1)
    padding = [((0, 0), (0, longest - rows.shape[1])) for rows in samples]
    padded = [
        np.pad(rows, by, constant_values=-math.inf)
        for rows, by in zip(samples, padding, strict=True)
    ]
    rows = np.concatenate([np.zeros((0, longest)), *padded])
    rows = rows[np.isfinite(rows.max(axis=1))]
    if not len(rows):
        return -math.inf
    rows = rows[:: -(-len(rows) // _ROWS)]
    greatest = rows.max(axis=1)
    low, high = float(rows.min()), float(greatest.max())
    likely = np.quantile(greatest, (0, 0.01, 0.05, 0.25, 0.5)) + _fall(longest)
    limits = {low, *map(float, likely)}
    candidates = sorted(limit for limit in limits if limit >= low and math.isfinite(limit))
    want = _softmax(rows)
    errors = [_error(rows, want, limit, high) for limit in candidates]
    best = candidates[int(np.argmin(errors))]
    return -math.inf if best == low else best


def _softmax(rows: Array) -> Array:
    powers = np.exp(rows - rows.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _error(rows: Array, want: Array, low: float, high: float) -> float:
    step = (high - low) / 255 or 1.0
    stored = np.rint((np.maximum(rows, low) - low) / step) * step + low
    return float(np.square(_softmax(stored) - want).sum())
