"""Networks that keep state between runs, built as real ones are.

`wake_word` is microWakeWord's streaming network (ring buffers in resource variables that CALL_ONCE
initialises, a convolution on the buffer and the new frame, MixConv's branches of several lengths),
`keyword_svdf` Google's streaming SVDF, `speech_lstm` a convolution in front of an LSTM with
variable tensors, `denoiser` a recurrent cell of ordinary operators with a frame counter beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tests.oracle.litert import Operator, Subgraph, Tensor, build_model

_ACTIVATION = schema.ActivationFunctionType
_VALID = schema.Padding.VALID


def options(table: str, **fields: Any) -> Any:
    """A `schema.<table>OptionsT` with these fields."""
    made = getattr(schema, f"{table}OptionsT")()
    for name, value in fields.items():
        assert hasattr(made, name), name
        setattr(made, name, value)
    return made


class StreamingNetwork:
    """A network being written, operator by operator."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.operators: list[Operator] = []
        self._beginning: list[Operator] = []
        self._count = 0

    def model(self) -> bytes:
        """The file; what initialises variables is subgraph 1, which CALL_ONCE runs first."""
        if not self._beginning:
            return build_model(self.operators)
        once = Operator("CALL_ONCE", [], [], options("CallOnce", initSubgraphIndex=1))
        return build_model([once, *self.operators], [Subgraph(self._beginning, [], [])])

    def name(self, what: str) -> str:
        self._count += 1
        return f"{what}_{self._count}"

    def emit(
        self,
        builtin: str,
        inputs: Sequence[Tensor | None],
        result: Tensor,
        table: object = None,
        version: int = 1,
    ) -> Tensor:
        self.operators.append(Operator(builtin, inputs, [result], table, version))
        return result

    def like(self, x: Tensor, shape: Sequence[int], what: str) -> Tensor:
        return Tensor(self.name(what), shape, x.dtype, x.scale, x.zero_point)

    def quantised(self, what: str, shape: Sequence[int], low: float, high: float) -> Tensor:
        """An int8 tensor for real numbers from `low` to `high`."""
        scale = (high - low) / 255
        return Tensor(self.name(what), shape, np.int8, scale, round(-128 - low / scale))

    # State.

    def variable(self, name: str, like: Tensor, initial: np.ndarray) -> Tensor:
        """A handle of a resource variable with elements like a tensor's."""

        def handle() -> tuple[Tensor, Operator]:
            made = Tensor(f"{name}/handle", (), np.void)
            table = options("VarHandle", container="", sharedName=name)
            return made, Operator("VAR_HANDLE", [], [made], table)

        there, operator = handle()
        zeros = Tensor.constant(f"{name}/init", initial, like.scale, like.zero_point)
        assign = Operator("ASSIGN_VARIABLE", [there, zeros], [], options("AssignVariable"))
        self._beginning += [operator, assign]
        here, operator = handle()
        self.operators.append(operator)
        return here

    def read(self, handle: Tensor, like: Tensor) -> Tensor:
        result = self.like(like, like.shape, "read")
        return self.emit("READ_VARIABLE", [handle], result, options("ReadVariable"))

    def assign(self, handle: Tensor, value: Tensor) -> None:
        table = options("AssignVariable")
        self.operators.append(Operator("ASSIGN_VARIABLE", [handle, value], [], table))

    def ring(self, x: Tensor, rows: int, name: str) -> Tensor:
        """The last `rows` rows of earlier runs in front of those of `x` (dimension 1)."""
        n, new, w, c = x.shape
        kept = self.like(x, (n, rows, w, c), "kept")
        initial = np.full(kept.shape, x.zero_point, np.int8)  # zeros
        handle = self.variable(name, kept, initial)
        whole = self.concat([self.read(handle, kept), x], 1)
        self.assign(handle, self.slice(whole, (0, new, 0, 0), (n, new + rows, w, c)))
        return whole

    # Operators.

    def concat(self, parts: Sequence[Tensor], axis: int) -> Tensor:
        shape = list(parts[0].shape)
        shape[axis] = sum(p.shape[axis] for p in parts)
        table = options("Concatenation", axis=axis)
        return self.emit("CONCATENATION", parts, self.like(parts[0], shape, "concat"), table, 2)

    def slice(self, x: Tensor, begin: Sequence[int], end: Sequence[int]) -> Tensor:
        vectors = [
            Tensor.constant(self.name(what), np.array(v, np.int32))
            for what, v in (("begin", begin), ("end", end), ("strides", [1] * len(begin)))
        ]
        shape = [e - b for b, e in zip(begin, end, strict=True)]
        table = options("StridedSlice")
        return self.emit("STRIDED_SLICE", [x, *vectors], self.like(x, shape, "slice"), table, 2)

    def split(self, x: Tensor, sizes: Sequence[int], axis: int) -> list[Tensor]:
        shapes = [[*x.shape[:axis], n, *x.shape[axis + 1 :]] for n in sizes]
        results = [self.like(x, shape, "split") for shape in shapes]
        vector = Tensor.constant(self.name("sizes"), np.array(sizes, np.int32))
        number = Tensor.constant(self.name("axis"), np.array(axis, np.int32))
        table = options("SplitV", numSplits=len(sizes))
        self.operators.append(Operator("SPLIT_V", [x, vector, number], results, table, 2))
        return results

    def reshape(self, x: Tensor, shape: Sequence[int]) -> Tensor:
        vector = Tensor.constant(self.name("shape"), np.array(shape, np.int32))
        table = options("Reshape", newShape=list(shape))
        return self.emit("RESHAPE", [x, vector], self.like(x, shape, "reshape"), table)

    def _weights(
        self, x: Tensor, shape: Sequence[int], axis: int, outputs: int
    ) -> tuple[Tensor, Tensor]:
        assert isinstance(x.scale, float)
        scales = self.rng.uniform(0.5, 1.5, outputs) / np.sqrt(np.prod(shape) / outputs) / 64
        values = self.rng.integers(-127, 128, shape).astype(np.int8)
        zeros = [0] * outputs
        weight = Tensor.constant(self.name("weight"), values, list(scales), zeros, axis)
        numbers = self.rng.integers(-800, 800, outputs).astype(np.int32)
        bias = Tensor.constant(self.name("bias"), numbers, list(scales * x.scale), zeros)
        return weight, bias

    def conv(self, x: Tensor, channels: int, rows: int, stride: int = 1) -> Tensor:
        n, h, w, c = x.shape
        weight, bias = self._weights(x, (channels, rows, 1, c), 0, channels)
        shape = (n, (h - rows) // stride + 1, w, channels)
        table = options(
            "Conv2D",
            padding=_VALID,
            strideH=stride,
            strideW=1,
            fusedActivationFunction=_ACTIVATION.RELU,
        )
        result = self.quantised("conv", shape, 0.0, 3.0)
        return self.emit("CONV_2D", [x, weight, bias], result, table, 3)

    def depthwise(self, x: Tensor, rows: int) -> Tensor:
        n, h, w, c = x.shape
        weight, bias = self._weights(x, (1, rows, 1, c), 3, c)
        table = options("DepthwiseConv2D", padding=_VALID, strideH=1, strideW=1, depthMultiplier=1)
        result = self.quantised("depthwise", (n, h - rows + 1, w, c), -2.0, 2.0)
        return self.emit("DEPTHWISE_CONV_2D", [x, weight, bias], result, table, 3)

    def dense(self, x: Tensor, outputs: int, low: float = -4.0, high: float = 4.0) -> Tensor:
        weight, bias = self._weights(x, (outputs, x.shape[-1]), 0, 1)
        bias = Tensor.constant(
            self.name("bias"), self.rng.integers(-800, 800, outputs).astype(np.int32), bias.scale
        )
        result = self.quantised("dense", (*x.shape[:-1], outputs), low, high)
        return self.emit("FULLY_CONNECTED", [x, weight, bias], result, options("FullyConnected"), 4)

    def unary(self, builtin: str, x: Tensor, version: int = 2) -> Tensor:
        scale, zero = (1 / 256, -128) if builtin == "LOGISTIC" else (1 / 128, 0)
        result = Tensor(self.name(builtin.lower()), x.shape, np.int8, scale, zero)
        return self.emit(builtin, [x], result, None, version)

    def binary(self, builtin: str, a: Tensor, b: Tensor, low: float, high: float) -> Tensor:
        table = options(builtin.capitalize())
        return self.emit(
            builtin, [a, b], self.quantised(builtin.lower(), a.shape, low, high), table, 2
        )

    def rescale(self, x: Tensor, like: Tensor) -> Tensor:
        result = self.like(like, x.shape, "rescaled")
        return self.emit("QUANTIZE", [x], result, options("Quantize"), 2)


def wake_word(seed: int = 0) -> bytes:
    """microWakeWord (okay_nabu): three new frames of 40 features a run, a uint8 probability."""
    net = StreamingNetwork(seed)
    frames = Tensor("serving_default_input", (1, 3, 40), np.int8, 0.10, -128)
    x = net.ring(net.reshape(frames, (1, 3, 1, 40)), 2, "stream/states")
    x = net.conv(x, 32, 5, stride=3)
    for block, lengths in enumerate(((5,), (7, 11), (9, 15))):
        longest = max(lengths)
        whole = net.ring(x, longest - 1, f"stream_{block + 1}/states")
        parts = [whole]
        if len(lengths) > 1:  # MixConv: channels in groups, each with a length of its own
            parts = net.split(whole, [whole.shape[3] // len(lengths)] * len(lengths), 3)
        branches: list[Tensor] = []
        for part, rows in zip(parts, lengths, strict=True):
            n, h, w, c = part.shape
            recent = net.slice(part, (0, h - rows, 0, 0), (n, h, w, c)) if rows < h else part
            branches.append(net.depthwise(recent, rows))
        x = branches[0] if len(branches) == 1 else net.concat(branches, 3)
        x = net.conv(x, 48, 1)
    x = net.ring(x, 4, "stream_5/states")
    x = net.dense(net.reshape(x, (1, 5 * 48)), 1)
    x = net.unary("LOGISTIC", x)
    probability = Tensor("probability", (1, 1), np.uint8, 1 / 256, 0)
    net.emit("QUANTIZE", [x], probability, options("Quantize"), 2)
    return net.model()


def keyword_svdf(seed: int = 1) -> bytes:
    """Streaming SVDF layers between dense ones: state in variable tensors of int16."""
    net = StreamingNetwork(seed)
    x = net.dense(Tensor("features", (1, 40), np.int8, 0.05, 3), 32)
    for units, memory in ((16, 10), (24, 6)):
        rank = 2
        filters = units * rank
        feature = Tensor.constant(
            net.name("feature"),
            net.rng.integers(-127, 128, (filters, x.shape[1])).astype(np.int8),
            1 / 64,
        )
        time = Tensor.constant(
            net.name("time"),
            net.rng.integers(-3000, 3000, (filters, memory)).astype(np.int16),
            1 / 4096,
        )
        bias = Tensor.constant(
            net.name("bias"), net.rng.integers(-900, 900, units).astype(np.int32), 1 / 4096 / 512
        )
        shape = (1, memory * filters)
        state = Tensor(net.name("state"), shape, np.int16, 1 / 512, is_variable=True)
        result = net.quantised("svdf", (1, units), -1.0, 6.0)
        table = options("SVDF", rank=rank, fusedActivationFunction=_ACTIVATION.RELU)
        x = net.dense(net.emit("SVDF", [x, feature, time, bias, state], result, table, 3), 24)
    x = net.dense(x, 12)
    result = Tensor("labels", (1, 12), np.int8, 1 / 256, -128)
    net.emit("SOFTMAX", [x], result, options("Softmax", beta=1.0), 2)
    return net.model()


def speech_lstm(seed: int = 2) -> bytes:
    """A convolution, an LSTM over the frames of a run, a dense layer; int8 and int16 states."""
    net = StreamingNetwork(seed)
    x = net.conv(Tensor("frames", (1, 8, 1, 20), np.int8, 0.03, -5), 16, 3)
    x = net.reshape(x, (1, 6, 16))
    cells = 20
    zero = 7  # a state that is zero is not filled with 0
    gates = [
        Tensor.constant(
            net.name("weight"), net.rng.integers(-127, 128, (cells, n)).astype(np.int8), 1 / 256
        )
        for n in (16, 16, 16, 16, cells, cells, cells, cells)
    ]
    biases = [
        Tensor.constant(
            net.name("bias"), net.rng.integers(-3000, 3000, cells).astype(np.int32), 1 / 32768
        )
        for _ in range(4)
    ]
    hidden = Tensor(net.name("hidden"), (1, cells), np.int8, 1 / 128, zero, is_variable=True)
    cell = Tensor(net.name("cell"), (1, cells), np.int16, 2.0**-11, 0, is_variable=True)
    inside = [Tensor(net.name("gate"), (), np.int16, 2.0**-12) for _ in range(4)]
    inside.append(Tensor(net.name("gate"), (), np.int8, 1 / 128, zero))
    result = Tensor(net.name("lstm"), (1, 6, cells), np.int8, 1 / 128, zero)
    inputs = [x, *gates, *[None] * 3, *biases, None, None, hidden, cell, *[None] * 4]
    table = options(
        "UnidirectionalSequenceLSTM", fusedActivationFunction=_ACTIVATION.TANH, cellClip=10.0
    )
    net.operators.append(
        Operator("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, [result], table, 3, inside)
    )
    x = net.conv(net.reshape(result, (1, 6, 1, cells)), 24, 6)
    net.dense(net.reshape(x, (1, 24)), 10)
    return net.model()


def denoiser(seed: int = 3) -> bytes:
    """A minimal gated unit of int8 operators, read when it is assigned, and a counter of frames."""
    net = StreamingNetwork(seed)
    frame = Tensor("frame", (1, 1, 1, 32), np.int8, 0.02, 10)
    x = net.conv(net.ring(frame, 3, "front/states"), 24, 4)
    x = net.reshape(x, (1, 24))
    like = Tensor("state", (1, 24), np.int8, 2 / 255, -1)
    state = net.variable("gru/state", like, net.rng.integers(-128, 128, (1, 24)).astype(np.int8))
    before = net.read(state, like)
    gate = net.unary("LOGISTIC", net.dense(net.concat([x, net.rescale(before, x)], 1), 24))
    fresh = net.unary("TANH", net.dense(x, 24, -2.0, 2.0))
    change = net.binary("MUL", gate, net.binary("SUB", fresh, before, -2.0, 2.0), -2.0, 2.0)
    sum_ = net.emit("ADD", [before, change], net.like(like, like.shape, "state"), options("Add"), 2)
    net.assign(state, sum_)
    after = net.read(state, like)
    mask = net.unary("LOGISTIC", net.dense(after, 32))
    net.binary("MUL", net.reshape(frame, (1, 32)), mask, -2.5, 2.5)
    count = Tensor("count", (1,), np.int32)
    counter = net.variable("frames", count, np.array([40], np.int32))
    one = Tensor.constant("one", np.array([1], np.int32))
    more = net.emit(
        "ADD",
        [net.read(counter, count), one],
        Tensor("frame_number", (1,), np.int32),
        options("Add"),
    )
    net.assign(counter, more)
    net.emit("CAST", [more], Tensor("seconds", (1,), np.float32), options("Cast"))
    return net.model()


NETWORKS = {
    "wake_word": wake_word,
    "keyword_svdf": keyword_svdf,
    "speech_lstm": speech_lstm,
    "denoiser": denoiser,
}
