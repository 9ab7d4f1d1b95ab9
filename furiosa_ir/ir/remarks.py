"""Remarks: what passes and rules say of operations to whoever asked for it (`--remarks`).

One call says one, where the decision is taken:

    missed(op, "second-use", "it stays: {readers} {readers:other reads|others read} it", readers=2)

A name of one or two words, which filters and tools know it by; a sentence of cause and figures,
with the figures' names in it, and words in singular and plural as they go with a figure; what would
help. Where nobody listens that is one look-up; figures
that take work are worked out if `heard()`. The three kinds are LLVM's.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from string import Formatter

from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue

from furiosa_ir.errors import readable
from furiosa_ir.ir.location import layer_name, layer_names
from furiosa_ir.ir.rewrite_watch import Remark, enclosing_function, rewrite_watch

PASSED, MISSED, ANALYSIS = "passed", "missed", "analysis"
KINDS = (PASSED, MISSED, ANALYSIS)
"""An optimisation that took place; one that did not, and why; what was found on the way."""

Figure = int | float | str
"""What a sentence has in its braces."""

_MOST, _LONGEST = 3, 80
"""Operations that a sentence lists, and letters of a layer's name in it."""


class _Sentences(Formatter):
    """Formats as `str.format` does; `one|many` in place of a format are words for a number."""

    def format_field(self, value: object, format_spec: str) -> str:
        one, bar, many = format_spec.partition("|")
        return (one if value == 1 else many) if bar else format(value, format_spec)


_SENTENCES = _Sentences()

_HELD: ContextVar[list[Remark] | None] = ContextVar("held_remarks", default=None)


def heard() -> bool:
    """Whether somebody listens to remarks."""
    watch = rewrite_watch()
    return watch is not None and watch.hears_remarks


def passed(op: Operation, name: str, message: str, /, **figures: Figure) -> None:
    """Says that an operation is better off, and how (arguments: `missed`)."""
    _say(PASSED, op, name, message, "", 0, figures)


def missed(
    op: Operation,
    name: str,
    message: str,
    /,
    *,
    way_out: str = "",
    number: int = 0,
    **figures: Figure,
) -> None:
    """Says that an operation is not better off, and why.

    Args:
        op: the operation, in its place.
        name: which remark of the pass it is: docs/watching-passes.md has the table.
        message: a sentence; figures stand in it as `str.format` has it, `{bytes:,}`, and words that
            go with their number, `{bytes:byte|bytes}`.
        way_out: what would help; empty if nothing is known to.
        number: the hint's, if it is one (docs/hints.md).
        figures: by name, as JSON has them.
    """
    _say(MISSED, op, name, message, way_out, number, figures)


def analysis(op: Operation, name: str, message: str, /, **figures: Figure) -> None:
    """Says what was found out of an operation (arguments: `missed`)."""
    _say(ANALYSIS, op, name, message, "", 0, figures)


def _say(
    kind: str,
    op: Operation,
    name: str,
    message: str,
    way_out: str,
    number: int,
    figures: dict[str, Figure],
) -> None:
    if not heard():
        return
    watch = rewrite_watch()
    assert watch is not None
    remark = Remark(
        kind,
        watch.pass_name,
        name,
        op.name,
        layer_names(op),
        op.sym_name.data if isinstance(op, FuncOp) else enclosing_function(op),
        _SENTENCES.vformat(message, (), figures) if figures else message,
        way_out,
        figures,
        number,
    )
    say_all([remark])


def described(*ops: object) -> str:
    """Operations as sentences have them: `graph.conv of layer a, func.return and 2 more`."""
    names: list[str] = []
    for op in dict.fromkeys(ops):
        layer = readable(layer_name(op), _LONGEST) if isinstance(op, Operation) else ""
        name = op.name if isinstance(op, Operation) else "an argument"
        names.append(f"{name} of layer {layer}" if layer else name)
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return f"{', '.join(names[:_MOST])}{more}"


def readers(value: SSAValue, besides: Operation) -> list[Operation]:
    """The operations that read a value, without one of them, in the order of the program."""
    users = {use.operation for use in value.uses} - {besides}
    return sorted(users, key=_position)


def _position(op: Operation) -> int:
    block = op.parent
    return block.get_operation_index(op) if block is not None else -1


@contextmanager
def held_remarks() -> Generator[list[Remark]]:
    """Within it remarks are collected, and said by `say_all` if what is tried comes to something.

    A plan that does not fit, or a rule that applies the next time, has said nothing.
    """
    held: list[Remark] = []
    token = _HELD.set(held)
    try:
        yield held
    finally:
        _HELD.reset(token)


def say_all(remarks: list[Remark]) -> None:
    """Says remarks, or hands them to the `held_remarks` around."""
    held, watch = _HELD.get(), rewrite_watch()
    if held is not None:
        held.extend(remarks)
    elif watch is not None:
        for remark in remarks:
            watch.remarked(remark)
