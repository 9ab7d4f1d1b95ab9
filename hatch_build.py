"""Compiles the simulator's kernels; without a C compiler the package is pure Python."""

from __future__ import annotations

import runpy
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NATIVE = "furiosa_ir/backends/warboy/simulator/native"


class KernelsHook(BuildHookInterface):
    """A wheel holds the library, an editable install leaves it beside its source."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Adds the library to what is built."""
        native = runpy.run_path(str(Path(self.root, "compile_kernels.py")))
        self._made = None
        target = native["LIBRARY"]
        if version != "editable":
            self._made = tempfile.TemporaryDirectory(prefix="furiosa-kernels-")
            target = Path(self._made.name, target.name)
        try:
            native["build"](target)
        except (OSError, subprocess.CalledProcessError) as error:
            reason = getattr(error, "stderr", None) or error
            sys.stderr.write(f"warning: the simulator will run in numpy, slower: {reason}\n")
            return
        if version != "editable":
            build_data["force_include"][str(target)] = f"{NATIVE}/{target.name}"
            platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
            # The library knows no Python: any version loads it.
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{platform}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Takes the library away that the wheel holds now."""
        if self._made is not None:
            self._made.cleanup()
