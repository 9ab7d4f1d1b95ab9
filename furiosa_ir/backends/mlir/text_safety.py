"""Whether text that a file has may be compiled and run: what our lowerings write, and no more.

IREE's verifier holds that windows and shapes lie within their tensors, where all of them are
numbers of the text. So extents, offsets, steps and pads have to be; of slices it looks at offsets
alone, and of loops at none that have a dimension of no elements, so that each is held here to
begin, step and end inside (`loop_bounds`). Nor may memory be read that nobody has written: of a
tensor that is empty, each element is given by a loop that does not look at it. What it cannot know
at all is the index of a `tensor.extract`, which native code follows anywhere: each has to be a
loop's index, or to be clamped to its dimension. Nor does it know a divisor, and one of 0 ends the
process: each has to be the greater of a value and a positive number. And a compiler may leave out
such a clamp where it would be needless but for what is not defined: so no operation may promise
anything (no overflow, no NaN), and what is shifted by has to be clamped.

What is compiled is not the text that was looked at, which two parsers might read in two ways, but
what our own writer makes of the module that was found in it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import cast

from xdsl.dialects import arith, tensor
from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    DenseIntOrFPElementsAttr,
    Float64Type,
    IndexType,
    IntegerAttr,
    IntegerType,
    ModuleOp,
    NoneAttr,
    Signedness,
    TensorType,
)
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.dialects.linalg import ops as linalg
from xdsl.ir import Attribute, Operation, SSAValue, Use

from furiosa_ir.backends.mlir.dialect import GlobalLoadOp, GlobalOp, OptimizationBarrierOp
from furiosa_ir.backends.mlir.loop_bounds import check_maps
from furiosa_ir.backends.mlir.multiplications import loop_extents
from furiosa_ir.backends.mlir.segment import MlirSegment
from furiosa_ir.backends.mlir.upstream_text import module_text
from furiosa_ir.errors import FormatFailure
from furiosa_ir.ir.constant_file import constant_chunks, constants_of
from furiosa_ir.ir.constants import ConstantTable
from furiosa_ir.ir.shaped_operation import AnyTensor, ints, shape_of
from furiosa_ir.ir.text import parse_module

_ARITHMETIC: frozenset[type[Operation]] = frozenset(
    [
        *(arith.ConstantOp, arith.ExtSIOp, arith.TruncIOp, arith.IndexCastOp, arith.SelectOp),
        *(arith.AddiOp, arith.SubiOp, arith.MuliOp, arith.MinSIOp, arith.MaxSIOp, arith.CmpiOp),
        *(arith.SIToFPOp, arith.BitcastOp, arith.MulfOp, arith.AddfOp, arith.CmpfOp),
        *(arith.ShLIOp, arith.ShRSIOp, arith.AndIOp, arith.DivSIOp, arith.RemSIOp),
    ]
)

_WITHIN: dict[type[Operation], frozenset[type[Operation]]] = {
    ModuleOp: frozenset([FuncOp, GlobalOp]),
    FuncOp: frozenset(
        [
            *(
                GlobalLoadOp,
                OptimizationBarrierOp,
                arith.ConstantOp,
                linalg.GenericOp,
                linalg.FillOp,
                ReturnOp,
            ),
            *(tensor.EmptyOp, tensor.PadOp, tensor.ConcatOp),
            *(tensor.ExtractSliceOp, tensor.InsertSliceOp),
            *(tensor.CollapseShapeOp, tensor.ExpandShapeOp),
        ]
    ),
    linalg.GenericOp: _ARITHMETIC | {linalg.IndexOp, tensor.ExtractOp, linalg.YieldOp},
    linalg.FillOp: _ARITHMETIC | {linalg.YieldOp},
    tensor.PadOp: frozenset([arith.ConstantOp, tensor.YieldOp]),
}
"""What may stand in an operation's regions: a slice in a loop's body has an index, too."""

OPERATIONS: frozenset[type[Operation]] = frozenset([ModuleOp]).union(*_WITHIN.values())
"""What lowerings make; `tests/backends/mlir/test_operations.py` holds that this is all of it."""


def checked_text(segment: MlirSegment) -> str:
    """What native code may be made of: a segment's text in our own writing.

    Raises:
        FuriosaError: it does not parse or verify, or it is no text that we write.
    """
    module = check_text(segment)
    globals_ = [op for op in module.ops if isinstance(op, GlobalOp)]
    return module_text(globals_, [op for op in module.ops if isinstance(op, FuncOp)])


def check_text(segment: MlirSegment) -> ModuleOp:
    """The module of a segment's text, if native code may be made of it.

    Raises:
        FuriosaError: it does not parse or verify, or it is no text that we write.
    """
    table = check_parameters(segment)
    module = parse_module(segment.text, table, name=f"<{segment.name}>")
    check_operations(module, segment.name)
    functions = [op for op in module.ops if isinstance(op, FuncOp)]
    if [f.sym_name.data for f in functions] != [segment.name]:
        raise FormatFailure(f"the text of {segment.name} is not one function of that name")
    (function,) = functions
    signature = function.function_type
    if not all(isinstance(type_, TensorType) for type_ in signature.outputs):
        raise FormatFailure(f"the text of {segment.name} gives what is no tensor")
    if len(signature.inputs) != len(segment.inputs) or len(signature.outputs) != len(
        segment.outputs
    ):
        raise FormatFailure(f"the text of {segment.name} takes or gives other tensors than it says")
    return module


def check_parameters(segment: MlirSegment) -> ConstantTable:
    """The constants beside a segment's text, whose elements lie where the file says.

    IREE reads the file as well, by a parser of its own: it has to be as we write it.

    Raises:
        FuriosaError: some do not, or the file is not so.
    """
    file = f"the constants of {segment.name}"
    data = memoryview(segment.parameters)
    table = constants_of(data, file=file)
    header = next(iter(constant_chunks(table)))
    if not all(_DIGEST.fullmatch(c.digest) for c in table) or data[: len(header)] != header:
        raise FormatFailure(f"{file} are not written as ours are")
    return table


def check_operations(module: ModuleOp, name: str) -> None:
    """Refuses operations that native code of a module must not have.

    Args:
        module: in upstream's dialects.
        name: what it is called in messages.

    Raises:
        FormatFailure: it has an operation that no lowering makes, an index that may lie outside of
            its tensor, a divisor that may be 0, or a promise.
    """
    for op in module.walk():
        parent = op.parent_op()
        if type(op) not in (_WITHIN.get(type(parent), frozenset()) if parent else OPERATIONS):
            where = "" if parent is None else f" within '{parent.name}'"
            raise FormatFailure(f"'{op.name}'{where} in {name} is no operation of such a program")
        named = [a for a in op.attributes if a.partition(".")[0] not in _PLAIN]
        if named or _READ_BY_OTHERS & op.properties.keys():
            raise FormatFailure(f"'{op.name}' in {name} has attributes of its own")
        _check_types(op, name)
        _check_names(op, name)
        _check_attributes(op, name)
        if any(getattr(op.properties.get(flags), "data", None) for flags in _PROMISES):
            raise FormatFailure(f"'{op.name}' in {name} says that something does not happen")
        if not isinstance(parent, linalg.GenericOp | tensor.PadOp):
            _check_extents(op, name)
        if isinstance(op, linalg.GenericOp):
            check_maps(op, name)
        if isinstance(op, tensor.ExtractSliceOp):
            _check_slice(op, shape_of(op.source), name)
        if isinstance(op, tensor.InsertSliceOp):
            _check_slice(op, shape_of(op.dest), name)
        if isinstance(op, tensor.PadOp) and any(
            pad < 0 for pad in ints(op.static_low) + ints(op.static_high)
        ):
            raise FormatFailure(f"'{op.name}' in {name} cuts off what it should add")
        if isinstance(op, tensor.EmptyOp) and not all(map(_is_not_read, op.tensor.uses)):
            raise FormatFailure(f"'{op.name}' in {name} is read, which nobody has written")
        if isinstance(op, tensor.ExtractOp):
            _check_extract(op, name)
        if isinstance(op, arith.DivSIOp | arith.RemSIOp) and not _is_positive(op.rhs):
            raise FormatFailure(f"a divisor of '{op.name}' in {name} may be 0")
        if isinstance(op, arith.ShLIOp | arith.ShRSIOp) and not _may_shift(op.rhs):
            raise FormatFailure(f"'{op.name}' in {name} shifts by more than there is")


_PLAIN = frozenset(["operandSegmentSizes"])

_READ_BY_OTHERS = frozenset(["arg_attrs", "res_attrs", "library_call", "no_inline", "doc"])
"""Properties that IREE's and upstream's passes act on, and lowerings never write."""

_DIGEST = re.compile(r"[0-9a-f]{64}")

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""Of functions and globals: as they are written, without quotes."""

