"""`furiosa run`: whichever of its two files is at fault is the one that is named."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from furiosa_ir.errors import ExecutionFailure, FuriosaError
from furiosa_ir.runtime.session import Session
from furiosa_ir.tools.execution import run_file
from furiosa_ir.tools.furiosa import main
from tests.conftest import ROOT

NETWORK = ROOT / "examples/digits/digits_qdq_int8.onnx"


@pytest.mark.parametrize("shape", [(3, 3), (1, 1, 8, 9)])
def test_inputs_that_the_network_does_not_take(shape: tuple[int, ...], tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros(shape, np.float32))
    with pytest.raises(FuriosaError, match="has shape") as raised:
        run_file(NETWORK, tmp_path / "x.npy", None, target=None, batch_size=None)
    assert raised.value.file == str(tmp_path / "x.npy")


def test_a_run_that_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(*_: object) -> None:
        raise ExecutionFailure("the card is gone")

    monkeypatch.setattr(Session, "run", fail)
    np.save(tmp_path / "x.npy", np.zeros((1, 1, 8, 8), np.float32))
    with pytest.raises(FuriosaError, match="the card is gone") as raised:
        run_file(NETWORK, tmp_path / "x.npy", None, target=None, batch_size=None)
    assert raised.value.file == str(NETWORK)


@pytest.mark.parametrize(
    ("target", "estimated", "how"),
    [
        ("warboy", r"[\d.]+ µs for the first run \(cold: .* \(warm\)", "Simulated"),
        ("iree-cpu", "none, as nothing runs whose time is estimated", "Run"),
    ],
)
def test_repeated_runs_say_what_they_take(
    target: str, estimated: str, how: str, tmp_path: Path
) -> None:
    if target == "iree-cpu":
        pytest.importorskip("iree.compiler", reason="the extra `iree` is not installed")
    np.save(tmp_path / "x.npy", np.zeros((1, 1, 8, 8), np.float32))
    command = ["run", str(NETWORK), "--inputs", str(tmp_path / "x.npy"), "--repeat", "3"]
    done = CliRunner().invoke(main, [*command, "--target-npu", target])
    assert done.exit_code == 0, done.output
    lines = done.stderr.splitlines()
    assert [x for x in lines if re.fullmatch(f"Estimated latency: {estimated}", x)]
    assert [x for x in lines if x.startswith(f"{how} in: first run ")]
