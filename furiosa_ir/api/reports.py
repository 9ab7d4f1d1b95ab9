"""Reports: what each layer of a program costs and why, as data, tables and pages."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xdsl.dialects.builtin import ModuleOp

from furiosa_ir.api.programs import Program, program_of
from furiosa_ir.errors import FuriosaError
from furiosa_ir.files import write_whole
from furiosa_ir.model_source import Source
from furiosa_ir.notebook.report_page import report_page
from furiosa_ir.plugin_source import Plugin
from furiosa_ir.reports.columns import Cell, layer_row, layers_csv
from furiosa_ir.reports.dot import dot_text
from furiosa_ir.reports.inspect import inspection
from furiosa_ir.reports.page import render_page
from furiosa_ir.reports.profile import Profile
from furiosa_ir.reports.profiling import profile_program
from furiosa_ir.reports.trace import trace_events


@dataclass(frozen=True, repr=False)
class Report:
    """What a program costs; a notebook shows a summary, `print` the tables of `furiosa inspect`.

    Attributes:
        profile: layers, times, memory and advice, as records.
    """

    profile: Profile

    @property
    def layers(self) -> list[dict[str, Cell]]:
        """A row for each layer (`pandas.DataFrame(report.layers)`)."""
        return [layer_row(self.profile, layer) for layer in self.profile.layers]

    @property
    def summary(self) -> dict[str, Any]:
        """Times, memory, operators on the host: figures by name."""
        return self.data["summary"]

    @property
    def advice(self) -> list[str]:
        """What would help, the most first."""
        return [each.text for each in self.profile.advice]

    @property
    def data(self) -> dict[str, Any]:
        """All of it, as `furiosa inspect --json` prints it."""
        return inspection(self.profile)

    def csv(self) -> str:
        """The table of layers."""
        return layers_csv(self.profile)

    def json(self) -> str:
        """`data` as text."""
        return json.dumps(self.data, indent=2, allow_nan=False) + "\n"

    def dot(self) -> str:
        """The network's graph, for Graphviz."""
        return dot_text(self.profile)

    def trace(self) -> str:
        """The run as Chrome trace events, for ui.perfetto.dev."""
        return json.dumps(trace_events(self.profile), allow_nan=False)

    def html(self, other: Report | None = None) -> str:
        """The page of `furiosa report`, which loads nothing.

        Args:
            other: a report to show beside it.
        """
        return render_page(self.profile, other=None if other is None else other.profile)

    def save(self, path: Path | str) -> None:
        """Writes it as its name says: `.html`, `.csv`, `.json` or `.dot`.

        Raises:
            FuriosaError: it ends in nothing of that, or cannot be written.
        """
        path = Path(path)
        makers = {".html": self.html, ".csv": self.csv, ".json": self.json, ".dot": self.dot}
        make = makers.get(path.suffix.lower())
        if make is None:
            raise FuriosaError(
                f"a report cannot be written as '{path.suffix}'",
                file=str(path),
                hint=f"choose of {', '.join(makers)}",
            )
        write_whole(make().encode(), path)

    def __str__(self) -> str:
        from rich.console import Console  # noqa: PLC0415  # it takes longer than the rest

        from furiosa_ir.reports.terminal import WIDTH, print_profile  # noqa: PLC0415

        text = io.StringIO()
        print_profile(self.profile, Console(file=text, width=WIDTH, highlight=False))
        return text.getvalue()

    def __repr__(self) -> str:
        return f"<Report of {self.profile.title}: {len(self.profile.layers)} layers>"

    def _repr_html_(self) -> str:
        return report_page(self.profile)


def report(
    source: Program | Source | ModuleOp,
    *,
    title: str | None = None,
    facts: Mapping[str, str] | None = None,
    plugins: Sequence[Plugin] = (),
) -> Report:
    """The report of a program; a network or a module is compiled first.

    Args:
        source: a program, or what becomes one.
        title: what the report calls it; default: the file's name.
        facts: what else is known of it, such as `{"accuracy": "98.5 %"}`; shown first.
        plugins: code that declares backends, operators or passes.

    Raises:
        FuriosaError: it cannot be read or compiled.
    """
    program = program_of(source, plugins=plugins)
    if title is None:
        title = Path(source).name if isinstance(source, str | Path) else "program"
    return Report(profile_program(program.tables, title=title, facts=facts))


def inspect(
    source: Program | Source | ModuleOp, *, plugins: Sequence[Plugin] = ()
) -> dict[str, Any]:
    """What `furiosa inspect --json` prints of a program.

    Args:
        source: a program, or what becomes one.
        plugins: as of `report`.

    Raises:
        FuriosaError: as `report`.
    """
    return report(source, plugins=plugins).data
