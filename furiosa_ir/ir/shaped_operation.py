"""Operations on statically shaped tensors: a shape rule, semantics, and how they are built."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import lru_cache
from operator import index
from typing import Any, Self, cast

from typing_extensions import override
from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    ArrayAttr,
    DenseArrayBase,
    IntAttr,
    IntegerType,
    LocationAttr,
    TensorType,
)
from xdsl.ir import Attribute, BlockArgument, Operation, OpResult, SSAValue
from xdsl.irdl import traits_def
from xdsl.irdl.operations import VariadicDef
from xdsl.traits import Pure

from furiosa_ir.errors import VerificationFailure
from furiosa_ir.ir.assembly_format import AssemblyOp, default_properties
from furiosa_ir.ir.attribute_values import as_attribute
from furiosa_ir.ir.sizes import check_shape
from furiosa_ir.numerics.array import Array
from furiosa_ir.plugins import wrong_result

Shape = tuple[int, ...]
DYNAMIC = DYNAMIC_INDEX
"""The extent of a dimension that only running the network tells (host operators only)."""

AnyTensor = TensorType[Attribute]


class ShapedOp(AssemblyOp):
    """An operation whose results' shapes follow from its operands and properties."""

    traits = traits_def(Pure())

    def result_shapes(self) -> Sequence[Shape]:
        """The shape rule: one shape for each result, from operands and properties.

        Raises:
            VerificationFailure: the operands' shapes contradict each other.
        """
        raise NotImplementedError(f"{self.name} has no shape rule")

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        """The results' elements from the operands'; operands left out are not passed.

        Which numbers they are, the dialect says: real ones (`graph`), integers (`ftensor`).
        """
        raise NotImplementedError(f"{self.name} has no semantics")

    def checked_shapes(self) -> list[Shape]:
        """`result_shapes`, which may be a plug-in's.

        Raises:
            VerificationFailure: the operands' shapes contradict each other.
            FuriosaError: a plug-in's shape rule returns something else than shapes.
        """
        made: Any = self.result_shapes()
        try:
            shapes = [tuple(map(index, shape)) for shape in made]
        except TypeError:
            shapes = None
        if shapes is None or len(shapes) != len(self.results):
            what = f"{made!r}, not a shape for each result"
            raise wrong_result(self.result_shapes, what, f"the shape rule of {self.name}")
        return shapes

    @classmethod
    def make(
        cls,
        operands: Sequence[SSAValue | Sequence[SSAValue] | None],
        elements: Sequence[Attribute],
        *,
        location: LocationAttr | None = None,
        **properties: object,
    ) -> Self:
        """Builds the operation; the shape rule gives the result types.

        Args:
            operands: one entry for each operand definition; None for an optional one left out.
            elements: the element type of each result.
            location: the framework's layer.
            properties: Python values (int, float, str, bool, sequences, numpy arrays for
                constants) or attributes; what is left out is what text leaves out (`DEFAULTS`).

        Raises:
            VerificationFailure: the shape rule finds a contradiction, or makes no shape.
        """
        given = {k: as_attribute(v) for k, v in properties.items() if v is not None}
        if not given.keys() >= cls.DEFAULTS.keys():
            given = default_properties(cls, _flat(operands), ()) | given
        placeholder = [tensor_type(element, ()) for element in elements]
        plain = _plain_counts(cls) == (len(operands), len(elements))
        if plain and all(type(o) in _VALUES for o in operands):
            # What `build` does besides, which takes half of its time, is for other operations.
            op = cls.create(
                operands=cast("Sequence[SSAValue]", operands),
                properties=given,
                result_types=placeholder,
            )
        else:
            variadic = cls.get_irdl_definition().results
            is_variadic = len(variadic) == 1 and type(variadic[0][1]).__name__ == "VarResultDef"
            op = cls.build(
                operands=[[] if o is None else o for o in operands],
                properties=given,
                result_types=[placeholder] if is_variadic else placeholder,
            )
        if location is not None:
            op.location = location
        for result, element, shape in zip(op.results, elements, op.checked_shapes(), strict=True):
            if min(shape, default=0) < 0:
                raise VerificationFailure(f"{op.name}: a result of shape {list(shape)}")
            check_shape(shape, f"the result of {cls.name}")
            result._type = tensor_type(element, shape)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        return op

    @override
    def verification_key(self) -> Hashable | None:
        """Its rules look at types, at properties and at operands that are constant."""
        if self.regions or self.successors or self.attributes:
            return None
        return (
            tuple([(id(v.type), _constant_id(v)) for v in self.operands]),
            tuple([id(t) for t in self.result_types]),
            tuple([(n, self._rules_look_at(n, a)) for n, a in self.properties.items()]),
        )

    @override
    def key_holds(self) -> object:
        types = [value.type for value in (*self.operands, *self.results)]
        return types, [_constant(v) for v in self.operands], [*self.properties.values()]

    def _rules_look_at(self, name: str, value: Attribute) -> Hashable:
        """What they look at of a property; an origin is only carried."""
        return type(value) if name == "origin" else id(value)

    def verify_(self) -> None:
        for result, shape in zip(self.results, self.checked_shapes(), strict=True):
            if shape_of(result) != shape:
                raise VerificationFailure(
                    f"{self.name}: result has shape {list(shape_of(result))}, "
                    f"its operands make {list(shape)}"
                )


