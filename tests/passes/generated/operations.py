"""Random legal operations of any class, with what a pattern wants to define their operands.

What an operation's operands look like, its class or a base of it says (`FORMS`): a new operation of
one operand, of two that broadcast, or of any number needs nothing here. Properties have their own
table (`properties.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import numpy as np
from xdsl.dialects.builtin import f32
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import IRDLOperation

from furiosa_ir.dialects import ftensor
from furiosa_ir.dialects.ftensor import arithmetic, contraction
from furiosa_ir.dialects.graph.base import GraphOp, quantization_of
from furiosa_ir.dialects.graph.contraction import ContractionOp
from furiosa_ir.dialects.graph.convolution import (
    ConvolutionOp,
    ConvTransposeOp,
    GemmOp,
    MatMulOp,
)
from furiosa_ir.dialects.graph.elementwise import BinaryOp, TableOp, UnaryOp, WhereOp
from furiosa_ir.dialects.graph.movement import ConcatOp, MoveOp, ReshapeOp, SplitOp, TransposeOp
from furiosa_ir.dialects.graph.normalization import (
    AffineOp,
    BatchNormOp,
    InstanceNormOp,
    LayerNormOp,
    NaryOp,
    StandardizeOp,
)
from furiosa_ir.dialects.graph.pooling import WindowPoolOp
from furiosa_ir.dialects.graph.quantization import (
    DequantizeOp,
    QuantizeOp,
    StorageCastOp,
    storage_type,
)
from furiosa_ir.dialects.graph.rearrangement import BatchToSpaceOp, BlockOp, SpaceToBatchOp
from furiosa_ir.dialects.graph.reduction import ArgExtremeOp, ExtremeOp
from furiosa_ir.dialects.graph.resize import ResizeOp
from furiosa_ir.dialects.graph.structure import ConstantOp, OpaqueOp
from furiosa_ir.dialects.quant import UniformType, uniform
from furiosa_ir.ir.shaped_operation import Shape, ShapedOp, element_of, shape_of
from furiosa_ir.passes.affine_expression import stored_of
from furiosa_ir.plugins import is_ours
from tests.passes.generated.draw import TENSOR_KINDS, Draw, Kind, Unsuitable
from tests.passes.generated.pattern import Classes, Wanted
from tests.passes.generated.properties import drawn_properties

ANYTHING = Wanted((ShapedOp,))

ELEMENTWISE = (
    *(UnaryOp, BinaryOp, NaryOp, QuantizeOp, DequantizeOp, StorageCastOp, AffineOp, ConstantOp),
    *(BatchNormOp, arithmetic.ConstantOp, arithmetic.BinaryOp, arithmetic.ClampOp),
    *(arithmetic.LookupOp, arithmetic.RescaleOp),
)
"""What works element by element: a rule on such alone is tried on all 8-bit values."""


@cache
def concrete(classes: Classes) -> tuple[type[IRDLOperation], ...]:
    """The operations that classes stand for, by name."""
    found: dict[str, type[IRDLOperation]] = {}
    pending = list(classes)
    while pending:
        cls = pending.pop()
        pending.extend(cls.__subclasses__())
        drawable = issubclass(cls, ShapedOp) and not issubclass(cls, OpaqueOp)
        if drawable and "name" in vars(cls) and is_ours(cls):
            found[cls.name] = cls
    return tuple(found[name] for name in sorted(found))


def is_scalar(wanted: Wanted) -> bool:
    """Whether all that is wanted works element by element."""
    return all(issubclass(c, ELEMENTWISE) for c in wanted.classes) and all(
        map(is_scalar, wanted.operands.values())
    )


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
        if alike and (kind == "plain" or (moves and self.draw.chance(0.9))):
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


def kind_of(value: SSAValue) -> Kind | None:
    """The kind of a value's elements."""
    element = element_of(value)
    if isinstance(element, UniformType):
        return "sum" if element.data.storage == "i32" else "stored"
    return "real" if element == f32 else "plain"


# Values that nothing is wanted of.

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


# Forms: how operands and properties go together.


def _of_one(site: Site) -> Operation:
    """One operand, of which the result has the shape or not."""
    taken, made = site.kinds()
    keeps = issubclass(site.cls, (*ELEMENTWISE, StandardizeOp))
    shape = site.shape if keeps else _first_shape(site)
    (name,) = (n for n, _ in site.cls.get_irdl_definition().operands)
    x = (
        site.operand(name, taken, shape)
        if keeps or shape is None
        else site.first(name, taken, shape)
    )
    return site.make([x], site.result(made, [x]))


