"""The files with which a program is looked at, as options that commands share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from furiosa_ir.errors import FuriosaError
from furiosa_ir.tools.arguments import OUTPUT

if TYPE_CHECKING:
    from furiosa_ir.program import Program
    from furiosa_ir.reports.pass_recorder import PassRecorder
    from furiosa_ir.reports.profile import Profile

# What makes reports is imported where one is made.
# ruff: noqa: PLC0415

ResultT = TypeVar("ResultT")

_OPTIONS = (
    click.option(
        "--trace", type=OUTPUT, help="Also: the run as Chrome trace events, for ui.perfetto.dev."
    ),
    click.option("--dot-graph", type=OUTPUT, help="Also: the network's graph, for Graphviz."),
    click.option(
        "--analyze-memory", type=OUTPUT, help="Also: a page of what lies in SRAM where and when."
    ),
    click.option(
        "--with-ir", is_flag=True, help="In the report: the IR before and after each pass."
    ),
)


@dataclass(frozen=True)
class Reports:
    """What is asked for.

    Attributes:
        page, trace, dot_graph, memory: files to write; None: it is not asked for.
        with_ir: whether the page holds the IR around each pass.
    """

    page: Path | None = None
    trace: Path | None = None
    dot_graph: Path | None = None
    memory: Path | None = None
    with_ir: bool = False

    @property
    def files(self) -> list[Path]:
        """All that are to be written."""
        every = (self.page, self.trace, self.dot_graph, self.memory)
        return [file for file in every if file is not None]

    def recorder(self) -> PassRecorder | None:
        """What has to watch the compile; None where nothing has.

        Raises:
            FuriosaError: the IR is asked for without a page to put it into.
        """
        if self.page is None:
            if self.with_ir:
                raise FuriosaError("--with-ir is for a report", hint="give --report FILE")
            return None
        from furiosa_ir.reports.pass_recorder import PassRecorder

        return PassRecorder(self.with_ir)

    def write(
        self,
        program: Program,
        title: str,
        recorder: PassRecorder | None = None,
        other: Profile | None = None,
        host_us: float | None = None,
    ) -> None:
        """Writes all that is asked for.

        Args:
            program: what it is about.
            title: what the reports call it.
            recorder: what has watched the compile, if anything has.
            other: a program to show beside it in the page.
            host_us: what its host segments take, if that has been measured.

        Raises:
            FuriosaError: a file cannot be written, or nothing of the kind is known of the program.
        """
        if not self.files:
            return
        from furiosa_ir.reports.profiling import profile_program

        passes = () if recorder is None else recorder.passes
        text = None if recorder is None else recorder.source_text
        profile = profile_program(
            program, title=title, host_us=host_us, passes=passes, source_text=text
        )
        for file, content in self._contents(profile, other):
            from furiosa_ir.files import write_whole

            write_whole(content.encode(), file)

    def _contents(self, profile: Profile, other: Profile | None) -> Sequence[tuple[Path, str]]:
        """Everything is made before anything is written."""
        made: list[tuple[Path, str]] = []
        if self.page is not None:
            from furiosa_ir.reports.page import render_page

            made.append((self.page, render_page(profile, other=other)))
        if self.trace is not None:
            import json

            from furiosa_ir.reports.trace import trace_events

            made.append((self.trace, json.dumps(trace_events(profile), allow_nan=False)))
        if self.dot_graph is not None:
            from furiosa_ir.reports.dot import dot_text

            made.append((self.dot_graph, dot_text(profile)))
        if self.memory is not None:
            from furiosa_ir.reports.page import render_page

            made.append((self.memory, render_page(profile, views=("memory",))))
        return made


def report_options(command: Callable[..., ResultT]) -> Callable[..., ResultT]:
    """Adds the options; the command is given them as `reports`, `Reports` without a page."""

    @wraps(command)
    def reported(
        *,
        trace: Path | None,
        dot_graph: Path | None,
        analyze_memory: Path | None,
        with_ir: bool,
        **options: Any,
    ) -> ResultT:
        reports = Reports(None, trace, dot_graph, analyze_memory, with_ir)
        return command(reports=reports, **options)

    made: Callable[..., ResultT] = reported
    for option in reversed(_OPTIONS):
        made = option(made)
    return made
