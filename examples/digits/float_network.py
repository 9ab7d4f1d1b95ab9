"""The bundled ONNX network in float: its quantisation taken out again.

    python examples/digits/float_network.py float.onnx

docs/quantising-well.md quantises it anew. Weights are what int8 has left of them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, numpy_helper

LEAST = -128
QUANTISED = Path(__file__).parent / "digits_qdq_int8.onnx"


def without_quantization(model: ModelProto) -> ModelProto:
    """The network with float weights, and with no QuantizeLinear and DequantizeLinear."""
    graph = model.graph
    constants = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    sums = {node.output[0] for node in graph.node if node.op_type in ("Add", "Conv")}
    renamed: dict[str, str] = {}
    kept: list[onnx.NodeProto] = []
    for node in graph.node:
        x = node.input[0]
        if node.op_type == "DequantizeLinear" and x in constants:
            axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
            scale, zero = (constants[name] for name in node.input[1:])
            if scale.ndim:
                shape = [1] * constants[x].ndim
                shape[axis] = -1
                scale, zero = scale.reshape(shape), zero.reshape(shape)
            values = (constants[x].astype(np.float32) - zero.astype(np.float32)) * scale
            constants[node.output[0]] = values.astype(np.float32)
        elif x in sums and node.op_type == "QuantizeLinear" and constants[node.input[2]] == LEAST:
            # Sums in integers that begin at zero were a ReLU's, which the quantiser has dropped.
            source = renamed.get(x, x)
            kept.append(onnx.helper.make_node("Relu", [source], [f"{x}_relu"], name=f"{x}_relu"))
            renamed[node.output[0]] = f"{x}_relu"
        elif node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            renamed[node.output[0]] = renamed.get(x, x)
        else:
            node.input[:] = [renamed.get(name, name) for name in node.input]
            kept.append(node)
    results = {renamed.get(each.name, each.name): each.name for each in graph.output}
    for node in kept:
        node.output[:] = [results.get(name, name) for name in node.output]
    used = {name for node in kept for name in node.input}
    del graph.node[:], graph.initializer[:]
    graph.node.extend(kept)
    graph.initializer.extend(
        numpy_helper.from_array(values, name) for name, values in constants.items() if name in used
    )
    del graph.value_info[:]
    onnx.checker.check_model(model)
    return model


if __name__ == "__main__":
    onnx.save(without_quantization(onnx.load(QUANTISED)), sys.argv[1])
