"""What an operation declares of its operands, results and properties, checked once a type.

xDSL (0.74) finds each operand by its name, makes a context and a list of types for it, and verifies
its constraint, for every operation anew: a third of a module's verification. Most operations of a
network are of few classes and types. Here a class is looked through once, and a constraint is not
asked again about types or an attribute that it has let pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TypeAlias

from xdsl.ir import Attribute, Operation
from xdsl.irdl import IRDLOperation, OpDef
from xdsl.irdl.constraints import AttrConstraint, RangeConstraint, VerificationContext
from xdsl.irdl.operations import (
    OperandDef,
    OptionalDef,
    OptPropertyDef,
    ResultDef,
    VariadicDef,
)
from xdsl.traits import OpTrait

Attributes: TypeAlias = Sequence[Attribute]

_MOST = 1 << 12
"""What a constraint remembers."""


@lru_cache(maxsize=1 << 9)
def remember_what_fits(kind: type[Operation]) -> None:
    """Has an operation class ask its constraints only of what they have not let pass yet.

    What does not fit, xDSL verifies as ever, and it says what is wrong. So it does of classes with
    regions, with several variadic operands, or whose constraints depend on each other.
    """
    if not issubclass(kind, IRDLOperation):
        return
    definition = kind.get_irdl_definition()
    fits = _form(definition)
    verify = definition.verify
    if fits is None:
        return

    def verify_rest(op: Operation) -> None:
        if not fits(op):
            verify(op)

    # The method that xDSL makes of a class's definition calls it there.
    setattr(definition, "verify", verify_rest)  # noqa: B010  # pyright: it is a method


def _form(definition: OpDef) -> Callable[[Operation], bool] | None:
    """Whether an operation is certainly as it is defined; None if that is not to be told so."""
    others = (definition.options, definition.regions, definition.successors, definition.attributes)
    declared = {name: part.constr for name, part in definition.properties.items()}
    if any(others) or any(constraint.variables() for constraint in declared.values()):
        return None
    operands = _types_fit([part for _, part in definition.operands])
    results = _types_fit([part for _, part in definition.results])
    if operands is None or results is None:
        return None
    of_property = {name: _remembering(constraint) for name, constraint in declared.items()}
    needed = {n for n, p in definition.properties.items() if not isinstance(p, OptPropertyDef)}
    traits = [t for t in definition.traits if type(t).verify is not OpTrait.verify]

    def fits(op: Operation) -> bool:
        properties = op.properties
        if op.regions or op.successors or not needed <= properties.keys():
            return False
        for name, attribute in properties.items():
            check = of_property.get(name)
            if check is None or not check((attribute,)):
                return False
        if not operands([v.type for v in op.operands]) or not results([v.type for v in op.results]):
            return False
        for trait in traits:
            trait.verify(op)
        return True

    return fits


def _types_fit(parts: Sequence[OperandDef | ResultDef]) -> Callable[[Attributes], bool] | None:
    """Whether types are certainly those of operands, or results, as they are defined."""
    if any(part.constr.variables() for part in parts):
        return None
    variadic = [index for index, part in enumerate(parts) if isinstance(part, VariadicDef)]
    if len(variadic) > 1:
        return None
    checks = [_remembering(part.constr) for part in parts]
    if not variadic:
        return lambda types: (
            len(types) == len(checks)
            and all(check((of,)) for check, of in zip(checks, types, strict=True))
        )
    (before,) = variadic
    behind = len(parts) - before - 1
    most = before + behind + 1 if isinstance(parts[before], OptionalDef) else None

    def fit(types: Attributes) -> bool:
        end = len(types) - behind
        if end < before or (most is not None and len(types) > most):
            return False
        groups: list[tuple[Attribute, ...]] = [(of,) for of in types]
        groups[before:end] = [tuple(types[before:end])]
        return all(check(of) for check, of in zip(checks, groups, strict=True))

    return fit


def _remembering(
    constraint: AttrConstraint | RangeConstraint,
) -> Callable[[tuple[Attribute, ...]], bool]:
    """Whether a constraint certainly lets attributes pass: types in a row, or a property."""
    passed: dict[tuple[int, ...], Attributes] = {}  # they are held, so that their ids stay theirs

    def check(attributes: tuple[Attribute, ...]) -> bool:
        key = tuple([id(attribute) for attribute in attributes])
        if key in passed:
            return True
        context = VerificationContext()
        try:
            if isinstance(constraint, RangeConstraint):
                constraint.verify(attributes, context)
            else:
                constraint.verify(attributes[0], context)
        except Exception:  # noqa: BLE001  # whatever it is, xDSL will say so
            return False
        if len(passed) >= _MOST:
            passed.clear()
        passed[key] = attributes
        return True

    return check
