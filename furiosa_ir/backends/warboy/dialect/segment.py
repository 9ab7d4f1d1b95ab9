"""What the function of an NPU segment holds: attributes by name, and how they are read."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.func import FuncOp

from furiosa_ir.backends.warboy.dialect.attributes import (
    ADDRESSES,
    MEMORY,
    AddressesAttr,
    MemoryAttr,
)
from furiosa_ir.backends.warboy.dialect.kernels import CopyOp, KernelOp
from furiosa_ir.backends.warboy.dialect.plan import KernelPlan, MemoryAddresses, MemoryPlan
from furiosa_ir.backends.warboy.dialect.plan_rules import verify_memory
from furiosa_ir.dialects.ftensor.arithmetic import ConstantOp
from furiosa_ir.errors import VerificationFailure
from furiosa_ir.ir.constants import Constant


def memory_plan(function: FuncOp) -> MemoryPlan:
    """The function's buffers and live ranges, which hold what its kernels need.

    Raises:
        VerificationFailure: it is not planned, or the plan contradicts itself.
    """
    memory = function.attributes.get(MEMORY)
    if not isinstance(memory, MemoryAttr):
        raise VerificationFailure(f"@{function.sym_name.data} is not planned")
    planned = [(op, op.plan.data) for op in kernels_of(function) if op.plan is not None]
    places = {
        "argument": len(function.function_type.inputs),
        "result": len(function.function_type.outputs),
        "constant": len(constants_of(function)),
        "own": 1,
    }
    verify_memory(memory.data, planned, places)
    return memory.data


def memory_addresses(function: FuncOp) -> MemoryAddresses:
    """The addresses of a function's buffers.

    Raises:
        VerificationFailure: nothing is allocated.
    """
    attribute = function.attributes.get(ADDRESSES)
    if isinstance(attribute, AddressesAttr) and isinstance(attribute.data, MemoryAddresses):
        return attribute.data
    raise VerificationFailure(f"@{function.sym_name.data} has no addresses")


def kernels_of(function: FuncOp) -> list[KernelOp]:
    """The kernels in order; a kernel's number is its index here."""
    return [op for op in function.body.block.ops if isinstance(op, KernelOp)]


def kernel_plans(kernels: Sequence[KernelOp]) -> dict[int, KernelPlan]:
    """Kernel number -> plan, of the kernels that have steps (copies in DRAM have none)."""
    return {k: op.kernel_plan for k, op in enumerate(kernels) if not isinstance(op, CopyOp)}


def constants_of(function: FuncOp) -> list[Constant]:
    """The constants in order; an `Allocation` of kind "constant" has its index here."""
    return [op.value.data for op in function.body.block.ops if isinstance(op, ConstantOp)]
