"""A segment from `ftensor` to another dialect, operation by operation: what linalg and TOSA share.

A dialect has an emitter, which lowerings make operations with, and a table of lowerings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar, cast

from xdsl.dialects.builtin import FunctionType, LocationAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Region, SSAValue

from furiosa_ir.dialects.ftensor.arithmetic import ConstantOp
from furiosa_ir.dialects.ftensor.base import TensorOp
from furiosa_ir.errors import FuriosaError
from furiosa_ir.ir.location import layer_name
from furiosa_ir.ir.rewrite_watch import step
from furiosa_ir.ir.segments import body_of
from furiosa_ir.ir.value_tracking import note_all_replaced
from furiosa_ir.numerics.array import Array

Lowering = Callable[[Any, Any], SSAValue]
"""From an operation, and the emitter, to the value that stands for its result."""
Lowerings = dict[type[TensorOp], Lowering]

_F = TypeVar("_F", bound=Callable[..., SSAValue])


def declaring(table: Lowerings) -> Callable[..., Callable[[_F], _F]]:
    """A decorator that puts lowerings into a table.

    lowers = declaring(LOWERINGS)

    @lowers(AddOp)
    def lower_add(op: AddOp, emit: Emitter) -> SSAValue: ...
    """

    def lowers(*operations: type[TensorOp]) -> Callable[[_F], _F]:
        def declare(function: _F) -> _F:
            table.update(dict.fromkeys(operations, function))
            return function

        return declare

    return lowers


class SegmentEmitter:
    """Appends operations to a function that is being made; knows what values have become.

    Constants are made when they are used, and by what uses them: many are folded.

    Args:
        block: the function's.
        values: `ftensor` value -> what it has become; arguments to begin with.

    Attributes:
        location: of what is appended.
    """

    def __init__(self, block: Block, values: dict[SSAValue, SSAValue]) -> None:
        self.location: LocationAttr | None = None
        self._block, self._values = block, values
        self._arrays: dict[SSAValue, Array] = {}

    def constant(self, array: Array) -> SSAValue:
        """A tensor of these integers."""
        raise NotImplementedError

    def operand(self, value: SSAValue) -> SSAValue:
        """What an `ftensor` value has become."""
        if value not in self._values:
            self._values[value] = self.constant(self._arrays[value])
        return self._values[value]

    def know(self, value: SSAValue, array: Array) -> None:
        """Remembers that an `ftensor` value is a constant."""
        self._arrays[value] = array

    def array(self, value: SSAValue) -> Array | None:
        """The elements of an `ftensor` value that is a constant; else None."""
        return self._arrays.get(value)

    def finished(self, op: TensorOp, value: SSAValue) -> SSAValue:
        """What stands for an operation's result, of what its lowering has made."""
        return value

    def returned(self, values: Sequence[SSAValue]) -> Sequence[SSAValue]:
        """Values as a function may return them."""
        return values


E = TypeVar("E", bound=SegmentEmitter)


class Conversion(Generic[E]):
    """What a dialect says of how segments are converted to it.

    Args:
        argument: an argument's type there.
        emitter: makes the emitter of a function that begins with the arguments.
        lowerings: the table.
        missing: the error of an operation that is not in the table.
    """

    def __init__(
        self,
        argument: Callable[[Attribute], Attribute],
        emitter: Callable[[Block, dict[SSAValue, SSAValue]], E],
        lowerings: Mapping[type[TensorOp], Lowering],
        missing: Callable[[TensorOp], FuriosaError],
    ) -> None:
        self._argument, self._emitter = argument, emitter
        self._lowerings, self._missing = lowerings, missing

    def convert(self, function: FuncOp) -> None:
        """Lowers a device segment's function in place.

        Raises:
            FuriosaError: of `missing`, or a lowering's; each names its layer.
        """
        old = body_of(function)
        new = Block(arg_types=[self._argument(a.type) for a in old.args])
        values: dict[SSAValue, SSAValue] = dict(zip(old.args, new.args, strict=True))
        for before, after in zip(old.args, new.args, strict=True):
            after.name_hint, after.location = before.name_hint, before.location
        emit = self._emitter(new, values)
        for op in old.ops:
            emit.location = op.location
            if isinstance(op, ConstantOp):
                emit.know(op.result, op.value.array)
            elif isinstance(op, ReturnOp):
                new.add_op(ReturnOp(*emit.returned([emit.operand(v) for v in op.arguments])))
            else:
                assert isinstance(op, TensorOp)
                self._lower(op, emit, new, values)
        region = function.body
        function.detach_region(region)
        function.add_region(Region(new))
        region.drop_all_references()
        returned = cast("ReturnOp", new.last_op).arguments
        function.function_type = FunctionType.from_lists(
            [a.type for a in new.args], [v.type for v in returned]
        )

    def _lower(self, op: TensorOp, emit: E, new: Block, values: dict[SSAValue, SSAValue]) -> None:
        lowering, last = self._lowerings.get(type(op)), new.last_op
        with step(op.name if lowering is None else lowering.__name__, op) as done:
            try:
                if lowering is None:
                    raise self._missing(op)
                result = emit.finished(op, lowering(op, emit))
            except FuriosaError as error:
                raise error.at(layer=layer_name(op)) from None
            result.name_hint = result.name_hint or op.results[0].name_hint
            values[op.results[0]] = result
            note_all_replaced({op.results[0]: result})
            made = new.first_op if last is None else last.next_op
            while made is not None:
                done.made.append(made)
                made = made.next_op
            done.values.append(result)
