"""ENF files that say what a hit asks for, and hold nothing that would run."""

from __future__ import annotations

import hashlib
import zlib
from pathlib import Path

from furiosa_ir.backends.warboy.enf import layout
from furiosa_ir.backends.warboy.enf.flatbuffer import encode


def small_program(source: Path, target: str = "warboy-2pe", more: bytes = b"") -> bytes:
    """A program of a model, some hundred bytes, and whatever is to follow."""
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    return _checked(encode("Program", {"target": target, "source_hash": digest}) + more)


def padded(program: bytes, padding: bytes) -> bytes:
    """A program with bytes behind it."""
    return _checked(program[layout.HEADER_BYTES :] + padding)


def _checked(content: bytes) -> bytes:
    body = bytes(layout.HEADER_BYTES - 10) + content
    return layout.MAGIC + zlib.crc32(body).to_bytes(4, "little") + layout.VERSION + body