def _first_shape(site: Site) -> Shape | None:
    """The shape of a first operand that must have one of certain ranks."""
    draw = site.draw
    for base in site.cls.__mro__:
        if base in RANKS:
            shape = list(draw.shape(RANKS[base]))
            if issubclass(site.cls, BlockOp):
                shape = [n if i == 0 else 4 * n for i, n in enumerate(shape)]
            if issubclass(site.cls, BatchToSpaceOp):
                shape[0] *= 4
            return tuple(shape)
    return None


def _transpose(site: Site) -> Operation:
    if site.shape is None:
        return _of_one(site)
    taken, made = site.kinds()
    perm = list(range(len(site.shape)))
    site.draw.random.shuffle(perm)
    x = site.operand("x", taken, tuple(site.shape[perm.index(i)] for i in range(len(perm))))
    return site.build([x], site.result(made, [x]), {"perm": perm})


def _reshape(site: Site) -> Operation:
    taken, made = site.kinds()
    shape = site.shape
    before = shape
    if shape is not None:  # as it may have been
        before = tuple(drawn_properties(site.cls, site.draw, shape, f32)["shape"])
    x = site.operand("x", taken, before)
    element = site.result(made, [x])
    return site.make([x], element) if shape is None else site.build([x], element, {"shape": shape})


def _cast(site: Site) -> Operation:
    """Between types of as many bits."""
    taken, made = site.kinds()
    x = site.operand("x", taken, site.shape)
    element = element_of(x)
    plain = storage_type(element) if isinstance(element, UniformType) else element
    if isinstance(element, UniformType) and element.data.storage == "i32":
        raise Unsuitable("an accumulator")
    result = plain if made == "plain" else site.draw.stored_of(plain)
    return site.build([x], result, {})


def _constant(site: Site) -> Operation:
    kind = site.kind or site.kinds()[1]
    shape = site.draw.shape() if site.shape is None else site.shape
    return cast("Operation", constant(site.draw, kind, shape).owner)


def _of_two(site: Site) -> Operation:
    """Two operands that broadcast; one of them may be a constant of fewer elements."""
    taken, made = site.kinds()
    names = [n for n, _ in site.cls.get_irdl_definition().operands]
    if site.draw.chance(0.3):
        names.reverse()
    first = site.operand(names[0], taken, site.shape)
    shape = site.draw.broadcasting(shape_of(first))
    if site.draw.whole and len(shape) == len(shape_of(first)):
        shape = shape_of(first)
    known = site.draw.chance(0.5) and names[1] not in site.wanted.operands
    if known:
        shape = () if site.draw.chance(0.5) else shape
        second = constant(site.draw, taken, shape)
        if taken == "real" and site.draw.chance(0.2):
            stored = constant(site.draw, "stored", shape)
            second = site.draw.add(DequantizeOp.make([stored], [f32])).results[0]
    else:
        second = site.operand(names[1], taken, shape)
    values = {names[0]: first, names[1]: second}
    operands = [values[n] for n in sorted(names)]
    return site.make(operands, site.result(made, operands))


def _of_many(site: Site) -> Operation:
    """Any number of operands that broadcast."""
    taken, made = site.kinds()
    first = site.operand("inputs", taken, site.shape)
    others = [
        site.draw.broadcasting(shape_of(first)) for _ in range(site.draw.random.randint(0, 2))
    ]
    operands = [first, *(site.operand("inputs", taken, shape) for shape in others)]
    return site.make([operands], site.result(made, operands))


def _concat(site: Site) -> Operation:
    taken, made = site.kinds()
    first = site.first("inputs", taken, site.draw.shape((1, 2, 3, 4)))
    element = site.result(made, [first])
    properties = site.properties(first, element)
    operands, axis = [first], properties["axis"]
    for _ in range(site.draw.random.randint(0, 2)):
        shape = list(shape_of(first))
        shape[axis] = site.draw.extent()
        operands.append(site.operand("inputs", taken, tuple(shape)))
    return site.build([operands], element, properties)


def _where(site: Site) -> Operation:
    taken, made = site.kinds()
    a = site.operand("a", taken, site.shape)
    b = site.operand("b", taken, site.draw.broadcasting(shape_of(a)))
    condition = site.operand("condition", "bool", site.draw.broadcasting(shape_of(a)))
    return site.build([condition, a, b], site.result(made, [a]), {})