_WIDTHS = (1, 8, 16, 32, 64)
"""Of integers that lowerings make; i48 is held in 64."""

_PROMISES = ("overflowFlags", "fastmath")
"""Where one is broken a compiler may make anything, and leave out clamps."""


def _check_types(op: Operation, name: str) -> None:
    """Refuses all but tensors of integers, and integers, indices and f64, one by one."""
    values = [*op.results, *(a for r in op.regions for b in r.blocks for a in b.args)]
    for value in values:
        kind: Attribute = value.type
        if isinstance(kind, IndexType | Float64Type) and not isinstance(op, FuncOp):
            continue
        if isinstance(kind, TensorType):
            of = cast("AnyTensor", kind)
            if of.encoding != NoneAttr():
                raise FormatFailure(f"'{op.name}' in {name} has a value of type {value.type}")
            kind = of.element_type
        elif isinstance(op, FuncOp):
            raise FormatFailure(f"{name} takes {value.type}, which is no tensor")
        if (
            not isinstance(kind, IntegerType)
            or kind.width.data not in _WIDTHS
            or kind.signedness.data is not Signedness.SIGNLESS
        ):
            raise FormatFailure(f"'{op.name}' in {name} has a value of type {value.type}")


def _check_attributes(op: Operation, name: str) -> None:
    """Refuses what operations may have besides types, and lowerings never write."""
    if isinstance(op, arith.CmpiOp | arith.CmpfOp):
        known = len(
            arith.CMPI_COMPARISON_OPERATIONS
            if isinstance(op, arith.CmpiOp)
            else arith.CMPF_COMPARISON_OPERATIONS
        )
        if not 0 <= op.predicate.value.data < known:
            raise FormatFailure(f"'{op.name}' in {name} compares in no way that there is")
    if isinstance(op, arith.ConstantOp) and not isinstance(
        op.value, IntegerAttr | DenseIntOrFPElementsAttr
    ):
        raise FormatFailure(f"'{op.name}' in {name} is no number that is written there")
    if isinstance(op, linalg.FillOp):
        (first, *_), last = op.body.block.args, op.body.block.last_op
        if not isinstance(last, linalg.YieldOp) or [*last.operands] != [first]:
            raise FormatFailure(f"'{op.name}' in {name} makes something else of its number")


