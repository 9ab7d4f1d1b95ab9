"""What `furiosa compile` recommends, `furiosa quantize` takes: networks quantised in part."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from furiosa_ir.compiler import compile_model
from furiosa_ir.errors import FuriosaError
from furiosa_ir.quantization.onnx import OnnxSource
from tests.importers.onnx.networks import network

NODE = helper.make_node
RNG = np.random.default_rng(8)
PARAMETERS = {"s": np.array(0.125, np.float32), "z": np.array(0, np.int8)}
WEIGHTS = {
    "w": RNG.normal(size=(4, 4, 1, 1)).astype(np.float32),
    "wq": RNG.integers(-90, 90, (4, 4, 1, 1), np.int8),
    "row": RNG.normal(size=(4, 1, 1)).astype(np.float32),
}


def drawn(rng: np.random.Generator) -> onnx.ModelProto:
    """Layers in a row, each with weights and results that are quantised or not."""
    nodes: list[Any] = [NODE("DequantizeLinear", ["x", "s", "z"], ["v"])]
    value, kind = "v", TensorProto.FLOAT
    for number in range(rng.integers(1, 4)):
        name = f"layer{number}"
        match int(rng.integers(6)):
            case 0:
                nodes.append(NODE("DequantizeLinear", ["wq", "s", "z"], [f"{name}/w"]))
                nodes.append(NODE("Conv", [value, f"{name}/w"], [name]))
            case 1:
                nodes.append(NODE("Conv", [value, "w"], [name]))
            case 2:
                nodes.append(NODE("Relu", [value], [name]))
            case 3:
                nodes.append(NODE("Sigmoid", [value], [name]))
            case 4:
                nodes.append(NODE("PRelu", [value, "row"], [name]))
            case _:
                nodes.append(NODE("Add", [value, "row"], [name]))
        value = name
        if rng.random() < 0.6:
            nodes.append(NODE("QuantizeLinear", [value, "s", "z"], [f"{name}/q"]))
            nodes.append(NODE("DequantizeLinear", [f"{name}/q", "s", "z"], [f"{name}/d"]))
            value = f"{name}/d"
    if rng.random() < 0.6:
        nodes.append(NODE("QuantizeLinear", [value, "s", "z"], ["y"]))
        kind = TensorProto.INT8
    else:
        nodes.append(NODE("Identity", [value], ["y"]))
    shape = [1, 4, 3, 3]
    constants = {**PARAMETERS, **WEIGHTS}
    return network(nodes, {"x": (shape, TensorProto.INT8)}, {"y": (shape, kind)}, constants)


def test_the_two_commands_agree(tmp_path: Path, caplog: Any) -> None:
    rng = np.random.default_rng(5)
    recommended = 0
    for _ in range(40):
        path = tmp_path / "network.onnx"
        model = drawn(rng)
        onnx.save(model, path)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            compile_model(path)
        if not any("`furiosa quantize`" in r.getMessage() for r in caplog.records):
            continue
        recommended += 1
        try:
            OnnxSource.read(path)
        except FuriosaError as error:
            raise AssertionError(onnx.printer.to_text(model)) from error
    assert recommended > 5
