"""What the compiler is: its code, and the libraries that take part in a compile."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

LIBRARIES = (
    "xdsl",
    "numpy",
    "ml_dtypes",
    "onnx",
    "onnxruntime",  # folds constants
    "tflite",
    "flatbuffers",
    "ai_edge_litert",  # an extra: that it is not installed counts too
)
"""Distributions whose versions may change a program, by their normalised names."""

_PIECE = 1 << 16


@cache
def compiler_fingerprint() -> str:
    """SHA-256 of the package's code and of `LIBRARIES`' versions, as hexadecimal digits.

    The version number alone does not tell one checkout from another. 300 files take 4 ms.
    """
    package = str(Path(__file__).parents[1])
    digest = hashlib.sha256()
    # Without a Path for each of the 300, which would take as long as all the rest.
    for path in sorted(_files(package)):
        data = _content(path)
        name = path.removeprefix(package).replace(os.sep, "/")
        digest.update(f"{len(name)} {len(data)} {name}\n".encode())
        digest.update(data)
    installed = installed_distributions()
    for library in LIBRARIES:
        digest.update(f"{library} {installed.get(library, '-')}\n".encode())
    return digest.hexdigest()


def _content(path: str) -> bytes:
    """A small file's content; a file object for each would take a fifth of the time again."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.read(handle, _PIECE)
        while more := len(data) % _PIECE == 0 and os.read(handle, _PIECE):
            data += more
    finally:
        os.close(handle)
    return data


def _files(package: str) -> Iterator[str]:
    for folder, _, names in os.walk(package):
        if not folder.endswith("__pycache__"):
            yield from (f"{folder}{os.sep}{n}" for n in names if not n.endswith((".pyc", ".pyo")))


def installed_distributions() -> dict[str, str]:
    """Name -> version of the distributions on the path; of several, the one Python finds first.

    From the names of their folders: `importlib.metadata` takes 20 ms to import, a hit 60.
    """
    found: dict[str, str] = {}
    for folder in reversed(sys.path):
        with suppress(OSError):
            for entry in os.listdir(folder or "."):  # noqa: PTH208  # no Path for each of 200
                name, separator, version = entry.removesuffix(".dist-info").partition("-")
                if separator and entry.endswith(".dist-info"):
                    found[name.lower().replace("-", "_").replace(".", "_")] = version
    return found
