"""What may watch rewrites: who asked for it hears of each rule that is tried and that fired.

Rules fire in `ir.rewriting`; a pass that is not made of rules says what it does to an operation by
`with step("name", op)`. Where nobody watches, a driver finds that out once a run.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace

from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue

from furiosa_ir.ir.location import layer_names


@dataclass(frozen=True, slots=True, eq=False)
class Application:
    """A rule that fired.

    Attributes:
        pass_name: the pass that applied it.
        rule: its name; of a lowering, its function's.
        root: the name of the operation that it matched, which is gone now.
        layers: the names of the root's layers, without what the rule fused into them.
        function: the symbol of the function that the root was in; "" outside of any.
        made: the operations that stand in the root's place, in order; none where values that were
            there already do.
        values: what replaces each of the root's results.
    """

    pass_name: str
    rule: str
    root: str
    layers: tuple[str, ...]
    function: str
    made: tuple[Operation, ...]
    values: tuple[SSAValue, ...]


@dataclass(frozen=True, slots=True)
class Remark:
    """What a pass has to say of an operation (`ir.remarks`).

    Attributes:
        kind: "passed", "missed" or "analysis".
        pass_name: the pass.
        name: which of its remarks.
        operation: the operation's name.
        layers: the names of its layers.
        function: the symbol of the function that it is in; "" outside of any.
        message: a sentence.
        way_out: what would help; "" if nothing is known to.
        figures: those of the sentence, by name.
        number: the hint's (docs/hints.md); 0: it is none.
    """

    kind: str
    pass_name: str
    name: str
    operation: str
    layers: tuple[str, ...]
    function: str
    message: str
    way_out: str
    figures: Mapping[str, int | float | str]
    number: int


class RewriteListener:
    """Hears of rewrites and remarks; subclasses override what they need."""

    def may_apply(self, rule: str, root: Operation) -> bool:
        """Whether the rule may be applied to the root, which it matches."""
        return True

    def before_rule(self, rule: str, root: Operation) -> None:
        """The rule is about to look at the root, which it matches."""

    def after_rule(self, rule: str, application: Application | None) -> None:
        """The rule has fired, and the IR is whole again; None: it does not apply."""

    def remarked(self, remark: Remark) -> None:
        """The pass that runs has a remark."""


@dataclass(slots=True)
class Step:
    """What a step has done (`step`).

    Attributes:
        made: operations that stand in the root's place or serve it, in order.
        values: what replaces each of the root's results, if it is replaced.
    """

    made: list[Operation] = field(default_factory=list[Operation])
    values: list[SSAValue] = field(default_factory=list[SSAValue])


@dataclass(frozen=True, slots=True)
class RewriteWatch:
    """Those who watch one pass.

    Attributes:
        pass_name: the pass.
        listeners: who watches.
        hears_remarks: whether one of them hears remarks.
    """

    pass_name: str
    listeners: tuple[RewriteListener, ...]
    hears_remarks: bool

    def remarked(self, remark: Remark) -> None:
        """The pass has a remark."""
        for listener in self.listeners:
            listener.remarked(remark)

    def may_apply(self, rule: str, root: Operation) -> bool:
        """Whether nobody objects."""
        return all(listener.may_apply(rule, root) for listener in self.listeners)

    def before(self, rule: str, root: Operation) -> None:
        """A rule is about to look at its root."""
        for listener in self.listeners:
            listener.before_rule(rule, root)

    def after(self, rule: str, application: Application | None) -> None:
        """A rule has fired, or has not."""
        for listener in reversed(self.listeners):
            listener.after_rule(rule, application)

    def application(
        self, rule: str, root: Operation, made: Sequence[Operation], values: Sequence[SSAValue]
    ) -> Application:
        """What is known of a rule that fires, while its root is still in its place."""
        function = enclosing_function(root)
        return Application(
            self.pass_name, rule, root.name, layer_names(root), function, tuple(made), tuple(values)
        )


_WATCH: ContextVar[RewriteWatch | None] = ContextVar("rewrite_watch", default=None)


def rewrite_watch() -> RewriteWatch | None:
    """Those who watch the pass that runs, if anybody does."""
    return _WATCH.get()


@contextmanager
def step(name: str, root: Operation) -> Generator[Step]:
    """Around what a pass does to an operation without a rule; who watches hears of it as of a rule.

        with step("pad_by_concat", op) as done:
            ...
            done.made.append(concat)

    Steps do not nest, and one that has neither made nor replaced anything has not happened.

    Args:
        name: what logs call it.
        root: the operation, in its place.
    """
    watch, done = _WATCH.get(), Step()
    if watch is None:
        yield done
        return
    watch.before(name, root)
    began = watch.application(name, root, (), ())
    yield done
    has_happened = bool(done.made or done.values)
    fired = replace(began, made=tuple(done.made), values=tuple(done.values))
    watch.after(name, fired if has_happened else None)


@contextmanager
def watched_rewrites(pass_name: str, listeners: Sequence[RewriteListener]) -> Generator[None]:
    """Within it, the listeners hear of every rewrite; those that override nothing are left out."""
    heard = tuple(each for each in listeners if _listens(type(each)))
    remarks = any(type(each).remarked is not RewriteListener.remarked for each in heard)
    token = _WATCH.set(RewriteWatch(pass_name, heard, remarks) if heard else None)
    try:
        yield
    finally:
        _WATCH.reset(token)


@contextmanager
def unheard_rewrites() -> Generator[None]:
    """Within it nobody hears: a copy is rewritten, to find out what an operation means."""
    token = _WATCH.set(None)
    try:
        yield
    finally:
        _WATCH.reset(token)


def _listens(cls: type[RewriteListener]) -> bool:
    base = RewriteListener
    return (
        cls.may_apply is not base.may_apply
        or cls.before_rule is not base.before_rule
        or cls.after_rule is not base.after_rule
        or cls.remarked is not base.remarked
    )


def enclosing_function(op: Operation) -> str:
    """The symbol of the function that an operation is in; "" outside of any."""
    parent = op.parent_op()
    while parent is not None and not isinstance(parent, FuncOp):
        parent = parent.parent_op()
    return "" if parent is None else parent.sym_name.data
