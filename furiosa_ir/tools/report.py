"""`furiosa report`: a page to look at a program with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from furiosa_ir.tools.arguments import INPUT, OUTPUT
from furiosa_ir.tools.command_line import Command
from furiosa_ir.tools.errors import reported_errors
from furiosa_ir.tools.part_options import shape_options
from furiosa_ir.tools.report_options import Reports, report_options
from furiosa_ir.tools.target_options import target_option

# What makes reports is imported where one is made.
# ruff: noqa: PLC0415


@click.command("report", cls=Command)
@click.argument("file", type=INPUT)
@click.option(
    "-o", "--output", type=OUTPUT, default="report.html", show_default=True, help="The page."
)
@click.option(
    "--compare", type=INPUT, metavar="OTHER", help="A second program or network, side by side."
)
@click.option(
    "--measure-host",
    is_flag=True,
    help="Run the host segments on this computer, for their time.",
)
@target_option("--target-npu", help="Default: the program's or IR text's")
@click.option("-b", "--batch-size", "--batch", type=click.IntRange(min=1))
@shape_options
@report_options
@click.option("--load", multiple=True, metavar="PLUGIN", help="As of furiosa compile.")
def report(
    file: Path,
    output: Path,
    compare: Path | None,
    measure_host: bool,
    target_npu: str | None,
    batch_size: int | None,
    input_shape: tuple[str, ...],
    dim: tuple[str, ...],
    reports: Reports,
    load: tuple[str, ...],
) -> None:
    """Write a page that shows what FILE, a program or a network, costs where, and why.

    A network is compiled for it, and the page says how that went, pass by pass. The page is one
    file, which loads nothing: layers, graph, timeline, memory, roofline and passes, linked.
    """
    with reported_errors():
        from furiosa_ir.network_part import part_of_options
        from furiosa_ir.tools.reporting import report_file

        report_file(
            file,
            replace(reports, page=output),
            other=compare,
            measure_host=measure_host,
            target=target_npu,
            batch_size=batch_size,
            part=part_of_options(input_shape, dim),
            plugins=load,
        )
