"""What `--run-reproducer` does, in both commands: a failure happens again, or what is made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from furiosa_ir.driver import CompileResult
from furiosa_ir.errors import FuriosaError, readable
from furiosa_ir.reproducer.container import Reproducer
from furiosa_ir.reproducer.recording import is_same
from furiosa_ir.reproducer.running import (
    differing_versions,
    opened_reproducer,
    require_plugins,
    run_reproducer,
)
from furiosa_ir.tools.reproducer_options import Reproduction
from furiosa_ir.tools.watch_options import Watch


def reproduce(
    file: Path,
    reproduction: Reproduction,
    watch: Watch,
    write: Callable[[CompileResult], None],
    *,
    generic: bool = False,
    color: str = "auto",
) -> None:
    """Runs the reproducer that a file is.

    Args:
        file: the reproducer.
        reproduction: whether its plug-ins may be run.
        watch: what is to be seen of the passes.
        write: writes what is made where nothing fails.
        generic, color: of what is seen.

    Raises:
        FuriosaError: the file is none, or what fails in it.
    """
    if reproduction.output is not None:
        raise FuriosaError("--crash-reproducer does not go with --run-reproducer")
    with opened_reproducer(file) as (reproducer, module):
        _tell(reproducer)
        require_plugins(reproducer, module.parent, trusted=reproduction.trusts_plugins)
        try:
            with watch.instruments(generic=generic, color=color) as instruments:
                result = run_reproducer(reproducer, module, instruments)
        except (Exception, SystemExit) as error:
            same = "the same way" if is_same(error, reproducer.failure) else "another way"
            click.echo(f"It fails in {same}:", err=True)
            raise
        click.echo("It does not fail here.", err=True)
        write(result)


def _tell(reproducer: Reproducer) -> None:
    failure = reproducer.failure
    source = f" of {reproducer.source}" if reproducer.source else ""
    lines = [f"It failed in {failure.where}{source}, and begins {reproducer.begins}."]
    differing = differing_versions(reproducer)
    if differing:
        lines.append(f"WARNING: other versions: {'; '.join(differing)}")
    for line in lines:
        click.echo(readable(line, 2000), err=True)
