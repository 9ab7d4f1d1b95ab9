"""One version, and what the repository promises contributors, in one place each."""

from __future__ import annotations

import re
import subprocess
import tomllib

from furiosa_ir import __version__
from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_version_stands_in_one_place():
    assert "version" in PROJECT["project"]["dynamic"]
    path = ROOT / PROJECT["tool"]["hatch"]["version"]["path"]
    assert re.findall(r'^__version__ = "(.*)"$', path.read_text(), re.MULTILINE) == [__version__]
    files = subprocess.run(
        ["git", "grep", "-lF", f'"{__version__}"', "--", "*.py", "*.toml", "Makefile", ".ci"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()
    assert files in ([], [str(path.relative_to(ROOT))])  # none: this is no checkout


def test_the_change_log_has_it():
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    released = [h.partition(",")[0] for h in headings if h != "Unreleased"]
    assert released[0] == __version__
    assert released == sorted(released, key=lambda v: [int(n) for n in v.split(".")], reverse=True)


def test_the_core_depends_on_what_it_imports():
    """Each dependency of the core is imported by it; what an extra brings, something uses."""
    names = {"ml-dtypes": "ml_dtypes"}
    code = "\n".join(p.read_text() for p in (ROOT / "furiosa_ir").rglob("*.py"))
    for requirement in PROJECT["project"]["dependencies"]:
        name = re.match(r"[\w-]+", requirement)[0]
        module = names.get(name, name)
        # Of tflite, only the classes that a network needs: `tflite_schema` finds them by its name.
        here = rf'^\s*(import|from) {module}\b|^_NAME = "{module}"$'
        assert re.search(here, code, re.MULTILINE), requirement
    assert set(PROJECT["project"]["optional-dependencies"]) == {
        *("litert", "lsp", "redis", "quantize", "dask", "iree"),
        *("docs", "fuzz", "test", "lint", "dev"),
    }


def test_hooks_run_what_lint_runs():
    """Each command of `make lint` is a hook, from the same environment."""
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    entries = re.findall(r"entry: (.*)$", hooks, re.MULTILINE)
    recipe = (ROOT / "Makefile").read_text().partition("\nlint:")[2].partition("\n\n")[0]
    for tool in set(re.findall(r"\$\(BIN\)/([\w-]+)", recipe)) - {"python"}:
        assert any(entry.startswith(f".venv/bin/{tool} ") for entry in entries), tool
    assert "repo: local" in hooks
    assert "http" not in hooks
