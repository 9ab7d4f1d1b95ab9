"""Quantised operators whose operands' extents, or ranks, only running the network tells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from furiosa.runtime import session
from tests.importers.onnx.networks import network
from tests.importers.onnx.old_opsets import by_onnxruntime

NODE = helper.make_node
MS = "com.microsoft"
RNG = np.random.default_rng(3)
CONSTANTS: dict[str, np.ndarray] = {
    "s": np.array(0.5, np.float32),
    "z": np.array(3, np.uint8),
    "zw": np.array(0, np.int8),
    "w": RNG.integers(-9, 9, (2, 5), np.int8),
    "kernel": RNG.integers(-9, 9, (3, 1, 1, 2), np.int8),
    "bias": RNG.integers(-99, 99, 5, np.int32),
    "two": np.array([2], np.int64),
    "front": np.array([0, 1], np.int64),
    "all": np.array([True, True]),
    "first": np.array([0], np.int64),
    "one": np.array([1], np.int64),
}
OPEN = [  # t: [?, 2], as many rows as x has elements that are not 0
    NODE("NonZero", ["x"], ["nz"]),
    NODE("Transpose", ["nz"], ["rows"]),
    NODE("Cast", ["rows"], ["t"], to=TensorProto.FLOAT),
]
NO_RANK = [
    NODE("Shape", ["t"], ["shape"]),
    NODE("Compress", ["shape", "all"], ["same"]),
    NODE("Reshape", ["t", "same"], ["r"]),
]
IMAGE = NODE("Unsqueeze", ["q", "front"], ["image"])
QUANTISED: dict[str, list[Any]] = {
    "MatMulInteger": [NODE("MatMulInteger", ["q", "w", "z"], ["y"])],
    "MatMulInteger, dynamic": [NODE("MatMulInteger", ["dq", "w", "dz"], ["y"])],
    "ConvInteger, dynamic": [
        NODE("Unsqueeze", ["dq", "front"], ["image"]),
        NODE("ConvInteger", ["image", "kernel", "dz"], ["y"]),
    ],
    "QLinearMatMul": [NODE("QLinearMatMul", ["q", "s", "z", "w", "s", "zw", "s", "z"], ["y"])],
    "QLinearConv": [
        IMAGE,
        NODE("QLinearConv", ["image", "s", "z", "kernel", "s", "zw", "s", "z"], ["y"]),
    ],
    "QLinearSoftmax of rows": [
        NODE("QLinearSoftmax", ["q", "s", "z", "s", "z"], ["y"], domain=MS, opset=11, axis=0)
    ],
    "QLinearAveragePool": [
        IMAGE,
        NODE(
            "QLinearAveragePool",
            ["image", "s", "z", "s", "z"],
            ["y"],
            domain=MS,
            kernel_shape=[2, 1],
            strides=[2, 1],
            ceil_mode=1,
        ),
    ],
    "QLinearAdd": [NODE("QLinearAdd", ["q", "s", "z", "q", "s", "z", "s", "z"], ["y"], domain=MS)],
    "QGemm": [
        NODE("QGemm", ["q", "s", "z", "w", "s", "zw", "bias", "s", "z"], ["y"], domain=MS),
    ],
}


@pytest.mark.parametrize("rank", ["rank", "no rank"])
@pytest.mark.parametrize("kind", QUANTISED)
def test_equals_onnxruntime(kind: str, rank: str) -> None:
    r = "t" if rank == "rank" else "r"
    nodes = [
        *(*OPEN, *(NO_RANK if r == "r" else [])),
        NODE("QuantizeLinear", [r, "s", "z"], ["q"]),
        NODE("DynamicQuantizeLinear", [r], ["dq", "ds", "dz"]),
        *QUANTISED[kind],
    ]
    code = TensorProto.INT32 if "Integer" in kind else TensorProto.UINT8
    dimensions = 4 if "Conv" in kind or "Pool" in kind else 2
    x_type, y_type = ([3, 4], TensorProto.FLOAT), ([None] * dimensions, code)
    used = {str(i) for node in nodes for i in node.input}
    constants = {name: array for name, array in CONSTANTS.items() if name in used}
    model = network(nodes, {"x": x_type}, {"y": y_type}, constants, domains={MS: 1})
    x = RNG.integers(0, 2, (3, 4)).astype(np.float32)
    with session.create(model.SerializeToString(), compiler_hints=False) as running:
        (y,) = running.run(x).numpy()
    np.testing.assert_array_equal(y, by_onnxruntime(model, [x])[0])
