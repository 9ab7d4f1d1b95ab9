"""What import-linter cannot see: which modules an import really loads."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Of furiosa_ir.ir, numpy's `fixed_point` alone is no IR: the simulator rounds with it.
IR = (
    "xdsl",
    "furiosa_ir.ir.constants",
    "furiosa_ir.ir.location",
    "furiosa_ir.dialects",
    "furiosa_ir.passes",
    "furiosa_ir.importers",
)


@pytest.mark.parametrize(
    "module",
    [
        "furiosa_ir.backends.warboy.enf",
        "furiosa_ir.backends.warboy.simulator.simulator",
        "furiosa.runtime.session",
    ],
)
def test_reading_and_running_enf_never_loads_the_ir(module: str):
    code = f"import sys, {module}; print(*sorted(m for m in {IR!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""
