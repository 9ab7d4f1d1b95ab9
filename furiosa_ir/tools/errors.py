"""How the tools end when something is wrong: `ERROR: one sentence` on stderr, exit code 1."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Generator
from contextlib import contextmanager

import click

from furiosa_ir.errors import FuriosaError, readable


@contextmanager
def reported_errors() -> Generator[None]:
    """Turns errors into one sentence on stderr and exit code 1; prints the library's warnings.

    FURIOSA_TRACEBACK=1 shows the Python traceback as well.
    """
    log = logging.getLogger("furiosa_ir")
    printer = _WarningPrinter(logging.WARNING)
    log.addHandler(printer)
    try:
        yield
    except FuriosaError as error:
        _end(str(error))
    except (BrokenPipeError, KeyboardInterrupt, SystemExit, click.ClickException, click.Abort):
        raise
    except click.exceptions.Exit:
        raise
    except MemoryError:
        _end("out of memory")
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _end(f"{where}{error.strerror or error}")
    except Exception as error:  # noqa: BLE001  # a user gets a sentence, not a traceback
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


def _end(message: str) -> None:
    if os.environ.get("FURIOSA_TRACEBACK", "0") not in ("", "0"):
        traceback.print_exc()
    click.echo(f"ERROR: {readable(message, 8000)}", err=True)
    sys.exit(1)
