"""Values of very different ranges that a network joins at its end, as detectors do.

Boxes reach to 640, scores to 1: in 8 bits of one scale every score is 0. Where nothing is computed
behind a Concat any more, it stays in float, and each operand keeps the scale that it has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from furiosa_ir.quantization.indifference import Limits, Step

_FURTHER = 8.0
"""How much further one operand reaches than another: three of its eight bits would be lost."""

CARRIED = {
    *("Identity", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Slice", "Split"),
    *("Gather", "Concat", "Tile", "Expand"),
}
"""Operators that compute nothing."""


def kept_apart(
    steps: Sequence[Step], ranges: Mapping[str, Limits], outputs: Iterable[str]
) -> set[str]:
    """The results of operators that stay in float: such a Concat, and what is behind it.

    Args:
        steps: the network's operators, in order.
        ranges: of its tensors.
        outputs: the network's.
    """
    ends, seen = set(outputs), set[str]()
    at_end: list[Step] = []
    for step in reversed(steps):
        carried = step.kind in CARRIED and all(o in ends or o not in seen for o in step.outputs)
        if carried:
            at_end.append(step)
        for tensor in step.inputs:
            # Whoever else takes a tensor computes with it, unless it has been so far.
            if carried and (tensor in ends or tensor not in seen):
                ends.add(tensor)
            elif not carried:
                ends.discard(tensor)
            seen.add(tensor)
    joined: set[str] = set()
    for step in reversed(at_end):
        if not joined.isdisjoint(step.inputs) or (
            step.kind == "Concat" and _is_uneven(step.inputs, ranges)
        ):
            joined.update(step.outputs)
    return joined


def _is_uneven(tensors: Iterable[str], ranges: Mapping[str, Limits]) -> bool:
    reach = [max(map(abs, ranges[t])) for t in tensors if t in ranges]
    reach = [r for r in reach if r > 0]
    return len(reach) > 1 and max(reach) > _FURTHER * min(reach)
