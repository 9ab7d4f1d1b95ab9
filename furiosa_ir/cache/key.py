"""Keys: what a compiled program depends on, as one digest.

Equal inputs have equal keys under any name or path; whatever can change a byte of the program
changes the key.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import threading
from dataclasses import dataclass
from pathlib import Path

from furiosa_ir.cache.external_data import external_locations
from furiosa_ir.cache.fingerprint import compiler_fingerprint
from furiosa_ir.ir.text_format import constants_path, is_ir_text
from furiosa_ir.limits import LIMITS, limit

_SCHEMA = 1
"""Raise it when the meaning of a field below changes."""

_HEAD = 1 << 16


@dataclass(frozen=True)
class Key:
    """A compile's identity.

    Attributes:
        digest: SHA-256 of everything, as hexadecimal digits.
        source: SHA-256 of the model file, if no other file matters; else None.
    """

    digest: str
    source: str | None


@dataclass(frozen=True)
class Inputs:
    """What a compile to ENF is given.

    Attributes:
        source: a model, as in `compiler.compile_source`; of a file, whatever lies beside it and
            belongs to it counts too (external data, the constants of IR text).
        target: "warboy" or "warboy-2pe".
        batch_size: as given, None included: the program records it.
        passes: a pipeline text, where the passes are not the compiler's own.
        plugins: files of Python code that passes come from; Python files and packages in their
            folders, which they may import, count too.
    """

    source: Path | bytes
    target: str
    batch_size: int | None = None
    passes: str | None = None
    plugins: tuple[Path, ...] = ()

    @property
    def name(self) -> str | None:
        """The model's name in messages; None for bytes."""
        return None if isinstance(self.source, bytes) else str(self.source)


def compile_key(inputs: Inputs) -> Key | None:
    """The key of a compile.

    Returns:
        None if a file is missing or unsound: then the compiler has to say what is wrong. Also if a
        plug-in lies among thousands of Python files.
    """
    try:
        source = inputs.source
        content = _of_bytes(source) if isinstance(source, bytes) else _of_file(source)
        plugins = [_plugin_digests(p) for p in inputs.plugins]
    except (OSError, ValueError):  # ValueError: a mapping of nothing, a zero character in a name
        return None
    if content.beside is None:
        return None
    fields = {
        "schema": _SCHEMA,
        "compiler": compiler_fingerprint(),
        "source": content.digest,
        "beside": content.beside,
        "target": inputs.target,
        "batch_size": inputs.batch_size,
        "passes": inputs.passes,
        # What is too large to be folded stays in the program.
        "limits": {name: limit(name) for name in LIMITS},
        "plugins": plugins,
    }
    text = json.dumps(fields, sort_keys=True)
    # The program of IR text has the digest of the model that the text once came from.
    is_alone = not (content.is_text or content.beside or plugins)
    return Key(hashlib.sha256(text.encode()).hexdigest(), content.digest if is_alone else None)


@dataclass(frozen=True)
class _Content:
    """A model's content.

    Attributes:
        digest: SHA-256 of the file.
        beside: (name relative to the model, SHA-256) of each file that belongs to it; None if
            there is something wrong with one.
        is_text: whether it is IR text.
    """

    digest: str
    beside: list[tuple[str, str]] | None
    is_text: bool = False


def _of_bytes(model: bytes) -> _Content:
    # A model given as bytes cannot have files beside it: one that needs them is refused anyway.
    return _Content(hashlib.sha256(model).hexdigest(), [], is_ir_text(model[:_HEAD]))


def _of_file(path: Path) -> _Content:
    _require_file(path)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as model:
        hashing = _Hashing(model)
        try:
            return _of_mapping(path, model, hashing)
        finally:
            hashing.end()  # the mapping must not close under it


def _of_mapping(path: Path, model: mmap.mmap, hashing: _Hashing) -> _Content:
    head = model[:_HEAD]
    if head[4:8] == b"TFL3":
        return _Content(hashing.digest(), [])
    if is_ir_text(head):
        constants = constants_path(path)
        # Its own name says nothing: only which text it lies beside.
        beside = [("", _file_digest(constants))] if constants.is_file() else []
        return _Content(hashing.digest(), beside, is_text=True)
    locations = external_locations(model)
    if locations is None:
        return _Content(hashing.digest(), None)
    folder = path.parent.resolve()
    files = [(name, (folder / name).resolve()) for name in locations]
    if any(not file.is_relative_to(folder) for _, file in files):
        return _Content(hashing.digest(), None)
    return _Content(hashing.digest(), [(name, _file_digest(file)) for name, file in files])


class _Hashing:
    """SHA-256 of a model, while its text is searched: hashing lets other threads run."""

    def __init__(self, model: mmap.mmap) -> None:
        self._digest = hashlib.sha256()
        self._thread = threading.Thread(
            target=self._digest.update, args=(model,), name="furiosa-cache-hash"
        )
        try:
            self._thread.start()
        except RuntimeError:  # the process may have no more threads
            self._digest.update(model)

    def end(self) -> None:
        """Waits until all is hashed."""
        if self._thread.ident is not None:
            self._thread.join()

    def digest(self) -> str:
        """The digest as hexadecimal digits, when it is done."""
        self.end()
        return self._digest.hexdigest()


_MOST_PLUGIN_FILES = 2000


def _plugin_digests(plugin: Path) -> list[tuple[str, str]]:
    """(name, SHA-256) of a plug-in and of what it may import from its folder.

    Raises:
        OSError: a file cannot be read.
        ValueError: there are more than `_MOST_PLUGIN_FILES`.
    """
    _require_file(plugin)
    found: list[Path] = []
    for folder, packages, names in os.walk(plugin.parent):
        packages[:] = [name for name in packages if name.isidentifier() and name != "__pycache__"]
        paths = (Path(folder, name) for name in names if name.endswith(".py"))
        found += [p for p in paths if p != plugin and p.is_file()]
        if len(found) + len(packages) > _MOST_PLUGIN_FILES:
            raise ValueError(f"{plugin} lies among too many files")
    beside = [(p.relative_to(plugin.parent).as_posix(), _file_digest(p)) for p in sorted(found)]
    # Its own name says nothing.
    return [("", _file_digest(plugin)), *beside]


def _require_file(path: Path) -> None:
    if not path.is_file():  # a FIFO would wait for ever
        raise OSError(f"{path} is no file")


def _file_digest(path: Path) -> str:
    _require_file(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
