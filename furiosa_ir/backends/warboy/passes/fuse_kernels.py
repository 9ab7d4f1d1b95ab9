"""`fuse-kernels`: which operations one kernel carries out together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from xdsl.context import Context
from xdsl.dialects.builtin import IntegerType, ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, Operation, SSAValue

from furiosa_ir.backends.warboy.dialect.kernels import (
    DotOp,
    KernelOp,
    PoolOp,
    VectorOp,
    YieldOp,
    make_kernel,
)
from furiosa_ir.backends.warboy.dialect.vector_operations import ELEMENTWISE, VECTOR
from furiosa_ir.backends.warboy.four_dimensions import split_dimensions
from furiosa_ir.backends.warboy.planning.kernel_views import has_view
from furiosa_ir.backends.warboy.stages import require
from furiosa_ir.dialects.ftensor import TensorOp, arithmetic, contraction, movement
from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.ir.attribute_values import as_attribute
from furiosa_ir.ir.constants import BlobAttr
from furiosa_ir.ir.location import fused_location, layer_name
from furiosa_ir.ir.passes import Pass
from furiosa_ir.ir.remarks import described, heard, missed, passed
from furiosa_ir.ir.rewrite_watch import step
from furiosa_ir.ir.segments import is_npu
from furiosa_ir.ir.shaped_operation import element_of, ints, shape_of
from furiosa_ir.ir.value_tracking import note_replaced

MAX_EPILOGUE = 64
"""Operations that an epilogue may have; real ones have a handful."""

MAX_VECTOR = 192
"""Operations that a kernel without a head may have: planning takes each operand's part in each."""

Candidates = Mapping[Operation, Sequence[SSAValue]]
"""Operation -> its operands whose producers may join."""

Fits = Callable[[Sequence[TensorOp]], bool]
"""Whether operations fit one kernel's four dimensions."""

_HEADS: dict[type[TensorOp], type[KernelOp]] = {
    contraction.ConvOp: DotOp,
    contraction.MatMulOp: DotOp,
    contraction.ReduceWindowOp: PoolOp,
}


@dataclass(frozen=True)
class FuseKernels(Pass):
    """Collects the arithmetic of every `@npu_K` into kernels.

    * A contraction takes the element-by-element operations after it, up to the last point where
      one i8 value is all that leaves, and the rescaling of a second operand (a residual sum).
    * What is left of arithmetic forms kernels backwards from each value that is needed elsewhere:
      an operation joins if nothing else reads its result (softmax becomes one kernel).
    * Operations whose dimensions do not fold into four together are kernels of their own; one whose
      own do not is several (`four_dimensions.py`).
    * `ftensor.pad` with what the window takes for padding anyway merges into the window.

        %a = ftensor.conv %x, %w, %b {...} : tensor<1x8x4x4xi32>
        %y = ftensor.rescale %a, %m, %s {...} : tensor<1x8x4x4xi8>

    becomes

        %y = warboy.dot %x_ = %x, %w_ = %w, %b_ = %b, %m_ = %m, %s_ = %s : tensor<1x8x4x4xi8> {
          %a = ftensor.conv %x_, %w_, %b_ {...} : tensor<1x8x4x4xi32>
          %r = ftensor.rescale %a, %m_, %s_ {...} : tensor<1x8x4x4xi8>
          warboy.yield %r
        }
    """

    name = "fuse-kernels"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        require(op, self.name)
        for function in op.ops:
            if isinstance(function, FuncOp) and is_npu(function):
                fuse_kernels(function)


