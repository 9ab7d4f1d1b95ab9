"""Declarative rewriting: rules (`ir/rules.py`) by their root operation, applied until none fits."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import cast
from weakref import WeakKeyDictionary

from typing_extensions import override
from xdsl.ir import Operation, SSAValue
from xdsl.irdl import IRDLOperation
from xdsl.irdl.operations import OperandDef
from xdsl.traits import IsTerminator, Pure

from furiosa_ir.errors import CompilationFailure, FuriosaError, VerificationFailure
from furiosa_ir.ir.location import layer_name
from furiosa_ir.ir.remarks import held_remarks, say_all
from furiosa_ir.ir.rewrite_watch import Remark, RewriteWatch, rewrite_watch
from furiosa_ir.ir.rules import Definition, Rewrite, Rule, rule
from furiosa_ir.ir.value_tracking import note_replaced
from furiosa_ir.plugins import raise_plugin_failure, wrong_result

__all__ = [
    "Maker",
    "Rewrite",
    "RewriteDriver",
    "Rule",
    "has_one_reader",
    "is_dead",
    "made_by",
    "remove_dead_operations",
    "rule",
]


@dataclass(frozen=True, slots=True)
class Maker:
    """Who made an operation; as text, "rule 'r' of the pass 'p'".

    Attributes:
        rule: the rewrite rule.
        pass_name: the pass that applied it; None of a driver that none has.
    """

    rule: str
    pass_name: str | None

    @override
    def __str__(self) -> str:
        return f"rule '{self.rule}'" + (
            f" of the pass '{self.pass_name}'" if self.pass_name else ""
        )


_MADE_BY: WeakKeyDictionary[Operation, Maker] = WeakKeyDictionary()


def made_by(op: Operation) -> Maker | None:
    """The rewrite rule that made an operation, if one did."""
    return _MADE_BY.get(op)


@dataclass(slots=True)
class _Candidate:
    """A rule as the driver tries it: operand patterns by position where that is possible."""

    rule: Rule
    positions: tuple[tuple[int, tuple[type[Operation], ...]], ...] | None

    @staticmethod
    def of(rule: Rule, op: type[Operation]) -> _Candidate:
        # Accessors of xDSL cost a microsecond each; operands before the first optional or variadic
        # one always have the same position.
        positions: list[tuple[int, tuple[type[Operation], ...]]] = []
        if issubclass(op, IRDLOperation):
            definitions = op.get_irdl_definition().operands
            fixed: dict[str, int] = {}
            for index, (name, definition) in enumerate(definitions):
                if type(definition) is not OperandDef:
                    break
                fixed[name] = index
            if rule.operands.keys() <= fixed.keys():
                positions = [(fixed[name], classes) for name, classes in rule.operands.items()]
                return _Candidate(rule, tuple(positions))
        return _Candidate(rule, None)

    def match(self, op: Operation) -> Sequence[Definition] | None:
        if self.positions is None:
            return self.rule.match(op)
        definitions: list[Operation] = []
        operands = op._operands  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        for index, classes in self.positions:
            owner = operands[index].owner
            if not isinstance(owner, classes):
                return None
            definitions.append(owner)
        return definitions


@dataclass
class RewriteDriver:
    """Applies rules to everything inside an operation until none fits.

    Operations are visited in order, then whatever a rewrite touched: what it emitted, the users of
    what it replaced, and the definitions that lost a use. Pure operations without uses go.

    Attributes:
        rules: tried in this order on each operation.
        options: handed to the rules as `Rewrite.options`.
        limit: rewrites before the driver concludes that the rules loop; default 1000 plus 32 for
            each operation there is at the start.
        applied: how often each rule was applied, by name.
    """

    rules: Sequence[Rule]
    options: object = None
    limit: int | None = None
    applied: Counter[str] = field(default_factory=Counter[str])
    _table: dict[type[Operation], tuple[tuple[_Candidate, ...], bool]] = field(
        default_factory=dict[type[Operation], tuple[tuple[_Candidate, ...], bool]]
    )
    _recent: deque[str] = field(default_factory=lambda: deque[str](maxlen=256))

    def run(self, scope: Operation) -> bool:
        """Rewrites what is inside `scope`; whether anything changed.

        Raises:
            CompilationFailure: the rules do not come to an end (it names them), or one replaces a
                value by one of another type.
        """
        ops = list(scope.walk())[1:]
        limit = self.limit if self.limit is not None else 1000 + 32 * len(ops)
        ops.reverse()  # a stack: the first operation is popped first
        table = self._table
        watch = rewrite_watch()
        refusals: dict[tuple[Operation, str], list[Remark]] = {}
        changed = False
        count = 0
        while ops:
            op = ops.pop()
            if op.parent is None:
                continue  # erased since it was queued
            entry = table.get(type(op))
            if entry is None:
                entry = self._enter(type(op))
            candidates, pure = entry
            if pure and all(r.first_use is None for r in op.results):
                ops.extend(_erase(op))
                changed = True
                continue
            for candidate in candidates:
                definitions = candidate.match(op)
                if definitions is None:
                    continue
                if watch is not None and watch.hears_remarks:
                    touched = self._heard(candidate.rule, op, definitions, watch, refusals)
                else:
                    touched = self._apply(candidate.rule, op, definitions, watch)
                if touched is not None:
                    changed = True
                    count += 1
                    if count > limit:
                        raise self._loops(count, op)
                    ops.extend(touched)
                    break
        for (op, _), remarks in refusals.items():
            if op.parent is not None:  # else another rule has replaced it
                say_all(remarks)
        return changed

    def _heard(
        self,
        rule: Rule,
        op: Operation,
        definitions: Sequence[Definition],
        watch: RewriteWatch,
        refusals: dict[tuple[Operation, str], list[Remark]],
    ) -> list[Operation] | None:
        """`_apply`, with the rule's remarks: at once if it fires, else if it never does."""
        with held_remarks() as held:
            touched = self._apply(rule, op, definitions, watch)
        if touched is None:
            refusals[op, rule.name] = held
        else:
            say_all(held)
        return touched

    def _enter(self, op: type[Operation]) -> tuple[tuple[_Candidate, ...], bool]:
        candidates = tuple(_Candidate.of(r, op) for r in self.rules if issubclass(op, r.roots))
        entry = (candidates, _is_removable(op))
        self._table[op] = entry
        return entry

    def _apply(
        self,
        rule: Rule,
        op: Operation,
        definitions: Sequence[Definition],
        watch: RewriteWatch | None,
    ) -> list[Operation] | None:
        """One attempt: None if the rule does not apply, else what to look at again."""
        if watch is not None:
            if not watch.may_apply(rule.name, op):
                return None
            watch.before(rule.name, op)
        rewrite = Rewrite(op, self.options)
        try:
            result = rule.function(op, *(() if rule.of_root else definitions), rewrite)
        except VerificationFailure as error:
            failure = VerificationFailure(
                f"the {self._name(rule)}: {error.message}", hint=error.hint
            )
            raise failure.at(layer=error.layer or layer_name(op) or None) from error
        except Exception as error:
            if not isinstance(error, FuriosaError):
                raise_plugin_failure(error, layer_name(op) or None, f"the {self._name(rule)}")
            raise
        if result is None:
            rewrite.undo()
            if watch is not None:
                watch.after(rule.name, None)
            return None
        values = _values_of(result)
        if values is None:
            what = f"a value of type {type(result).__name__}, not None or values"
            running = f"the {self._name(rule)}"
            raise wrong_result(rule.function, what, running, layer_name(op) or None)
        if len(values) != len(op.results):
            raise CompilationFailure(
                f"{self._name(rule)} returns {len(values)} values for the {len(op.results)} "
                f"results of {op.name}",
                layer=layer_name(op) or None,
            )
        rewrite.finish(definitions)
        fired = None
        if watch is not None:
            fired = watch.application(rule.name, op, rewrite.emitted, values)
        touched: list[Operation] = []
        for old, new in zip(op.results, values, strict=True):
            if old.type is not new.type and old.type != new.type:
                raise CompilationFailure(
                    f"{self._name(rule)} replaces a value of {old.type} by one of {new.type}",
                    layer=layer_name(op) or None,
                )
            touched.extend(use.operation for use in old.uses)
            note_replaced(old, new)
            old.replace_all_uses_with(new)
        touched.extend(_erase(op))
        touched.extend(reversed(rewrite.emitted))  # popped first, in program order
        self.applied[rule.name] += 1
        self._recent.append(rule.name)
        maker = self._maker(rule)
        for new in rewrite.emitted:
            _MADE_BY[new] = maker
        if watch is not None:
            watch.after(rule.name, fired)
        return touched

    def _name(self, rule: Rule) -> str:
        """A rule as messages call it."""
        return str(self._maker(rule))

    def _maker(self, rule: Rule) -> Maker:
        return Maker(rule.name, getattr(self.options, "name", None))

    def _loops(self, count: int, op: Operation) -> CompilationFailure:
        # Of the last 256 rewrites, the rules that made more than a tenth.
        recent = Counter(self._recent).most_common(4)
        culprits = [name for name, times in recent if times * 10 > len(self._recent)]
        names = " and ".join(f"'{name}'" for name in culprits)
        return CompilationFailure(
            f"the rewrite rule{'s' if len(culprits) > 1 else ''} {names} did not come to an end "
            f"after {count - 1} rewrites",
            layer=layer_name(op) or None,
        )