def _convolution(site: Site) -> Operation:
    draw, (taken, made) = site.draw, site.kinds()
    x = site.first("x", taken, draw.shape((4, 4, 4, 3)))
    properties = site.properties(x, f32, "kernel_layout", "group")
    layout = properties["layout"]
    if len(layout) != len(shape_of(x)):
        raise Unsuitable("another rank")
    spatial = [d for d in layout if d not in "NC"]
    at = dict(zip(layout, shape_of(x), strict=True))
    transposed = issubclass(site.cls, ConvTransposeOp)
    group = 1 if transposed else draw.choice([g for g in (1, 1, 2, at["C"]) if at["C"] % g == 0])
    filters = group * draw.random.randint(1, 3)
    tflite = draw.source == "tflite" or draw.chance(0.2)
    depthwise = tflite and at["C"] == group and not transposed
    letters = "".join(spatial)
    order = f"I{letters}O" if depthwise else f"O{letters}I"
    if not tflite:
        order = ("IO" if transposed else "OI") + letters
    extents = {"O": filters, "I": at["C"] // group}
    extents |= {d: draw.random.randint(1, min(at[d], 3)) for d in spatial}
    properties |= {"kernel_layout": order, "group": group}
    shape = tuple(extents[d] for d in order)
    weight = weights(site, "weight", taken, shape, order.index("O"))
    bias = biases(site, "bias", taken, x, weight, filters)
    return _product(site, [x, weight, bias], made, properties)


def _gemm(site: Site) -> Operation:
    draw, (taken, made) = site.draw, site.kinds()
    a = site.first("a", taken, draw.shape((2,)))
    properties = site.properties(a, f32)
    if draw.chance(0.6) or taken == "stored":
        properties |= {"alpha": 1.0, "beta": 1.0}
    inside = shape_of(a)[0 if properties["trans_a"] else 1]
    columns = draw.extent()
    shape = (columns, inside) if properties["trans_b"] else (inside, columns)
    b = weights(site, "b", taken, shape, 0 if properties["trans_b"] else 1)
    bias = biases(site, "c", taken, a, b, columns)
    return _product(site, [a, b, bias], made, properties)


def _mat_mul(site: Site) -> Operation:
    draw, (taken, made) = site.draw, site.kinds()
    a = site.first("a", taken, draw.shape((2, 2, 3, 4)))
    shape = (shape_of(a)[-1], draw.extent())
    if len(shape_of(a)) > 2 and draw.chance(0.3):
        shape = (*shape_of(a)[:-2], *shape)
    b = weights(site, "b", taken, shape, len(shape) - 1)
    return _product(site, [a, b], made, {})


def _product(
    site: Site, operands: list[SSAValue | None], kind: Kind, properties: Mapping[str, Any]
) -> Operation:
    if kind != "sum":
        return site.build(operands, site.draw.element(kind), properties)
    x, weight = (None if v is None else quantization_of(v) for v in operands[:2])
    if x is None or weight is None or x.axis is not None:
        raise Unsuitable("no accumulator")
    op = cast("ContractionOp", site.build(operands, f32, properties))
    scales = np.array(weight.scales) * x.scale
    if len(scales) > 1:
        scales = np.tile(scales, op.channels // len(scales))
    element = uniform(np.dtype(np.int32), scales, 0, op.channel_axis)
    made = site.cls.make(operands, [element], **properties)
    op.detach()
    return site.draw.add(made)


def weights(site: Site, name: str, kind: Kind, shape: Shape, axis: int) -> SSAValue:
    """Constant 8-bit weights, with a scale for each index of an axis or one, or others."""
    draw = site.draw
    if name in site.wanted.operands or draw.chance(0.1):
        return site.operand(name, kind, shape)
    if kind == "real" and draw.chance(0.1):
        return draw.constant(draw.array(f32, shape), f32)
    dtype = np.dtype(draw.choice((np.int8, np.int8, np.uint8)))
    element = draw.quantised(dtype)
    if draw.chance(0.6):
        element = uniform(dtype, element.data.scale, 0)
    if draw.chance(0.4) and shape[axis] > 1:
        element = cast("UniformType", draw.by_channel(element, shape, axis))
    stored = draw.constant(draw.array(element, shape), element)
    if kind != "real":
        return stored
    return draw.add(DequantizeOp.make([stored], [f32])).results[0]


def biases(
    site: Site, name: str, kind: Kind, x: SSAValue, weight: SSAValue, count: int
) -> SSAValue | None:
    """A bias: left out, i32 in the accumulator's unit, or real numbers of that or any."""
    draw = site.draw
    if name in site.wanted.operands:
        return site.operand(name, kind, (count,))
    if draw.chance(0.3):
        return None
    data, by = (stored_of(v) if kind == "real" else v for v in (x, weight))
    qx, qw = (None if v is None else quantization_of(v) for v in (data, by))
    if qx is None or qw is None or qx.axis is not None:
        if kind != "real":
            raise Unsuitable("no unit")
        return leaf(draw, kind, (count,), 0)
    unit = (
        np.broadcast_to(np.array(qw.scales) * qx.scale, count)
        if len(qw.scales) in (1, count)
        else None
    )
    if unit is None:
        return None
    rng = np.random.default_rng(draw.random.getrandbits(32))
    integers = rng.integers(-3000, 3000, count).astype(np.int32)
    if kind == "real" and draw.chance(0.5):
        # Within the rounding of a float32, a bias counts as what it is rounded from: exact, or far.
        reals = integers * unit
        if draw.chance(0.5) or np.any(reals.astype(np.float32) != reals):
            reals = rng.uniform(-50, 50, count)
        return draw.constant(reals.astype(np.float32), f32)
    scales = np.array(qw.scales) * qx.scale
    element = uniform(np.dtype(np.int32), scales, 0, 0)
    stored = draw.constant(integers, element)
    return stored if kind != "real" else draw.add(DequantizeOp.make([stored], [f32])).results[0]


def _batch_norm(site: Site) -> Operation:
    taken, made = site.kinds()
    if site.shape is not None and len(site.shape) < 2:
        raise Unsuitable("no channels")
    shape = site.shape or site.draw.shape((2, 3, 4))
    if len(shape) < 2:
        shape = (*shape, 2)
    x = site.first("x", taken, shape)
    channels = (shape_of(x)[1],)
    others = [site.constant(n, "real", channels) for n in ("scale", "bias", "mean")]
    rng = np.random.default_rng(site.draw.random.getrandbits(32))
    variance = site.draw.constant(rng.choice([0.25, 1.0, 3.0], channels).astype(np.float32), f32)
    return site.make([x, *others, variance], site.result(made, [x]))


def _standardize(site: Site) -> Operation:
    draw, (taken, made) = site.draw, site.kinds()
    x = site.first("x", taken, site.shape or draw.shape((3, 4)))
    element = site.result(made, [x])
    properties = site.properties(x, element)
    shape = shape_of(x)
    of = shape[properties["axis"] :] if issubclass(site.cls, LayerNormOp) else shape[1:2]
    if issubclass(site.cls, InstanceNormOp) and len(shape) < 3:
        raise Unsuitable("no channels")
    scale = site.constant("scale", "real", of)
    bias = (
        None
        if draw.chance(0.3) and issubclass(site.cls, LayerNormOp)
        else site.constant("bias", "real", of)
    )
    return site.build([x, scale, bias], element, properties)


def _rescale(site: Site) -> Operation:
    draw, (taken, made) = site.draw, site.kinds()
    x = site.operand("x", taken, site.shape)
    shape = draw.broadcasting(shape_of(x)) if draw.chance(0.3) else ()
    rng = np.random.default_rng(draw.random.getrandbits(32))
    multiplier = rng.integers(1 << 29, (1 << 31) - 1, shape).astype(np.int32)
    if draw.chance(0.3):
        multiplier = rng.choice([1 << 30, 3 << 29, 1], shape).astype(np.int32)
    shift = rng.integers(28, 34 if taken == "i8" else 46, shape).astype(np.int8)
    constants = [
        draw.tensor_constant(a, TENSOR_KINDS[k])
        for a, k in ((np.asarray(multiplier), "i32"), (np.asarray(shift), "i8"))
    ]
    return site.make([x, *constants], TENSOR_KINDS[made])


def _tensor_convolution(site: Site) -> Operation:
    draw, (taken, made) = site.draw, site.kinds()
    x = site.first("x", taken, draw.shape((4,)))
    properties = site.properties(x, TENSOR_KINDS[made], "group", "input_dilation")
    at = dict(zip(properties["layout"], shape_of(x), strict=True))
    group = draw.choice([g for g in (1, 1, at["C"]) if at["C"] % g == 0])
    filters = group * draw.random.randint(1, 3)
    kernel = [draw.random.randint(1, min(at[d], 3)) for d in "HW"]
    shape = (filters, *kernel, at["C"] // group)
    weight = site.constant("weight", "i8", shape)
    given = "bias" in site.wanted.operands or draw.chance(0.5)
    bias = site.constant("bias", "i32", (filters,)) if given else None
    properties |= {"group": group, "input_dilation": [1, 1]}
    return site.build([x, weight, bias], TENSOR_KINDS[made], properties)


def _divide(site: Site) -> Operation:
    """A quotient; what divides is a positive constant."""
    draw, (taken, made) = site.draw, site.kinds()
    a = site.operand("a", taken, site.shape)
    b = np.asarray(draw.random.randint(1, 1 << 20), np.int64)
    return site.make([a, draw.tensor_constant(b, TENSOR_KINDS[taken])], TENSOR_KINDS[made])


def _lookup(site: Site) -> Operation:
    draw, (taken, made) = site.draw, site.kinds()
    x = site.operand("x", taken, site.shape)
    element = TENSOR_KINDS[made]
    return site.make([x, draw.tensor_constant(draw.array(element, (256,)), element)], element)


Form = Callable[[Site], Operation]

FORMS: Mapping[type[Operation], Form] = {
    GraphOp: _of_one,
    TransposeOp: _transpose,
    ReshapeOp: _reshape,
    StorageCastOp: _cast,
    ConstantOp: _constant,
    BinaryOp: _of_two,
    NaryOp: _of_many,
    ConcatOp: _concat,
    WhereOp: _where,
    ConvolutionOp: _convolution,
    GemmOp: _gemm,
    MatMulOp: _mat_mul,
    BatchNormOp: _batch_norm,
    StandardizeOp: _standardize,
    ftensor.TensorOp: _of_one,
    arithmetic.ConstantOp: _constant,
    arithmetic.BinaryOp: _of_two,
    arithmetic.DivideOp: _divide,
    contraction.ConvOp: _tensor_convolution,
    arithmetic.RescaleOp: _rescale,
    arithmetic.LookupOp: _lookup,
}
"""Class -> how it is drawn; the nearest base counts."""

KINDS: Mapping[type[Operation], Sequence[tuple[Kind, Kind]]] = {
    GraphOp: (("real", "real"), ("stored", "stored"), ("real", "real")),
    MoveOp: (("real", "real"), ("stored", "stored"), ("plain", "plain")),
    SplitOp: (("real", "real"), ("stored", "stored"), ("plain", "plain")),
    ConcatOp: (("real", "real"), ("stored", "stored"), ("plain", "plain")),
    UnaryOp: (("real", "real"), ("stored", "stored"), ("plain", "plain")),
    BinaryOp: (("real", "real"), ("stored", "stored"), ("plain", "plain")),
    AffineOp: (("stored", "stored"),),
    TableOp: (("stored", "stored"),),
    QuantizeOp: (("real", "stored"), ("real", "stored"), ("stored", "stored")),
    DequantizeOp: (("stored", "real"), ("stored", "real"), ("sum", "real")),
    StorageCastOp: (("stored", "plain"), ("plain", "stored"), ("stored", "stored")),
    ArgExtremeOp: tuple((kind, "index") for kind in ("real", "stored", "plain")),
    ContractionOp: (("real", "real"), ("real", "real"), ("stored", "stored"), ("stored", "sum")),
    ftensor.TensorOp: (("i8", "i8"), ("i32", "i32")),
    arithmetic.BinaryOp: (("i32", "i32"), ("i48", "i48"), ("i8", "i8"), ("i8", "i32")),
    arithmetic.DivideOp: (("i48", "i8"),),
    contraction.ConvOp: (("i8", "i32"),),
    arithmetic.RescaleOp: (("i8", "i8"), ("i32", "i8"), ("i8", "i32"), ("i48", "i8")),
    arithmetic.LookupOp: (("i8", "i8"), ("i8", "i32")),
}
"""Class -> kinds of its operands and of its results, one as likely as the other."""

RANKS: Mapping[type[Operation], Sequence[int]] = {
    WindowPoolOp: (4, 4, 3),
    BlockOp: (4,),
    ResizeOp: (4, 4, 3),
    BatchToSpaceOp: (3, 4, 4),
    SpaceToBatchOp: (3, 4, 4),
}
"""Class -> ranks that its first operand may have, where not any will do."""
