"""TFLite networks with signatures of -1, as converters write real ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tests.importers.tflite.single import options, vector
from tests.oracle.litert import Operator, Tensor, build_model

ACTIVATION = 0.05


def opened(model: bytes, signatures: Mapping[str, Sequence[int]]) -> bytes:
    """A model with open extents: -1 in the signature of a tensor, 1 in its shape.

    Of what operators make, all extents are open, as converters write it.
    """
    message: Any = schema.ModelT.InitFromPackedBuf(model, 0)
    graph = message.subgraphs[0]
    made = {int(i) for op in graph.operators for i in op.outputs}
    for index, tensor in enumerate(graph.tensors):
        signature = signatures.get(tensor.name.decode())
        if index in made:
            signature = [-1] * len(tensor.shape)
        if signature is not None:
            tensor.shapeSignature = list(signature)
            tensor.shape = [1 if n < 0 else n for n in signature]
    builder = flatbuffers.Builder(1024)
    builder.Finish(message.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _activation(name: str, *shape: int, scale: float = ACTIVATION) -> Tensor:
    return Tensor(name, shape, np.int8, scale, 3)


def convolution(
    name: str,
    x: Tensor,
    filters: int,
    rng: np.random.Generator,
    stride: int = 1,
    size: tuple[int, int] = (1, 1),
) -> Operator:
    """A 3 x 3 convolution with SAME padding and RELU; the file says that it makes that size."""
    channels = x.shape[3]
    w = Tensor.constant(
        f"{name}/w", rng.integers(-60, 61, (filters, 3, 3, channels)).astype(np.int8), 0.01
    )
    b = Tensor.constant(
        f"{name}/b", rng.integers(-400, 401, filters).astype(np.int32), ACTIVATION * 0.01
    )
    y = _activation(name, 1, *size, filters)
    code = options(
        "Conv2D",
        padding=schema.Padding.SAME,
        strideH=stride,
        strideW=stride,
        fusedActivationFunction=schema.ActivationFunctionType.RELU,
    )
    return Operator("CONV_2D", [x, w, b], [y], code, version=3)


def _height_and_width(x: Tensor, name: str) -> tuple[list[Operator], Tensor]:
    """SHAPE and STRIDED_SLICE, as tf.shape(x)[1:3] becomes."""
    shape = Tensor(f"{name}/shape", (4,), np.int32)
    size = Tensor(f"{name}/size", (2,), np.int32)
    made = [
        Operator("SHAPE", [x], [shape], options("Shape", outType=schema.TensorType.INT32)),
        Operator(
            "STRIDED_SLICE",
            [
                shape,
                vector(f"{name}/begin", 1),
                vector(f"{name}/end", 3),
                vector(f"{name}/step", 1),
            ],
            [size],
            options("StridedSlice"),
        ),
    ]
    return made, size


def selfie_segmentation() -> bytes:
    """An encoder, and a decoder that resizes to the sizes that the encoder had."""
    rng = np.random.default_rng(9)
    x = _activation("serving_default_image:0", 1, 1, 1, 3)
    first = convolution("encoder/first", x, 8, rng, stride=2)
    second = convolution("encoder/second", first.outputs[0], 8, rng, stride=2)
    sizes, size = _height_and_width(first.outputs[0], "decoder")
    up = _activation("decoder/up", 1, 1, 1, 8)
    resize = Operator(
        "RESIZE_BILINEAR",
        [second.outputs[0], size],
        [up],
        options("ResizeBilinear", halfPixelCenters=True),
        version=3,
    )
    total = _activation("decoder/sum", 1, 1, 1, 8)
    add = Operator("ADD", [up, first.outputs[0]], [total], options("Add"), version=2)
    head = convolution("StatefulPartitionedCall:0", total, 2, rng)
    model = build_model([first, second, *sizes, resize, add, head])
    return opened(model, {"serving_default_image:0": (1, -1, -1, 3)})


def wake_word() -> bytes:
    """Any number of frames of features, pooled over time."""
    rng = np.random.default_rng(10)
    x = _activation("features", 1, 1, 16, 1)
    first = convolution("conv", x, 8, rng, stride=2)
    shape = Tensor("shape", (4,), np.int32)
    frames = Tensor("frames", (), np.int32)
    target = Tensor("target", (3,), np.int32)
    rows = _activation("rows", 1, 1, 64)
    pooled = _activation("pooled", 1, 64)
    logits = _activation("logits", 1, 4)
    code = Operator(
        "SHAPE", [first.outputs[0]], [shape], options("Shape", outType=schema.TensorType.INT32)
    )
    pick = Operator(
        "STRIDED_SLICE",
        [shape, vector("b", 1), vector("e", 2), vector("s", 1)],
        [frames],
        options("StridedSlice", shrinkAxisMask=1),
    )
    one = Tensor.constant("one", np.array(1, np.int32))
    last = Tensor.constant("last", np.array(64, np.int32))
    pack = Operator("PACK", [one, frames, last], [target], options("Pack", valuesCount=3))
    reshape = Operator("RESHAPE", [first.outputs[0], target], [rows], options("Reshape"))
    mean = Operator("MEAN", [rows, vector("axes", 1)], [pooled], options("Reducer"), version=2)
    w = Tensor.constant("w", rng.integers(-60, 61, (4, 64)).astype(np.int8), 0.01)
    b = Tensor.constant("bias", rng.integers(-400, 401, 4).astype(np.int32), ACTIVATION * 0.01)
    full = Operator(
        "FULLY_CONNECTED", [pooled, w, b], [logits], options("FullyConnected"), version=4
    )
    probabilities = Tensor("Identity", (1, 4), np.int8, 1 / 256, -128)
    logistic = Operator("LOGISTIC", [logits], [probabilities], version=2)
    model = build_model([first, code, pick, pack, reshape, mean, full, logistic])
    return opened(model, {"features": (1, -1, 16, 1)})