def fuse_kernels(function: FuncOp) -> None:
    """Fuses one segment in place.

    Raises:
        CompilationFailure: it is not in integers yet.
    """
    block = function.body.block
    for op in block.ops:
        if isinstance(op, GraphOp):
            raise CompilationFailure(
                f"'{op.name}' is not in integers yet",
                layer=layer_name(op),
                hint="run lower-to-ftensor first",
            )
    split_dimensions(function)
    transposed: dict[SSAValue, arithmetic.ConstantOp] = {}
    for op in list(block.ops):
        if isinstance(op, contraction.ConvOp | contraction.ReduceWindowOp):
            _merge_pad(op)
        elif isinstance(op, contraction.MatMulOp):
            _transpose_weight(op, transposed)
    operations = [op for op in block.ops if isinstance(op, TensorOp)]
    elementwise, vector = (_candidates(operations, kinds) for kinds in (ELEMENTWISE, VECTOR))
    position = {op: index for index, op in enumerate(block.ops)}
    taken: set[Operation] = set()
    clusters: list[tuple[type[KernelOp], list[TensorOp]]] = []
    # Backwards: of two contractions whose results meet, the later one takes the meeting point.
    for op in reversed(operations):
        kind = _HEADS.get(type(op))
        if kind is not None:
            fits = _fits_head(op)
            head, *epilogue = _epilogue(op, taken, position, fits)
            members = [head, *_pull(epilogue, {*taken, head}, elementwise, fits, len(operations))]
            taken.update(members)
            clusters.append((kind, members))
    for op in reversed(operations):
        if isinstance(op, VECTOR) and op not in taken:
            members = _pull([op], taken, vector, has_view, MAX_VECTOR)
            taken.update(members)
            clusters.append((VectorOp, members))
    if heard():
        from furiosa_ir.backends.warboy.passes.fusion_remarks import tell_fusion  # noqa: PLC0415

        tell_fusion(clusters)
    for kind, members in clusters:
        # Pulled operations may stand before the head in the program; none of them feeds it.
        head = [] if kind is VectorOp else members[:1]
        rest = sorted(members[len(head) :], key=position.__getitem__)
        # The last in program order is the one that the others lead to.
        last = max(members, key=position.__getitem__)
        with step("outline", (*head, *rest)[0]) as done:
            kernel = _outline(kind, [*head, *rest], last)
            done.made.append(kernel)
            done.values.append(kernel.result)


def _candidates(operations: Sequence[TensorOp], kinds: Any) -> Candidates:
    """Of each operation the operands that operations of these kinds make."""
    found = {kind for kind in {type(op) for op in operations} if issubclass(kind, kinds)}
    return {
        op: tuple(dict.fromkeys(v for v in op.operands if type(v.owner) in found))
        for op in operations
    }


def _merge_pad(op: contraction.ConvOp | contraction.ReduceWindowOp) -> None:
    """conv(pad(x)) = conv(x) with wider pads, if the pad is spatial and of a neutral value."""
    pad = op.x.owner
    if not isinstance(pad, movement.PadOp):
        return
    layout, rank = op.layout.data, len(shape_of(pad.result))
    begins, ends = ints(pad.pads)[:rank], ints(pad.pads)[rank:]
    others = [begins[i] + ends[i] for i in range(rank) if layout[i] in "NC"]
    dilated = isinstance(op, contraction.ConvOp) and ints(op.input_dilation) != (1, 1)
    top, left, bottom, right = ints(op.pads)
    h, w = layout.index("H"), layout.index("W")
    pads = [top + begins[h], left + begins[w], bottom + ends[h], right + ends[w]]
    value = pad.value.value.data
    if isinstance(op, contraction.ReduceWindowOp) and op.kind.data == "max":
        # What no element is less than wins nowhere but in a window without elements.
        windows = 2 * ints(op.window)
        inside = all(p < k for p, k in zip(pads, windows, strict=True))
        inside = inside and set(ints(op.dilations)) == {1}
        neutral = value == -128 or (inside and value <= _least(pad.x))
    else:
        neutral = value == op.x_zp.value.data
    causes = {
        f"it is of {value}, and {_neutral(op)}": not neutral,
        "it is of images or channels, too": any(others),
        "the window reads what is dilated": dilated,
    }
    if cause := next((cause for cause, holds in causes.items() if holds), None):
        missed(
            op,
            "pad",
            "{pad} in front of it is no padding of its window: {cause}",
            way_out="" if neutral else "pad with what the window takes for padding",
            pad=described(pad),
            cause=cause,
        )
        return
    passed(op, "pad", "{pad} in front of it is its window's padding", pad=described(pad))
    with step("merge_pad", pad) as done:
        op.properties["pads"] = as_attribute(pads)
        op.operands[0] = pad.x
        done.made.append(op)
    if not pad.result.has_one_use() and not pad.result.uses:
        pad.detach()
        pad.erase()


