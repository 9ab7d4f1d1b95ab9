"""Rewrite rules: functions whose parameters say what they match, as data.

A rule is a function whose parameters say what it matches: the root operation first, then, by the
names of its operands, the operations that must define them. Its docstring states the algebra. What
it matches is data: `furiosa-opt --list-passes` prints it, and tests find the rules by it.

    @rule
    def quantize_of_clip(op: QuantizeOp, x: ClipOp, rw: Rewrite) -> SSAValue | None:
        '''Q(clip(x)) = clip(Q(x)): Q is monotone.'''
        quantized = rw.emit(QuantizeOp, [x.x], [element_of(op.result)])
        return rw.emit(ClipOp, [quantized], ...)

`passes/README.md` says what a rule may assume and what it must not do.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import (
    Any,
    Protocol,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
    overload,
)

from xdsl.dialects.builtin import LocationAttr, UnknownLoc
from xdsl.ir import Attribute, Block, Operation, SSAValue
from xdsl.irdl import IRDLOperation
from xdsl.irdl.operations import VarOperandDef

from furiosa_ir.ir.location import fuse, fused_location
from furiosa_ir.ir.remarks import missed

OperandValue = SSAValue | Sequence[SSAValue] | None
RuleResult = SSAValue | Sequence[SSAValue] | None
RuleFunction = Callable[..., RuleResult]
RootT = TypeVar("RootT", bound=Operation)
OpT_co = TypeVar("OpT_co", bound=Operation, covariant=True)
Classes = type[Operation] | tuple[type[Operation], ...]
_STARS = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS
Definition = Operation | Sequence[Operation]
"""What defines an operand that a rule names: for a variadic one, the operation of each place."""


class Makeable(Protocol[OpT_co]):
    """An operation class that `Rewrite.emit` can build (`GraphOp`, `TensorOp`, ...)."""

    @classmethod
    def make(
        cls,
        operands: Sequence[OperandValue],
        elements: Sequence[Attribute],
        *,
        location: LocationAttr | None = None,
        **properties: object,
    ) -> OpT_co:
        """Builds the operation; its shape rule gives the result types."""
        ...


class Rewrite:
    """What a rule builds with: one attempt at one root operation.

    Attributes:
        root: the matched operation.
        options: the pass that applies the rule; its fields are its options.
    """

    __slots__ = ("_beside", "_block", "emitted", "options", "root")

    def __init__(self, root: Operation, options: Any = None) -> None:
        self.root = root
        self.options: Any = options
        self.emitted: list[Operation] = []
        self._beside: list[Operation] = []
        self._block: Block | None = root.parent

    def insert(self, op: RootT) -> RootT:
        """Puts an operation that is already built before the root."""
        assert self._block is not None
        self._block.insert_op_before(op, self.root)
        self.emitted.append(op)
        return op

    def emit_op(
        self,
        op: Makeable[RootT],
        operands: Sequence[OperandValue],
        elements: Sequence[Attribute],
        *,
        location: LocationAttr | None = None,
        **properties: object,
    ) -> RootT:
        """Builds an operation before the root; for operations of more than one result.

        Without `location` it gets the fused one of the match.
        """
        return self.insert(op.make(operands, elements, location=location, **properties))

    def emit(
        self,
        op: Makeable[Operation],
        operands: Sequence[OperandValue],
        elements: Sequence[Attribute],
        *,
        location: LocationAttr | None = None,
        **properties: object,
    ) -> SSAValue:
        """Builds an operation of one result before the root and returns that result.

        Args:
            op: the operation's class.
            operands: one entry for each operand definition; None for an optional one left out.
            elements: the element type of each result.
            location: default: the fused one of the match.
            properties: Python values or attributes.
        """
        made = self.emit_op(op, operands, elements, location=location, **properties)
        (result,) = made.results
        return result

    def remark(self, message: str, name: str = "rule") -> None:
        """Says why the root stays as it is: the short form of `ir.remarks.missed`.

        It is said if the root is still there when all rules have come to an end.
        """
        missed(self.root, name, message)

    def fuse_locations(self, *ops: Operation) -> None:
        """Names operations, beside root and definitions, that go into what is emitted.

        Its location is then fused of theirs, too.
        """
        self._beside.extend(ops)

    def finish(self, definitions: Sequence[Definition]) -> None:
        """Gives the new operations their location: definitions, others, then the root."""
        matched: list[Operation] = []
        for definition in definitions:
            if isinstance(definition, Operation):
                matched.append(definition)
            else:
                matched.extend(definition)
        location = fuse(fused_location([*matched, *self._beside]), self.root.location)
        for op in self.emitted:
            if isinstance(op.location, UnknownLoc):
                op.location = location

    def undo(self) -> None:
        """Removes what was emitted: the rule changed its mind."""
        for op in reversed(self.emitted):
            op.detach()
            op.erase()
        self.emitted.clear()


@dataclass(frozen=True)
class Rule:
    """A rewrite rule: what it matches, as data, and the function that builds the replacement.

    Attributes:
        name: the function's name.
        roots: classes of the root operation (subclasses match too).
        operands: operand name -> classes, one of which must define that operand.
        function: from the root, the definitions of `operands` and a `Rewrite` to the values that
            replace the root's results, or None where the rule does not apply.
        of_root: whether the function does without the definitions (the older form).
    """

    name: str
    roots: tuple[type[Operation], ...]
    operands: dict[str, tuple[type[Operation], ...]]
    function: RuleFunction
    of_root: bool = False

    @property
    def description(self) -> str:
        """The rule's docstring."""
        return inspect.getdoc(self.function) or ""

    @property
    def pattern(self) -> str:
        """What it matches, for people: `graph.quantize(x = graph.clip)`."""
        roots = " | ".join(_class_name(c) for c in self.roots)
        operands = ", ".join(
            f"{name} = {' | '.join(_class_name(c) for c in classes)}"
            for name, classes in self.operands.items()
        )
        return f"{roots}({operands})" if operands else roots

    def match(self, op: Operation) -> Sequence[Definition] | None:
        """The definitions of the operands that the pattern names, or None if it does not match."""
        definitions: list[Definition] = []
        for name, classes in self.operands.items():
            value = cast("SSAValue | Sequence[SSAValue] | None", getattr(op, name))
            owners = [v.owner for v in ([value] if isinstance(value, SSAValue) else value or ())]
            if not owners or not all(isinstance(owner, classes) for owner in owners):
                return None
            found = cast("list[Operation]", owners)
            definitions.append(found[0] if isinstance(value, SSAValue) else found)
        return definitions


