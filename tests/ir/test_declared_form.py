"""What `declared_form` lets pass is what xDSL does, whatever an operation is like."""

from __future__ import annotations

import random

import pytest
from xdsl.dialects.builtin import (
    ArrayAttr,
    DenseArrayBase,
    FloatAttr,
    IntegerAttr,
    StringAttr,
    TensorType,
    UnitAttr,
    f32,
    f64,
    i1,
    i8,
    i32,
    i64,
)
from xdsl.ir import Attribute, Block, Operation
from xdsl.irdl import IRDLOperation, OpDef
from xdsl.irdl.constraints import VerificationContext
from xdsl.utils.exceptions import VerifyException

from furiosa_ir.backends.warboy.dialect import Warboy
from furiosa_ir.backends.warboy.dialect.attributes import TokenType
from furiosa_ir.dialects.ftensor import FTensor
from furiosa_ir.dialects.graph import Graph
from furiosa_ir.ir.declared_form import remember_what_fits
from tests.draws import draws

CLASSES = [
    op
    for dialect in (Graph, FTensor, Warboy)
    for op in dialect.operations
    if issubclass(op, IRDLOperation)
]
TYPES: tuple[Attribute, ...] = (
    *(TensorType(element, [1, 4]) for element in (i8, i8, f32, i1)),
    i32,
    TokenType(),
)
ATTRIBUTES: tuple[Attribute, ...] = (
    IntegerAttr(3, i64),
    IntegerAttr(3, i32),
    FloatAttr(0.5, f64),
    FloatAttr(0.5, f32),
    StringAttr("NHWC"),
    DenseArrayBase.from_list(i64, [1, 2]),
    DenseArrayBase.from_list(f64, [1.0]),
    ArrayAttr([StringAttr("a")]),
    UnitAttr(),
)


def drawn(cls: type[IRDLOperation], rnd: random.Random) -> Operation:
    """An operation of a class that is as it is declared, or nearly so."""
    definition = cls.get_irdl_definition()
    block = Block(arg_types=TYPES)
    operands = [block.args[0] for _ in definition.operands]
    results = [TYPES[0] for _ in definition.results]
    properties: dict[str, Attribute] = {}
    for name, part in definition.properties.items():
        fitting = [a for a in ATTRIBUTES if fits(part.constr, a)]
        if fitting and rnd.random() < 0.95:
            properties[name] = rnd.choice(fitting if rnd.random() < 0.95 else ATTRIBUTES)
    if rnd.random() < 0.1:
        properties["unheard_of"] = UnitAttr()
    for values, choices in ((operands, block.args), (results, TYPES)):
        for _ in range(rnd.choice((0, 0, 0, 1, 2))):
            change = rnd.randrange(3)
            if change == 0:
                values.append(rnd.choice(choices))
            elif values and change == 1:
                values.pop()
            elif values:
                values[rnd.randrange(len(values))] = rnd.choice(choices)
    return cls.create(operands=operands, result_types=results, properties=properties)


def fits(constraint: object, attribute: Attribute) -> bool:
    try:
        constraint.verify(attribute, VerificationContext())
    except VerifyException:
        return False
    return True


def verdict(definition: OpDef, op: Operation, *, by_xdsl: bool) -> str | None:
    try:
        OpDef.verify(definition, op) if by_xdsl else definition.verify(op)
    except VerifyException as error:
        return str(error)
    return None


@pytest.mark.draws
def test_verdicts_are_those_of_xdsl() -> None:
    rnd = random.Random(5)
    found = {True: 0, False: 0}
    remembering: set[type[Operation]] = set()
    for _ in range(draws(5000)):
        cls = rnd.choice(CLASSES)
        remember_what_fits(cls)
        definition = cls.get_irdl_definition()
        if "verify" not in vars(definition):
            continue  # xDSL's own
        remembering.add(cls)
        op = drawn(cls, rnd)
        theirs = verdict(definition, op, by_xdsl=True)
        for _ in range(2):  # the second time, what has passed is remembered
            assert verdict(definition, op, by_xdsl=False) == theirs
        found[theirs is None] += 1
    assert min(found.values()) > 100
    assert len(remembering) > 60
