"""Kernels (planned and scheduled stages): one operation for what the NPU does in one go.

A kernel's region holds the `ftensor` operations that it carries out, like a fused `linalg.generic`;
its block arguments are its operands. Outside of kernels only constants and data movement that costs
nothing (windows of a buffer, views) remain of `ftensor`.

To add a kind of kernel: a class here with its rule for the body, a case in
`backends/warboy/planning/geometry.py` (what a tile of its result reads) and one in
`backends/warboy/commands/kernel_steps.py` (its command).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, cast

from xdsl.dialects.builtin import UNKNOWN_LOC, LocationAttr, TensorType, UnitAttr
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.irdl import operand_def, opt_prop_def, traits_def
from xdsl.traits import IsTerminator, Pure

from furiosa_ir.backends.warboy.dialect.attributes import AddressesAttr, PlanAttr, ViewsAttr
from furiosa_ir.backends.warboy.dialect.plan import (
    CopyPlan,
    KernelAddresses,
    KernelPlan,
    KernelViews,
)
from furiosa_ir.backends.warboy.dialect.plan_rules import (
    verify_addresses,
    verify_plan,
    verify_views,
)
from furiosa_ir.backends.warboy.dialect.vector_operations import ELEMENTWISE, VECTOR
from furiosa_ir.dialects.ftensor import TensorOp, contraction, movement
from furiosa_ir.dialects.ftensor.fused import FusedOp
from furiosa_ir.errors import VerificationFailure
from furiosa_ir.ir.assembly_format import AssemblyOp
from furiosa_ir.ir.operation_definition import irdl_op_definition

MOVEMENT: tuple[type[TensorOp], ...] = (
    movement.ReshapeOp,
    movement.TransposeOp,
    movement.ConcatOp,
    movement.SliceOp,
    movement.PadOp,
    movement.BroadcastOp,
)
"""Data movement: a window or a view where possible, else a copy in DRAM."""


@irdl_op_definition
class YieldOp(AssemblyOp):
    """The result of a kernel's body."""

    name = "warboy.yield"

    value = operand_def(TensorType)
    traits = traits_def(IsTerminator(), Pure())