def _check_names(op: Operation, name: str) -> None:
    """Refuses names that would not be read as we write them, and indices that are computed."""
    named = [op.sym_name.data] if isinstance(op, FuncOp | GlobalOp) else []
    if isinstance(op, GlobalLoadOp):
        named.append(op.global_.string_value())
    if not all(map(_NAME.fullmatch, named)):
        raise FormatFailure(f"'{op.name}' in {name} has a name that is none of ours")
    indices = any(isinstance(v.type, IndexType) for v in op.results)
    if indices and not isinstance(op, linalg.IndexOp | arith.IndexCastOp):
        raise FormatFailure(f"'{op.name}' in {name} makes an index, which is computed")


def _check_slice(
    op: tensor.ExtractSliceOp | tensor.InsertSliceOp, whole: Sequence[int], name: str
) -> None:
    parts = [ints(part) for part in (op.static_offsets, op.static_sizes, op.static_strides)]
    inside = all(len(part) == len(whole) for part in parts) and all(
        begin >= 0
        and count >= 0
        and step >= 1
        and (begin + (count - 1) * step < extent if count else begin <= extent)
        for begin, count, step, extent in zip(*parts, whole, strict=True)
    )
    if not inside:
        raise FormatFailure(f"'{op.name}' in {name} reaches out of its tensor")


