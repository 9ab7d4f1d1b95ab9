"""What must hold of a kernel's plan and addresses: the planned and scheduled stages' verifiers."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from itertools import chain
from math import prod

from xdsl.ir import Operation, SSAValue

from furiosa_ir.backends.warboy.dialect.attributes import MEMORY, MemoryAttr
from furiosa_ir.backends.warboy.dialect.plan import (
    Allocation,
    Buffer,
    CopyPlan,
    KernelAddresses,
    KernelPlan,
    KernelViews,
    MemoryAddresses,
    MemoryPlan,
    OperandBinding,
    ParameterBinding,
    Stage,
)
from furiosa_ir.dialects.ftensor.arithmetic import ConstantOp
from furiosa_ir.dialects.ftensor.base import NUMPY_DTYPE
from furiosa_ir.errors import VerificationFailure
from furiosa_ir.ir.location import layer_name
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


def pinned_slots(plan: KernelPlan, binding: ParameterBinding) -> int:
    """How many places a pinned parameter has: one for each block of channels."""
    return -(-plan.result.extent[3] // plan.tile[3]) if binding.by_channel else 1


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
        if isinstance(binding, ParameterBinding) and plan.pinned:
            needed = pinned_slots(plan, binding)
            if len(slots) != needed:
                raise VerificationFailure(
                    f"{op.name}: {len(slots)} addresses for {needed} pinned blocks of a parameter"
                )
    for slots in (*addresses.parameters, *addresses.stages):
        for address in slots:
            misaligned = address % LINE != 0
            if address < 0 or misaligned:
                raise VerificationFailure(f"{op.name}: address {address} is not aligned")


ORDERS = ("HCW", "HWC")
"""How a slice may hold its block."""


def verify_memory(
    memory: MemoryPlan,
    kernels: Sequence[tuple[Operation, KernelPlan | CopyPlan]],
    places: Mapping[str, int],
) -> None:
    """Checks a function's buffers and live ranges, and that its kernels find there what they need.

    Args:
        memory: the buffers and live ranges.
        kernels: all kernels with their plans.
        places: how many there are of each kind of place that an allocation may be in.

    Raises:
        VerificationFailure: a rule is broken.
    """
    for number, buffer in enumerate(memory.buffers):
        _verify_shape(f"buffer {number}", buffer)
        if buffer.element not in (1, 4, 8):
            raise VerificationFailure(f"buffer {number} has elements of {buffer.element} bytes")
        if buffer.allocation is not None:
            _verify_allocation(number, buffer.allocation, memory, places)
    live: list[set[int]] = [set() for _ in kernels]
    for each in memory.live_ranges:
        if not 0 <= each.first <= each.last < len(kernels):
            raise VerificationFailure(
                f"a live range goes from kernel {each.first} to {each.last} of {len(kernels)}"
            )
        _in_dram(memory, each.buffer, needed=each.filled or each.spilled)
        for number in range(each.first, each.last + 1):
            live[number].add(each.buffer)
    for number, (op, plan) in enumerate(kernels):
        try:
            if isinstance(plan, CopyPlan):
                for index in (*plan.operands, plan.result, *(m.source for m in plan.moves)):
                    _in_dram(memory, index)
            else:
                _verify_places(plan, number, memory, live[number])
        except VerificationFailure as error:
            raise VerificationFailure(f"{op.name}: {error.message}", layer=layer_name(op)) from None


def _verify_shape(what: str, held: Buffer | Stage) -> None:
    images = held.images if isinstance(held, Buffer) else 1
    apart = images not in (1, held.shape[0])
    if isinstance(held, Buffer) and held.half and (held.shape[0], images) != (1, 1):
        raise VerificationFailure(f"{what} of {held.shape[0]} images lies in one PE")
    if min(*held.shape, *held.slices) < 1 or held.order not in ORDERS or apart:
        raise VerificationFailure(
            f"{what} of shape {held.shape} over {images} x {held.slices} slices in order "
            f"'{held.order}'"
        )


def _verify_allocation(
    number: int, allocation: Allocation, memory: MemoryPlan, places: Mapping[str, int]
) -> None:
    kind, index = allocation.kind, allocation.index
    count = len(memory.buffers) if kind == "alias" else places.get(kind, 0)
    if not 0 <= index < count:
        raise VerificationFailure(f"buffer {number} is allocated in {kind} {index} of {count}")
    if kind == "alias":
        root = memory.buffers[index].allocation
        if root is None or root.kind == "alias":
            raise VerificationFailure(f"buffer {number} is an alias of buffer {index}, no place")
    dimensions = [runs.dimension for runs in allocation.runs]
    if dimensions and (
        kind != "alias"
        or len(set(dimensions)) < len(dimensions)
        or not set(dimensions) <= {0, 1, 2, 3}
        or min(runs.extent for runs in allocation.runs) < 1
    ):
        found = ", ".join(f"{r.extent} along dimension {r.dimension}" for r in allocation.runs)
        raise VerificationFailure(
            f"buffer {number} cannot lie in {kind} {index} in runs of {found}"
        )


def _in_dram(memory: MemoryPlan, index: int, *, needed: bool = True) -> None:
    if not 0 <= index < len(memory.buffers):
        raise VerificationFailure(f"there is no buffer {index}")
    if needed and memory.buffers[index].allocation is None:
        raise VerificationFailure(f"buffer {index} goes to DRAM and has no allocation")


def _verify_places(plan: KernelPlan, number: int, memory: MemoryPlan, live: Container[int]) -> None:
    if not 0 <= plan.prefetch <= number:
        raise VerificationFailure(f"kernel {number} cannot prefetch {plan.prefetch} kernels ahead")
    if plan.pinned and plan.prefetch:
        raise VerificationFailure(f"kernel {number} prefetches parameters that are pinned")
    _in_dram(memory, plan.result.buffer, needed=plan.store)
    for binding in (*plan.operands, plan.result):
        if isinstance(binding, ParameterBinding):
            continue
        if binding.stage is not None:
            _verify_shape("a stage", binding.stage)
            if binding.stage.slots not in (1, 2):
                raise VerificationFailure(f"a stage of {binding.stage.slots} slots")
            _in_dram(memory, binding.buffer)
        elif binding.buffer not in live:
            raise VerificationFailure(f"buffer {binding.buffer} is not live at kernel {number}")
    if plan.in_place is not None:
        _verify_in_place(plan, plan.in_place, number, memory)


def _verify_in_place(plan: KernelPlan, index: int, number: int, memory: MemoryPlan) -> None:
    """The operand's live range ends where the result's begins, and both lie in one way."""
    operand = plan.operands[index] if 0 <= index < len(plan.operands) else None
    if not isinstance(operand, OperandBinding):
        raise VerificationFailure(f"kernel {number} has no tile as operand {index}")
    source, target = memory.buffers[operand.buffer], memory.buffers[plan.result.buffer]
    ends = any(
        r.buffer == operand.buffer and r.last == number and not r.spilled
        for r in memory.live_ranges
    )
    begins = any(
        r.buffer == plan.result.buffer and r.first == number and not r.filled
        for r in memory.live_ranges
    )
    if (
        not ends
        or not begins
        or operand.buffer == plan.result.buffer
        or (source.shape, source.element, source.slices, source.order, source.images)
        != (target.shape, target.element, target.slices, target.order, target.images)
        or source.half != target.half
    ):
        raise VerificationFailure(
            f"buffer {plan.result.buffer} cannot take the place of buffer {operand.buffer} at "
            f"kernel {number}"
        )


def verify_memory_addresses(
    memory: MemoryPlan,
    addresses: MemoryAddresses,
    kernels: Iterable[KernelAddresses],
    slice_bytes: int,
) -> None:
    """Checks that every live range has an address, every buffer an entry, and all lie in a slice.

    Raises:
        VerificationFailure: a rule is broken.
    """
    if len(addresses.live_ranges) != len(memory.live_ranges) or len(addresses.allocations) != len(
        memory.buffers
    ):
        raise VerificationFailure("the function's addresses are another plan's")
    slots = chain.from_iterable(s for each in kernels for s in (*each.parameters, *each.stages))
    for address in chain(addresses.live_ranges, slots):
        if not 0 <= address < slice_bytes or address % LINE:
            raise VerificationFailure(
                f"the address {address} is in no slice of {slice_bytes} bytes, or not aligned"
            )
