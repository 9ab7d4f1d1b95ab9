"""What LiteRT and onnxruntime do where --verify compares with them ends their own process alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from furiosa_ir.runtime import host
from furiosa_ir.tools.furiosa import main
from tests.fuzz.seeds import DIGITS
from tests.runtime.test_host import CRASH, A, B, remainder_network


@pytest.mark.parametrize("divisor", [B, CRASH], ids=["divides", "crashes"])
def test_litert_that_ends_is_one_sentence(divisor: np.ndarray, tmp_path: Path) -> None:
    """In this process, which SIGFPE would have ended."""
    (tmp_path / "n.tflite").write_bytes(remainder_network())
    np.savez(tmp_path / "x.npz", a=A[None], b=divisor[None])
    arguments = ["compile", "n.tflite", "--verify", "--verify-inputs", "x.npz", "-o", "n.enf"]
    places = [str(tmp_path / a) if "." in a else a for a in arguments]
    done = CliRunner().invoke(main, places)
    if divisor is B:
        assert done.exit_code == 0, done.stderr
    else:
        assert done.exit_code == 1
        last = done.stderr.splitlines()[-1]
        assert "LiteRT does not run the source: its process was ended by SIGFPE" in last


def test_host_segments_run_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them: beside the source's values, and in the session."""

    def here(_: bytes) -> None:
        raise AssertionError("in this process")

    monkeypatch.setattr(host, "onnx_session", here)
    out = str(tmp_path / "n.enf")
    done = CliRunner().invoke(
        main, ["compile", str(DIGITS / "digits_qdq_int8.onnx"), "--verify", "-o", out]
    )
    assert done.exit_code == 0, done.stderr
    assert "Operators on the host: 2" in done.stderr
