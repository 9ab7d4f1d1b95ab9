"""Networks of the forms in which framework converters write fusions, and how they are judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from furiosa_ir.backends.warboy.enf.records import Copy, Dot, Pool, Vector
from furiosa_ir.compiler import compile_source
from furiosa_ir.importers.onnx import import_onnx
from furiosa_ir.interpreter import run_module
from furiosa_ir.program import HostSegment, Program
from furiosa_ir.runtime import session
from tests.oracle.exact import SCRIPT, run_exactly
from tests.passes.qdq import QDQ

Array = np.ndarray[Any, np.dtype[Any]]

IN_SCALE, SCALE = 0.05, 0.06
TO_NCHW, TO_NHWC = [0, 3, 1, 2], [0, 2, 3, 1]


@dataclass
class Layers:
    """Writes layers with random parameters into a network between Q and DQ.

    Attributes:
        net: the network.
        weights: int8 (a scale a channel, symmetric) or uint8 (one scale, a zero point).
    """

    net: QDQ
    weights: Any = np.int8
    seed: int = 0

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self._count = 0

    @property
    def zero_point(self) -> int:
        """Some zero point of activations."""
        return 7 if self.net.dtype == np.int8 else 135

    @property
    def least(self) -> int:
        """The zero point of what is never negative."""
        return int(np.iinfo(self.net.dtype).min)

    def input(self, *shape: int, name: str = "x") -> str:
        return self.net.input(name, list(shape), IN_SCALE, self.zero_point)

    def weight(self, shape: tuple[int, ...], axis: int) -> str:
        self._count += 1
        name, count = f"w{self._count}", shape[axis]
        spread = 1 / np.sqrt(np.prod(shape) / count)
        if self.weights == np.int8:
            array = self.rng.integers(-128, 128, shape).astype(np.int8)
            scales = (self.rng.uniform(0.005, 0.02, count) * spread).astype(np.float32)
            return self.net.weight(array, scales, axis, name)
        self.net.constants[name] = self.rng.integers(0, 256, shape).astype(np.uint8)
        parameters = self.net.parameters(name, np.float32(0.01 * spread), 120, np.uint8)
        inputs = [name, *parameters]
        self.net.nodes.append(onnx.helper.make_node("DequantizeLinear", inputs, [name + "_d"]))
        return name + "_d"

    def reals(self, *shape: int, scale: float = 1.0) -> str:
        """A float constant."""
        return self.net.constant((self.rng.normal(size=shape) * scale).astype(np.float32))

    def conv(self, x: str, inputs: int, outputs: int, bias: bool = False, **attributes: Any) -> str:
        """A 3x3 convolution that keeps the extents; float."""
        operands = [x, self.weight((outputs, inputs, 3, 3), 0)]
        if bias:
            operands.append(self.reals(outputs))
        return self.net.add("Conv", operands, pads=[1, 1, 1, 1], **attributes)

    def quantized(self, x: str, scale: float = SCALE, zero_point: int | None = None) -> str:
        """Q and DQ."""
        return self.net.requantized(x, scale, self.zero_point if zero_point is None else zero_point)

    def output(self, x: str, scale: float = SCALE) -> None:
        self.net.output(x, scale, self.zero_point)

    def transposed(self, x: str, perm: list[int]) -> str:
        return self.net.add("Transpose", [x], perm=perm)

    def batch_norm(self, x: str, channels: int) -> str:
        """Factors of either sign, one that is 0, one that might be."""
        scale = self.rng.normal(size=channels)
        scale[:2] = 0, 1e-30
        parameters = [
            scale,
            self.rng.normal(size=channels),
            self.rng.normal(0, 2, channels),
            self.rng.uniform(0.3, 3, channels),
        ]
        operands = [self.net.constant(p.astype(np.float32)) for p in parameters]
        return self.net.add("BatchNormalization", [x, *operands])


def commands(program: Program, *kinds: type[Any]) -> list[Any]:
    """The commands of these kinds."""
    return [
        c
        for s in program.segments
        if not isinstance(s, HostSegment)
        for c in s.commands
        if isinstance(c, kinds)
    ]


def kernels(program: Program) -> dict[str, int]:
    """How many layers the NPU has of each kind of kernel, and copies in DRAM."""
    found = {(type(c).__name__, c.layer) for c in commands(program, Dot, Pool, Vector, Copy)}
    return dict(Counter(kind for kind, _ in found))


def check(net: QDQ, expected: dict[str, int]) -> Program:
    """Compiles a network: wholly on the NPU, these kernels, and the exact result on every element.

    The oracle is the interpreter on the file as it is, and `exact_onnx.py` where it is there.
    """
    model = net.model().SerializeToString()
    result = compile_source(model)
    assert result.program is not None
    assert result.enf is not None
    assert [type(s).__name__ for s in result.program.segments] == ["NpuSegment"]
    assert kernels(result.program) == expected
    rng = np.random.default_rng(1)
    info = np.iinfo(net.dtype)
    feeds = {
        name: rng.integers(info.min, info.max + 1, shape).astype(net.dtype)
        for name, (shape, _) in net.inputs.items()
    }
    with session.create(result.enf) as running:
        got = [t.numpy() for t in running.run(list(feeds.values()))]
    _equal(got, run_module(import_onnx(model), feeds).values())
    if SCRIPT.is_file():
        _equal(got, run_exactly(model, feeds))
    assert all(len(np.unique(g)) > 8 for g in got), "the network says nothing"
    return result.program


def _equal(got: list[Array], want: Iterable[Array]) -> None:
    for g, w in zip(got, want, strict=True):
        np.testing.assert_array_equal(g, w)
