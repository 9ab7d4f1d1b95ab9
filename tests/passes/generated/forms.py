"""How operands and properties of an operation go together, by its class or a base of it.

A new operation of one operand, of two that broadcast, or of any number needs nothing here.
Properties have their own table (`properties.py`), and so have kinds of elements (`kinds.py`).
"""

from __future__ import annotations

from typing import cast

import numpy as np
from xdsl.dialects.builtin import f32
from xdsl.ir import Operation

from furiosa_ir.dialects import ftensor
from furiosa_ir.dialects.ftensor import arithmetic, contraction
from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.dialects.graph.elementwise import BinaryOp, WhereOp
from furiosa_ir.dialects.graph.movement import ConcatOp, ReshapeOp, TransposeOp
from furiosa_ir.dialects.graph.normalization import (
    BatchNormOp,
    InstanceNormOp,
    LayerNormOp,
    NaryOp,
    StandardizeOp,
)
from furiosa_ir.dialects.graph.quantization import (
    DequantizeOp,
    StorageCastOp,
    storage_type,
)
from furiosa_ir.dialects.graph.rearrangement import BatchToSpaceOp, BlockOp
from furiosa_ir.dialects.graph.structure import ConstantOp
from furiosa_ir.dialects.quant import UniformType
from furiosa_ir.ir.shaped_operation import Shape, element_of, shape_of
from tests.passes.generated.draw import TENSOR_KINDS, Unsuitable
from tests.passes.generated.kinds import ELEMENTWISE, RANKS
from tests.passes.generated.properties import drawn_properties
from tests.passes.generated.site import Site, constant, draws


@draws(GraphOp, ftensor.TensorOp)
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


@draws(TransposeOp)
def _transpose(site: Site) -> Operation:
    if site.shape is None:
        return _of_one(site)
    taken, made = site.kinds()
    perm = list(range(len(site.shape)))
    site.draw.random.shuffle(perm)
    x = site.operand("x", taken, tuple(site.shape[perm.index(i)] for i in range(len(perm))))
    return site.build([x], site.result(made, [x]), {"perm": perm})


@draws(ReshapeOp)
def _reshape(site: Site) -> Operation:
    taken, made = site.kinds()
    shape = site.shape
    before = shape
    if shape is not None:  # as it may have been
        before = tuple(drawn_properties(site.cls, site.draw, shape, f32)["shape"])
    x = site.operand("x", taken, before)
    element = site.result(made, [x])
    return site.make([x], element) if shape is None else site.build([x], element, {"shape": shape})


@draws(StorageCastOp)
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


@draws(ConstantOp, arithmetic.ConstantOp)
def _constant(site: Site) -> Operation:
    kind = site.kind or site.kinds()[1]
    shape = site.draw.shape() if site.shape is None else site.shape
    return cast("Operation", constant(site.draw, kind, shape).owner)


@draws(BinaryOp, arithmetic.BinaryOp)
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


@draws(NaryOp)
def _of_many(site: Site) -> Operation:
    """Any number of operands that broadcast."""
    taken, made = site.kinds()
    first = site.operand("inputs", taken, site.shape)
    others = [
        site.draw.broadcasting(shape_of(first)) for _ in range(site.draw.random.randint(0, 2))
    ]
    operands = [first, *(site.operand("inputs", taken, shape) for shape in others)]
    return site.make([operands], site.result(made, operands))


@draws(ConcatOp)
def _concat(site: Site) -> Operation:
    taken, made = site.kinds()
    first = site.first("inputs", taken, site.draw.shape((1, 2, 3, 4)))
    element = site.result(made, [first])
    properties = site.properties(first, element)
    operands, axis = [first], properties["axis"]
    if axis >= len(shape_of(first)):
        raise Unsuitable("no such axis")
    for _ in range(site.draw.random.randint(0, 2)):
        shape = list(shape_of(first))
        shape[axis] = site.draw.extent()
        operands.append(site.operand("inputs", taken, tuple(shape)))
    return site.build([operands], element, properties)


@draws(WhereOp)
def _where(site: Site) -> Operation:
    taken, made = site.kinds()
    a = site.operand("a", taken, site.shape)
    b = site.operand("b", taken, site.draw.broadcasting(shape_of(a)))
    condition = site.operand("condition", "bool", site.draw.broadcasting(shape_of(a)))
    return site.build([condition, a, b], site.result(made, [a]), {})


@draws(BatchNormOp)
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


@draws(StandardizeOp)
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


@draws(arithmetic.RescaleOp)
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


@draws(contraction.ConvOp)
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


@draws(contraction.MatMulOp)
def _tensor_product(site: Site) -> Operation:
    draw, (taken, made) = site.draw, site.kinds()
    a = site.first("a", taken, draw.shape((2, 3)))
    properties = site.properties(a, TENSOR_KINDS[made])
    columns = draw.extent()
    shape = [shape_of(a)[-1], columns]
    b = site.constant("b", "i8", tuple(shape[::-1] if properties["transpose_b"] else shape))
    bias = site.constant("bias", "i32", (columns,)) if draw.chance(0.5) else None
    return site.build([a, b, bias], TENSOR_KINDS[made], properties)


@draws(arithmetic.DivideOp)
def _divide(site: Site) -> Operation:
    """A quotient; what divides is a positive constant."""
    draw, (taken, made) = site.draw, site.kinds()
    a = site.operand("a", taken, site.shape)
    b = np.asarray(draw.random.randint(1, 1 << 20), np.int64)
    return site.make([a, draw.tensor_constant(b, TENSOR_KINDS[taken])], TENSOR_KINDS[made])


@draws(arithmetic.LookupOp)
def _lookup(site: Site) -> Operation:
    draw, (taken, made) = site.draw, site.kinds()
    x = site.operand("x", taken, site.shape)
    element = TENSOR_KINDS[made]
    return site.make([x, draw.tensor_constant(draw.array(element, (256,)), element)], element)
