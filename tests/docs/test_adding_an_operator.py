"""docs/adding-an-operator.md: its code runs, in a process of its own (it registers an operator)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "adding-an-operator.md"


def test_the_page_runs(tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 3
    (commands,) = re.findall(r"```\n(furiosa compile .*?)```", text, re.DOTALL)
    (tmp_path / "abs_diff.py").write_text("\n".join(blocks[:2]), encoding="utf-8")
    (tmp_path / "operators").mkdir()
    (tmp_path / "operators" / "__init__.py").write_text(
        "from operators import abs_diff\n", encoding="utf-8"
    )
    shutil.copy(tmp_path / "abs_diff.py", tmp_path / "operators")
    script = tmp_path / "page.py"
    saved = "from pathlib import Path\nPath('net.onnx').write_bytes(model)\n"
    script.write_text("\n".join([*blocks, saved]), encoding="utf-8")
    bash = ["bash", "-euc", f"python -W error page.py\n{commands}"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        bash,
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"PATH": path, "PYTHONPATH": str(PAGE.parents[1]), "FC_CACHE_ENABLED": "0"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("MACs on the NPU") == 2
