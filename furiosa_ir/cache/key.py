"""Keys: what a compiled program depends on, as one digest.

Equal inputs have equal keys under any name or path; whatever can change a byte of the program
changes the key.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from furiosa_ir.backends import look_for_installed
from furiosa_ir.batch_figures import BatchSize
from furiosa_ir.cache.external_data import external_digests, external_ranges
from furiosa_ir.cache.fingerprint import compiler_fingerprint, installed_distributions
from furiosa_ir.errors import FuriosaError
from furiosa_ir.formats import HEAD_BYTES, Format, recognise
from furiosa_ir.ir.text_format import constants_to_read
from furiosa_ir.limits import LIMITS, limit
from furiosa_ir.network_part import WHOLE, Part
from furiosa_ir.pipeline_request import AS_EVER, PipelineRequest

if TYPE_CHECKING:
    from furiosa_ir.plugin_source import Plugin

_SCHEMA = 3
"""Raise it when the meaning of a field below changes."""


@dataclass(frozen=True)
class Key:
    """A compile's identity.

    Attributes:
        digest: SHA-256 of everything, as hexadecimal digits.
        source: SHA-256 of the model file, if no other file matters; else None.
        recorded: SHA-256 of the model file, if the program says that it was made from that.
    """

    digest: str
    source: str | None
    recorded: str | None


@dataclass(frozen=True)
class Inputs:
    """What a compile to a program is given.

    Attributes:
        source: a model, as in `driver.compile_source`; of a file, whatever lies beside it and
            belongs to it counts too (external data, the constants of IR text).
        target: one of `backends.targets`, or None: as the source says.
        batch_size: as given, None and `AUTO` included: the program records it.
        pipeline: which passes run, where they are not the compiler's own.
        plugins: code that operators, passes and backends come from, as `plugin_source.find_plugin`
            takes it; what it may import from its folder or package counts too.
        part: which part of a network, of which extents.
    """

    source: Path | bytes
    target: str | None
    batch_size: BatchSize = None
    pipeline: PipelineRequest = AS_EVER
    plugins: tuple[Plugin, ...] = ()
    part: Part = WHOLE

    @property
    def name(self) -> str | None:
        """The model's name in messages; None for bytes."""
        return None if isinstance(self.source, bytes) else str(self.source)


def compile_key(inputs: Inputs) -> Key | None:
    """The key of a compile.

    Returns:
        None if a file is missing or unsound: then the compiler has to say what is wrong. Also if a
        plug-in lies among thousands of Python files, or nobody can tell what code is registered, or
        which code a pass is that is named.
    """
    try:
        source = inputs.source
        content = _of_bytes(source) if isinstance(source, bytes) else _of_file(source)
        if content.is_text or inputs.pipeline != AS_EVER:  # it may name what they declare
            look_for_installed()
        plugins = _plugins(inputs.plugins)
    except (FuriosaError, OSError, ValueError):
        # FuriosaError: a plug-in; ValueError: a mapping of nothing, a zero character in a name
        return None
    if content.beside is None or plugins is None or _names_passes_of_scripts(inputs):
        return None
    fields = {
        "schema": _SCHEMA,
        "compiler": compiler_fingerprint(),
        "source": content.digest,
        "beside": content.beside,
        "target": inputs.target,
        "batch_size": inputs.batch_size,
        "part": asdict(inputs.part),
        "passes": inputs.pipeline.text,
        "edits": [(edit.kind.value, edit.at, edit.passes) for edit in inputs.pipeline.edits],
        # What is too large to be folded stays in the program.
        "limits": {name: limit(name) for name in LIMITS},
        "plugins": plugins,
    }
    text = json.dumps(fields, sort_keys=True)
    # The program of IR text has the digest of the model that the text once came from.
    is_alone = not (content.is_text or content.beside or plugins)
    return Key(
        hashlib.sha256(text.encode()).hexdigest(),
        content.digest if is_alone else None,
        None if content.is_text else content.digest,
    )


@dataclass(frozen=True)
class _Content:
    """A model's content.

    Attributes:
        digest: SHA-256 of the file.
        beside: (name relative to the model, SHA-256) of what it uses of each file that belongs to
            it; None if there is something wrong with one.
        is_text: whether it is IR text.
    """

    digest: str
    beside: list[tuple[str, str]] | None
    is_text: bool = False


def _of_bytes(model: bytes) -> _Content:
    # A model given as bytes cannot have files beside it: one that needs them is refused anyway.
    is_text = recognise(model) is Format.IR
    return _Content(hashlib.sha256(model).hexdigest(), [], is_text)


def _of_file(path: Path) -> _Content:
    _require_file(path)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as model:
        hashing = _Hashing(model)
        try:
            return _of_mapping(path, model, hashing)
        finally:
            hashing.end()  # the mapping must not close under it


def _of_mapping(path: Path, model: mmap.mmap, hashing: _Hashing) -> _Content:
    kind = recognise(model[:HEAD_BYTES])
    if kind is Format.TFLITE:
        return _Content(hashing.digest(), [])
    if kind is Format.IR:
        constants = constants_to_read(path)
        # Its own name says nothing: only which text it lies beside.
        beside = [("", _file_digest(constants))] if constants.is_file() else []
        return _Content(hashing.digest(), beside, is_text=True)
    try:
        beside = external_digests(path.parent, external_ranges(model))
    except ValueError:
        return _Content(hashing.digest(), None)
    return _Content(hashing.digest(), beside)


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


def _plugins(plugins: Sequence[Plugin]) -> dict[str, Any] | None:
    """What is known of code from outside; empty if there is none, None if that is not enough.

    Raises:
        FuriosaError: a plug-in is not there.
        OSError: a file cannot be read.
        ValueError: there are too many.
    """
    if not plugins and "furiosa_ir.plugins" not in sys.modules:
        return {}
    from furiosa_ir.plugins import plugins_in_effect  # noqa: PLC0415  # few hits need it

    sources = plugins_in_effect(plugins)
    if not sources:
        return None if sources is None else {}
    files = [[(name, _file_digest(path)) for name, path in s.files()] for s in sources]
    # They may import whatever is installed.
    return {"files": files, "installed": sorted(installed_distributions().items())}


def _names_passes_of_scripts(inputs: Inputs) -> bool:
    """Whether passes run that neither the compiler nor a plug-in declares: a script, a notebook."""
    registered = sys.modules.get("furiosa_ir.ir.passes")
    if registered is None:  # whoever declares a pass has imported that
        return False
    pipeline = inputs.pipeline
    text = ",".join((pipeline.text or "", *(edit.passes for edit in pipeline.edits)))
    return any(name in text for name in registered.passes_of_scripts())


def _require_file(path: Path) -> None:
    if not path.is_file():  # a FIFO would wait for ever
        raise OSError(f"{path} is no file")


def _file_digest(path: Path) -> str:
    _require_file(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
