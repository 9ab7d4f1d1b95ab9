"""IR texts that somebody else wrote: small ones stay small."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import bounded
from tests.fuzz.hostile_ir import ACCEPTED, REFUSED


@pytest.mark.parametrize("name", REFUSED)
def test_a_small_text_stays_small(name: str, tmp_path: Path) -> None:
    path = tmp_path / "m.mlir"
    path.write_text(REFUSED[name])
    assert path.stat().st_size < 1 << 20
    assert str(path) in bounded.refusal(path, "-o", tmp_path / "out.mlir", tool="opt")
    assert not (tmp_path / "out.mlir").exists()


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_looks_large_is_read(name: str, tmp_path: Path) -> None:
    path = tmp_path / "m.mlir"
    path.write_text(ACCEPTED[name])
    done = bounded.furiosa(path, "-o", tmp_path / "out.mlir", tool="opt")
    assert done.code == 0, done


def test_nine_megabytes_of_comments(tmp_path: Path) -> None:
    """They took 1.7 GiB."""
    path = tmp_path / "m.mlir"
    path.write_text("// a\n" * 1_800_000 + "builtin.module {}\n")
    done = bounded.furiosa(path, "-o", tmp_path / "out.mlir", tool="opt")
    assert done.code == 0, done
    assert done.peak < 256 << 20
