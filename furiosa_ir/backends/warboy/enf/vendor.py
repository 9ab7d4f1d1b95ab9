"""ENF files of the vendor's own compiler, whose header is all that is known of them."""

from __future__ import annotations

from typing import Any

from furiosa_ir.backends.warboy.enf.reader import read_header
from furiosa_ir.errors import FormatFailure


def vendor_header(data: bytes | memoryview) -> tuple[dict[str, Any], list[str]] | None:
    """The header of a file that FuriosaAI's own compiler made; None for any other file.

    Returns:
        The header as JSON has it, and as lines for people.
    """
    try:
        header = read_header(data)
    except FormatFailure:
        return None
    if not header.vendor:
        return None
    version, checksum = header.version.hex(" "), f"0x{header.checksum:08x}"
    validity = "valid" if header.valid else "does not match the content"
    described = {
        "format": "ENF",
        "maker": "FuriosaAI's compiler",
        "version": version,
        "checksum": checksum,
        "checksum_valid": header.valid,
        "bytes": len(data),
    }
    return described, [
        "Format: ENF of FuriosaAI's own compiler",
        f"Version: {version}",
        f"CRC-32: {checksum} ({validity})",
        f"Size: {len(data)} bytes",
        "Its body is not public and not ours: it can be neither shown nor run here.",
    ]
