"""The options for crash reproducers, shared by the commands that compile."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from furiosa_ir.tools.arguments import OUTPUT

if TYPE_CHECKING:
    from furiosa_ir.network_part import Part
    from furiosa_ir.reproducer.recording import CrashRecorder

# What imports numpy and xDSL is imported where it is used.
# ruff: noqa: PLC0415

ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class Reproduction:
    """What a command line says of reproducers.

    Attributes:
        output: the file that a failure is written to.
        runs: whether the input is a reproducer, to be run.
        trusts_plugins: whether the code that it holds of plug-ins may be run.
    """

    output: Path | None = None
    runs: bool = False
    trusts_plugins: bool = False

    @property
    def outputs(self) -> list[Path]:
        """The files that may be written."""
        return [] if self.output is None else [self.output]

    @contextmanager
    def recording(
        self,
        source: Path,
        *,
        to_program: bool,
        verify_each: bool,
        options: dict[str, str | None],
        target_ir: str | None = None,
    ) -> Generator[CrashRecorder | None]:
        """Writes what fails within it, if that is asked for.

        Args:
            source: what is compiled.
            to_program: whether a program is made.
            verify_each: whether each pass is verified.
            options: how it is read (`reproducer.container.Reproducer`).
            target_ir: where the compile ends; None: at a program.

        Raises:
            FuriosaError: the file cannot be written.
        """
        if self.output is None:
            yield None
            return
        from furiosa_ir.files import check_writable, refuse_terminal
        from furiosa_ir.plugins import plugin_failure
        from furiosa_ir.reproducer.recording import CrashRecorder

        refuse_terminal(check_writable(self.output))
        given = {name: text for name, text in options.items() if text is not None}
        recorder = CrashRecorder(self.output, to_program, verify_each, source, given, target_ir)
        try:
            yield recorder
        except OSError:  # of a disk, not of the compiler
            raise
        except (Exception, SystemExit) as error:
            if isinstance(error, Exception) or plugin_failure(error) is not None:
                _write(recorder, error)
            raise


def reading_options(
    target: str | None, batch_size: int | None, part: Part
) -> dict[str, str | None]:
    """How a network is read, as reproducers have it."""
    shapes = [f"{name}={','.join(map(str, shape))}" for name, shape in part.input_shapes]
    dims = [f"{name}={extent}" for name, extent in part.dims]
    found = {
        "target": target,
        "batch_size": None if batch_size is None else str(batch_size),
        "input_shape": "\n".join(shapes),
        "dim": "\n".join(dims),
        "inputs": ",".join(part.inputs or ()),
        "outputs": ",".join(part.outputs or ()),
    }
    return {name: text for name, text in found.items() if text}


NO_REPRODUCTION = Reproduction()


def _write(recorder: CrashRecorder, error: Exception | SystemExit) -> None:
    from furiosa_ir.errors import FuriosaError

    path = recorder.path
    try:
        made = recorder.write(error)
    except (FuriosaError, MemoryError) as failure:  # the command's own error says more
        reason = "out of memory" if isinstance(failure, MemoryError) else failure
        click.echo(f"WARNING: there is no crash reproducer: {reason}", err=True)
        return
    if made is None:
        reason = "no pass had begun, and the source is no network of one file"
        click.echo(f"WARNING: there is no crash reproducer: {reason}", err=True)
        return
    doubt = "" if made.is_tried else ", but did not fail so when it was tried"
    if made.failure.is_of_watching:
        doubt = "; run it with the options that found the failure"
    click.echo(f"Written to {path}, a crash reproducer (it begins {made.begins}{doubt}):", err=True)
    click.echo(f"    furiosa-opt --run-reproducer {path}", err=True)


def reproducer_options(command: Callable[..., ResultT]) -> Callable[..., ResultT]:
    """Adds the options; the command is given them as `reproduction`, a `Reproduction`."""

    @wraps(command)
    def call(
        *,
        crash_reproducer: Path | None,
        run_reproducer: bool,
        trust_plugins: bool,
        **others: Any,
    ) -> ResultT:
        if trust_plugins and not run_reproducer:
            raise click.UsageError("--trust-plugins goes with --run-reproducer")
        reproduction = Reproduction(crash_reproducer, run_reproducer, trust_plugins)
        return command(reproduction=reproduction, **others)

    result: Any = call
    for option in (
        click.option(
            "--trust-plugins",
            is_flag=True,
            help="With --run-reproducer: run the code of plug-ins that the file holds, if they "
            "are not loaded. It may be anybody's.",
        ),
        click.option(
            "--run-reproducer",
            is_flag=True,
            help="The input is a crash reproducer: do again what failed.",
        ),
        click.option(
            "--crash-reproducer",
            type=OUTPUT,
            metavar="FILE",
            help="If something fails, write there all that it takes to fail again: IR, constants, "
            "passes, versions, plug-ins.",
        ),
    ):
        result = option(result)
    return result
