"""The smallest test of what a bisection has found: operations around a rule's root."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from time import monotonic

from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation

from furiosa_ir.debugging.bisect import Bisection
from furiosa_ir.debugging.numerics_test import NumericsTest
from furiosa_ir.debugging.part import operations_of, part_of, producers, with_calls
from furiosa_ir.debugging.reduce import Reduction, reduce_module
from furiosa_ir.debugging.state import State, numbered
from furiosa_ir.ir.location import layer_names
from furiosa_ir.ir.segments import NAME

SECONDS = 20.0
"""Of a reduction that nobody waits longer for; `furiosa reduce` takes the time it needs."""

_MOST_STEPS = 6
"""Of producers and readers that are taken in before the whole module is."""


def reduced_test(
    bisection: Bisection, seconds: float = SECONDS
) -> tuple[Reduction, NumericsTest] | None:
    """The module that shows what was found, and how it does.

    First the root of the rule and what makes the value that is another are tried alone, then with
    what makes their operands, and so on; what shows the change is reduced further.

    Args:
        bisection: has found something.
        seconds: after so long, what there is has to do.

    Returns:
        None where no part of the module shows it, nor the whole on inputs of its own; and where the
        pass does something else each time it runs.
    """
    finding, module = bisection.finding, bisection.before
    assert finding is not None
    assert module is not None
    if not finding.is_repeatable:
        return None
    until = monotonic() + seconds
    if bisection.test is not None:
        return reduce_module(module, bisection.test, until=until), bisection.test
    test = NumericsTest(bisection.passes, finding.what.name, sort=finding.change.sort)
    if _is_of_program(bisection):  # a compile and a run of the simulator each
        test = replace(test, count=finding.change.on.number)
    for candidate in chain(_around(bisection), [module]):
        if test([candidate])[0]:
            return reduce_module(candidate, test, until=until), test
        if monotonic() > until:
            break
    return None


def _around(bisection: Bisection) -> Iterator[ModuleOp]:
    finding, module = bisection.finding, bisection.before
    assert finding is not None
    assert module is not None
    application, number = finding.application, finding.change.number
    if _is_of_program(bisection):
        layers = set(finding.layer.split("+"))
        kept = {op for op in operations_of(module) if layers & set(layer_names(op))}
        kept |= set(_makers_of_results(module, finding.layer))
    elif application is not None and application.root is not None and application.at is not None:
        module = application.at.module
        kept = {_in_function(application.root), *_makers(application.at, number)}
    else:
        kept = _makers(State(module, numbered(module)), number)
    for _ in range(_MOST_STEPS if kept else 0):
        made = part_of(module, with_calls(module, kept))
        if made is not None:
            yield made
        kept = kept | set(producers(kept))


def _is_of_program(bisection: Bisection) -> bool:
    """Whether the wrong pass works on something else than what is cut."""
    return len(bisection.passes) > 1


def _makers_of_results(module: ModuleOp, name: str) -> Iterator[Operation]:
    """What makes the results of that name that leave segments."""
    for function in module.ops:
        if not isinstance(function, FuncOp) or function.res_attrs is None:
            continue
        returned = function.get_return_op()
        for value, known in zip(
            returned.operands if returned else (), function.res_attrs, strict=False
        ):
            is_called_so = known.data.get(NAME) == StringAttr(name)
            if is_called_so and isinstance(value.owner, Operation):
                yield value.owner


def _makers(state: State, number: int | None) -> set[Operation]:
    """What makes the values of a number."""
    return {
        _in_function(value.owner)
        for value, numbers in state.names.items()
        if number in numbers and isinstance(value.owner, Operation)
    }


def _in_function(op: Operation) -> Operation:
    """The operation of a function's body that an operation is, or is in."""
    parent = op.parent_op()
    while parent is not None and not isinstance(parent, FuncOp):
        op, parent = parent, parent.parent_op()
    return op
