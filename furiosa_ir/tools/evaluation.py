"""`furiosa evaluate`: how good a network is on a validation set, as the device computes it."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from furiosa_ir.errors import FuriosaError, readable
from furiosa_ir.tools.arguments import INPUT, OUTPUT, STDOUT
from furiosa_ir.tools.command_line import Program
from furiosa_ir.tools.errors import reported_errors
from furiosa_ir.tools.part_options import shape_options
from furiosa_ir.tools.plugin_options import LOAD
from furiosa_ir.tools.target_options import target_option

if TYPE_CHECKING:
    from furiosa_ir.evaluation import Evaluation, Progress
    from furiosa_ir.network_part import Part

# What imports numpy is imported where it is used.
# ruff: noqa: PLC0415


@click.command("evaluate", cls=Program)
@click.argument("file", type=INPUT)
@click.option(
    "--data",
    type=INPUT,
    required=True,
    metavar="NPZ|DIR",
    help=".npz or .npy of samples along the first axis, or a folder of such files.",
)
@click.option(
    "--labels",
    metavar="FILE|NAME",
    help="The samples' classes: a text (a number a line, or NAME NUMBER), an .npy or .npz, or the "
    "name of an array of --data.",
)
@click.option(
    "--metric",
    metavar="FILE.py:NAME",
    help="In place of top-1 and top-5: a function of (outputs, label), Python of your own.",
)
@click.option(
    "--scores", metavar="OUTPUT", help="The output with the scores of the classes, of several."
)
@click.option(
    "--label-offset",
    type=int,
    default=0,
    show_default=True,
    help="Added to each label: 1 where class 0 is the background.",
)
@click.option(
    "-n", "--count", type=click.IntRange(min=1), help="Samples to run at most, from all over."
)
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(min=1),
    help="Processes at once; default: a processor each.",
)
@click.option(
    "--scheduler",
    metavar="tcp://HOST:PORT",
    help="Run on the workers of this Dask scheduler (extra `dask`), not on this machine.",
)
@click.option(
    "--partial",
    type=OUTPUT,
    help="Keep what is done in this file until all is; default: "
    "FILE.DIGITS.evaluation.json in the current folder.",
)
@click.option("--restart", is_flag=True, help="Begin anew, whatever has been done before.")
@click.option(
    "-o", "--output", type=OUTPUT, help="Also: the result of each sample, as CSV or .json."
)
@click.option("--json", "as_json", is_flag=True, help="The result as JSON.")
@target_option("--target-npu", help="Default: the program's or IR text's")
@click.option("-b", "--batch-size", "--batch", type=click.IntRange(min=1))
@shape_options
@LOAD
@click.option("-q", "--quiet", is_flag=True, help="No progress on stderr.")
def evaluate_command(
    file: Path,
    data: Path,
    labels: str | None,
    metric: str | None,
    scores: str | None,
    label_offset: int,
    count: int | None,
    jobs: int | None,
    scheduler: str | None,
    partial: Path | None,
    restart: bool,
    output: Path | None,
    as_json: bool,
    target_npu: str | None,
    batch_size: int | None,
    input_shape: tuple[str, ...],
    dim: tuple[str, ...],
    load: tuple[str, ...],
    quiet: bool,
) -> None:
    """Run a validation set through FILE on the simulator, and tell its accuracy.

    FILE is a program, or a network, which is compiled first. Samples are read one by one and run
    in processes of this machine, or on a Dask cluster; the result is the same. After Ctrl-C the
    same command goes on where it stopped.
    """
    with reported_errors():
        from furiosa_ir.evaluation import Settings, evaluate
        from furiosa_ir.network_part import part_of_options
        from furiosa_ir.runtime.session import usable_processors
        from furiosa_ir.tools.sources import check_outputs, plugin_files

        part = part_of_options(input_shape, dim)
        if jobs is not None and scheduler is not None:
            raise FuriosaError("--jobs is for this machine, --scheduler for others'")
        given = [data, *([Path(labels)] if labels and Path(labels).is_file() else [])]
        outputs = [each for each in (output, partial) if each is not None]
        check_outputs(outputs, file, [*given, *plugin_files(load)])
        program = _program(file, target_npu, batch_size, part, load)
        settings = Settings(
            metric=metric,
            scores=scores,
            label_offset=label_offset,
            count=count,
            processes=jobs or usable_processors(),
            scheduler=scheduler,
            partial=partial or _current_folder(),
            restart=restart,
            plugins=load,
        )
        show = _Shown(quiet=quiet)
        found = evaluate(
            program,
            data,
            labels,
            settings,
            name=file.stem,
            on_open=show.opened,
            on_step=show.step,
        )
        show.end()
        if output is not None:
            _write(found, output)
        to_stderr = output == STDOUT
        if as_json:
            text = json.dumps(found.as_json(), ensure_ascii=False, indent=2)
            click.echo(text, err=to_stderr)
        else:
            _print(found, to_stderr=to_stderr)


def _current_folder() -> Path | None:
    """Where what is done is kept, if somebody may write there."""
    if os.access(os.curdir, os.W_OK):
        return Path()
    click.echo(
        "WARNING: what is done is not kept: the current folder cannot be written to (--partial "
        "names a file elsewhere)",
        err=True,
    )
    return None


def _program(
    file: Path, target: str | None, batch_size: int | None, part: Part, plugins: tuple[str, ...]
) -> bytes | Path:
    """FILE, if it is a program; else what it is compiled to.

    Raises:
        FuriosaError: it cannot be read or compiled, or is a program for something else.
    """
    from furiosa_ir.cache.compilation import compile_program
    from furiosa_ir.formats import Format, head_of, recognise
    from furiosa_ir.runtime import session
    from furiosa_ir.runtime.device import target_of

    if recognise(head_of(file), plugins) is Format.PROGRAM:
        shapes, dims = dict(part.input_shapes), dict(part.dims)
        try:  # what is wrong with it is told here, once
            session.create(
                file, target, 1, batch_size, plugins=plugins, input_shapes=shapes, dims=dims
            ).close()
        except FuriosaError as error:
            raise error.at(file=str(file)) from error
        return file
    target = target_of(target, plugins)
    content = compile_program(
        file, target=target, batch_size=batch_size, plugins=plugins, part=part
    ).program
    # A file of the cache may be gone when a process that was lost is started anew.
    return content.read_bytes() if isinstance(content, Path) else bytes(content)


class _Shown:
    """Progress on stderr: a line that changes on a terminal, else one every half minute."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._is_terminal = sys.stderr.isatty()
        self._width = 0
        self._next = time.monotonic() + (0.0 if self._is_terminal else 30.0)

    def opened(self, file: Path, kept: int) -> None:
        """Says that an evaluation goes on."""
        if kept and not self._quiet:
            samples = f"{kept} sample{'s' * (kept != 1)}"
            click.echo(f"Going on: {samples} done before, kept in {readable(str(file))}", err=True)

    def step(self, progress: Progress) -> None:
        """Says how far it is."""
        now = time.monotonic()
        if self._quiet or (now < self._next and progress.done < progress.total):
            return
        self._next = now + (0.2 if self._is_terminal else 30.0)
        parts = [f"🔍   Samples {progress.done}/{progress.total}"]
        parts += [f"{name} {share * 100:.2f} %" for name, share in progress.accuracy.items()]
        rate = progress.images_per_second
        parts.append(f"{rate:.3g} images/s")
        left = progress.total - progress.done
        if left and rate:
            parts.append(f"{_duration(left / rate)} left")
        line = ", ".join(parts)
        if not self._is_terminal:
            click.echo(line, err=True)
            return
        click.echo(f"\r{line}{' ' * (self._width - len(line))}", nl=False, err=True)
        self._width = len(line)

    def end(self) -> None:
        """Leaves the line."""
        if self._width:
            click.echo("", err=True)


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s"
    return f"{whole // 60} min" if whole < 6000 else f"{whole / 3600:.1f} h"


