"""Activations leave SRAM for what the network gives out, not because something moves them.

Drawn heads of detectors and classifiers: maps of several sizes, transposed and reshaped to rows,
requantised, concatenated, and a function of what comes of it; shuffled channels, strided slices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from furiosa_ir.backends.warboy.costs import program_costs
from furiosa_ir.compiler import compile_source
from furiosa_ir.runtime.session import Session
from tests.draws import draws
from tests.oracle.exact import run_exactly
from tests.passes.qdq import QDQ

MOST = 1.1
"""Of the traffic that any plan has."""


class Head(QDQ):
    """A network of convolutions on two maps of one image."""

    def __init__(self, seed: int, sides: Sequence[int] = (16, 24, 33)) -> None:
        super().__init__()
        self.rng = np.random.default_rng(seed)
        side = int(self.rng.choice(sides))
        image = self.input("x", [1, 3, side, side], 0.05, 3)
        first = self.conv(image, 3, 8, 3, stride=2)
        self.maps = [(first, 8), (self.conv(first, 8, 12, 3, stride=2), 12)]

    def conv(self, x: str, inputs: int, filters: int, kernel: int, stride: int = 1) -> str:
        shape, name = (filters, inputs, kernel, kernel), f"w{len(self.nodes)}"
        scales = self.rng.uniform(0.01, 0.03, filters).astype(np.float32)
        weight = self.weight(self.rng.integers(-127, 128, shape, np.int8), scales, name=name)
        pads = [kernel // 2] * 4
        made = self.add("Conv", [x, weight], strides=[stride] * 2, pads=pads)
        return self.requantized(made, *self.parameter())

    def parameter(self) -> tuple[float, int]:
        return float(self.rng.uniform(0.05, 0.2)), int(self.rng.integers(-30, 30))

    def maybe(self, name: str, op: str, **attributes: object) -> str:
        """An operator between quantisations, or not."""
        if self.rng.random() < 0.5:
            return name
        return self.requantized(self.add(op, [name], **attributes), *self.parameter())

    def rows(self, row: int) -> str:
        """Each map's channels as rows, concatenated; scales differ."""
        parts: list[str] = []
        for x, channels in self.maps:
            made = self.conv(x, channels, row * int(self.rng.integers(1, 5)), 1)
            made = self.maybe(made, "LeakyRelu", alpha=0.1)
            moved = self.add("Transpose", [made], perm=[0, 2, 3, 1])
            shape = self.constant(np.array([1, -1, row]))
            parts.append(self.maybe(self.add("Reshape", [moved, shape]), "Tanh"))
        joined = self.add("Concat", parts, axis=1)
        return self.requantized(joined, *self.parameter())

    def planes(self, classes: int) -> str:
        """Each map's channels by class, each class's anchors one after the other, concatenated."""
        parts: list[str] = []
        for x, channels in self.maps:
            made = self.conv(x, channels, classes * int(self.rng.integers(1, 5)), 1)
            made = self.maybe(made, "LeakyRelu", alpha=0.1)
            shape = self.constant(np.array([1, classes, -1]))
            parts.append(self.maybe(self.add("Reshape", [made, shape]), "Tanh"))
        joined = self.add("Concat", parts, axis=2)
        return self.requantized(joined, *self.parameter())

    def end(self, x: str, op: str) -> None:
        attributes = {"Softmax": {"axis": 2}, "Clip": {}}.get(op, {})
        inputs = [x]
        if op == "Clip":
            inputs += [self.constant(np.float32(-1)), self.constant(np.float32(2))]
        made = self.add(op, inputs, **attributes) if op else x
        scale, zero = (1 / 256, -128) if op in ("Softmax", "Sigmoid") else self.parameter()
        self.output(made, scale, zero)


def detector(seed: int) -> Head:
    net = Head(seed)
    net.end(net.rows(int(net.rng.choice([2, 4, 21]))), str(net.rng.choice(FUNCTIONS)))
    net.end(net.rows(4), "")
    return net