def _class_name(op: type[Operation]) -> str:
    return op.name if "name" in vars(op) else op.__name__


@overload
def rule(function: RuleFunction, /) -> Rule: ...


@overload
def rule(root: Classes, /, **operands: Classes) -> Callable[[RuleFunction], Rule]: ...


def rule(
    function: RuleFunction | Classes, /, **operands: Classes
) -> Rule | Callable[[RuleFunction], Rule]:
    """Declares a rule by what its function's parameters are annotated with.

        @rule
        def name(op: Root | OtherRoot, x: Definition, rw: Rewrite) -> SSAValue | None:

    An operand that is variadic is annotated `Sequence[Definition]`, and must be defined by one of
    the classes in every place; an optional one must be present. Unions are alternatives; a class
    stands for its subclasses as well.

    The older form, in which classes stand in the decorator and the function is called with the
    root and the `Rewrite` alone, goes on working: `@rule(Root, x=Definition)`.

    Raises:
        TypeError: the annotations declare no rule, or an operand that the root does not have.
    """
    if not isinstance(function, type | tuple):
        return _annotated(function)
    roots = _classes(cast("Classes", function))
    patterns = {k: _classes(v) for k, v in operands.items()}

    def declare(function: RuleFunction) -> Rule:
        name = function.__name__
        for what, classes in {"the root": roots, **patterns}.items():
            if not classes:
                raise TypeError(f"rule {name}: what stands for {what} is no class of operations")
        if len(_parameters(function)) != 2:
            raise TypeError(
                f"rule {name}: below @rule(...) it takes the root operation and a Rewrite, no more"
            )
        return _checked(Rule(name, roots, patterns, function, of_root=True), {})

    return declare


