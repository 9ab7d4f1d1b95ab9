"""A part of a module that is a module again: some of its operations, on arguments.

What a kept operation reads from one that is left out becomes an argument; what nobody among the
kept ones reads becomes a result. Constants come along. Segments that lose all operations go, with
their calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, field
from typing import cast

from xdsl.dialects.builtin import (
    ArrayAttr,
    DictionaryAttr,
    FunctionType,
    ModuleOp,
    StringAttr,
)
from xdsl.dialects.func import CallOp, FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, BlockArgument, Operation, Region, SSAValue
from xdsl.traits import Pure

from furiosa_ir.ir.history import HISTORY
from furiosa_ir.ir.location import layer_names
from furiosa_ir.ir.segments import NAME, OPERATORS, SOURCE_HASH

_OF_THE_WHOLE = (HISTORY, SOURCE_HASH)
"""Attributes that say of a module what is not true of a part."""


def is_constant(op: Operation) -> bool:
    """Whether an operation makes a value of nothing."""
    return not op.operands and bool(op.results) and op.has_trait(Pure) and not op.regions


def operations_of(module: ModuleOp) -> list[Operation]:
    """What can be left out: the operations of all functions, constants and terminators aside."""
    return [
        op
        for function in module.ops
        if isinstance(function, FuncOp) and not function.is_declaration
        for op in function.body.block.ops
        if not isinstance(op, ReturnOp) and not is_constant(op)
    ]


def with_calls(module: ModuleOp, ops: Set[Operation]) -> set[Operation]:
    """Some operations, and the calls of the segments that they are in."""
    kept = set(ops)
    names = {f.sym_name.data for op in ops if isinstance(f := op.parent_op(), FuncOp)}
    for op in operations_of(module):
        if isinstance(op, CallOp) and op.callee.string_value() in names:
            kept.add(op)
    return kept


@dataclass(frozen=True)
class _Made:
    """A function of the part.

    Attributes:
        function: it.
        arguments: for each argument the value of the whole function that it stands for.
        results: for each result the number of the whole function's that it is; None for a new one.
    """

    function: FuncOp
    arguments: list[SSAValue]
    results: list[int | None]


@dataclass
class _Body:
    """A function's body as it is made."""

    block: Block = field(default_factory=Block)
    values: dict[SSAValue, SSAValue] = field(default_factory=dict[SSAValue, SSAValue])
    arguments: list[SSAValue] = field(default_factory=list[SSAValue])

    def value(self, old: SSAValue) -> SSAValue:
        """What stands for a value of the whole."""
        if old not in self.values:
            owner = old.owner
            if isinstance(owner, Operation) and is_constant(owner):
                self.add(owner)
            else:
                self.argument(old)
        return self.values[old]

    def argument(self, old: SSAValue) -> None:
        """A value of the whole that is an argument of the part."""
        self.values[old] = self.block.insert_arg(old.type, len(self.block.args))
        self.arguments.append(old)

    def add(self, op: Operation) -> None:
        """A copy of an operation behind the others."""
        for operand in op.operands:
            self.value(operand)
        self.block.add_op(_copy(op, self.values))


def _copy(op: Operation, values: dict[SSAValue, SSAValue]) -> Operation:
    made = op.clone(values)
    for original, copy in zip(op.walk(), made.walk(), strict=True):
        copy.location = original.location
    return made


def part_of(
    module: ModuleOp,
    kept: Set[Operation],
    is_wanted: Callable[[SSAValue], bool] = lambda _value: True,
) -> ModuleOp | None:
    """The part of a module that some operations are; the module stays as it is.

    Args:
        module: functions without control flow.
        kept: operations of its functions, calls among them.
        is_wanted: which of the results to keep; operations that then make nothing go.

    Returns:
        The part; None if nothing of `@main` is left.
    """
    functions = {f.sym_name.data: f for f in module.ops if isinstance(f, FuncOp)}
    made: dict[str, _Made | None] = {}
    for name, function in functions.items():
        if name != "main":
            body = _segment(function, kept)
            made[name] = None if body is None else _function(function, body, is_wanted)
    main = functions["main"]
    body = _Body()
    for op in main.body.block.ops:
        if op in kept and not isinstance(op, CallOp):
            body.add(op)
        elif op in kept:
            called = made.get(cast("CallOp", op).callee.string_value())
            if called is not None:
                _call(cast("CallOp", op), called, body)
    whole = _function(main, body, is_wanted)
    if whole is None:
        return None
    others = [op.clone() for op in module.ops if not isinstance(op, FuncOp)]
    called = {
        op.callee.string_value() for op in whole.function.body.block.ops if isinstance(op, CallOp)
    }
    segments = [each.function for name, each in made.items() if each is not None and name in called]
    attributes = {k: v for k, v in module.attributes.items() if k not in _OF_THE_WHOLE}
    return ModuleOp([*others, *segments, whole.function], attributes)


