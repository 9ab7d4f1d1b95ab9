"""The processor this process runs on, as far as it changes speed or results."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_NAMES = ("model name", "Model", "cpu model")
_FLAGS = ("flags", "Features")
"""Keys of Linux's list: of x86, of Arm, of others."""

VNNI = frozenset({"avx512_vnni", "avx_vnni", "asimddp"})
"""Flags of four 8-bit products added in 32 bits by one instruction, on x86 and on Arm."""


@dataclass(frozen=True)
class Processor:
    """A processor.

    Attributes:
        name: the maker's, or the architecture's where Linux has none.
        machine: its architecture, "x86_64" or "aarch64".
        cores: how many of them this process may use.
        flags: extensions by Linux's names; None where there is no such list.
    """

    name: str
    machine: str
    cores: int
    flags: frozenset[str] | None

    @property
    def has_vnni(self) -> bool | None:
        """Whether it has `VNNI`; None if that cannot be told."""
        return None if self.flags is None else bool(self.flags & VNNI)


def this_processor(cpuinfo: Path = _CPUINFO) -> Processor:
    """The processor of this process.

    Args:
        cpuinfo: Linux's list, of which the first core counts.
    """
    machine = platform.machine()
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, separator, value = line.partition(":")
        if separator:
            fields.setdefault(key.strip(), value.strip())
    name = next((fields[key] for key in _NAMES if fields.get(key)), machine)
    flags = next((frozenset(fields[key].split()) for key in _FLAGS if key in fields), None)
    return Processor(name, machine, _cores(), flags)


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        return os.cpu_count() or 1
