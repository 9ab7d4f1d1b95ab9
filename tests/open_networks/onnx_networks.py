"""ONNX networks that leave extents open, built as exporters write real ones.

Weights are drawn, structure is that of the kind: int8 layers between float inputs and outputs, and
shapes that the network computes from its input's (Shape, Gather, Concat, Reshape, Resize, Expand).
Scales are powers of two, so that onnxruntime's float32 makes no other integers than exact ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = np.ndarray[Any, np.dtype[Any]]
Dims = Sequence[int | str]

ACTIVATION = 2.0**-4
WEIGHT = 2.0**-7


class Net:
    """A network being written; methods append nodes and return the name of the result."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._count = 0

    def constant(self, array: Any, dtype: Any = None) -> str:
        """An initialiser."""
        name = self._name("const")
        self._constants.append(numpy_helper.from_array(np.asarray(array, dtype), name))
        return name

    def node(self, kind: str, *inputs: str, count: int = 1, **attributes: Any) -> Any:
        """A node; of several results, a list."""
        names = [self._name(kind) for _ in range(count)]
        self._nodes.append(helper.make_node(kind, inputs, names, names[0], **attributes))
        return names[0] if count == 1 else names

    def quantized(self, x: str, scale: float = ACTIVATION) -> str:
        """Through int8 and back."""
        s, z = self.constant(np.float32(scale)), self.constant(np.int8(0))
        return self.node("DequantizeLinear", self.node("QuantizeLinear", x, s, z), s, z)

    def conv(
        self,
        x: str,
        channels: int,
        filters: int,
        kernel: int = 3,
        stride: Any = 1,
        **attributes: Any,
    ) -> str:
        """An int8 convolution with Relu, its result quantised."""
        group = attributes.get("group", 1)
        shape = (filters, channels // group, kernel, kernel)
        pad = kernel // 2
        w = self.weight(shape)
        y = self.node(
            "Conv",
            x,
            w,
            self.bias(filters),
            kernel_shape=[kernel] * 2,
            strides=[stride] * 2 if isinstance(stride, int) else stride,
            pads=[pad] * 4,
            **attributes,
        )
        return self.quantized(self.node("Relu", y))

    def weight(self, shape: Sequence[int]) -> str:
        """An int8 weight, dequantised."""
        stored = self.constant(self.rng.integers(-31, 32, shape), np.int8)
        s, z = self.constant(np.float32(WEIGHT)), self.constant(np.int8(0))
        return self.node("DequantizeLinear", stored, s, z)

    def bias(self, count: int) -> str:
        """A bias of int32, dequantised."""
        stored = self.constant(self.rng.integers(-2000, 2001, count), np.int32)
        return self.node("DequantizeLinear", stored, self.constant(np.float32(ACTIVATION * WEIGHT)))

    def floats(self, *shape: int) -> str:
        """A float weight."""
        return self.constant(self.rng.standard_normal(shape) / np.sqrt(shape[0]), np.float32)

    def extent(self, x: str, axis: int) -> str:
        """An extent of a value, as a vector of one: Shape, Gather, Unsqueeze."""
        one = self.node("Gather", self.node("Shape", x), self.constant(axis, np.int64), axis=0)
        return self.node("Unsqueeze", one, self.constant([0], np.int64))

    def shape(self, *parts: str | int) -> str:
        """A shape of extents, some of which are numbers."""
        names = [self.constant([p], np.int64) if isinstance(p, int) else p for p in parts]
        return self.node("Concat", *names, axis=0)

    def model(
        self, inputs: Sequence[tuple[str, int, Dims]], outputs: Sequence[tuple[str, str, Dims]]
    ) -> bytes:
        """The model; outputs: (name, value, dimensions) of floats."""
        for name, value, _ in outputs:
            self._nodes.append(helper.make_node("Identity", [value], [name], f"end_{name}"))
        graph = helper.make_graph(
            self._nodes,
            "open",
            [helper.make_tensor_value_info(n, t, d) for n, t, d in inputs],
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, d) for n, _, d in outputs],
            self._constants,
        )
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(made, full_check=True)
        return made.SerializeToString()

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"{kind}_{self._count}"


FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def ocr_detection() -> bytes:
    """DBNet, as PaddleOCR exports it: a pyramid whose levels are resized to the sizes of others."""
    net = Net(1)
    x = net.quantized("x")
    low = net.conv(x, 3, 8, stride=2)
    middle = net.conv(low, 8, 8, stride=2)
    deep = net.conv(net.conv(middle, 8, 8, group=8), 8, 8, stride=2)
    size = net.node("Shape", middle)
    spatial = [net.constant([n], np.int64) for n in (2, 4, 0)]
    sizes = net.node(
        "Concat",
        net.node("Slice", net.node("Shape", deep), net.constant([0], np.int64), spatial[0]),
        net.node("Slice", size, spatial[0], spatial[1]),
        axis=0,
    )
    empty = net.constant([], np.float32)
    up = net.node(
        "Resize",
        deep,
        empty,
        empty,
        sizes,
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
    both = net.quantized(net.node("Add", net.quantized(up), middle))
    fused = net.quantized(net.node("Concat", both, middle, axis=1))
    head = net.conv(fused, 16, 8)
    grown = net.node(
        "ConvTranspose",
        head,
        net.weight((8, 4, 2, 2)),
        net.bias(4),
        kernel_shape=[2, 2],
        strides=[2, 2],
    )
    last = net.node(
        "ConvTranspose",
        net.quantized(net.node("Relu", net.quantized(grown))),
        net.weight((4, 1, 2, 2)),
        net.bias(1),
        kernel_shape=[2, 2],
        strides=[2, 2],
    )
    maps = net.node("Sigmoid", net.quantized(last))
    dims = ("DynamicDimension.0", 3, "DynamicDimension.1", "DynamicDimension.2")
    return net.model([("x", FLOAT, dims)], [("maps", maps, ("d0", 1, "d1", "d2"))])


def ocr_recognition() -> bytes:
    """CRNN, as PaddleOCR exports it: height fixed, width open, a column of pixels a step."""
    net = Net(2)
    x = net.conv(net.quantized("x"), 3, 8, stride=2)
    x = net.conv(x, 8, 16, stride=[2, 1])
    x = net.node("MaxPool", x, kernel_shape=[8, 1], strides=[8, 1])
    steps = net.node("Squeeze", x, net.constant([2], np.int64))
    steps = net.node("Transpose", steps, perm=[0, 2, 1])
    batch, length = net.extent(steps, 0), net.extent(steps, 1)
    heads = net.node(
        "Reshape", net.node("MatMul", steps, net.floats(16, 48)), net.shape(batch, -1, 3, 4, 4)
    )
    q, k, v = (
        net.node(
            "Squeeze",
            net.node(
                "Slice",
                net.node("Transpose", heads, perm=[2, 0, 3, 1, 4]),
                net.constant([i], np.int64),
                net.constant([i + 1], np.int64),
                net.constant([0], np.int64),
            ),
            net.constant([0], np.int64),
        )
        for i in range(3)
    )
    scores = net.node("MatMul", q, net.node("Transpose", k, perm=[0, 1, 3, 2]))
    attention = net.node("Softmax", net.node("Mul", scores, net.constant(0.5, np.float32)), axis=-1)
    mixed = net.node("Transpose", net.node("MatMul", attention, v), perm=[0, 2, 1, 3])
    mixed = net.node("Reshape", mixed, net.shape(batch, length, 16))
    logits = net.node("MatMul", net.node("Add", mixed, steps), net.floats(16, 20))
    out = net.node("Softmax", logits, axis=2)
    return net.model(
        [("x", FLOAT, ("batch", 3, 32, "width"))], [("softmax_0.tmp_0", out, ("batch", "T", 20))]
    )


def ocr_classification() -> bytes:
    """The direction of text: MobileNet, averaged over whatever height and width there are."""
    net = Net(3)
    x = net.conv(net.quantized("x"), 3, 8, stride=2)
    y = net.conv(net.conv(x, 8, 16, kernel=1), 16, 16, group=16)
    y = net.quantized(
        net.node("Conv", y, net.weight((8, 16, 1, 1)), net.bias(8), kernel_shape=[1, 1])
    )
    x = net.quantized(net.node("Add", x, y))
    pooled = net.quantized(net.node("GlobalAveragePool", x), 2.0**-5)
    flat = net.node("Flatten", pooled, axis=1)
    logits = net.node("Gemm", flat, net.floats(2, 8), transB=1)
    dims = ("p2o.DynamicDimension.0", 3, "p2o.DynamicDimension.1", "p2o.DynamicDimension.2")
    return net.model(
        [("x", FLOAT, dims)], [("prob", net.node("Softmax", logits, axis=1), ("n", 2))]
    )


def voice_activity() -> bytes:
    """Silero's detector: a spectrum by convolution, an LSTM whose state comes in and goes out."""
    net = Net(4)
    signal = net.node("Unsqueeze", "input", net.constant([1], np.int64))
    padded = net.node("Pad", signal, net.constant([0, 0, 0, 0, 0, 64], np.int64), mode="reflect")
    spectrum = net.node("Conv", padded, net.floats(34, 1, 64), kernel_shape=[64], strides=[32])
    real, imaginary = net.node("Split", spectrum, net.constant([17, 17], np.int64), count=2, axis=1)
    two = net.constant(2.0, np.float32)
    power = net.node("Add", net.node("Pow", real, two), net.node("Pow", imaginary, two))
    x = net.node("Sqrt", power)
    for inside, outside in ((17, 16), (16, 16)):
        w = net.floats(outside, inside, 3)
        x = net.node("Relu", net.node("Conv", x, w, kernel_shape=[3], pads=[1, 1], strides=[2]))
    hidden = net.node("Gather", "state", net.constant(0, np.int64), axis=0)
    cell = net.node("Gather", "state", net.constant(1, np.int64), axis=0)
    zero = net.constant([0], np.int64)
    sequence = net.node("Transpose", x, perm=[2, 0, 1])
    _, h, c = net.node(
        "LSTM",
        sequence,
        net.floats(1, 64, 16),
        net.floats(1, 64, 16),
        net.floats(1, 128),
        "",
        net.node("Unsqueeze", hidden, zero),
        net.node("Unsqueeze", cell, zero),
        count=3,
        hidden_size=16,
    )
    last = net.node("Squeeze", h, zero)
    rate = net.node("Equal", "sr", net.constant(16000, np.int64))
    gain = net.node("Where", rate, net.constant(1.0, np.float32), net.constant(0.5, np.float32))
    logit = net.node("MatMul", net.node("Mul", net.node("Relu", last), gain), net.floats(16, 1))
    state = net.node("Concat", h, c, axis=0)
    return net.model(
        [
            ("input", FLOAT, ("batch", "sequence")),
            ("state", FLOAT, (2, "batch", 16)),
            ("sr", INT64, ()),
        ],
        [("output", net.node("Sigmoid", logit), ("batch", 1)), ("stateN", state, (2, "b", 16))],
    )


def face_detection() -> bytes:
    """SCRFD: heads on two levels, flattened to rows of anchors of which nobody knows how many."""
    net = Net(5)
    x = net.conv(net.conv(net.quantized("input.1"), 3, 8, stride=2), 8, 8, stride=2)
    levels = [x, net.conv(x, 8, 8, stride=2)]
    outputs: list[tuple[str, str, Dims]] = []
    for index, level in enumerate(levels):
        for kind, width in (("score", 1), ("bbox", 4), ("kps", 10)):
            count = 2 * width
            w = net.weight((count, 8, 3, 3))
            y = net.quantized(net.node("Conv", level, w, net.bias(count), pads=[1] * 4))
            rows = net.node(
                "Reshape", net.node("Transpose", y, perm=[2, 3, 0, 1]), net.shape(-1, width)
            )
            if kind == "score":
                rows = net.node("Sigmoid", rows)
            outputs.append((f"{kind}_{8 << index}", rows, (f"{kind}{index}", width)))
    return net.model([("input.1", FLOAT, (1, 3, "?h", "?w"))], outputs)


def text_embedding() -> bytes:
    """A sentence encoder as optimum exports it: positions by length, a mask that is expanded."""
    net = Net(6)
    ids, mask = "input_ids", "attention_mask"
    batch, length = net.extent(ids, 0), net.extent(ids, 1)
    words = net.node("Gather", net.floats(50, 16), ids, axis=0)
    numbers = net.constant(np.arange(40)[None], np.int64)
    ends = net.node(
        "Slice", numbers, net.constant([0], np.int64), length, net.constant([1], np.int64)
    )
    x = net.node("Add", words, net.node("Gather", net.floats(40, 16), ends, axis=0))
    x = _normalized(net, x)
    attended = net.node("Unsqueeze", mask, net.constant([1, 2], np.int64))
    attended = net.node("Expand", attended, net.shape(batch, 1, length, length))
    away = net.node(
        "Mul",
        net.node("Sub", net.constant(1.0, np.float32), net.node("Cast", attended, to=FLOAT)),
        net.constant(-10000.0, np.float32),
    )
    parts = [
        net.node(
            "Transpose",
            net.node(
                "Reshape", net.node("MatMul", x, net.floats(16, 16)), net.shape(batch, length, 2, 8)
            ),
            perm=[0, 2, 1, 3],
        )
        for _ in range(3)
    ]
    scores = net.node("MatMul", parts[0], net.node("Transpose", parts[1], perm=[0, 1, 3, 2]))
    scores = net.node("Div", scores, net.constant(np.sqrt(8), np.float32))
    weights = net.node("Softmax", net.node("Add", scores, away), axis=-1)
    mixed = net.node("Transpose", net.node("MatMul", weights, parts[2]), perm=[0, 2, 1, 3])
    x = _normalized(
        net, net.node("Add", x, net.node("Reshape", mixed, net.shape(batch, length, 16)))
    )
    kept = net.node("Cast", net.node("Unsqueeze", mask, net.constant([-1], np.int64)), to=FLOAT)
    kept = net.node("Expand", kept, net.node("Shape", x))
    axis = net.constant([1], np.int64)
    total = net.node("ReduceSum", net.node("Mul", x, kept), axis, keepdims=0)
    count = net.node(
        "Clip", net.node("ReduceSum", kept, axis, keepdims=0), net.constant(1e-9, np.float32)
    )
    dims = ("batch_size", "sequence_length")
    return net.model(
        [(ids, INT64, dims), (mask, INT64, dims)],
        [("sentence_embedding", net.node("Div", total, count), ("batch_size", 16))],
    )


def _normalized(net: Net, x: str) -> str:
    return net.node("LayerNormalization", x, net.floats(16), net.floats(16), axis=-1)


def segmentation() -> bytes:
    """A mask of the input's own size, whatever that is: Resize to a shape that is computed."""
    net = Net(7)
    x = net.quantized("input")
    y = net.conv(net.conv(x, 3, 8, stride=2), 8, 8, stride=2)
    y = net.conv(y, 8, 8, dilations=[1, 1])
    context = net.node("Expand", net.node("GlobalAveragePool", y), net.node("Shape", y))
    y = net.quantized(net.node("Add", y, net.quantized(context)))
    y = net.quantized(net.node("Conv", y, net.weight((2, 8, 1, 1)), net.bias(2)))
    sizes = net.node(
        "Concat",
        net.extent(y, 0),
        net.extent(y, 1),
        net.extent("input", 2),
        net.extent("input", 3),
        axis=0,
    )
    empty = net.constant([], np.float32)
    large = net.node(
        "Resize", y, "", empty, sizes, mode="linear", coordinate_transformation_mode="half_pixel"
    )
    mask = net.node("Softmax", large, axis=1)
    return net.model([("input", FLOAT, ("N", 3, "H", "W"))], [("mask", mask, ("N", 2, "H", "W"))])


def mel_spectrogram() -> bytes:
    """The front of openWakeWord: any number of samples to frames of mel bands."""
    net = Net(8)
    wave = net.node("Unsqueeze", "input", net.constant([1], np.int64))
    real = net.node("Conv", wave, net.floats(33, 1, 64), kernel_shape=[64], strides=[32])
    imaginary = net.node("Conv", wave, net.floats(33, 1, 64), kernel_shape=[64], strides=[32])
    power = net.node("Add", net.node("Mul", real, real), net.node("Mul", imaginary, imaginary))
    frames = net.node("Transpose", power, perm=[0, 2, 1])
    mel = net.node("MatMul", frames, net.constant(net.rng.uniform(0, 1, (33, 16)), np.float32))
    least = net.constant(1e-6, np.float32)
    decibels = net.node("Log", net.node("Clip", mel, least))
    top = net.node("ReduceMax", decibels, axes=[1, 2], keepdims=1)
    floor = net.node("Sub", top, net.constant(8.0, np.float32))
    out = net.node("Max", decibels, floor)
    out = net.node("Unsqueeze", out, net.constant([1], np.int64))
    shape = ("time", 1, "frames", 16)
    return net.model([("input", FLOAT, ("batch_size", "samples"))], [("output", out, shape)])
