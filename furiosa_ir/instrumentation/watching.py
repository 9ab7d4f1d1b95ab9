"""The instruments that are asked for, made in one place for every tool."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol

from furiosa_ir.errors import FuriosaError
from furiosa_ir.instrumentation.dumps import Dump, IrDumps
from furiosa_ir.instrumentation.layers import LayerFilter
from furiosa_ir.instrumentation.options import WatchOptions
from furiosa_ir.instrumentation.remarks import Remarks
from furiosa_ir.instrumentation.rewrite_log import RewriteLog
from furiosa_ir.instrumentation.rule_timing import RuleTiming
from furiosa_ir.instrumentation.statistics import Statistics
from furiosa_ir.instrumentation.timing import Timing
from furiosa_ir.instrumentation.tree import TreeDirectory
from furiosa_ir.instrumentation.view import PLAIN, View
from furiosa_ir.ir.passes import find_pass
from furiosa_ir.ir.pipeline import Instrumentation
from furiosa_ir.ir.text_printer import Style


class Sink(Protocol):
    """Where a tool shows what is seen."""

    def ir(self, text: str) -> None:
        """IR text."""
        ...

    def difference(self, text: str) -> None:
        """A unified diff of IR text."""
        ...

    def line(self, text: str) -> None:
        """A line, or several, of a log or a table."""
        ...


@contextmanager
def watching(
    options: WatchOptions,
    sink: Sink,
    style: Style = PLAIN,
    timing: Timing | None = None,
    others: Sequence[Instrumentation] = (),
) -> Generator[list[Instrumentation]]:
    """The instruments that are asked for; what they have to say in the end, they say behind it.

    Args:
        options: what is asked for.
        sink: where it is shown.
        style: how IR is printed; `options.elide` counts as well.
        timing: what records the time, if that is asked for.
        others: further instruments; their time is none of the rules'.

    Raises:
        FuriosaError: a pass that is named is none; the tree's folder cannot be made; nothing is
            shown of the layers that are named.
    """
    for name in sorted(options.named_passes):
        find_pass(name)
    if options.only and not (options.dumps or options.rewrites or options.remarks):
        raise FuriosaError(
            "--only says of which layers dumps and logs are, and there are none",
            hint="give --print-ir-after-change, --log-rewrites or --remarks, too",
        )
    if options.remarks_from and options.remarks is None:
        raise FuriosaError(
            "--remarks-from says whose remarks are shown, and there are none",
            hint="give --remarks, too",
        )
    layers = LayerFilter(options.only) if options.only else None
    instruments: list[Instrumentation] = []
    tree = None
    if options.dumps:
        # Files can be gone on from, which needs the layers' names.
        locations = style.locations or options.tree_dir is not None
        shown = replace(style, locations=locations, elide=style.elide or options.elide)
        view = View(shown, options.by_function, layers)
        take = _shown_by(sink)
        if options.tree_dir is not None:
            is_whole = layers is None and not shown.elide
            tree = TreeDirectory(options.tree_dir, with_constants=is_whole)
            instruments.append(tree)
            take = tree.take
        instruments.append(_dumps(options, view, take))
    if options.rewrites is not None:
        instruments.append(RewriteLog(sink.line, options.rewrites == "json", layers))
    if options.remarks is not None:
        as_json, kinds = options.remarks == "json", options.remark_kinds
        instruments.append(Remarks(sink.line, as_json, layers, kinds, options.remarks_from))
    statistics = Statistics()
    if options.statistics is not None:
        instruments.append(statistics)
    instruments.extend(others)
    if timing is not None:
        instruments.append(RuleTiming(timing))  # the last: it begins behind the others
    try:
        yield instruments
    finally:
        if tree is not None:
            tree.finish()
        if options.statistics == "json":
            sink.line(json.dumps(statistics.as_dict()))
        elif options.statistics is not None:
            sink.line("\n".join(statistics.lines()))


def _dumps(options: WatchOptions, view: View, take: Callable[[Dump], None]) -> IrDumps:
    after = options.after
    # What says only how, or where to, means each pass.
    is_alone = not (options.before or options.after or options.after_failure)
    if not after and (options.after_change is not None or is_alone):
        after = True
    return IrDumps(
        view,
        take,
        options.before,
        after,
        only_changes=options.after_change is not None,
        differences=options.after_change == "diff",
        failures=options.after_failure,
        with_input=options.tree_dir is not None,
    )


def _shown_by(sink: Sink) -> Callable[[Dump], None]:
    def take(dump: Dump) -> None:
        show = sink.difference if dump.is_difference else sink.ir
        show(f"{dump.header}\n{dump.text}\n")

    return take
