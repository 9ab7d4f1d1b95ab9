"""The reader of examples/enf_reader in a process that has no furiosa_ir."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import ROOT

_RUN = (
    "import runpy, sys; sys.modules['furiosa_ir'] = None; "
    "sys.argv = ['enf_reader', *sys.argv[1:]]; "
    "runpy.run_module('examples.enf_reader', run_name='__main__')"
)


def enf_reader(*arguments: object) -> subprocess.CompletedProcess[str]:
    """`python -m examples.enf_reader`; `import furiosa_ir` fails in it."""
    command = [sys.executable, "-c", _RUN, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
