"""What the quantisers' libraries print and raise, kept from the user."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Generator
from contextlib import contextmanager

import onnxruntime

from furiosa_ir.errors import FuriosaError


@contextmanager
def quiet() -> Generator[None]:
    """Without what the libraries log and print: it addresses their own callers."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    onnxruntime.set_default_logger_severity(4)
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        onnxruntime.set_default_logger_severity(2)  # its default: warnings
        logging.disable(before)


_OF_ITS_OWN = re.compile(
    r"^\[ONNXRuntimeError\] : \d+ : \w+ : |Load model from \S+ failed:\s*|Fatal error: "
)
"""What onnxruntime puts in front of the reason: codes, and the name of a file of ours."""


@contextmanager
def refusals(what: str, name: str) -> Generator[None]:
    """Exceptions of the libraries, which share no base, as one sentence: `what: reason`.

    Raises:
        FuriosaError: the library raised.
    """
    try:
        yield
    except (FuriosaError, MemoryError):
        raise
    except Exception as error:
        reason = _OF_ITS_OWN.sub("", " ".join(str(error).split())) or type(error).__name__
        raise FuriosaError(f"{what}: {reason}", file=name) from error
