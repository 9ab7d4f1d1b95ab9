"""Output files: whole, and with the permissions that the umask gives."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from furiosa_ir.files import umask, write_whole


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o027, 0o077])
def test_permissions_are_those_of_any_new_file(tmp_path: Path, mask: int):
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from furiosa_ir.files import umask, write_whole\n"
        f"os.umask({mask})\n"
        "write_whole(b'x', Path(sys.argv[1], 'ours'))\n"
        "Path(sys.argv[1], 'any').touch()\n"
        "print(umask())\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True
    )
    assert int(result.stdout) == mask
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("ours", "any")]
    assert modes[0] == modes[1] == 0o666 & ~mask


def test_asking_for_the_umask_sets_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Other threads would meet it; and two that set it at once may leave it set for good."""

    def refuse(mask: int) -> int:
        raise AssertionError(mask)

    monkeypatch.setattr(os, "umask", refuse)
    write_whole(b"x", tmp_path / "file")
    assert umask() >= 0
