"""What onnxruntime says of a network, as a part of a sentence of ours."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from furiosa_ir.errors import FuriosaError
from furiosa_ir.quantization.onnx_running import onnx_runner
from tests.importers.onnx.networks import network


def foreign() -> onnx.ModelProto:
    node = helper.make_node("Nms", ["x"], ["y"], domain="com.acme")
    return network([node], {"x": [1, 4]}, {"y": [1, 4]}, domains={"com.acme": 1})


def test_the_reason_without_codes_and_files_of_ours() -> None:
    with pytest.raises(FuriosaError) as caught:
        onnx_runner(foreign(), "net.onnx")
    assert str(caught.value).startswith(
        "net.onnx: onnxruntime does not take the network: com.acme:Nms(-1) is not a registered"
    )
    run = onnx_runner(
        network([helper.make_node("Neg", ["x"], ["y"])], {"x": [1, 4]}, {"y": [1, 4]}), "net.onnx"
    )
    with pytest.raises(FuriosaError) as caught:
        run({"x": np.ones((1, 5), np.float32)})
    assert str(caught.value).startswith("net.onnx: onnxruntime cannot run the network: Got invalid")
