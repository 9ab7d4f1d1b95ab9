"""What a command reads stays: none of its outputs takes the place of one of its inputs."""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from furiosa_ir.cache.external_data import external_locations
from furiosa_ir.files import check_distinct, check_writable
from furiosa_ir.formats import HEAD_BYTES, Format, head_of, recognise
from furiosa_ir.ir.text_format import constants_to_read
from furiosa_ir.tools.arguments import STDOUT

if TYPE_CHECKING:
    from furiosa_ir.plugin_source import Plugin


def check_outputs(outputs: Sequence[Path], source: Path, others: Iterable[Path] = ()) -> None:
    """Whether the outputs can be written without harm, before anything is done for them.

    Args:
        outputs: files to be written.
        source: a network, IR text or a program; the files that belong to it count too (external
            data, the constants of IR text).
        others: further files that are read.

    Raises:
        FuriosaError: one cannot be written, or would replace an input or another output.
    """
    for output in outputs:
        check_writable(output)
    # What is not there yet, or is a program, is no part of a network, which can take long to look
    # into.
    replaced = [output for output in outputs if output.is_file() and not _is_program(output)]
    beside = _files_beside(source) if replaced else []
    check_distinct(outputs, [source, *others, *beside])


def plugin_files(plugins: Iterable[Plugin]) -> list[Path]:
    """The files that plug-ins are read from.

    Raises:
        FuriosaError: one is not there.
    """
    if not plugins:
        return []
    from furiosa_ir.plugin_source import find_plugin  # noqa: PLC0415  # few compiles have any

    return [find_plugin(plugin).file for plugin in plugins]


def shown(output: Path) -> str:
    """What a command calls an output."""
    return "standard output" if output == STDOUT else str(output)


def _is_program(path: Path) -> bool:
    return recognise(head_of(path)) is Format.PROGRAM


def _files_beside(source: Path) -> list[Path]:
    """None for what is no file, or cannot be read: whoever reads it says why."""
    if not source.is_file():  # opening a pipe would wait
        return []
    try:
        with (
            source.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            kind = recognise(data[:HEAD_BYTES])
            if kind is Format.IR:
                return [constants_to_read(source)]
            if kind is not Format.ONNX:
                return []
            return [source.parent / name for name in external_locations(data) or []]
    except (OSError, ValueError):  # an empty file cannot be mapped
        return []
