"""Whether text that a file has may be compiled and run: what our lowerings write, and no more.

IREE's verifier holds that slices, windows and shapes lie within their tensors. What it cannot know
is the index of a `tensor.extract`, which native code follows anywhere: each has to be a loop's
index, or to be clamped to its dimension. Nor does it know a divisor, and one of 0 ends the process:
each has to be the greater of a value and a positive number.
"""

from __future__ import annotations

from xdsl.dialects import arith, tensor
from xdsl.dialects.builtin import IntegerAttr, ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.dialects.linalg import ops as linalg
from xdsl.ir import Operation, SSAValue

from furiosa_ir.backends.mlir.dialect import GlobalLoadOp, GlobalOp
from furiosa_ir.backends.mlir.multiplications import loop_extents
from furiosa_ir.backends.mlir.segment import MlirSegment
from furiosa_ir.errors import FormatFailure
from furiosa_ir.ir.constant_file import constants_of
from furiosa_ir.ir.shaped_operation import shape_of
from furiosa_ir.ir.text import parse_module

OPERATIONS: frozenset[type[Operation]] = frozenset(
    [
        *(ModuleOp, FuncOp, ReturnOp, GlobalOp, GlobalLoadOp),
        *(linalg.GenericOp, linalg.FillOp, linalg.IndexOp, linalg.YieldOp),
        *(tensor.EmptyOp, tensor.PadOp, tensor.YieldOp, tensor.ConcatOp, tensor.ExtractOp),
        *(
            tensor.ExtractSliceOp,
            tensor.InsertSliceOp,
            tensor.CollapseShapeOp,
            tensor.ExpandShapeOp,
        ),
        *(arith.ConstantOp, arith.ExtSIOp, arith.TruncIOp, arith.IndexCastOp, arith.SelectOp),
        *(arith.AddiOp, arith.SubiOp, arith.MuliOp, arith.MinSIOp, arith.MaxSIOp, arith.CmpiOp),
        *(arith.ShLIOp, arith.ShRSIOp, arith.AndIOp, arith.DivSIOp, arith.RemSIOp),
    ]
)
"""What lowerings make; `tests/backends/mlir/test_operations.py` holds that this is all of it."""


def check_text(segment: MlirSegment) -> ModuleOp:
    """The module of a segment's text, if native code may be made of it.

    Raises:
        FuriosaError: it does not parse or verify, or it is no text that we write.
    """
    table = constants_of(memoryview(segment.parameters))
    module = parse_module(segment.text, table)
    check_operations(module, segment.name)
    functions = [op for op in module.ops if isinstance(op, FuncOp)]
    if [f.sym_name.data for f in functions] != [segment.name]:
        raise FormatFailure(f"the text of {segment.name} is not one function of that name")
    (function,) = functions
    signature = function.function_type
    if len(signature.inputs) != len(segment.inputs) or len(signature.outputs) != len(
        segment.outputs
    ):
        raise FormatFailure(f"the text of {segment.name} takes or gives other tensors than it says")
    return module


def check_operations(module: ModuleOp, name: str) -> None:
    """Refuses operations that native code of a module must not have.

    Args:
        module: in upstream's dialects.
        name: what it is called in messages.

    Raises:
        FormatFailure: it has an operation that no lowering makes, an index that may lie outside of
            its tensor, or a divisor that may be 0.
    """
    for op in module.walk():
        if type(op) not in OPERATIONS:
            raise FormatFailure(f"'{op.name}' in {name} is no operation of such a program")
        if any(attribute.partition(".")[0] not in _PLAIN for attribute in op.attributes):
            raise FormatFailure(f"'{op.name}' in {name} has attributes of its own")
        if isinstance(op, tensor.ExtractOp):
            _check_extract(op, name)
        if isinstance(op, arith.DivSIOp | arith.RemSIOp) and not _is_positive(op.rhs):
            raise FormatFailure(f"a divisor of '{op.name}' in {name} may be 0")


_PLAIN = frozenset(["operandSegmentSizes"])


def _check_extract(op: tensor.ExtractOp, name: str) -> None:
    generic = op.parent_op()
    if not isinstance(generic, linalg.GenericOp):
        raise FormatFailure(f"'{op.name}' in {name} stands outside of a loop")
    for index, extent in zip(op.indices, shape_of(op.tensor), strict=True):
        if not _is_within(index, extent, generic):
            raise FormatFailure(f"an index of '{op.name}' in {name} may lie outside of its tensor")


def _is_within(index: SSAValue, extent: int, generic: linalg.GenericOp) -> bool:
    """Whether an index is a loop's of no more turns, or clamped."""
    owner = index.owner
    if isinstance(owner, linalg.IndexOp):
        return loop_extents(generic)[owner.dim.value.data] <= extent
    if not isinstance(owner, arith.IndexCastOp):
        return False
    least = owner.input.owner
    if not isinstance(least, arith.MinSIOp) or not isinstance(least.lhs.owner, arith.MaxSIOp):
        return False
    high, low = _number(least.rhs), _number(least.lhs.owner.rhs)
    return high is not None and low is not None and low >= 0 and high < extent


def _is_positive(divisor: SSAValue) -> bool:
    owner = divisor.owner
    least = _number(owner.rhs) if isinstance(owner, arith.MaxSIOp) else None
    return least is not None and least > 0


def _number(value: SSAValue) -> int | None:
    owner = value.owner
    if not isinstance(owner, arith.ConstantOp) or not isinstance(owner.value, IntegerAttr):
        return None
    return owner.value.value.data
