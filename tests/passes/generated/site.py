"""An operation of any class as it is drawn, with what a pattern wants to define its operands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from xdsl.dialects.builtin import f32
from xdsl.ir import Attribute, Operation, SSAValue

from furiosa_ir.dialects.ftensor import arithmetic
from furiosa_ir.dialects.graph.elementwise import BinaryOp, UnaryOp
from furiosa_ir.dialects.graph.movement import MoveOp, ReshapeOp, SplitOp, TransposeOp
from furiosa_ir.dialects.graph.normalization import NaryOp
from furiosa_ir.dialects.graph.pooling import WindowPoolOp
from furiosa_ir.dialects.graph.quantization import (
    DequantizeOp,
    QuantizeOp,
    StorageCastOp,
    storage_type,
)
from furiosa_ir.dialects.graph.reduction import ExtremeOp
from furiosa_ir.dialects.quant import UniformType
from furiosa_ir.ir.shaped_operation import Shape, ShapedOp, element_of, shape_of
from tests.passes.generated.draw import TENSOR_KINDS, Draw, Kind, Unsuitable
from tests.passes.generated.kinds import ELEMENTWISE, KINDS, concrete, is_scalar, kind_of
from tests.passes.generated.pattern import Classes, Wanted
from tests.passes.generated.properties import drawn_properties

Form = Callable[["Site"], Operation]

FORMS: dict[type[Operation], Form] = {}
"""Class -> how its operands go together (`forms.py`); the nearest base counts."""


def draws(*classes: type[Operation]) -> Callable[[Form], Form]:
    """Says how operations of classes, and of those below them, are drawn."""

    def declare(form: Form) -> Form:
        FORMS.update(dict.fromkeys(classes, form))
        return form

    return declare


@dataclass(frozen=True)
class Site:
    """An operation that is about to be drawn.

    Attributes:
        draw: where it comes from.
        cls: which operation.
        wanted: what is to define its operands.
        kind: of its results; None: any.
        shape: of its results; None: any.
        depth: how many more operations may define what nothing is wanted of.
    """

    draw: Draw
    cls: type[ShapedOp]
    wanted: Wanted
    kind: Kind | None
    shape: Shape | None
    depth: int

    def kinds(self) -> tuple[Kind, Kind]:
        """The kinds of operands and results.

        Raises:
            Unsuitable: it makes none of the kind that is asked for.
        """
        known = next(KINDS[base] for base in self.cls.__mro__ if base in KINDS)
        fitting = [pair for pair in known if self.kind in (None, pair[1])]
        if not fitting:
            raise Unsuitable(f"{self.cls.name} makes no {self.kind}")
        return self.draw.choice(fitting)

    def operand(self, name: str, kind: Kind, shape: Shape | None) -> SSAValue:
        """An operand, defined as is wanted."""
        inner = self.wanted.operands.get(name)
        if inner is None:
            return leaf(self.draw, kind, shape, self.depth)
        op = operation(self.draw, inner, kind, shape, self.depth)
        return self.draw.choice(op.results)

    def first(self, name: str, kind: Kind, shape: Shape) -> SSAValue:
        """An operand that may have any shape, this one if nothing else decides it."""
        inner = self.wanted.operands.get(name)
        return self.operand(name, kind, shape if inner is None or is_scalar(inner) else None)

    def properties(self, first: SSAValue, element: Attribute, *others: str) -> dict[str, Any]:
        """What is wanted, and the rest drawn by its names, but for `others`."""
        given = {n: v for n, v in self.wanted.properties.items() if n not in others}
        return drawn_properties(self.cls, self.draw, shape_of(first), element, given, others)

    def constant(self, name: str, kind: Kind, shape: Shape) -> SSAValue:
        """An operand that is constant nearly always."""
        if name in self.wanted.operands or self.draw.chance(0.1):
            return self.operand(name, kind, shape)
        return constant(self.draw, kind, shape)

    def result(self, kind: Kind, operands: Sequence[SSAValue]) -> Attribute:
        """The element type of the results: the operands', where they only move or are plain."""
        alike = [v for v in operands if kind_of(v) == kind]
        moves = issubclass(self.cls, MoveOp | SplitOp | ExtremeOp | WindowPoolOp)
        if alike and (kind == "plain" or (moves and self.draw.chance(0.75))):
            return element_of(alike[0])
        return self.draw.element(kind)

    def build(
        self, operands: Sequence[Any], element: Attribute, properties: Mapping[str, Any]
    ) -> Operation:
        """The operation, behind the others."""
        count = len(properties["split"]) if issubclass(self.cls, SplitOp) else 1
        op = self.cls.make(operands, [element] * count, **properties)
        if self.shape is not None and any(shape_of(r) != self.shape for r in op.results):
            raise Unsuitable(f"{self.cls.name} has another shape")
        return self.draw.add(op)

    def make(self, operands: Sequence[Any], element: Attribute) -> Operation:
        """The operation with properties drawn by their names."""
        first = operands[0][0] if isinstance(operands[0], list) else operands[0]
        return self.build(operands, element, self.properties(first, element))


