"""Native code of a segment, by IREE, for this processor: made once and kept in the local cache.

Programs hold text. What IREE makes of it is code, which no file brings and no server: it lies in a
directory of the cache alone, under a key of the text, IREE's version, its flags and the processor.
"""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from furiosa_ir.backends.mlir.segment import MlirSegment
from furiosa_ir.backends.mlir.text_safety import checked_text
from furiosa_ir.cache.directory import DirectoryStore
from furiosa_ir.cache.entry import Metadata
from furiosa_ir.cache.settings import settings_from_environment
from furiosa_ir.cache.store import StoreFailure
from furiosa_ir.errors import CompilationFailure, FuriosaError
from furiosa_ir.processor import this_processor
from furiosa_ir.spans import span

_LOG = logging.getLogger(__name__)

_TILING = "--iree-opt-data-tiling"

FLAGS = (
    "--iree-hal-target-device=local",
    "--iree-hal-local-target-device-backends=llvm-cpu",
    "--iree-llvmcpu-target-cpu=host",
    # Rescales multiply in float64, which it would make float32.
    "--iree-input-demote-f64-to-f32=false",
    "--iree-opt-level=O3",
    _TILING,
    "--iree-llvmcpu-enable-ukernels=all",
    # Windows overlap in what they are read from, which MLIR's vectorizer leaves to loops of bytes;
    # LLVM's copies their rows, in a quarter to an eleventh of the time.
    "--iree-llvmcpu-loop-vectorization",
)
"""Of iree-compile. Never `--iree-input-demote-i64-to-i32`: products take 64 bits."""

_EXTRA = "install furiosa-ir[iree]"


def native_code(segment: MlirSegment, *, is_ours: bool = False) -> bytes:
    """The segment's module as IREE's runtime loads it (a FlatBuffer, vmfb).

    Args:
        segment: as a program has it.
        is_ours: whether its text was made by this process, and need not be looked at.

    Raises:
        FuriosaError: IREE is not installed, or fails, or the text is none that we write.
    """
    key = _key(segment.text)
    settings = settings_from_environment()
    store = DirectoryStore(settings.store) if isinstance(settings.store, Path) else None
    if store is not None:
        try:
            entry = store.get(key, settings.lifetime)
            if entry is not None:
                assert isinstance(entry.program, bytes | memoryview)
                return bytes(entry.program)
        except StoreFailure as failure:
            _LOG.warning("%s: %s", store, failure)
            store = None
    text = segment.text if is_ours else checked_text(segment)
    with span("native code"):
        code = compile_text(text, segment.name)
    if store is not None:
        try:
            store.put(key, Metadata(), code, settings.lifetime)
        except StoreFailure as failure:
            _LOG.warning("%s: %s", store, failure)
    return code


def compile_text(text: str, name: str) -> bytes:
    """What iree-compile makes of a module.

    Args:
        text: the module.
        name: what sentences call it.

    Raises:
        FuriosaError: IREE's compiler is not installed.
        CompilationFailure: it refuses the module.
    """
    tool = _compiler()
    with tempfile.TemporaryDirectory(prefix="furiosa-iree-") as folder:
        source, made = Path(folder, "module.mlir"), Path(folder, "module.vmfb")
        source.write_text(text, encoding="utf-8")
        done = _run(tool, source, made, FLAGS)
        if done.returncode:
            # IREE 3.13 refuses products that are read in several ways at once, and crashes for
            # others; all that are known compile without tiles.
            done = _run(tool, source, made, tuple(f for f in FLAGS if f != _TILING))
            if not done.returncode:
                _LOG.warning("%s: IREE cannot tile its products, and compiles them without", name)
        if done.returncode or not made.is_file():
            lines = [line for line in done.stderr.splitlines() if "error:" in line]
            cause = (lines or done.stderr.splitlines() or ["it says nothing"])[0]
            raise CompilationFailure(f"iree-compile refuses {name}: {cause.strip()}")
        return made.read_bytes()


def _run(
    tool: str, source: Path, made: Path, flags: Sequence[str]
) -> subprocess.CompletedProcess[str]:
    # Flags that the environment adds would be in no key.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("IREE_")}
    return subprocess.run(  # noqa: S603  # the tool of the installed package
        [tool, str(source), "-o", str(made), *flags],
        capture_output=True,
        text=True,
        errors="replace",
        env=environment,
        check=False,
    )


@cache
def _compiler() -> str:
    try:
        from iree.compiler.tools import binaries  # noqa: PLC0415  # an extra
    except ImportError:
        raise FuriosaError("IREE's compiler is not installed", hint=_EXTRA) from None
    tools: Any = binaries
    try:
        return str(tools.find_tool("iree-compile"))
    except ValueError as error:
        raise FuriosaError(f"IREE's compiler is not usable: {error}", hint=_EXTRA) from error


def _key(text: str) -> str:
    """64 hexadecimal digits of all that native code depends on."""
    # The number grows when text is refused that was not: code of before is not run then.
    state = hashlib.sha256(b"furiosa_ir native code 4\n")
    for part in (_version(), *FLAGS, _processor(), text):
        state.update(part.encode())
        state.update(b"\0")
    return state.hexdigest()


@cache
def _version() -> str:
    try:
        return metadata.version("iree-base-compiler")
    except metadata.PackageNotFoundError:
        raise FuriosaError("IREE's compiler is not installed", hint=_EXTRA) from None


@cache
def _processor() -> str:
    """What code for the "host" depends on."""
    one = this_processor()
    return " ".join([one.machine, one.name, *sorted(one.flags or ())])
