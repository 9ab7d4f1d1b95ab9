"""A module at some moment, its values numbered, and its copy after a pass, where numbers live on.

Whoever puts a value in another's place says so (`ir/value_tracking.py`); so values of two moments
of a compile can be compared by their numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue

from furiosa_ir.ir.rewriting import Maker, made_by
from furiosa_ir.ir.value_tracking import ValueTracker
from furiosa_ir.verification.trace import copy_module

Names = Mapping[SSAValue, tuple[int, ...]]
"""Value -> its numbers: several where values turned out to be one."""


@dataclass(frozen=True)
class State:
    """A module that nobody changes any more.

    Attributes:
        module: with its locations.
        names: of its values.
        makers: operation -> the rule that made it, of those that one made.
    """

    module: ModuleOp
    names: Names
    makers: Mapping[Operation, Maker] = field(default_factory=dict[Operation, Maker])


def numbered_values(module: ModuleOp) -> Iterator[SSAValue]:
    """The values that are compared, in the order of their numbers: what is computed of others."""
    for op in module.walk():
        if op.operands:
            yield from op.results


def numbered(module: ModuleOp) -> dict[SSAValue, tuple[int, ...]]:
    """Numbers for a module's values; a copy of it has the same."""
    return {value: (number,) for number, value in enumerate(numbered_values(module))}


def frozen(module: ModuleOp, tracker: ValueTracker) -> State:
    """A copy of a module that goes on changing.

    Args:
        module: as it is now.
        tracker: has its values' names.
    """
    mapping: dict[SSAValue, SSAValue] = {}
    copy = copy_module(module, mapping)
    known = tracker.names
    names = {mine: known[live] for live, mine in mapping.items() if live in known}
    makers = {
        mine: maker
        for live, mine in zip(module.walk(), copy.walk(), strict=True)
        if (maker := made_by(live)) is not None
    }
    return State(copy, names, makers)


def take_attributes(copy: ModuleOp, module: ModuleOp) -> None:
    """Gives a copy the module's own attributes: a pass may have set its target, and no more."""
    copy.attributes = dict(module.attributes)


def same_operations(one: ModuleOp, other: ModuleOp) -> bool:
    """Whether two modules hold the same operations; their own attributes may differ.

    What a pass has left may be no sound module: a verifier behind it says so.
    """
    try:
        return one.body.is_structurally_equivalent(other.body)
    except KeyError:  # an operand that nothing in the module makes
        return False
