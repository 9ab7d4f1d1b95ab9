"""The file of a reproducer: a zip archive of texts that people can read and edit.

    reproducer.json      what failed, the pipeline, options, versions, plug-ins
    module.mlir          the module that the pipeline runs on
    module.safetensors   its large constants
    network              in place of both: the network's file, if that could not be imported
    plugins/0/mine.py    the code of plug-ins that are Python files

`unzip`, an editor and `zip` make another one of it. Everything in it is untrusted: sizes are looked
at before anything is unpacked, names lead nowhere, and nothing of it is run.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from lzma import LZMAError
from pathlib import Path
from typing import IO, Any, cast

from furiosa_ir.errors import FormatFailure, FuriosaError
from furiosa_ir.files import whole_file, write_failure
from furiosa_ir.input_files import open_input
from furiosa_ir.limits import limit, way_out

FORMAT = 1
"""Raise it when the meaning of a field changes."""

MANIFEST, MODULE, CONSTANTS = "reproducer.json", "module.mlir", "module.safetensors"
NETWORK = "network"
WATCHING = "what watches "
WITH_NETWORK = "with the network"
_PLUGINS = "plugins"
_EXPANSION = 16
"""Times its own size that a file may hold in any case."""
_MANIFEST_BYTES = 1 << 20
_DATE = (1980, 1, 1, 0, 0, 0)

_PART = r"[^./\\\x00-\x1f][^/\\\x00-\x1f]*+"
FILE_NAME = re.compile(rf"(?:{_PART}/)*{_PART}(?<=\.py)")
"""What the code of a plug-in may be called: below its folder, and Python."""

_UNSOUND = (
    *(ArithmeticError, EOFError, LookupError, NotImplementedError, RuntimeError, TypeError),
    *(ValueError, zipfile.BadZipFile, zlib.error, LZMAError),
)


@dataclass(frozen=True)
class PluginCopy:
    """A plug-in that took part.

    Attributes:
        name: as it was called: `mine.py`, or a module's name.
        main: its file, of `files`.
        sha256: file -> its digest, by its name below the plug-in's folder.
        files: file -> its text, where the file holds it: of Python files.
    """

    name: str
    main: str
    sha256: Mapping[str, str]
    files: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)


@dataclass(frozen=True)
class Failure:
    """What went wrong.

    Attributes:
        where: "the pass 'x'", "the phase 'y'", "the assembly", "the program's file", or "what
            watches the pass 'x'".
        type: the exception's class.
        message: what it said.
        traceback: where it came from, for whoever mends it.
    """

    where: str
    type: str
    message: str
    traceback: str = ""

    @property
    def is_of_watching(self) -> bool:
        """Whether something found it that only runs where it is asked for: `--check-numerics`."""
        return self.where.startswith(WATCHING)


@dataclass(frozen=True)
class Reproducer:
    """All that a failure needs to happen again.

    Attributes:
        failure: what went wrong.
        begins: where the module is from: "before the pass 'x'", "before the phase 'y'", "as it was
            read"; "with the network" where that is what it holds.
        pipeline: what runs on it, as `furiosa-opt -p` takes it.
        target_ir: the level of IR that is compiled to; None: a program is made of what the pipeline
            leaves, and the content of its file.
        verify_each: whether each pass is verified.
        is_tried: whether it failed in the same way when it was tried.
        source: the name of the file that was compiled.
        command: the command line.
        options: those of the command line that say how a network is read: `target`, `batch_size`,
            `input_shape` and `dim` (one a line), `inputs`, `outputs`.
        versions: distribution -> version.
        plugins: the plug-ins that took part, in the order of loading.
    """

    failure: Failure
    begins: str
    pipeline: str
    target_ir: str | None
    verify_each: bool = False
    is_tried: bool = False
    source: str = ""
    command: str = ""
    options: Mapping[str, str] = field(default_factory=dict[str, str])
    versions: Mapping[str, str] = field(default_factory=dict[str, str])
    plugins: tuple[PluginCopy, ...] = ()

    @property
    def is_of_import(self) -> bool:
        """Whether it holds a network, which could not be imported."""
        return self.begins == WITH_NETWORK


def write_reproducer(reproducer: Reproducer, members: Mapping[str, Path], path: Path) -> None:
    """Writes the file, whole or not at all.

    Args:
        reproducer: what it says.
        members: the files of what it holds: `MODULE` and, if it has large constants, `CONSTANTS`,
            or `NETWORK`.
        path: where.

    Raises:
        FuriosaError: it cannot be written.
    """
    try:
        with whole_file(path) as file, zipfile.ZipFile(file, "w") as archive:
            _put(archive, MANIFEST, _manifest(reproducer).encode())
            for name, member in members.items():
                # Weights are hardly smaller deflated.
                how = zipfile.ZIP_DEFLATED if name == MODULE else zipfile.ZIP_STORED
                with member.open("rb") as data:
                    _copy(archive, name, data, how)
            for index, plugin in enumerate(reproducer.plugins):
                for name, text in plugin.files.items():
                    _put(archive, f"{_PLUGINS}/{index}/{name}", text.encode())
    except OSError as error:
        raise write_failure(path, error) from error


def _manifest(reproducer: Reproducer) -> str:
    content = {"format": FORMAT, **asdict(reproducer)}
    for plugin in cast("tuple[dict[str, Any], ...]", content["plugins"]):
        del plugin["files"]
    return json.dumps(content, indent=1) + "\n"


def _put(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    archive.writestr(_entry(name, zipfile.ZIP_DEFLATED), data)


def _copy(archive: zipfile.ZipFile, name: str, data: IO[bytes], compression: int) -> None:
    with archive.open(_entry(name, compression), "w", force_zip64=True) as member:
        shutil.copyfileobj(data, member, 1 << 20)


def _entry(name: str, compression: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _DATE)
    entry.compress_type = compression
    entry.external_attr = 0o644 << 16
    return entry


def read_reproducer(path: Path, folder: Path) -> Reproducer:
    """Reads the file.

    Args:
        path: where it is.
        folder: an empty one, which gets its module (`MODULE`) and, if it has any, its constants, or
            its network (`NETWORK`).

    Raises:
        FormatFailure: it is no reproducer, of a later version, or holds more than it may.
        OSError: the folder cannot be written to.
    """
    try:
        try:
            opened = open_input(path)
        except OSError as error:
            reason = error.strerror or str(error)
            raise FormatFailure(f"cannot be read: {reason[:1].lower()}{reason[1:]}") from None
        with opened as file:
            size = os.fstat(file.fileno()).st_size
            try:
                with zipfile.ZipFile(file) as archive:
                    return _read(archive, size, folder)
            except _UNSOUND as error:
                raise FormatFailure("is no sound crash reproducer") from error
            except OSError as error:
                if error.errno != errno.EINVAL:  # of a disk; this is a member in front of the file
                    raise
                raise FormatFailure("is no sound crash reproducer") from error
    except FuriosaError as error:
        raise error.at(file=str(path)) from error.__cause__


def _read(archive: zipfile.ZipFile, size: int, folder: Path) -> Reproducer:
    members = {member.filename: member for member in archive.infolist()}
    if MANIFEST not in members or members.keys().isdisjoint((MODULE, NETWORK)):
        raise FormatFailure(f"is no crash reproducer: it has no {MANIFEST} or no {MODULE}")
    unpacked = sum(member.file_size for member in members.values())
    if unpacked > limit("EXPANDED_BYTES") + _EXPANSION * size:
        raise FormatFailure(
            f"holds {unpacked} bytes, in {size} of its own", hint=way_out("EXPANDED_BYTES")
        )
    if members[MANIFEST].file_size > _MANIFEST_BYTES:
        raise FormatFailure(f"its {MANIFEST} has more than {_MANIFEST_BYTES} bytes")
    content = json.loads(archive.read(members[MANIFEST]))
    if not isinstance(content, dict):
        raise FormatFailure(f"its {MANIFEST} is no object")
    reproducer = _of_manifest(cast("dict[str, Any]", content), archive, members)
    if (NETWORK if reproducer.is_of_import else MODULE) not in members:
        raise FormatFailure("is no sound crash reproducer: what it begins with is not there")
    for name in (MODULE, CONSTANTS, NETWORK):
        if name in members:
            # zipfile reads no more than the directory claims, so the sum above holds.
            with archive.open(members[name]) as member, (folder / name).open("xb") as file:
                shutil.copyfileobj(member, file, 1 << 20)
    return reproducer


def _of_manifest(
    content: dict[str, Any], archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo]
) -> Reproducer:
    if content.get("format") != FORMAT:
        raise FormatFailure(
            f"is a crash reproducer of format {content.get('format')!r}, not {FORMAT}",
            hint="run it with the version of furiosa-ir that has written it",
        )
    failure = content["failure"]
    plugins: list[PluginCopy] = []
    for index, entry in enumerate(content["plugins"]):
        digests = _texts(entry["sha256"])
        files = {
            name: archive.read(members[f"{_PLUGINS}/{index}/{name}"]).decode()
            for name in digests
            if FILE_NAME.fullmatch(name) and f"{_PLUGINS}/{index}/{name}" in members
        }
        plugins.append(PluginCopy(_text(entry["name"]), _text(entry["main"]), digests, files))
    return Reproducer(
        Failure(*(_text(failure[key]) for key in ("where", "type", "message", "traceback"))),
        begins=_text(content["begins"]),
        pipeline=_text(content["pipeline"]),
        target_ir=None if content["target_ir"] is None else _text(content["target_ir"]),
        verify_each=bool(content["verify_each"]),
        is_tried=bool(content["is_tried"]),
        source=_text(content["source"]),
        command=_text(content["command"]),
        options=_texts(content["options"]),
        versions=_texts(content["versions"]),
        plugins=tuple(plugins),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _texts(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise TypeError("not an object")
    return {_text(k): _text(v) for k, v in cast("dict[object, object]", value).items()}