def _is_not_read(use: Use) -> bool:
    """Whether an operation, which may give elements to a tensor, does not look at those it had."""
    op = use.operation
    if not isinstance(op, linalg.GenericOp | linalg.FillOp):
        return False
    return not any(op.body.block.args[use.index].uses)


def _check_extents(op: Operation, name: str) -> None:
    """Refuses what only a run would show the extents of: what is taken or given by an operation."""
    values = [*op.operands, *op.results, *(a for r in op.regions for b in r.blocks for a in b.args)]
    for value in values:
        if isinstance(value.type, IndexType) and not isinstance(op, tensor.PadOp):
            raise FormatFailure(f"'{op.name}' in {name} has an offset or extent that is computed")
        if DYNAMIC_INDEX in (shape_of(value) if isinstance(value.type, TensorType) else ()):
            raise FormatFailure(f"'{op.name}' in {name} has a tensor of open extents")
    if isinstance(op, tensor.PadOp) and len(op.operands) != 1:
        raise FormatFailure(f"'{op.name}' in {name} has an offset or extent that is computed")


def _check_extract(op: tensor.ExtractOp, name: str) -> None:
    generic = op.parent_op()
    if not isinstance(generic, linalg.GenericOp):
        raise FormatFailure(f"'{op.name}' in {name} stands outside of a loop")
    if not isinstance(op.tensor.type, TensorType) or len(op.indices) != len(shape_of(op.tensor)):
        raise FormatFailure(f"'{op.name}' in {name} has not an index for each dimension")
    for index, extent in zip(op.indices, shape_of(op.tensor), strict=True):
        if not _is_within(index, extent, generic):
            raise FormatFailure(f"an index of '{op.name}' in {name} may lie outside of its tensor")


def _is_within(index: SSAValue, extent: int, generic: linalg.GenericOp) -> bool:
    """Whether an index is a loop's of no more turns, or clamped."""
    owner = index.owner
    if isinstance(owner, linalg.IndexOp):
        extents, loop = loop_extents(generic), owner.dim.value.data
        return 0 <= loop < len(extents) and extents[loop] <= extent
    return isinstance(owner, arith.IndexCastOp) and _is_clamped(owner.input, extent)


def _is_positive(divisor: SSAValue) -> bool:
    owner = divisor.owner
    least = _number(owner.rhs) if isinstance(owner, arith.MaxSIOp) else None
    return least is not None and least > 0


def _may_shift(distance: SSAValue) -> bool:
    """Whether a shift is by less than the width.

    Of another a compiler may make anything, and leave out clamps of indices and divisors behind it.
    """
    if not isinstance(distance.type, IntegerType):
        return False
    number, width = _number(distance), cast("IntegerType", distance.type).width.data
    return _is_clamped(distance, width) if number is None else 0 <= number < width


def _is_clamped(value: SSAValue, extent: int) -> bool:
    """Whether it is min(max(x, low), high) with 0 <= low and high < extent."""
    least = value.owner
    if not isinstance(least, arith.MinSIOp) or not isinstance(least.lhs.owner, arith.MaxSIOp):
        return False
    high, low = _number(least.rhs), _number(least.lhs.owner.rhs)
    return high is not None and low is not None and low >= 0 and 0 <= high < extent


def _number(value: SSAValue) -> int | None:
    owner = value.owner
    if not isinstance(owner, arith.ConstantOp) or not isinstance(owner.value, IntegerAttr):
        return None
    return owner.value.value.data