class KernelOp(FusedOp):
    """What all kernels share."""

    HEAD: ClassVar[tuple[type[TensorOp], ...]] = ()
    """The body's first operation is one of these; none: the body has no head."""
    BODY: ClassVar[tuple[type[TensorOp], ...]] = ()
    """What the body may hold (beside the head)."""

    views = opt_prop_def(ViewsAttr)
    plan = opt_prop_def(PlanAttr)
    addresses = opt_prop_def(AddressesAttr)
    beside = opt_prop_def(UnitAttr)
    traits = traits_def(Pure())

    @property
    def head(self) -> TensorOp:
        """The contraction or window reduction that the kernel begins with."""
        return cast("TensorOp", self.body.block.first_op)

    @property
    def kernel_views(self) -> KernelViews:
        """The views of the operands and of the result.

        Raises:
            VerificationFailure: the kernel has none yet.
        """
        if self.views is None:
            raise VerificationFailure(f"{self.name}: no views are assigned")
        return self.views.data

    @property
    def kernel_plan(self) -> KernelPlan:
        """The plan of a dot, pool or vector kernel.

        Raises:
            VerificationFailure: the kernel is not planned.
        """
        if self.plan is None or not isinstance(self.plan.data, KernelPlan):
            raise VerificationFailure(f"{self.name}: not planned")
        return self.plan.data

    @property
    def kernel_addresses(self) -> KernelAddresses:
        """The addresses of a dot, pool or vector kernel's own areas.

        Raises:
            VerificationFailure: nothing is allocated.
        """
        if self.addresses is None or not isinstance(self.addresses.data, KernelAddresses):
            raise VerificationFailure(f"{self.name}: not allocated")
        return self.addresses.data

    def operand_of(self, argument: SSAValue) -> SSAValue:
        """The kernel's operand that a value of the body's block arguments stands for."""
        return self.inputs[self.body.block.args.index(argument)]  # pyright: ignore[reportArgumentType]

    def verify_(self) -> None:
        block = self.body.block
        if tuple(a.type for a in block.args) != tuple(v.type for v in self.inputs):
            raise VerificationFailure(f"{self.name}: block arguments differ from the operands")
        *operations, last = block.ops
        if not isinstance(last, YieldOp) or last.value.type != self.result.type:
            raise VerificationFailure(f"{self.name}: the body does not yield the result")
        if self.HEAD and not (operations and isinstance(operations[0], self.HEAD)):
            names = " or ".join(op.name for op in self.HEAD)
            raise VerificationFailure(f"{self.name}: the body does not begin with {names}")
        for op in operations[1 if self.HEAD else 0 :]:
            if not isinstance(op, self.BODY):
                raise VerificationFailure(f"{self.name}: {op.name} in the body")
        self._verify_reads(operations)
        self._verify_plan()

    def _verify_reads(self, operations: Sequence[Operation]) -> None:
        """Checks that the body reads its own values, and the vector engine none of the head's."""
        held = {*self.body.block.args, *(r for op in operations for r in op.results)}
        taken = set(operations[0].operands) if self.HEAD else set[SSAValue]()
        for number, op in enumerate(operations):
            for value in op.operands:
                if value not in held:
                    raise VerificationFailure(f"{self.name}: {op.name} reads from outside the body")
                if number and value in taken:
                    raise VerificationFailure(
                        f"{self.name}: {op.name} reads what {operations[0].name} takes"
                    )

    def _verify_plan(self) -> None:
        if self.views is not None:
            verify_views(self, self.result, self.views.data)
        if self.plan is None:
            return
        plan = self.plan.data
        if isinstance(plan, CopyPlan) != isinstance(self, CopyOp):
            raise VerificationFailure(f"{self.name}: the plan is another kernel's")
        verify_plan(self, self.result, plan, self.kernel_views)
        if self.addresses is not None:
            addresses = self.addresses.data
            if not isinstance(plan, KernelPlan) or not isinstance(addresses, KernelAddresses):
                raise VerificationFailure(f"{self.name}: the addresses are not a kernel's")
            verify_addresses(self, plan, addresses)


@irdl_op_definition
class DotOp(KernelOp):
    """A convolution or matrix product on the dot-product engine, then the vector engine on it."""

    name = "warboy.dot"
    HEAD: ClassVar[tuple[type[TensorOp], ...]] = (contraction.ConvOp, contraction.MatMulOp)
    BODY: ClassVar[tuple[type[TensorOp], ...]] = ELEMENTWISE


@irdl_op_definition
class PoolOp(KernelOp):
    """A window reduction, then the vector engine on it."""

    name = "warboy.pool"
    HEAD: ClassVar[tuple[type[TensorOp], ...]] = (contraction.ReduceWindowOp,)
    BODY: ClassVar[tuple[type[TensorOp], ...]] = ELEMENTWISE


@irdl_op_definition
class VectorOp(KernelOp):
    """The vector engine alone; an empty body copies the operand."""

    name = "warboy.vector"
    BODY: ClassVar[tuple[type[TensorOp], ...]] = VECTOR


@irdl_op_definition
class CopyOp(KernelOp):
    """Data movement in DRAM: the body is one movement, or empty (the view changes)."""

    name = "warboy.copy"
    BODY: ClassVar[tuple[type[TensorOp], ...]] = MOVEMENT


def make_kernel(
    kind: type[KernelOp],
    inputs: Sequence[SSAValue],
    like: SSAValue,
    location: LocationAttr = UNKNOWN_LOC,
) -> KernelOp:
    """A kernel whose body only yields a value of `like`'s type (its first argument, for now)."""
    block = Block(arg_types=[v.type for v in inputs])
    block.add_op(YieldOp.create(operands=[block.args[0]]))
    kernel = kind.create(operands=inputs, regions=[Region(block)], result_types=[like.type])
    kernel.location = location
    return kernel
