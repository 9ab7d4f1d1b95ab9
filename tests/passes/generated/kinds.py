"""What operations take and make, by their classes: kinds of elements, ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from xdsl.dialects.builtin import f32
from xdsl.ir import Operation, SSAValue
from xdsl.irdl import IRDLOperation

from furiosa_ir.dialects import ftensor
from furiosa_ir.dialects.ftensor import arithmetic, contraction, movement
from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.dialects.graph.contraction import ContractionOp
from furiosa_ir.dialects.graph.elementwise import BinaryOp, TableOp, UnaryOp
from furiosa_ir.dialects.graph.movement import ConcatOp, MoveOp, SplitOp
from furiosa_ir.dialects.graph.normalization import (
    AffineOp,
    BatchNormOp,
    NaryOp,
)
from furiosa_ir.dialects.graph.pooling import WindowPoolOp
from furiosa_ir.dialects.graph.quantization import (
    DequantizeOp,
    QuantizeOp,
    StorageCastOp,
)
from furiosa_ir.dialects.graph.rearrangement import BatchToSpaceOp, BlockOp, SpaceToBatchOp
from furiosa_ir.dialects.graph.reduction import ArgExtremeOp
from furiosa_ir.dialects.graph.resize import ResizeOp
from furiosa_ir.dialects.graph.structure import ConstantOp, OpaqueOp
from furiosa_ir.dialects.quant import UniformType
from furiosa_ir.ir.shaped_operation import ShapedOp, element_of
from furiosa_ir.plugins import is_ours
from tests.passes.generated.draw import Kind
from tests.passes.generated.pattern import Classes, Wanted

ELEMENTWISE = (
    *(UnaryOp, BinaryOp, NaryOp, QuantizeOp, DequantizeOp, StorageCastOp, AffineOp, ConstantOp),
    *(BatchNormOp, arithmetic.ConstantOp, arithmetic.BinaryOp, arithmetic.ClampOp),
    *(arithmetic.LookupOp, arithmetic.RescaleOp),
)
"""What works element by element: a rule on such alone is tried on all 8-bit values."""


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
    contraction.ContractionOp: (("i8", "i32"),),
    contraction.ReduceWindowOp: (("i8", "i8"), ("i8", "i32")),
    contraction.ReduceOp: (("i8", "i8"), ("i8", "i32")),
    movement.InterpolateOp: (("i8", "i32"), ("i8", "i48")),
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
    contraction.ReduceWindowOp: (4,),
}
"""Class -> ranks that its first operand may have, where not any will do."""


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


def kind_of(value: SSAValue) -> Kind | None:
    """The kind of a value's elements."""
    element = element_of(value)
    if isinstance(element, UniformType):
        return "sum" if element.data.storage == "i32" else "stored"
    return "real" if element == f32 else "plain"
