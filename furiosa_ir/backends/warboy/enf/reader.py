"""Reads ENF 1, checking everything before it is used."""

from __future__ import annotations

import mmap
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from furiosa_ir.backends.warboy.enf import layout
from furiosa_ir.backends.warboy.enf.command_vectors import read_commands
from furiosa_ir.backends.warboy.enf.flatbuffer import Row, decode
from furiosa_ir.backends.warboy.enf.records import NpuSegment
from furiosa_ir.backends.warboy.enf.validation import validate_program
from furiosa_ir.errors import FormatFailure, FuriosaError
from furiosa_ir.input_files import open_input
from furiosa_ir.limits import Budget
from furiosa_ir.numerics.array import Array
from furiosa_ir.numerics.element_types import BY_NAME
from furiosa_ir.onnx_messages import check_complete
from furiosa_ir.program import Binding, HostSegment, Layer, Program, Resumption, Tensor, Variable

_DTYPES = frozenset({*BY_NAME, "string"})


@dataclass(frozen=True, slots=True)
class Header:
    """The first 10 bytes of an ENF file.

    Attributes:
        checksum: CRC-32 as written.
        valid: whether it is that of the bytes from 10 on.
        version: three bytes.
        vendor: whether it is a file of FuriosaAI's own compiler.
    """

    checksum: int
    valid: bool
    version: bytes
    vendor: bool


def read_header(data: bytes | memoryview) -> Header:
    """The header of a whole file.

    Raises:
        FormatFailure: it is shorter than a header or does not begin with "enf".
    """
    view = memoryview(data).cast("B")
    if bytes(view[:3]) != layout.MAGIC:
        raise FormatFailure("it is not an ENF file")
    if len(view) < 10:
        raise FormatFailure("it ends within its header")
    checksum = int.from_bytes(view[3:7], "little")
    version = bytes(view[7:10])
    valid = zlib.crc32(view[10:]) == checksum
    return Header(checksum, valid, version, version == layout.VENDOR_VERSION)


def read_program(source: str | os.PathLike[str] | bytes | memoryview) -> Program:
    """The program of an ENF file, given its path or its bytes.

    Constants and sub-models stay views of the file, which is mapped.

    Raises:
        FormatFailure: one sentence that says what is wrong with the file.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _read(memoryview(source).cast("B"))
    path = Path(source)
    try:
        with open_input(path) as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise FormatFailure("it is empty", file=str(path))
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise FormatFailure(f"it cannot be read: {reason}", file=str(path)) from None
    try:
        return _read(data)
    except FormatFailure as failure:
        raise failure.at(file=str(path)) from None


def _read(data: memoryview) -> Program:
    header = read_header(data)
    if not header.valid:
        raise FormatFailure("its CRC-32 does not match: it is damaged or incomplete")
    if header.vendor:
        raise FormatFailure(
            "it was made by FuriosaAI's own compiler, and the body of such a file is not public",
            hint="compile the ONNX or TFLite model instead",
        )
    if header.version != layout.VERSION:
        known = layout.VERSION.hex(" ")
        raise FormatFailure(
            f"it has version {header.version.hex(' ')}, this reader knows {known}",
            hint="compile the model anew",
        )
    start = layout.HEADER_BYTES
    if len(data) < start + 4 or any(data[10:start]):
        raise FormatFailure("its header is not followed by a FlatBuffer")
    end = start + 4 + int.from_bytes(data[start : start + 4], "little")
    if end > len(data):
        raise FormatFailure("its FlatBuffer is longer than the file")
    try:
        row = decode("Program", data[start:end])
        sections = data[end + -end % layout.SECTION_ALIGNMENT :]
        program = _Reader(sections).program(row)
        validate_program(program)
    except FormatFailure:
        raise
    except FuriosaError as failure:
        raise FormatFailure(failure.message, layer=failure.layer, hint=failure.hint) from None
    return program


def _enum(names: Sequence[str], value: int, what: str) -> str:
    if value >= len(names):
        raise FormatFailure(f"{what} {value} does not exist")
    return names[value]


class _Reader:
    def __init__(self, sections: memoryview) -> None:
        self._sections = sections
        self._budget = Budget(len(sections), _shared_sections)

    def program(self, row: Row) -> Program:
        return Program(
            row["target"],
            _by_name(row["machine"], "parameters of its machine"),
            tuple(_tensor(t) for t in row["tensors"]),
            _ints(row["inputs"]),
            _ints(row["outputs"]),
            tuple(self._segment(s) for s in row["segments"]),
            tuple(Layer(**layer) for layer in row["layers"]),
            row["compiler"],
            _by_name(row["options"], "options"),
            row["pipeline"],
            row["source_hash"],
            row["source_framework"],
            tuple(
                Resumption(r["passes"], _enum(layout.TEXT_STATES, r["text"], "state of text"))
                for r in row["resumed"]
            ),
            tuple(r["name"] for r in row["output_names"]),
            tuple(
                Variable(r["name"], r["before"], r["after"], self._section(r["initial"]))
                for r in row["variables"]
            ),
        )

    def _segment(self, row: Row) -> NpuSegment | HostSegment:
        if (row["npu"] is None) == (row["host"] is None):
            raise FormatFailure("a segment belongs neither to the NPU nor to the host alone")
        return self._host(row["host"]) if row["npu"] is None else self._npu(row["npu"])

    def _section(self, place: tuple[int, int]) -> memoryview:
        offset, size = place
        if offset % layout.SECTION_ALIGNMENT or offset + size > len(self._sections):
            raise FormatFailure("a section lies outside of the file")
        self._budget.take(size)
        return self._sections[offset : offset + size]

    def _host(self, row: Row) -> HostSegment:
        framework = _enum(layout.FRAMEWORKS, row["framework"], "framework")
        model = self._section(row["model"])
        if framework == "onnx":
            try:
                check_complete(model)
            except FormatFailure as error:
                raise FormatFailure(f"host segment '{row['name']}': {error.message}") from None
        return HostSegment(
            row["name"],
            framework,
            _ints(row["inputs"]),
            _ints(row["outputs"]),
            model,
            tuple((o["operator"], o["layer"], o["hint"], o["reason"]) for o in row["operators"]),
        )

    def _npu(self, row: Row) -> NpuSegment:
        return NpuSegment(
            row["name"],
            tuple(Binding(tensor, address) for address, tensor in row["inputs"].tolist()),
            tuple(Binding(tensor, address) for address, tensor in row["outputs"].tolist()),
            row["workspace_bytes"],
            row["sram_bytes"],
            read_commands(row),
            self._section(row["constants"]),
            row["sram_bound"],
            row["workspace_bound"],
            row["setup"],
        )


def _shared_sections() -> FormatFailure:
    return FormatFailure("its sections share bytes, and hold more than the file")


def _by_name(rows: Sequence[Row], what: str) -> dict[str, Any]:
    """Name -> value of rows that say both."""
    values = {row["name"]: row["value"] for row in rows}
    if len(values) < len(rows):
        raise FormatFailure(f"two {what} have one name")
    return values


def _ints(array: Array) -> tuple[int, ...]:
    return tuple(array.tolist())


def _tensor(row: Row) -> Tensor:
    if row["dtype"] not in _DTYPES:
        raise FormatFailure(f"tensor '{row['name']}' has an unknown dtype")
    shape = _ints(row["shape"])
    return Tensor(row["name"], row["dtype"], shape, row["scale"], row["zero_point"])
