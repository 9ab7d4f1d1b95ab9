"""Networks that end onnxruntime's process are refused by `furiosa quantize` with a sentence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.importers.onnx.networks import network
from tests.test_native_process import ABORTS

node = helper.make_node


def with_a_relu(model: onnx.ModelProto) -> onnx.ModelProto:
    """The network with another output, so that there is something to quantise."""
    model.graph.node.append(node("Relu", ["x"], ["r"]))
    model.graph.output.append(helper.make_tensor_value_info("r", TensorProto.FLOAT, None))
    return model


CASES = {
    "Split": with_a_relu(ABORTS["Split 1 2"]),
    "Unique": with_a_relu(ABORTS["Unique"]),
    "QLinearSigmoid": with_a_relu(
        network(
            [node("QLinearSigmoid", ["c", "s", "z", "t"], ["y"], domain="com.microsoft")],
            {"x": [1, 3, 8, 8]},
            {"y": (None, TensorProto.UINT8)},
            {
                "c": np.zeros(4, np.uint8),
                "s": np.array(0.1, np.float32),
                "z": np.array(0, np.uint8),
                "t": np.array(0.1, np.float32),
            },
            domains={"com.microsoft": 1},
        )
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_aborts_is_refused(case: str, tmp_path: Path) -> None:
    """In a process of its own: it was ended with exit code 134."""
    onnx.save(CASES[case], tmp_path / "n.onnx")
    np.save(tmp_path / "d.npy", np.ones((2, 3, 8, 8), np.float32))
    code = "import sys; from furiosa_ir.tools.furiosa import main; main(sys.argv[1:])"
    arguments = ["quantize", "n.onnx", "--calibration", "d.npy", "-o", "q.onnx"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "q.onnx").exists()