def _parameters(function: RuleFunction) -> list[str]:
    """The names of a rule's parameters.

    Raises:
        TypeError: it is no function, or cannot be called with one argument a parameter.
    """
    if not inspect.isfunction(function):
        raise TypeError(f"a rule is a function, not {function!r}")
    code = function.__code__
    if not (code.co_flags & _STARS or code.co_kwonlyargcount):
        return list(code.co_varnames[: code.co_argcount])
    parameters = inspect.signature(function).parameters.values()  # of what it wraps, perhaps
    if any(p.kind not in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters):
        raise TypeError(f"rule {function.__name__}: its parameters have no stars")
    return [p.name for p in parameters]


def _annotated(function: RuleFunction) -> Rule:
    """The rule that a function's annotations declare."""
    names, name = _parameters(function), function.__name__
    try:
        hints = _hints(function, names)
    except NameError as error:
        raise TypeError(
            f"rule {name}: its annotations name '{error.name}', which its module does not have"
        ) from error
    if len(names) < 2 or hints.get(names[-1]) is not Rewrite:
        raise TypeError(f"rule {name}: it takes a root operation first and a Rewrite last")
    variadic = {n: get_origin(hints.get(n)) is Sequence for n in names[1:-1]}
    classes: dict[str, tuple[type[Operation], ...]] = {}
    for parameter in names[:-1]:
        hint = hints.get(parameter)
        found = _classes(get_args(hint)[0] if variadic.get(parameter) else hint)
        if not found:
            raise TypeError(
                f"rule {name}: '{parameter}' is not annotated with classes of operations"
            )
        classes[parameter] = found
    roots = classes.pop(names[0])
    return _checked(Rule(name, roots, classes, function), variadic)


def _hints(function: RuleFunction, names: Sequence[str]) -> Mapping[str, Any]:
    """What annotates these parameters.

    Names, and unions of names, are looked up: `get_type_hints` compiles each, and a compile
    declares fifty rules.
    """
    scope = function.__globals__
    hints: dict[str, Any] = {}
    for name in names:
        text = function.__annotations__.get(name)
        parts = [part.strip() for part in text.split("|")] if isinstance(text, str) else [""]
        if any(part not in scope for part in parts):
            return get_type_hints(function)
        hints[name] = scope[parts[0]]
        for part in parts[1:]:
            hints[name] |= scope[part]
    return hints


def _classes(hint: object) -> tuple[type[Operation], ...]:
    """The operation classes that a class, a union or a tuple names; none if it names another."""
    alternatives: tuple[Any, ...] = (hint,)
    if isinstance(hint, tuple):
        alternatives = cast("tuple[Any, ...]", hint)
    elif get_origin(hint) in (Union, UnionType):
        alternatives = get_args(hint)
    if all(isinstance(c, type) and issubclass(c, Operation) for c in alternatives):
        return alternatives
    return ()


def _checked(made: Rule, variadic: dict[str, bool]) -> Rule:
    """The rule, if its operands are its roots' (an abstract root's are its subclasses')."""
    for root in made.roots:
        if not issubclass(root, IRDLOperation) or "name" not in vars(root):
            continue
        known = dict(root.get_irdl_definition().operands)
        for operand in made.operands:
            if operand not in known:
                raise TypeError(
                    f"rule {made.name}: {root.name} has no operand '{operand}' ({list(known)})"
                )
            is_variadic = type(known[operand]) is VarOperandDef
            if variadic.get(operand, is_variadic) != is_variadic:
                kind, right = (
                    ("is variadic", "Sequence[...]")
                    if is_variadic
                    else ("is one value", "a class or a union of classes")
                )
                raise TypeError(
                    f"rule {made.name}: '{operand}' of {root.name} {kind}: annotate it with {right}"
                )
    return made
