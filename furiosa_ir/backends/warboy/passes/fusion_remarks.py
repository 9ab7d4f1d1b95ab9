"""What `fuse-kernels` has to say: what each kernel is of, and why arithmetic has one of its own."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import Operation, SSAValue

from furiosa_ir.backends.warboy.dialect.kernels import MOVEMENT, KernelOp, VectorOp
from furiosa_ir.backends.warboy.dialect.vector_operations import ELEMENTWISE
from furiosa_ir.backends.warboy.planning.geometry import tensor_bytes
from furiosa_ir.dialects.ftensor import TensorOp, arithmetic
from furiosa_ir.ir.remarks import analysis, described, missed, passed, readers
from furiosa_ir.ir.shaped_operation import shape_of

Cluster = tuple[type[KernelOp], Sequence[TensorOp]]
"""A kernel to be: its kind and its operations, a head first."""


def tell_fusion(clusters: Sequence[Cluster]) -> None:
    """Says of each kernel what it fuses, and of each without a contraction why it has none.

    Args:
        clusters: all of a function, with their operations still in their places.
    """
    home: dict[Operation, int] = {
        op: number for number, (_, members) in enumerate(clusters) for op in members
    }
    for kind, members in clusters:
        if len(members) > 1:
            names = ", ".join(dict.fromkeys(op.name.partition(".")[2] for op in members))
            passed(
                members[0],
                "kernel",
                "{operations} operations are one {kernel}: {names}",
                operations=len(members),
                kernel=kind.name,
                names=names,
            )
        if kind is VectorOp:
            _explain(members, clusters, home)


def _explain(
    members: Sequence[TensorOp], clusters: Sequence[Cluster], home: dict[Operation, int]
) -> None:
    """Says why arithmetic is no part of the kernel that makes what it reads."""
    inside = set(members)
    read = [(op, v) for op in members for v in op.operands if v.owner not in inside]
    read = [(op, v) for op, v in read if not isinstance(v.owner, arithmetic.ConstantOp)]
    causes = [
        (number, op, value, cause)
        for op, value in read
        for number, cause in [_cause(op, value, inside, clusters, home)]
    ]
    if not causes:
        return  # of constants alone
    number, op, value, cause = min(causes, key=lambda found: found[0])
    # Behind what no contraction makes there is no kernel to be a part of.
    say = analysis if number == _ARGUMENT else missed
    say(
        op,
        _NAMES[number],
        "a kernel of its own ({operations} {operations:operation|operations}) beside {source}, "
        "whose {bytes:,} {bytes:byte|bytes} it reads: {cause}",
        operations=len(members),
        source=described(value.owner if isinstance(value.owner, Operation) else value),
        bytes=tensor_bytes(value),
        cause=cause,
    )


_SECOND_USE, _REDUCTION, _SHAPE, _WIDE, _MOVEMENT, _VECTOR, _ARGUMENT = range(7)
"""Causes, the most telling first: what a kernel could join is more than what it could not."""

_NAMES = (
    "second-use",
    "reduction",
    "shape",
    "wide-result",
    "movement-between",
    "vector-kernel",
    "no-contraction",
)


def _cause(
    op: TensorOp,
    value: SSAValue,
    inside: set[TensorOp],
    clusters: Sequence[Cluster],
    home: dict[Operation, int],
) -> tuple[int, str]:
    """(which cause, in words) for `op` not being in the kernel that makes `value`."""
    owner = value.owner
    if not isinstance(owner, Operation):
        return _ARGUMENT, "no contraction makes it"
    if isinstance(owner, MOVEMENT) or owner not in home:
        return _MOVEMENT, f"{described(owner)} stands between"
    others = [user for user in readers(value, op) if user not in inside]
    kind, producers = clusters[home[owner]]
    if not isinstance(op, ELEMENTWISE):
        return _REDUCTION, f"{op.name} takes whole lines"
    if kind is VectorOp:
        why = f"it is read by {described(*others)}, too" if others else "they do not fit one kernel"
        return (_SECOND_USE if others else _VECTOR), why
    if shape_of(op.results[0]) != shape_of(producers[0].results[0]):
        shapes = (f"{list(shape_of(o.results[0]))}" for o in (op, producers[0]))
        return _SHAPE, "its shape is {}, the contraction's {}".format(*shapes)
    if others:
        why = f"it is read by {described(*others)}, too, and one result leaves a kernel"
        return _SECOND_USE, why
    lines = next((o.name for o in inside if not isinstance(o, ELEMENTWISE)), None)
    if lines is not None:
        return _REDUCTION, f"no 8-bit result comes before {lines}, which takes whole lines"
    return _WIDE, "no 8-bit result of the same shape follows"
