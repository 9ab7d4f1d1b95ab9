"""Verification of whole modules: structure, SSA dominance, and every operation's own rules.

xDSL's verifier does not check that definitions dominate their uses, prints the whole module into
each error, and raises exceptions of several kinds. This one raises `VerificationFailure` with the
operation and the layer it came from.
"""

from __future__ import annotations

from typing import Self

from xdsl.dialects.builtin import ModuleOp, TensorType
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.irdl.dominance import DominanceInfo
from xdsl.traits import IsolatedFromAbove, IsTerminator, NoTerminator
from xdsl.utils.exceptions import VerifyException

from furiosa_ir.errors import FuriosaError, VerificationFailure
from furiosa_ir.ir.location import layer_name
from furiosa_ir.ir.sizes import check_shape


class OperationFailure(VerificationFailure):
    """An operation that breaks a rule of its dialect, or of SSA form.

    Attributes:
        operation: which one.
    """

    operation: Operation | None = None

    @classmethod
    def of(cls, op: Operation, message: str) -> Self:
        """The failure of that operation, with its layer."""
        text = "; ".join(line.strip() for line in message.splitlines() if line.strip())
        if not text.startswith(op.name):
            text = f"{op.name}: {text}"
        failure = cls(text, layer=layer_name(op) or None)
        failure.operation = op
        return failure

    def at(self, *, file: str | None = None, layer: str | None = None) -> OperationFailure:
        copy = type(self)(
            self.message, file=self.file or file, layer=self.layer or layer, hint=self.hint
        )
        copy.operation = self.operation
        return copy


def verify_module(module: ModuleOp) -> None:
    """Checks the module and everything in it.

    Raises:
        VerificationFailure: the first thing that is wrong (an `OperationFailure`).
    """
    _verify(module, set())


def _verify(op: Operation, visible: set[SSAValue]) -> None:
    """One operation and what is inside; `visible` are the values its operands may be."""
    for index, operand in enumerate(op._operands):  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        if operand not in visible:
            raise OperationFailure.of(op, _not_visible(op, index, operand))
    if op.regions:
        inherited: set[SSAValue] = set() if op.has_trait(IsolatedFromAbove) else visible
        for region in op.regions:
            _verify_region(op, region, inherited)
    try:
        for result in op.results:
            _check_size(result)
        op.verify_()
    except FuriosaError as error:
        raise OperationFailure.of(op, error.message) from None
    except VerifyException as error:
        raise OperationFailure.of(op, str(error)) from None
    except Exception as error:  # text can be wrong in ways no shape rule foresaw
        text = f"is malformed ({type(error).__name__}: {error})"
        raise OperationFailure.of(op, f"{op.name} {text}") from error


def _check_size(value: SSAValue) -> None:
    if isinstance(value.type, TensorType):
        check_shape(value.type.get_shape(), "a value")


def _verify_region(op: Operation, region: Region, inherited: set[SSAValue]) -> None:
    blocks = list(region.blocks)
    try:
        for block in blocks:
            for argument in block.args:
                _check_size(argument)
    except FuriosaError as error:
        raise OperationFailure.of(op, error.message) from None
    if len(blocks) == 1:
        values = set(inherited)
        values.update(blocks[0].args)
        _verify_block(op, blocks[0], values, last_must_end=not op.has_trait(NoTerminator))
        return
    dominance = DominanceInfo(region)
    for block in blocks:
        values = set(inherited)
        for other in blocks:
            if other is not block and dominance.strictly_dominates(other, block):
                values.update(other.args)
                values.update(r for o in other.ops for r in o.results)
        values.update(block.args)
        _verify_block(op, block, values, last_must_end=True)


def _verify_block(parent: Operation, block: Block, values: set[SSAValue], last_must_end: bool):
    last = block.last_op
    if last is None:
        if last_must_end:
            raise OperationFailure.of(parent, "has an empty block, which needs a terminator")
        return
    for op in block.ops:
        if op.parent is not block:
            raise OperationFailure.of(op, "its parent is not the block it is in")
        if op.successors or op.has_trait(IsTerminator):
            if op is not last:
                raise OperationFailure.of(op, "a terminator in the middle of a block")
            if any(s.parent is not block.parent for s in op.successors):
                raise OperationFailure.of(op, "branches to a block of another region")
        elif op is last and last_must_end:
            raise OperationFailure.of(op, "ends its block but is not a terminator")
        _verify(op, values)
        values.update(op.results)


def _not_visible(op: Operation, index: int, operand: SSAValue) -> str:
    owner = operand.owner
    if isinstance(owner, Operation):
        if owner.parent is None:
            return f"operand {index} is a result of {owner.name}, which is not in the module"
        what = f"a result of {owner.name}"
        if owner.parent is op.parent:
            return f"operand {index}, {what}, is used before it is defined"
    else:
        what = "an argument of another block"
    return f"operand {index}, {what}, does not dominate this use"
