"""`furiosa doctor`: what is installed, what is missing, and what does not work."""

from __future__ import annotations

import json
import platform
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict

import click

from furiosa_ir.findings import Finding, State
from furiosa_ir.tools.command_line import Program
from furiosa_ir.tools.errors import reported_errors
from furiosa_ir.version import __version__

_WIDEST = 100
_AGAIN = "pip install --force-reinstall furiosa-ir"
_MARKS: Mapping[State, str] = {"ok": " ", "absent": "-", "broken": "!"}

Section = tuple[str, list[Finding]]
"""A heading, and what stands below it."""

TOOLS = {
    "cc": "compiles the simulator's kernels, where no wheel brings them",
    "dot": "draws what --dot-graph writes (Graphviz)",
    "mlir-opt": "reads what --print-op-generic writes (MLIR)",
}
"""Commands that are not needed, and what they are for."""


@click.command("doctor", cls=Program)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def doctor_command(as_json: bool) -> None:
    """Show versions, extras, cache and processor, what is missing, and what does not work.

    Exit code 1 if something that is needed is broken (marked with !): a library that is missing,
    too old or does not load, settings that are malformed, a cache that cannot be used. What one
    may do without is marked with -.
    """
    with reported_errors():
        found = list(sections())
        broken = [f for _, findings in found for f in findings if f.state == "broken"]
        if as_json:
            by_name = {title: [asdict(f) for f in findings] for title, findings in found}
            click.echo(json.dumps({"broken": len(broken), "sections": by_name}, indent=2))
        else:
            width = min(shutil.get_terminal_size().columns, _WIDEST)
            click.echo("\n".join(lines(found, width if sys.stdout.isatty() else _WIDEST)))
        if broken:
            raise click.exceptions.Exit(1)


def sections() -> Iterator[Section]:
    """All that is looked at, by headings."""
    from furiosa_ir.backends import backends  # noqa: PLC0415  # `furiosa --help` needs none of it
    from furiosa_ir.tools.cache_diagnosis import cache_findings  # noqa: PLC0415

    yield "versions", list(_python())
    yield from _distributions()
    for backend in backends():
        if backend.diagnosis is not None:
            yield backend.name, list(backend.diagnosis())
    yield "processor", list(_processor())
    yield "cache", list(cache_findings())
    yield "tools", list(_tools())


def _distributions() -> Iterator[Section]:
    try:
        from furiosa_ir import installation  # noqa: PLC0415
    except ModuleNotFoundError as error:  # of `packaging`, which reads what is required
        yield "requirements", [Finding(f"{error.name}", "not installed", "broken", _AGAIN)]
        return
    yield "package", [installation.package_finding()]
    requirements = installation.installed_requirements()
    if requirements is not None:
        faults = installation.load_faults(requirements)
        yield "requirements", list(installation.core_findings(requirements, faults))
        yield "extras", list(installation.extra_findings(requirements, faults))
    yield "plug-ins", list(installation.plugin_findings())


def _python() -> Iterator[Finding]:
    yield Finding("furiosa-ir", __version__)
    yield Finding("Python", f"{platform.python_version()}, in {sys.prefix}")
    yield Finding("system", platform.platform())


def _processor() -> Iterator[Finding]:
    from furiosa_ir.processor import this_processor  # noqa: PLC0415

    one = this_processor()
    yield Finding("processor", f"{one.name}, {one.machine}, {one.cores} cores to use")
    if one.has_vnni is None:
        yield Finding("VNNI", "unknown", "absent", "only Linux says what a processor has")
    elif one.has_vnni:
        yield Finding("VNNI", "yes: onnxruntime's 8-bit sums are fast and exact")
    else:
        advice = (
            "onnxruntime by itself adds products of uint8 by int8 in 16 bits, which saturates; "
            "furiosa's results are exact all the same"
        )
        yield Finding("VNNI", "no", "absent", advice)


def _tools() -> Iterator[Finding]:
    for name, purpose in TOOLS.items():
        path = shutil.which(name)
        if path is None:
            yield Finding(name, "not found", "absent", purpose)
        else:
            yield Finding(name, path)


def lines(found: Iterable[Section], width: int) -> Iterator[str]:
    """The report for people: a line or more for each finding, and a sentence at the end.

    Args:
        found: by headings; one without findings is left out.
        width: columns.
    """
    shown = [section for section in found if section[1]]
    margin = 4 + max(len(f.name) for _, findings in shown for f in findings)
    for title, findings in shown:
        yield title
        for f in findings:
            text = f"{f.value}; {f.advice}" if f.advice else f.value
            wrapped = textwrap.wrap(text, max(30, width - margin), break_on_hyphens=False) or [""]
            yield f"{_MARKS[f.state]} {f.name:<{margin - 2}}{wrapped[0]}".rstrip()
            yield from (" " * margin + line for line in wrapped[1:])
        yield ""
    broken = [f.name for _, findings in shown for f in findings if f.state == "broken"]
    if broken:
        yield f"Broken: {', '.join(broken)}."
    else:
        yield "All that is needed is there and works."