def _neutral(op: contraction.ConvOp | contraction.ReduceWindowOp) -> str:
    """What padding has to be of, so that it is a window's own."""
    if isinstance(op, contraction.ReduceWindowOp) and op.kind.data == "max":
        return "what the window reads may be less"
    return f"the window's zero point is {op.x_zp.value.data}"


def _least(value: SSAValue) -> int:
    """A bound of the elements of an i8 value from below."""
    match value.owner:
        case arithmetic.RescaleOp() | arithmetic.ClampOp() as op:
            return op.minimum.value.data
        case arithmetic.LookupOp(table=SSAValue(owner=arithmetic.ConstantOp() as table)):
            return int(table.value.array.min())
        case _:
            return -128


def _transpose_weight(
    op: contraction.MatMulOp, known: dict[SSAValue, arithmetic.ConstantOp]
) -> None:
    """b constant [.., K, N] becomes [N, K]: the order in which the dot-product engine reads it.

    Args:
        op: the product.
        known: what has become of weights [.., K, N]; products that share one go on sharing it.
    """
    owner = op.b.owner
    shape = shape_of(op.b)
    if not isinstance(owner, arithmetic.ConstantOp) or any(n != 1 for n in shape[:-2]):
        return
    if len(shape) > 2 and len(shape) > len(shape_of(op.a)):
        return  # b's leading dimensions are the result's
    transposed = bool(op.transpose_b.value.data)
    if transposed and len(shape) == 2:
        return
    constant = None if transposed else known.get(op.b)
    with step("transpose_weight", op) as done:
        if constant is None:
            # A view: elements are put in order where they are written, no mapped file is copied.
            matrix = owner.value.array.reshape(shape[-2:])
            blob = BlobAttr.of(matrix if transposed else matrix.T)
            constant = arithmetic.ConstantOp.make(
                [], [element_of(op.b)], location=owner.location, value=blob
            )
            cast("Block", op.parent).insert_op_before(constant, op)
            done.made.append(constant)
            if not transposed:
                known[op.b] = constant
        op.operands[1] = constant.result
        op.properties["transpose_b"] = as_attribute(1)
    if owner.result.first_use is None:
        owner.detach()
        owner.erase()


def _epilogue(
    head: TensorOp, taken: set[Operation], position: Mapping[Operation, int], fits: Fits
) -> list[TensorOp]:
    """`head` and what follows it element by element, until one i8 value is all that leaves."""
    acc = head.results[0]
    members: list[TensorOp] = [head]
    inside: set[Operation] = {head}
    exits: dict[SSAValue, None] = {acc: None}
    best = 1
    while len(members) < MAX_EPILOGUE:
        users = {use.operation for value in exits for use in value.uses} - inside
        if not users:
            break
        # In a diamond (x * sigmoid(x)) the earliest user cannot depend on the others.
        user = min(users, key=position.__getitem__)
        op = cast("TensorOp", user)
        if op in taken or not _continues(op, acc) or not fits([op]):
            break
        members.append(op)
        inside.add(op)
        exits[op.results[0]] = None
        for value in list(exits):
            if value.uses and all(use.operation in inside for use in value.uses):
                del exits[value]
        if len(exits) == 1 and _is_byte(next(iter(exits))):
            best = len(members)
    # Without any i8 exit the accumulator itself is the kernel's result.
    return members[:best]


def _continues(op: Operation, acc: SSAValue) -> bool:
    return (
        isinstance(op, ELEMENTWISE)
        and shape_of(op.results[0]) == shape_of(acc)
        and (not isinstance(op, arithmetic.RescaleOp) or shape_of(op.x) == shape_of(acc))
    )


def _is_byte(value: SSAValue) -> bool:
    return cast("IntegerType", element_of(value)).width.data == 8


