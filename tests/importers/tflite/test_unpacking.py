"""Files whose lists or tables share what they hold are refused before they are unpacked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from furiosa_ir.errors import ImportFailure
from furiosa_ir.importers.tflite.unpacking import unpacked
from tests import bounded
from tests.conftest import DIGITS
from tests.fuzz.hostile_tflite import shared_custom_options


def test_real_files_are_unpacked(shared: Path) -> None:
    files = [DIGITS / "digits_int8.tflite", *(shared / "models" / "trained").glob("*.tflite")]
    for path in files:
        assert unpacked(path.read_bytes(), schema).subgraphs


@pytest.mark.parametrize("size", [1, 110_000])
def test_operators_that_are_one(size: int) -> None:
    with pytest.raises(ImportFailure, match="share vectors"):
        unpacked(shared_custom_options(20_000, size), schema)


def test_the_quantiser_does_not_unpack_them(tmp_path: Path) -> None:
    path, samples, out = tmp_path / "m.tflite", tmp_path / "x.npz", tmp_path / "out"
    path.write_bytes(shared_custom_options(30_000, 1))
    np.savez(samples, x=np.zeros((1, 4), np.float32))
    quantized = bounded.refusal("quantize", path, "--calibration", samples, "-o", out)
    assert "share vectors" in quantized
