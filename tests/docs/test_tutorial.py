"""docs/tutorial.md: all of it is done, in order, in an empty folder and an environment of its own.

The environment finds the dependencies in this one's: pip is told to fetch nothing.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"(?:^`([\w.]+)`:\n\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OFFLINE = {"PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}
"""`0` says that there is no isolation: pip turns it around."""


def _words(text: str) -> list[str]:
    """The lines without what differs between terminals: blanks."""
    return [" ".join(line.split()) for line in text.splitlines()]


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="an sdist cannot be cloned")
def test_the_tutorial(tmp_path: Path) -> None:
    """Each file is written and each command run, and what the page shows is printed."""
    environment = os.environ | OFFLINE
    environment |= {
        "FURIOSA_IR": str(ROOT),
        "FC_CACHE_DIR": str(tmp_path / "cache"),
        "HOME": str(tmp_path / "home"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    folder = tmp_path / "tutorial"
    folder.mkdir()
    printed: list[str] = []
    kinds: list[str] = []
    for name, kind, text in BLOCK.findall(PAGE):
        kinds.append(kind)
        if name:
            (folder / name).write_text(text, encoding="utf-8")
        elif kind == "sh":
            activate = "" if "-m venv" in text else ". venv/bin/activate\n"
            done = subprocess.run(
                ["bash", "-euxo", "pipefail", "-c", activate + text],
                cwd=folder,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{text}\n{done.stdout}"
            printed = _words(done.stdout)
            # What a .pth file leads to has its own .pth files not read: this project is not there.
            for site in folder.glob("venv/lib/*/site-packages"):
                (site / "dependencies.pth").write_text(f"{Path(pytest.__file__).parents[1]}\n")
        else:
            assert kind == "", kind
            shown = _words(text)
            assert [line for line in shown if line not in printed] == [], "\n".join(printed)
    assert kinds.count("sh") >= 15
    assert "before.enf" in (folder / "both.html").read_text(encoding="utf-8")
    assert "straight-tables" in (folder / "after.html").read_text(encoding="utf-8")
