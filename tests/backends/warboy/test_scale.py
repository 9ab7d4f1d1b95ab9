"""Networks of many operators and of large weights: memory stays bounded, results stay right."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from furiosa_ir.importers import load
from furiosa_ir.interpreter import run_module
from furiosa_ir.runtime import session
from tests.conftest import ROOT


def benchmark(name: str) -> ModuleType:
    """A script of benchmarks/; by its path, because other packages install that name, too."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # its dataclasses look their module up
    spec.loader.exec_module(module)
    return module


scale = benchmark("scale")
MIB: int = scale.MIB

BASE_MIB = 500
"""What a compile may take besides the weights."""

BEYOND_31_BITS = 1 << 31


def assert_exact(source: Path, program: Path, amplitude: float) -> None:
    """The program's result on one random input equals the network in exact arithmetic."""
    with session.create(program) as running:
        (entry,) = running.inputs()
        rng = np.random.default_rng(0)
        x = rng.uniform(-amplitude, amplitude, entry.shape).astype(np.float32)
        (got,) = (t.numpy() for t in running.run([x]))
    (wanted,) = run_module(load(source), {entry.name: x}).values()
    np.testing.assert_allclose(got, wanted, rtol=1e-6)
    assert len(np.unique(got)) > 10


@pytest.mark.slow
def test_two_thousand_operators(tmp_path: Path) -> None:
    source, program = tmp_path / "network.onnx", tmp_path / "network.enf"
    assert scale.many_operators(source, 2000) >= 2000
    figures = scale.measure(source, program)
    assert figures.peak_mib < BASE_MIB


def test_three_hundred_operators_are_right(tmp_path: Path) -> None:
    source, program = tmp_path / "network.onnx", tmp_path / "network.enf"
    scale.many_operators(source, 300, size=6)
    assert scale.measure(source, program, "warboy").peak_mib < BASE_MIB
    assert_exact(source, program, 6.0)


@pytest.mark.parametrize("hole", [pytest.param(0, marks=pytest.mark.slow), BEYOND_31_BITS])
def test_weights_in_external_data(tmp_path: Path, hole: int) -> None:
    """64 MiB of weights take 64 MiB: the mapped file, and nothing of it twice."""
    peaks: list[float] = []
    for size in (8, 64):
        source, program = tmp_path / f"{size}.onnx", tmp_path / f"{size}.enf"
        assert scale.large_weights(source, size * MIB, hole=hole, width=1024) == size * MIB
        peaks.append(scale.measure(source, program).peak_mib)
        assert size * MIB < program.stat().st_size < (size + 2) * MIB
        assert peaks[-1] < size + BASE_MIB
    assert peaks[1] - peaks[0] < 64 - 8 + 24
    assert_exact(tmp_path / "8.onnx", tmp_path / "8.enf", 6.0)