def _fits_head(head: TensorOp) -> Fits:
    """What fits the view of a contraction, which it does not choose by what follows.

    Of more than four dimensions several are one: an operand along a part of them does not fit.
    """
    shape = shape_of(head.results[0])
    if len(shape) <= 4:
        return lambda _: True

    def is_whole_or_innermost(value: SSAValue) -> bool:
        mine = shape_of(value)
        return mine == shape or all(n == 1 for n in mine[:-1])

    return lambda members: all(is_whole_or_innermost(v) for op in members for v in op.operands)


def _pull(
    members: list[TensorOp],
    taken: set[Operation],
    candidates: Candidates,
    fits: Fits,
    most: int,
) -> list[TensorOp]:
    """`members` and those of the candidates that nothing but they read, transitively.

    If all of them do not fit one kernel, then as many as do, and `most` of them. Whole operators
    are preferred to parts of them: what passes from kernel to kernel is bytes then.
    """
    everything = _with_producers(members, taken, candidates, most)
    if len(everything) <= most and fits(everything):
        return everything
    joined, refused = list(members), set(taken)
    while (owner := next(_exclusive(joined, refused, candidates), None)) is not None:
        more = [*joined, owner]
        within = _with_producers(more, refused, candidates, most, stop_at_bytes=True)
        if len(within) <= most and fits(within):
            joined = within
        elif not _is_byte(owner.results[0]) and len(more) <= most and fits(more):
            joined.append(owner)
        else:
            refused.add(owner)
    return joined


def _with_producers(
    members: list[TensorOp],
    taken: set[Operation],
    candidates: Candidates,
    most: int,
    *,
    stop_at_bytes: bool = False,
) -> list[TensorOp]:
    """All of them; where there are more than `most`, some more than that."""
    inside: set[Operation] = set(members)
    members = list(members)
    worklist = list(members)
    while worklist and len(members) <= most:
        for operand in candidates[worklist.pop()]:
            owner: Any = operand.owner
            if owner in inside or owner in taken:
                continue
            if stop_at_bytes and _is_byte(operand):
                continue
            if all(use.operation in inside for use in operand.uses):
                inside.add(owner)
                members.append(owner)
                worklist.append(owner)
    if len(members) > most:
        return members
    # An operation may have become exclusive only after another reader joined.
    grown = [
        owner
        for owner in _exclusive(members, taken, candidates)
        if not (stop_at_bytes and _is_byte(owner.results[0]))
    ]
    if grown:
        members = [*members, *dict.fromkeys(grown)]
        return _with_producers(members, taken, candidates, most, stop_at_bytes=stop_at_bytes)
    return members


def _exclusive(
    members: Sequence[TensorOp], taken: set[Operation], candidates: Candidates
) -> Iterator[TensorOp]:
    """Those of the candidates whose results `members` read, and nothing else does."""
    inside: set[Operation] = set(members)
    for op in members:
        for operand in candidates[op]:
            owner: Any = operand.owner
            if owner in inside or owner in taken:
                continue
            if all(use.operation in inside for use in operand.uses):
                yield owner


def _outline(kind: type[KernelOp], members: Sequence[TensorOp], last: TensorOp) -> KernelOp:
    """Moves the operations into a kernel that stands where `last` stood.

    The head's operands come first and once more for every use: what the dot-product engine reads
    as x is not what the vector engine reads as a residual, even if both are one tensor.
    """
    head = members[0] if kind is not VectorOp else None
    inside: set[Operation] = set(members)
    first = list(head.operands) if head is not None else []
    rest = list(
        dict.fromkeys(
            v for op in members if op is not head for v in op.operands if v.owner not in inside
        )
    )
    kernel = make_kernel(kind, [*first, *rest], last.results[0], fused_location(members))
    cast("Block", last.parent).insert_op_after(kernel, last)
    body = kernel.body.block
    arguments = dict(zip(rest, body.args[len(first) :], strict=True))
    note_replaced(last.results[0], kernel.result)
    last.results[0].replace_all_uses_with(kernel.result)
    for op in members:
        op.detach()
        body.insert_op_before(op, cast("Operation", body.last_op))
        for index, operand in enumerate(op.operands):
            if op is head:
                op.operands[index] = body.args[index]
            elif operand in arguments:
                op.operands[index] = arguments[operand]
    cast("YieldOp", body.last_op).operands[0] = last.results[0]
    return kernel