def _segment(function: FuncOp, kept: Set[Operation]) -> _Body | None:
    body = _Body()
    for op in function.body.block.ops:
        if op in kept:
            body.add(op)
    return body if any(body.block.ops) else None


def _call(op: CallOp, called: _Made, body: _Body) -> None:
    """A call of what is left of a segment: arguments of its own are `@main`'s, too."""
    operands: list[SSAValue] = []
    for old in called.arguments:
        outer = op.operands[old.index] if isinstance(old, BlockArgument) else old
        operands.append(body.value(outer))
    made = CallOp(op.callee, operands, list(called.function.function_type.outputs))
    made.location = op.location
    body.block.add_op(made)
    for number, result in zip(called.results, made.results, strict=True):
        if number is not None:
            body.values[op.results[number]] = result


def _function(whole: FuncOp, body: _Body, is_wanted: Callable[[SSAValue], bool]) -> _Made | None:
    """The function of a body; None where it has no results."""
    returned = list(cast("ReturnOp", whole.body.block.last_op).operands)
    new_to_old = {new: old for old, new in body.values.items()}
    numbers: list[int | None] = []
    results: list[SSAValue] = []
    for number, old in enumerate(returned):
        made = body.values.get(old)
        if made is None or made in results or not is_wanted(old):
            continue
        if isinstance(made.owner, Operation) and not is_constant(made.owner):
            numbers.append(number)
            results.append(made)
    for op in body.block.ops:
        for result in op.results:
            if result.first_use is None and result not in results and not is_constant(op):
                old = new_to_old.get(result)
                if old is None or is_wanted(old):
                    numbers.append(None)
                    results.append(result)
    _remove_dead(body, results)
    used = [a for a in body.block.args if a.first_use is not None]
    if not results or not used:
        return None
    arguments = [
        old for old, new in zip(body.arguments, body.block.args, strict=True) if new in used
    ]
    for argument in [a for a in body.block.args if a not in used]:
        body.block.erase_arg(argument)
    body.block.add_op(ReturnOp(*results))
    function = FuncOp(
        whole.sym_name.data,
        FunctionType.from_lists([a.type for a in body.block.args], [r.type for r in results]),
        Region(body.block),
        whole.sym_visibility,
        arg_attrs=_attributes(whole, arguments, "in"),
        res_attrs=_results(whole, numbers),
    )
    function.attributes.update(whole.attributes)
    operators = whole.attributes.get(OPERATORS)
    if isinstance(operators, DictionaryAttr):
        layers = {name for op in body.block.ops for name in layer_names(op)}
        left = {name: kinds for name, kinds in operators.data.items() if name in layers}
        function.attributes[OPERATORS] = DictionaryAttr(left)
    function.location = whole.location
    return _Made(function, arguments, numbers)


def _remove_dead(body: _Body, results: list[SSAValue]) -> None:
    alive = set(results)
    for op in reversed(list(body.block.ops)):
        if op.results and not any(r in alive or r.first_use is not None for r in op.results):
            op.detach()
            op.erase()


def _attributes(whole: FuncOp, arguments: list[SSAValue], prefix: str) -> ArrayAttr[DictionaryAttr]:
    own = list(whole.arg_attrs or ())
    place: dict[SSAValue, int] = {a: i for i, a in enumerate(whole.body.block.args)}
    found: list[DictionaryAttr] = []
    for number, value in enumerate(arguments):
        index = place.get(value)
        known = dict(own[index].data) if index is not None and index < len(own) else {}
        found.append(_named(known, f"{prefix}{number}"))
    return ArrayAttr(found)


def _results(whole: FuncOp, numbers: list[int | None]) -> ArrayAttr[DictionaryAttr]:
    own = list(whole.res_attrs or ())
    found: list[DictionaryAttr] = []
    for place, number in enumerate(numbers):
        known = dict(own[number].data) if number is not None and number < len(own) else {}
        found.append(_named(known, f"out{place}"))
    return ArrayAttr(found)


def _named(known: dict[str, Attribute], name: str) -> DictionaryAttr:
    return DictionaryAttr({**known, NAME: StringAttr(name)})


def producers(ops: Set[Operation]) -> Iterator[Operation]:
    """What makes the operands of some operations, constants aside."""
    for op in ops:
        for operand in op.operands:
            owner = operand.owner
            if isinstance(owner, Operation) and owner not in ops and not is_constant(owner):
                yield owner