def planar(seed: int) -> Head:
    """SSD's heads as PyTorch has them: a class's scores of all anchors together."""
    net = Head(seed, (96, 128))
    net.end(net.planes(int(net.rng.choice([2, 5, 21]))), str(net.rng.choice(FUNCTIONS)))
    net.end(net.planes(4), "")
    return net


FUNCTIONS = ("Sigmoid", "Clip", "HardSwish", "Relu", "")


def classifier(seed: int) -> Head:
    """A fully connected layer on a flattened map, of channels first or last."""
    net = Head(seed)
    x, channels = net.maps[int(net.rng.integers(2))]
    if net.rng.random() < 0.5:
        x = net.add("Transpose", [x], perm=[0, 2, 3, 1])
    x = net.maybe(x, "Sigmoid")
    flat = net.add("Flatten", [x], axis=1)
    flat = net.maybe(flat, "Tanh")
    side = net.inputs["x"][0][2]
    for _ in range(1 if channels == 8 else 2):
        side = -(-side // 2)
    shape = (side * side * channels, 10)
    scales = net.rng.uniform(0.01, 0.03, 10).astype(np.float32)
    weight = net.weight(net.rng.integers(-127, 128, shape, np.int8), scales, axis=1, name="fc")
    made = net.requantized(net.add("MatMul", [flat, weight]), *net.parameter())
    net.end(net.maybe(made, "Relu"), "")
    return net


def moved(seed: int) -> Head:
    """Between convolutions a map is shuffled, or every second row and column of it is taken."""
    net = Head(seed)
    x, channels = net.maps[0]
    side = -(-int(net.inputs["x"][0][2]) // 2)
    for _ in range(int(net.rng.integers(1, 4))):
        if net.rng.random() < 0.5:
            shape = [1, 2, channels // 2, side, side]
            x = net.add("Reshape", [x, net.constant(np.array(shape))])
            x = net.add("Transpose", [x], perm=[0, 2, 1, 3, 4])
            x = net.add("Reshape", [x, net.constant(np.array([1, channels, side, side]))])
        else:
            begin = int(net.rng.integers(2))
            bounds = ([begin, begin], [side, side], [2, 3], [2, 2])
            x = net.add("Slice", [x, *(net.constant(np.array(b)) for b in bounds)])
            side = -(-(side - begin) // 2)
        x = net.maybe(x, "Sigmoid")
        x = net.conv(x, channels, channels, 3)
    net.end(x, "")
    return net


@pytest.mark.draws
@pytest.mark.parametrize("seed", range(draws(15)))
@pytest.mark.parametrize("kind", [detector, planar, classifier, moved])
def test_movement_causes_no_traffic(kind: Callable[[int], Head], seed: int) -> None:
    model = kind(seed).model().SerializeToString()
    target = ("warboy", "warboy-2pe")[seed % 2]
    compiled = compile_source(model, target=target)
    program = compiled.program
    assert program is not None
    shape = program.tensors[program.inputs[0]].shape
    x = np.random.default_rng(seed).integers(-128, 128, shape, np.int8)
    results = Session(program).run({"x": x})
    for got, want in zip(results, run_exactly(model, {"x": x}), strict=True):
        np.testing.assert_array_equal(got, want)
    costs = program_costs(program)
    assert costs.dram_traffic_bytes <= MOST * costs.dram_compulsory_bytes


@pytest.mark.parametrize("seed", [2, 11])
def test_runs_are_not_stored_part_by_part(seed: int) -> None:
    """On two PEs each part of a head's columns was stored in 21 runs: longer than on one PE."""
    model = planar(seed).model().SerializeToString()
    programs = [compile_source(model, target=t).program for t in ("warboy", "warboy-2pe")]
    one, two = (program_costs(p).cycles for p in programs if p is not None)
    assert two < one