_VALUES = (OpResult, BlockArgument)


@lru_cache(maxsize=1 << 9)
def _plain_counts(cls: type[ShapedOp]) -> tuple[int, int] | None:
    """How many operands and results each operation of a class has; None if that is not the same."""
    definition = cls.get_irdl_definition()
    parts = [part for _, part in (*definition.operands, *definition.results)]
    others = (definition.options, definition.regions, definition.successors)
    if any(others) or any(isinstance(part, VariadicDef) for part in parts):
        return None
    return len(definition.operands), len(definition.results)


def _flat(operands: Sequence[SSAValue | Sequence[SSAValue] | None]) -> list[SSAValue]:
    """The operands as an operation holds them: variadic ones in line, those left out not at all."""
    listed = [[o] if isinstance(o, SSAValue) else o or () for o in operands]
    return [value for values in listed for value in values]


def _constant(value: SSAValue) -> Attribute | None:
    """The constant that a value is."""
    return value.owner.properties.get("value") if isinstance(value, OpResult) else None


def _constant_id(value: SSAValue) -> int | None:
    """Tells the constants of which a value is one."""
    constant = _constant(value)
    return None if constant is None else id(constant)


def tensor_type(element: Attribute, shape: Shape) -> AnyTensor:
    """The type of tensors of that element type and shape, one object for all of them."""
    known = _TYPES.get((id(element), shape))
    if known is None:
        known = element, _tensor_type(element, shape)
        if len(_TYPES) >= _MOST:
            _TYPES.clear()
        _TYPES[id(element), shape] = known
    return known[1]


@lru_cache(maxsize=1 << 10)
def _tensor_type(element: Attribute, shape: Shape) -> AnyTensor:
    return TensorType(element, _extents(shape))


@lru_cache(maxsize=1 << 10)
def _extents(shape: Shape) -> ArrayAttr[IntAttr]:
    return ArrayAttr([IntAttr(extent) for extent in shape])


_MOST = 1 << 11
_TYPES: dict[tuple[int, Shape], tuple[Attribute, AnyTensor]] = {}
"""By the element type's `id`, which it keeps as it is held: to hash one takes a microsecond."""
_SHAPES: dict[int, tuple[Attribute, Shape]] = {}
"""By the tensor type's `id`, which it keeps as it is held: xDSL makes the shape each time."""
_INTS: dict[int, tuple[Attribute, tuple[int, ...]]] = {}
"""Of arrays, likewise."""


def shape_of(value: SSAValue) -> Shape:
    """The shape of a tensor value."""
    kind = value.type
    known = _SHAPES.get(id(kind))
    if known is None:
        known = kind, cast("AnyTensor", kind).get_shape()
        if len(_SHAPES) >= _MOST:
            _SHAPES.clear()
        _SHAPES[id(kind)] = known
    return known[1]


def shape_text(shape: Sequence[int]) -> str:
    """A shape as messages show it, as in [1, ?, 3]."""
    return f"[{', '.join('?' if n == DYNAMIC else str(n) for n in shape)}]"


def element_of(value: SSAValue) -> Attribute:
    """The element type of a tensor value."""
    return cast("AnyTensor", value.type).element_type


def ints(attribute: DenseArrayBase) -> tuple[int, ...]:
    """The integers of an array property."""
    known = _INTS.get(id(attribute))
    if known is None:
        known = attribute, cast("DenseArrayBase[IntegerType]", attribute).get_values()
        if len(_INTS) >= _MOST:
            _INTS.clear()
        _INTS[id(attribute)] = known
    return known[1]


def broadcast_shapes(op: Operation, shapes: Sequence[Shape]) -> Shape:
    """Numpy's broadcasting rule, for more than the 32 dimensions that `np.broadcast_shapes` knows.

    Raises:
        VerificationFailure: the shapes do not broadcast.
    """
    rank = max(map(len, shapes), default=0)
    found: list[int] = []
    for axis in range(-rank, 0):
        extents = {int(s[axis]) for s in shapes if len(s) >= -axis}
        longer = extents - {1}
        if len(longer) > 1 or any(n < 0 for n in extents):
            text = " and ".join(str(list(s)) for s in shapes)
            raise VerificationFailure(f"{op.name}: shapes {text} do not broadcast")
        found.append(longer.pop() if longer else 1)
    return tuple(found)


def normal_axis(op: Operation, axis: int, rank: int) -> int:
    """An axis counted from the front.

    Raises:
        VerificationFailure: it is out of range.
    """
    if not -rank <= axis < max(rank, 1):
        raise VerificationFailure(f"{op.name}: axis {axis} is out of range for rank {rank}")
    return axis % rank if rank else 0


def distinct_axes(op: Operation, axes: Sequence[int], rank: int) -> tuple[int, ...]:
    """Several axes counted from the front.

    Raises:
        VerificationFailure: one is out of range, or there twice.
    """
    found = tuple(normal_axis(op, axis, rank) for axis in axes)
    if len(set(found)) < len(found):
        raise VerificationFailure(f"{op.name}: an axis is there twice: {list(axes)}")
    return found
