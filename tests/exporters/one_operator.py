"""Networks of one operator of floats, which run on the host, as TFLite and ONNX files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto, helper, numpy_helper

from tests.importers.tflite.single import options, vector
from tests.oracle.litert import Operator, Tensor, build_model

F32 = np.float32
RELU, RELU6 = schema.ActivationFunctionType.RELU, schema.ActivationFunctionType.RELU6
IMAGE = (1, 6, 6, 4)


def _floats(name: str, *shape: int) -> Tensor:
    return Tensor(name, shape, F32)


def _weights(name: str, *shape: int) -> Tensor:
    return Tensor.constant(name, np.random.default_rng(3).normal(size=shape).astype(F32))


def _one(op: str, inputs: list[Tensor], shape: tuple[int, ...], table: Any = None) -> bytes:
    y = _floats("y", *shape)
    return build_model([Operator(op, inputs, [y], table)])


def _image() -> Tensor:
    return _floats("x", *IMAGE)


def _window(op: str, function: int = 0) -> bytes:
    table = options(
        "Pool2D",
        padding=schema.Padding.SAME,
        strideW=2,
        strideH=2,
        filterWidth=3,
        filterHeight=3,
        fusedActivationFunction=function,
    )
    return _one(op, [_image()], (1, 3, 3, 4), table)


def _convolution(op: str, kernel: tuple[int, ...], function: int, **fields: int) -> bytes:
    name = "Conv2D" if op == "CONV_2D" else "DepthwiseConv2D"
    table = options(
        name,
        padding=schema.Padding.SAME,
        strideW=1,
        strideH=1,
        dilationWFactor=1,
        dilationHFactor=1,
        fusedActivationFunction=function,
        **fields,
    )
    return _one(op, [_image(), _weights("w", *kernel), _weights("b", 4)], IMAGE, table)


def _reduction(op: str) -> bytes:
    return _one(
        op, [_image(), vector("axes", 1, 2)], (1, 1, 1, 4), options("Reducer", keepDims=True)
    )


def _binary(op: str, table: str, function: int) -> bytes:
    made = options(table, fusedActivationFunction=function)
    return _one(op, [_image(), _floats("z", *IMAGE)], IMAGE, made)


TFLITE: Mapping[str, Callable[[], bytes]] = {
    "add_relu6": lambda: _binary("ADD", "Add", RELU6),
    "sub": lambda: _binary("SUB", "Sub", 0),
    "mul_relu": lambda: _binary("MUL", "Mul", RELU),
    "conv_relu6": lambda: _convolution("CONV_2D", (4, 3, 3, 4), RELU6),
    "depthwise": lambda: _convolution("DEPTHWISE_CONV_2D", (1, 3, 3, 4), RELU, depthMultiplier=1),
    "max_pool": lambda: _window("MAX_POOL_2D", RELU),
    "average_pool": lambda: _window("AVERAGE_POOL_2D"),
    "mean": lambda: _reduction("MEAN"),
    "sum": lambda: _reduction("SUM"),
    "reduce_max": lambda: _reduction("REDUCE_MAX"),
    "softmax": lambda: _one("SOFTMAX", [_floats("x", 2, 8)], (2, 8), options("Softmax", beta=1.0)),
    "leaky_relu": lambda: _one("LEAKY_RELU", [_image()], IMAGE, options("LeakyRelu", alpha=0.25)),
    "elu": lambda: _one("ELU", [_image()], IMAGE),
    "concat": lambda: _one(
        "CONCATENATION",
        [_image(), _floats("z", *IMAGE)],
        (1, 6, 6, 8),
        options("Concatenation", axis=3),
    ),
    "transpose": lambda: _one(
        "TRANSPOSE", [_image(), vector("perm", 0, 3, 1, 2)], (1, 4, 6, 6), options("Transpose")
    ),
    "reshape": lambda: _one(
        "RESHAPE", [_image(), vector("shape", 2, 72)], (2, 72), options("Reshape", newShape=[2, 72])
    ),
    "pad": lambda: _one(
        "PAD",
        [_image(), Tensor.constant("p", np.array([[0, 0], [1, 1], [2, 0], [0, 0]], np.int32))],
        (1, 8, 8, 4),
        options("Pad"),
    ),
    "strided_slice": lambda: _one(
        "STRIDED_SLICE",
        [_image(), *(vector(n, *v) for n, v in _SLICE.items())],
        (1, 2, 6, 4),
        options("StridedSlice"),
    ),
    "fully_connected": lambda: _one(
        "FULLY_CONNECTED",
        [_floats("x", 2, 3, 4), _weights("w", 5, 4), _weights("b", 5)],
        (6, 5),
        options("FullyConnected", fusedActivationFunction=RELU),
    ),
    "resize": lambda: _one(
        "RESIZE_BILINEAR",
        [_image(), vector("size", 12, 9)],
        (1, 12, 9, 4),
        options("ResizeBilinear", halfPixelCenters=True),
    ),
}
"""Name -> its file's content."""

_SLICE = {"begin": (0, 1, 0, 0), "end": (1, 5, 6, 4), "strides": (1, 2, 1, 1)}


def _onnx(
    op: str, *constants: Any, shape: tuple[int, ...] = (1, 4, 6, 6), **attributes: Any
) -> bytes:
    names = [f"c{i}" for i in range(len(constants))]
    graph = helper.make_graph(
        [helper.make_node(op, ["x", *names], ["y"], name="node", **attributes)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(c), n) for c, n in zip(constants, names, strict=True)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(onnx.shape_inference.infer_shapes(model).SerializeToString())


ONNX: Mapping[str, Callable[[], bytes]] = {
    "conv": lambda: _onnx("Conv", np.ones((4, 4, 3, 3), F32), np.ones(4, F32), pads=[1, 1, 1, 1]),
    "mean": lambda: _onnx("ReduceMean", axes=[2, 3], keepdims=1),
    "softmax": lambda: _onnx("Softmax", axis=1),
    "leaky_relu": lambda: _onnx("LeakyRelu", alpha=0.25),
    "max_pool": lambda: _onnx("MaxPool", kernel_shape=[3, 3], strides=[2, 2]),
    "transpose": lambda: _onnx("Transpose", perm=[0, 2, 3, 1]),
    "pad": lambda: _onnx("Pad", np.array([0, 0, 1, 1, 0, 0, 2, 0])),
    "slice": lambda: _onnx("Slice", np.array([1]), np.array([5]), np.array([2]), np.array([2])),
    "gather": lambda: _onnx("Gather", np.array([3, 1]), axis=1),
    "instance_norm": lambda: _onnx(
        "InstanceNormalization", np.ones(4, F32), np.zeros(4, F32), epsilon=1e-3
    ),
    "lrn": lambda: _onnx("LRN", size=3, alpha=0.5),
    "hardmax": lambda: _onnx("Hardmax", axis=1),
}
