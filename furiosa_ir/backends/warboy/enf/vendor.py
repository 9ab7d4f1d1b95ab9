"""ENF files of the vendor's own compiler, whose header is all that is known of them."""

from __future__ import annotations

from typing import Any

from furiosa_ir.backends.warboy.enf.reader import read_header


def vendor_header(data: bytes | memoryview) -> dict[str, Any] | None:
    """The header of a file that FuriosaAI's own compiler made; None for any other file.

    Its body is not public: nothing else can be said of it.

    Raises:
        FormatFailure: it is not an ENF file at all.
    """
    header = read_header(data)
    if not header.vendor:
        return None
    return {
        "format": "ENF",
        "maker": "FuriosaAI's compiler",
        "version": header.version.hex(" "),
        "checksum": f"0x{header.checksum:08x}",
        "checksum_valid": header.valid,
        "bytes": len(data),
    }
