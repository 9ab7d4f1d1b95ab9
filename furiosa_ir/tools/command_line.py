"""What both command lines have in common: how they begin and how they end."""

from __future__ import annotations

import atexit
import io
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, ClassVar, NoReturn

import click

from furiosa_ir.tools import signals
from furiosa_ir.tools.errors import reported_errors


class OptionalValue(click.Option):
    """An option that takes a value behind `=` alone: `--timing`, `--timing=json`.

    What stands behind it without one is the next argument.

    Args:
        alone: the value that it has then.
    """

    def __init__(self, *args: Any, alone: str, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.alone = alone

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """The option and its help, `--timing[=tree|list]`."""
        record = super().get_help_record(ctx)
        if record is None:
            return None
        names, _, value = record[0].partition(" ")
        return f"{names}[={value.strip('[]')}]", record[1]


class Command(click.Command):
    """A command that may have options of `OptionalValue`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Gives those that stand alone their value, which click would take from what follows."""
        alone = {
            name: f"{name}={option.alone}"
            for option in self.params
            if isinstance(option, OptionalValue)
            for name in option.opts
        }
        end = args.index("--") if "--" in args else len(args)
        return super().parse_args(ctx, [*(alone.get(a, a) for a in args[:end]), *args[end:]])


class Program(Command):
    """A command that ends in order: with one sentence where something is wrong, never a traceback.

    Exit codes: 0; 1 where a file, a network or an output is not as it should be; 2 where the
    command line is not; 128 + the number of a signal that ended it.
    """

    def main(  # pyright: ignore[reportIncompatibleMethodOverride]  # click's has overloads
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Runs the command line; see `click.Command.main`."""

        def work() -> Any:
            return super(Program, self).main(
                args, prog_name, complete_var, standalone_mode=False, **extra
            )

        if not standalone_mode:
            return work()
        if args is not None:  # called by a program, whose signals and streams are its own
            sys.exit(_status(work))
        _open_streams()
        signals.begin_work()
        try:
            status = _status(work)
        finally:
            signals.end_work()
        return _leave(status)


def _status(work: Callable[[], Any]) -> int:
    """Runs it; the exit code."""
    try:
        with reported_errors():
            status = work()
            sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        click.echo("Aborted!", err=True)
        return 1
    except BrokenPipeError:  # whoever reads has seen enough
        return 1
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    return status if isinstance(status, int) else 0


def _open_streams() -> None:
    """Gives descriptors 0 to 2 something to be, and lets every stream show every character.

    What is opened first would take the place of one that is closed: a model would become standard
    output. Reading from a closed one finds nothing, writing to it fails.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            mode = os.O_WRONLY if descriptor == 2 else os.O_RDONLY
            os.dup2(os.open(os.devnull, mode | os.O_CLOEXEC), descriptor)
    if sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison]  # it was closed
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = _text(_Stdout(1, "w", closefd=False), sys.stdout, by_lines=os.isatty(1))
    sys.stderr = _text(_Stderr(2, "w", closefd=False), sys.stderr, by_lines=True)


def _text(raw: io.FileIO, former: object, *, by_lines: bool) -> io.TextIOWrapper:
    """A stream of text in the former one's encoding, which shows every character."""
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(former, "encoding", "utf-8"),
        errors="backslashreplace",
        line_buffering=by_lines,
    )


class _Stdout(io.FileIO):
    """Standard output, whose errors say what they are of."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            error.filename = "standard output"
            raise


class _Stderr(io.FileIO):
    """Standard error; what cannot be said there must not stop the work that it is about."""

    failed: ClassVar = False

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError:
            _Stderr.failed = True
            return len(data)


def _leave(status: int) -> NoReturn:
    """Ends the process without taking Python down piece by piece.

    On the way down Python forgets its signal handlers, and says so if standard output still cannot
    be written.
    """
    # What `sys.exit` would run:
    atexit._run_exitfuncs()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(status or int(_Stderr.failed))
