"""Operations made once more for other extents: what a part of a function's work is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from xdsl.dialects.builtin import IntegerAttr, i64
from xdsl.ir import Attribute, Block, Region, SSAValue

from furiosa_ir.backends.warboy.dialect.attributes import PART
from furiosa_ir.backends.warboy.dialect.kernels import KernelOp, YieldOp
from furiosa_ir.dialects.ftensor import TensorOp
from furiosa_ir.ir.shaped_operation import element_of, tensor_type

Changes = Callable[[TensorOp], Mapping[str, Attribute]]
"""The properties of an operation that differ."""


def number_parts(kernels: Sequence[KernelOp]) -> None:
    """Gives kernels that are about to be made in parts a number, unless they are parts already."""
    for number, kernel in enumerate(kernels):
        kernel.attributes.setdefault(PART, IntegerAttr(number, i64))


def remade_tensor_op(op: TensorOp, operands: Sequence[SSAValue], changes: Changes) -> TensorOp:
    """An operation on other operands; the shape rule gives its result's extents.

    Raises:
        VerificationFailure: the operands' shapes contradict each other.
    """
    made = type(op).create(
        operands=operands,
        result_types=op.result_types,
        properties={**op.properties, **changes(op)},
        attributes=dict(op.attributes),
    )
    made.location = op.location
    (result,), (shape,) = made.results, made.result_shapes()
    result._type = tensor_type(element_of(result), shape)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    return made


def remade_kernel(kernel: KernelOp, operands: Sequence[SSAValue], changes: Changes) -> KernelOp:
    """A kernel on other operands, with the views that it has.

    Raises:
        VerificationFailure: the operands' shapes contradict each other.
    """
    block = Block(arg_types=[value.type for value in operands])
    values: dict[SSAValue, SSAValue] = dict(zip(kernel.body.block.args, block.args, strict=True))
    for op in kernel.operations:
        made = remade_tensor_op(op, [values[value] for value in op.operands], changes)
        block.add_op(made)
        values[op.results[0]] = made.results[0]
    last = kernel.body.block.last_op
    assert isinstance(last, YieldOp)
    result = values[last.value]
    block.add_op(YieldOp.create(operands=[result]))
    made = type(kernel).create(
        operands=operands, regions=[Region(block)], result_types=[result.type]
    )
    made.location = kernel.location
    made.attributes |= kernel.attributes
    made.views = kernel.views
    return made
