"""What must hold of a kernel's plan and addresses: the planned and scheduled stages' verifiers."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from xdsl.ir import Operation, SSAValue

from furiosa_ir.backends.warboy.dialect.attributes import MEMORY, MemoryAttr
from furiosa_ir.backends.warboy.dialect.plan import (
    Buffer,
    CopyPlan,
    KernelAddresses,
    KernelPlan,
    KernelViews,
    MemoryAddresses,
    MemoryPlan,
    OperandBinding,
    ParameterBinding,
)
from furiosa_ir.dialects.ftensor.arithmetic import ConstantOp
from furiosa_ir.dialects.ftensor.base import NUMPY_DTYPE
from furiosa_ir.errors import VerificationFailure
from furiosa_ir.ir.shaped_operation import element_of, shape_of

LINE = 32
"""Bytes that addresses in SRAM are multiples of."""


def verify_views(op: Operation, result: SSAValue, views: KernelViews) -> None:
    """Checks that there is a view for each operand, one letter an axis.

    Raises:
        VerificationFailure: a rule is broken.
    """
    if len(views.operands) != len(op.operands):
        raise VerificationFailure(f"{op.name}: the views are for another number of operands")
    for view, value in zip((*views.operands, views.result), (*op.operands, result), strict=True):
        shape = shape_of(value)
        if view is not None and (len(view) != len(shape) or set(view) - set("NHWC")):
            raise VerificationFailure(f'{op.name}: "{view}" is no view of {list(shape)}')


def verify_plan(
    op: Operation, result: SSAValue, plan: KernelPlan | CopyPlan, views: KernelViews
) -> None:
    """Checks a plan against the kernel's types, and against the function's buffers if it has any.

    Raises:
        VerificationFailure: a rule is broken.
    """
    if len(plan.operands) != len(op.operands):
        raise VerificationFailure(f"{op.name}: the plan has another number of operands")
    buffers = _buffers(op)
    if isinstance(plan, CopyPlan):
        for buffer in (*plan.operands, plan.result):
            _find(op, buffers, buffer)
        return
    channels = plan.result.extent[3]
    for binding, view, value in zip(
        (*plan.operands, plan.result),
        (*views.operands, views.result),
        (*op.operands, result),
        strict=True,
    ):
        if isinstance(binding, ParameterBinding):
            _verify_parameter(op, binding, value, channels)
        else:
            _verify_binding(op, binding, view, shape_of(value), buffers)
    if not all(0 < part <= n for part, n in zip(plan.tile, plan.result.extent, strict=True)):
        raise VerificationFailure(f"{op.name}: the tile {plan.tile} does not fit the result")
    if not set(plan.whole) <= {0, 1, 2, 3}:
        raise VerificationFailure(f"{op.name}: {list(plan.whole)} are no dimensions")
    if any(plan.tile[d] != plan.result.extent[d] for d in plan.whole):
        raise VerificationFailure(
            f"{op.name}: the tile {plan.tile} splits one of the dimensions {list(plan.whole)}"
        )


def _verify_parameter(
    op: Operation, parameter: ParameterBinding, value: SSAValue, channels: int
) -> None:
    if not isinstance(value.owner, ConstantOp):
        raise VerificationFailure(f"{op.name}: a parameter is no constant")
    size = prod(shape_of(value)) * NUMPY_DTYPE[element_of(value)].itemsize
    if parameter.size != size:
        raise VerificationFailure(
            f"{op.name}: a parameter of {size} bytes is planned with {parameter.size}"
        )
    if parameter.by_channel and size % channels:
        raise VerificationFailure(
            f"{op.name}: the {size} bytes of a parameter are not for {channels} channels"
        )


def _buffers(op: Operation) -> tuple[Buffer, ...] | None:
    function = op.parent_op()
    memory = None if function is None else function.attributes.get(MEMORY)
    return memory.data.buffers if isinstance(memory, MemoryAttr) else None


def _find(op: Operation, buffers: tuple[Buffer, ...] | None, index: int) -> Buffer | None:
    if buffers is None:
        return None
    if not 0 <= index < len(buffers):
        raise VerificationFailure(f"{op.name}: the function has no buffer {index}")
    return buffers[index]


def _verify_binding(
    op: Operation,
    binding: OperandBinding,
    view: str | None,
    shape: Sequence[int],
    buffers: tuple[Buffer, ...] | None,
) -> None:
    if view is None:
        raise VerificationFailure(f"{op.name}: weights, biases and tables have no binding")
    extents = tuple(
        prod(n for n, d in zip(shape, view, strict=True) if d == letter) for letter in "NHWC"
    )
    if extents != binding.extent:
        raise VerificationFailure(
            f'{op.name}: under "{view}" {list(shape)} has the extents {extents}, '
            f"not {binding.extent}"
        )
    buffer = _find(op, buffers, binding.buffer)
    if buffer is None:
        return
    window = zip(binding.offset, binding.extent, buffer.shape, strict=True)
    if any(low < 0 or low + count > whole for low, count, whole in window):
        raise VerificationFailure(f"{op.name}: a window leaves buffer {binding.buffer}")


def verify_addresses(op: Operation, plan: KernelPlan, addresses: KernelAddresses) -> None:
    """Checks that each area of the plan has an address, and that they are aligned.

    Raises:
        VerificationFailure: a rule is broken.
    """
    bindings = (*plan.operands, plan.result)
    if len(addresses.parameters) != len(plan.operands) or len(addresses.stages) != len(bindings):
        raise VerificationFailure(f"{op.name}: the addresses are another kernel's")
    for binding, slots in zip(bindings, addresses.stages, strict=True):
        stage = binding.stage if isinstance(binding, OperandBinding) else None
        needed = 0 if stage is None else stage.slots
        if len(slots) != needed:
            raise VerificationFailure(f"{op.name}: {len(slots)} addresses for {needed} stages")
    for binding, slots in zip(plan.operands, addresses.parameters, strict=True):
        if isinstance(binding, ParameterBinding) != bool(slots):
            raise VerificationFailure(f"{op.name}: a parameter has no address, or a tile has one")
    for slots in (*addresses.parameters, *addresses.stages):
        for address in slots:
            misaligned = address % LINE != 0
            if address < 0 or misaligned:
                raise VerificationFailure(f"{op.name}: address {address} is not aligned")


def verify_memory(memory: MemoryPlan, addresses: MemoryAddresses) -> None:
    """Checks that every live range and buffer has an entry.

    Raises:
        VerificationFailure: a rule is broken.
    """
    if len(addresses.live_ranges) != len(memory.live_ranges) or len(addresses.allocations) != len(
        memory.buffers
    ):
        raise VerificationFailure("the function's addresses are another plan's")
