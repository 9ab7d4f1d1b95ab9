"""The text tests stand where what they test stands, and every lowering has some."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import ROOT

HERE = Path(__file__).parent
FILES = sorted(HERE.rglob("*.mlir"))
LOWERINGS = sorted(
    path
    for path in (ROOT / "furiosa_ir" / "lowering").rglob("*.py")
    if "\n@lowers(" in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(HERE).as_posix())
def test_a_file_is_of_a_module(path: Path):
    """`a/b/c.mlir` or `a/b/c-case.mlir` is of `a/b.py` or of `a/b/c.py`."""
    place = ROOT / "furiosa_ir" / path.parent.relative_to(HERE)
    module = place / f"{path.stem.partition('-')[0]}.py"
    assert module.is_file() or place.with_suffix(".py").is_file(), f"there is no {module}"


@pytest.mark.parametrize("module", LOWERINGS, ids=lambda p: p.stem)
def test_a_module_of_lowerings_has_files(module: Path):
    folder = HERE / module.relative_to(ROOT / "furiosa_ir").with_suffix("")
    assert list(folder.glob("*.mlir")), f"there is nothing in {folder}"


def test_files_say_what_happens():
    """A comment in front of the text; the tests are pages of the documentation, too."""
    for path in FILES:
        lines = path.read_text(encoding="utf-8").splitlines()
        comments = [
            line for line in lines if line.startswith("// ") and not line.startswith("// RUN:")
        ]
        assert any("CHECK" not in line and "expected-error" not in line for line in comments), path
    assert len(FILES) >= 120
