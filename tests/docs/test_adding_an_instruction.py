"""docs/adding-an-instruction.md: done to a copy of the package, two files change, and it works."""

from __future__ import annotations

import filecmp
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
DECLARATION = Path("furiosa_ir/backends/warboy/vector_engine/arithmetic.py")
OPERATION = Path("furiosa_ir/dialects/ftensor/arithmetic.py")


def _blocks(page: str) -> list[str]:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def _changed(folder: filecmp.dircmp[str], at: Path) -> set[Path]:
    found = {at / name for name in (*folder.diff_files, *folder.left_only, *folder.right_only)}
    return found.union(*(_changed(sub, at / name) for name, sub in folder.subdirs.items()))


def test_two_files_make_an_instruction(tmp_path: Path) -> None:
    declaration, operation, lowering, check = _blocks("adding-an-instruction.md")
    operator, _, try_it = _blocks("adding-an-operator.md")
    copy = tmp_path / "furiosa_ir"
    shutil.copytree(ROOT / "furiosa_ir", copy)
    for file, block in ((DECLARATION, declaration), (OPERATION, operation)):
        page = (ROOT / "docs" / "adding-an-instruction.md").read_text(encoding="utf-8")
        assert f"At the end of `{file}`" in page
        with (tmp_path / file).open("a", encoding="utf-8") as source:
            source.write(f"\n\n{block}")
    script = tmp_path / "page.py"
    script.write_text(f"{operator}\n{lowering}\n{try_it}\n{check}", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-B", "-W", "error", str(script)],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(tmp_path), "FC_CACHE_ENABLED": "0"},
    )
    assert done.returncode == 0, done.stderr
    compared = filecmp.dircmp(ROOT / "furiosa_ir", copy, ignore=["__pycache__"])
    assert _changed(compared, Path("furiosa_ir")) == {DECLARATION, OPERATION}
