"""What Linux's list of processors is read for."""

from __future__ import annotations

from pathlib import Path

import pytest

from furiosa_ir.processor import this_processor


@pytest.mark.parametrize(
    ("text", "name", "has_vnni"),
    [
        ("model name\t: AMD EPYC\nflags\t\t: sse avx2\n", "AMD EPYC", False),
        ("model name\t: Xeon\nflags\t\t: avx2 avx512_vnni\n", "Xeon", True),
        ("flags : avx2 avx_vnni\n\nflags : avx2\n", None, True),  # the first core's
        ("Model : Raspberry Pi 5\nFeatures : fp asimd asimddp\n", "Raspberry Pi 5", True),
        ("Features : fp asimd\n", None, False),
        ("", None, None),
    ],
)
def test_flags(tmp_path: Path, text: str, name: str | None, has_vnni: bool | None) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(text)
    found = this_processor(cpuinfo)
    assert found.has_vnni is has_vnni
    assert found.name == (name or found.machine)


def test_without_a_list(tmp_path: Path) -> None:
    found = this_processor(tmp_path / "cpuinfo")
    assert (found.flags, found.has_vnni, found.name) == (None, None, found.machine)
    assert found.cores >= 1
