"""The notebooks of examples/: they run, cell by cell, in a kernel of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tests.conftest import ROOT

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))

# In a process of its own: here each warning is an error, and jupyter_client has some.
RUN = """
import sys
import nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=240, resources={"metadata": {"path": sys.argv[2]}}).execute()
nbformat.write(notebook, sys.argv[3])
"""


def test_there_is_one_for_each_user() -> None:
    names = {path.stem for path in NOTEBOOKS}
    assert {"compiler_engineer", "model_engineer"} <= names


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_stored_without_outputs(path: Path) -> None:
    """Figures change with the compiler; stored, they would be wrong after some commits."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert cell.cell_type == "markdown" or (cell.outputs, cell.execution_count) == ([], None)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("digits", "wrong_passes"):
        (tmp_path / name).symlink_to(ROOT / "examples" / name)
    monkeypatch.setenv("FC_CACHE_STORE_URL", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    done = tmp_path / "done.ipynb"
    command = [sys.executable, "-W", "ignore", "-c", RUN, str(path), str(tmp_path), str(done)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-4000:]
    cells = [c for c in nbformat.read(done, as_version=4).cells if c.cell_type == "code"]
    kinds = {kind for c in cells for out in c.outputs for kind in out.get("data", {})}
    assert "text/html" in kinds  # modules, programs and reports show themselves
    assert [out for c in cells for out in c.outputs if out.output_type == "error"] == []