def _values_of(result: object) -> Sequence[SSAValue] | None:
    """What a rule returns, as values; None of what is none."""
    if isinstance(result, SSAValue):
        return [cast("SSAValue", result)]
    values = cast("Sequence[object]", result) if isinstance(result, Sequence) else [None]
    if all(isinstance(value, SSAValue) for value in values):
        return cast("Sequence[SSAValue]", values)
    return None


def _erase(op: Operation) -> list[Operation]:
    """Removes an operation; returns the definitions that lost a use."""
    owners = [v.owner for v in op.operands if isinstance(v.owner, Operation)]
    op.detach()
    op.erase()
    return owners


_LEFT_BEHIND = 64
"""More operations than a rewrite leaves behind: what leads to as many is alive."""


@lru_cache(maxsize=1 << 9)
def _is_removable(op: type[Operation]) -> bool:
    """Whether an operation is for its results alone; a terminator is for its block's, too."""
    return op.has_trait(Pure) and not op.has_trait(IsTerminator)


def is_dead(op: Operation) -> bool:
    """Whether nothing needs an operation; a rewrite leaves what it matched beside its root so.

    The driver removes it when it comes to it.
    """
    pending, seen = [op], {op}
    while pending:
        each = pending.pop()
        if not _is_removable(type(each)) or len(seen) > _LEFT_BEHIND:
            return False
        users = {use.operation for result in each.results for use in result.uses} - seen
        seen |= users
        pending.extend(users)
    return True


def has_one_reader(value: SSAValue) -> bool:
    """Whether one use of a value is by an operation that is not dead."""
    return sum(not is_dead(use.operation) for use in value.uses) == 1


def remove_dead_operations(scope: Operation) -> bool:
    """Removes pure operations whose results nobody uses; whether there were any."""
    return RewriteDriver(()).run(scope)
