"""Arm's reference model of TOSA, and the other tools that read the texts (`tosa-tools`).

`tosa-tools` wants other versions of numpy and ml_dtypes than onnx does, and brings a package called
`tests`: its programs are used alone, from a folder of their own (`make tosa-tools`).
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from furiosa_ir.backends.mlir.segment import MlirSegment, module_of
from furiosa_ir.numerics.array import Array
from tests.conftest import ROOT


def tools() -> Path | None:
    """The folder of `tosa-opt` and `tosa_reference_model`; None if they are not installed."""
    folders = [ROOT / "build" / "tosa-tools" / "bin"]
    folders += [Path(p) for p in os.environ.get("PATH", "").split(os.pathsep) if p]
    return next((f for f in folders if (f / "tosa-opt").exists() and _schema(f).exists()), None)


def _schema(folder: Path) -> Path:
    return folder / "tosa.fbs"


def run_tool(tool: Path, *arguments: object) -> str | None:
    """Runs a program; what it has to say if it fails, else None."""
    command = [str(tool), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stderr or done.stdout or "it failed") if done.returncode else None


def iree_opt() -> Path | None:
    """IREE's `iree-opt`; None if it is not installed."""
    try:
        from iree.compiler.tools import binaries
    except ImportError:
        return None
    found: Any = binaries
    return Path(found.find_tool("iree-opt"))


class Model:
    """A device segment on the reference model."""

    def __init__(self, segment: MlirSegment, folder: Path) -> None:
        bin_ = tools()
        assert bin_ is not None
        self._bin, self._folder, self._segment = bin_, folder, segment
        text, self._graph = folder / "net.mlir", folder / "net.tosa"
        text.write_text(module_of([segment]))
        fault = run_tool(
            bin_ / "tosa-opt",
            text,
            "--tosa-serialize",
            f"--tosa-flatbuffer-filename={self._graph}",
            f"--tosa-flatbuffer-schema={_schema(bin_)}",
            "-o",
            "/dev/null",
        )
        assert fault is None, fault

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """Its outputs; AssertionError with what the model says if it refuses."""
        given = [self._folder / f"given{i}.npy" for i in range(len(inputs))]
        made = [self._folder / f"made{i}.npy" for i in range(len(self._segment.outputs))]
        for path, array in zip(given, inputs, strict=True):
            np.save(path, array)
        fault = run_tool(
            self._bin / "tosa_reference_model",
            f"--tosa_file={self._graph}",
            f"--flatbuffer_dir={self._folder}",
            f"--output_dir={self._folder}",
            f"--ifm_name={_names('TosaInput', given)}",
            f"--ifm_file={','.join(map(str, given))}",
            f"--ofm_name={_names('TosaOutput', made)}",
            f"--ofm_file={','.join(p.name for p in made)}",
            "--tosa_level=NONE",
        )
        assert fault is None, fault[:2000]
        return [np.load(path) for path in made]


def _names(stem: str, files: Sequence[Path]) -> str:
    return ",".join(f"{stem}_{i}" for i in range(len(files)))


@contextmanager
def model_of(segment: MlirSegment) -> Iterator[Model]:
    """The reference model of a segment, in a folder that goes away."""
    with tempfile.TemporaryDirectory() as folder:
        yield Model(segment, Path(folder))
