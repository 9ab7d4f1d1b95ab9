"""How the tools end when something is wrong: `ERROR: one sentence` on stderr, exit code 1.

Behind the sentence stand the line of a text that it is about, with a caret, and what else is wrong
with that text, as clang and mlir-opt write it.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from typing import NoReturn

import click

from furiosa_ir.errors import FuriosaError, readable
from furiosa_ir.tools import signals


@contextmanager
def reported_errors() -> Generator[None]:
    """Turns errors into one sentence on stderr and exit code 1; prints the library's warnings.

    FURIOSA_TRACEBACK=1 shows the Python traceback as well. Within another one it does nothing.
    """
    log = logging.getLogger("furiosa_ir")
    if any(isinstance(handler, _WarningPrinter) for handler in log.handlers):
        yield
        return
    printer = _WarningPrinter(logging.WARNING)
    log.addHandler(printer)
    try:
        yield
    except FuriosaError as error:
        _end(str(error), _details(error))
    except (BrokenPipeError, signals.Ended, click.ClickException, click.Abort):
        raise
    except KeyboardInterrupt:  # of a program that calls this one; ours come as SystemExit
        _end("interrupted", code=130)
    except click.exceptions.Exit:
        raise
    except MemoryError:
        _end("out of memory")
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _end(f"{where}{error.strerror or error}")
    except BaseException as error:  # a user gets a sentence, not a traceback
        from furiosa_ir.plugins import plugin_failure  # noqa: PLC0415  # start-up needs none of it

        # A plug-in that ends the process (`sys.exit(0)`) has not done what was asked for.
        failure = plugin_failure(error)
        if failure is not None:
            _end(str(failure))
        if not isinstance(error, Exception):
            raise
        text = " ".join(str(error).split())
        _end(
            f"internal error, {type(error).__name__}: {text} "
            "(please report it; FURIOSA_TRACEBACK=1 shows where)"
        )
    finally:
        log.removeHandler(printer)


class _WarningPrinter(logging.Handler):
    """Prints log records to stderr as the command line prints errors."""

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(f"{record.levelname}: {readable(record.getMessage(), 2000)}", err=True)


def _details(error: FuriosaError) -> list[str]:
    """What is behind the sentence: the text that it is about, and what else is wrong."""
    lines: list[str] = []
    for index, diagnostic in enumerate(error.diagnostics):
        if index:
            lines.append(str(diagnostic))
        if diagnostic.line:
            lines.append(diagnostic.excerpt())
    return [*lines, f"and {error.unlisted} more"] if error.unlisted else lines


def _end(message: str, details: Sequence[str] = (), code: int = 1) -> NoReturn:
    if os.environ.get("FURIOSA_TRACEBACK", "0") not in ("", "0"):
        traceback.print_exc()
    with suppress(OSError):  # where stderr is full, the exit code has to say it
        click.echo(f"ERROR: {readable(message, 8000)}", err=True)
        for line in details:
            click.echo(line, err=True)
    sys.exit(code)
