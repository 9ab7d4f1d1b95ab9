"""What is run by hand (`python -m tests...`) goes on to import what there is."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import ROOT

SCRIPTS = sorted(
    path
    for path in (ROOT / "tests").rglob("*.py")
    if 'if __name__ == "__main__":' in path.read_text(encoding="utf-8")
)
assert len(SCRIPTS) > 10


def test_each_can_be_imported() -> None:
    """In one process of their own: what they import stays there."""
    pytest.importorskip("iree.compiler", reason="the extra `iree` is not installed")
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in SCRIPTS]
    code = "import importlib, sys\nfor name in sys.argv[1:]:\n    importlib.import_module(name)"
    done = subprocess.run(
        [sys.executable, "-c", code, *names], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