def _print(found: Evaluation, *, to_stderr: bool) -> None:
    lines: list[str] = []
    for name, value in found.result.items():
        if name in found.correct:
            lines.append(f"{name}: {value * 100:.2f} % ({found.correct[name]} of {found.samples})")
        else:
            lines.append(f"{readable(name)}: {value:.6g}")
    run = found.samples - found.kept
    how = "the cluster" if found.scheduler else f"{found.workers} process"
    how += "es" * (found.scheduler is None and found.workers != 1)
    if run:
        rate = f"{found.images_per_second:.3g} images/s on {how}"
        lines.append(f"{run} sample{'s' * (run != 1)} in {_duration(found.seconds)}, {rate}")
    click.echo("\n".join(lines), err=to_stderr)


def _write(found: Evaluation, output: Path) -> None:
    """Writes the result of each sample."""
    import csv
    import io

    from furiosa_ir.files import write_whole

    pairs = list(zip(found.indices, found.values, strict=True))
    if output.suffix.lower() == ".json":
        text = json.dumps([{"sample": i, "value": v} for i, v in pairs], indent=0)
    else:
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(["sample", "rank" if found.correct else "value"])
        writer.writerows([i, v if isinstance(v, int | float) else json.dumps(v)] for i, v in pairs)
        text = buffer.getvalue()
    write_whole(text.encode(), output)