def operation(
    draw: Draw, wanted: Wanted, kind: Kind | None = None, shape: Shape | None = None, depth: int = 2
) -> Operation:
    """Draws an operation, and what defines its operands.

    Args:
        draw: where it comes from.
        wanted: which operation, and what is to define its operands.
        kind, shape: of its results; None: any.
        depth: how many more operations may define what nothing is wanted of.

    Raises:
        Unsuitable: what was drawn does not fit together.
        VerificationFailure: the same.
    """
    cls = cast("type[ShapedOp]", draw.choice(concrete(wanted.classes)))
    form = next(FORMS[base] for base in cls.__mro__ if base in FORMS)
    return form(Site(draw, cls, wanted, wanted.kind or kind, shape, depth - 1))


_BEHIND: Mapping[bool, Classes] = {
    False: (UnaryOp, BinaryOp, TransposeOp, ReshapeOp, NaryOp),
    True: (arithmetic.ClampOp, arithmetic.RescaleOp, arithmetic.BinaryOp, arithmetic.LookupOp),
}


def leaf(draw: Draw, kind: Kind, shape: Shape | None, depth: int) -> SSAValue:
    """Any value of a kind: an argument, a constant, one that there is, or another operation's."""
    if draw.chance(0.2):
        known = draw.again(draw.element(kind), shape)
        if known is not None:
            return known
    shape = draw.shape() if shape is None else shape
    if depth > 0 and kind in ("real", "stored", *TENSOR_KINDS) and draw.chance(0.3):
        behind = _BEHIND[kind in TENSOR_KINDS]
        if draw.whole:
            behind = tuple(c for c in behind if issubclass(c, ELEMENTWISE))
        return operation(draw, Wanted(behind), kind, shape, depth).results[0]
    made = draw.random.random()
    if kind == "real" and made < 0.65:
        stored = constant(draw, "stored", shape) if made < 0.1 else _stored(draw, shape, depth)
        return draw.add(DequantizeOp.make([stored], [f32])).results[0]
    if kind == "plain" and made < 0.5:
        stored = _stored(draw, shape, depth)
        return draw.add(StorageCastOp.make([stored], [_storage(stored)])).results[0]
    if kind == "stored" and made < 0.1:
        real = leaf(draw, "real", shape, 0)
        return draw.add(QuantizeOp.make([real], [draw.element("stored")])).results[0]
    if made > 0.85:
        return constant(draw, kind, shape)
    return draw.argument(draw.element(kind), shape)


def _stored(draw: Draw, shape: Shape, depth: int) -> SSAValue:
    return leaf(draw, "stored", shape, depth - 1)


def _storage(value: SSAValue) -> Attribute:
    return storage_type(cast("UniformType", element_of(value)))


def constant(draw: Draw, kind: Kind, shape: Shape) -> SSAValue:
    """A constant of a kind; now and then a quantised one with several scales, or a scalar."""
    element = draw.element(kind)
    if kind in TENSOR_KINDS:
        return draw.tensor_constant(draw.array(element, shape), element)
    if kind == "stored" and shape and max(shape) > 1 and draw.chance(0.2):
        axis = draw.random.randrange(len(shape))
        if shape[axis] > 1:
            element = draw.by_channel(element, shape, axis)
    return draw.constant(draw.array(element, shape), element)
