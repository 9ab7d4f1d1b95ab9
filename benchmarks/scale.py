"""How compiling scales: seconds and peak memory for a network of many operators or large weights.

Usage: python benchmarks/scale.py [--operators 2000] [--weights 2048] [--folder DIR] [--target T]

Without arguments: 2,000 operators, then 2 GiB of int8 weights in external data. The networks are
made on the fly (quantised ONNX, random weights) and compiled in a process of their own, whose peak
resident set is the memory reported; mapped files count.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

MIB = 1 << 20
CHANNELS = 16
"""Of every activation in the network of many operators."""
WIDTH = 4096
"""A fully connected layer of the network of large weights holds WIDTH * WIDTH bytes."""


class QuantizedNetwork:
    """A QDQ network under construction; every activation is int8 with zero point 0.

    Args:
        data: where large weights go, file and its name; None keeps them in the model.
        seed: of the weights.
    """

    def __init__(self, data: Path | None = None, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)
        self._data = data
        self._offset = 0
        self._nodes: list[onnx.NodeProto] = []
        self._tensors: list[onnx.TensorProto] = []
        self._constants: dict[Any, str] = {}
        self._count = 0
        self.operators = 0
        if data is not None:
            data.write_bytes(b"")

    def skip_data(self, size: int) -> None:
        """Leaves a hole of `size` bytes in the external data (sparse: it takes no disk)."""
        self._offset += size

    def input(self, scale: float) -> str:
        """The float input "x", quantised."""
        return self._quantize("x", scale)

    def operator(self, op_type: str, inputs: Sequence[str], scale: float, **attributes: Any) -> str:
        """An operator on quantised values; its result is quantised with `scale`."""
        name = self._name()
        self._nodes.append(helper.make_node(op_type, inputs, [name], name=name, **attributes))
        self.operators += 1
        return self._quantize(name, scale)

    def weights(self, shape: Sequence[int], scale: float) -> str:
        """Random int8 weights, dequantised."""
        name = self._name()
        array = np.frombuffer(self._rng.bytes(int(np.prod(shape))), np.int8).reshape(shape)
        if self._data is None:
            self._tensors.append(numpy_helper.from_array(array, name))
        else:
            self._external(name, array)
        return self._linear("DequantizeLinear", name, scale)

    def bias(self, size: int, scale: float) -> str:
        """Random int32 biases, dequantised."""
        name = self._name()
        array = self._rng.integers(-1000, 1000, size).astype(np.int32)
        self._tensors.append(numpy_helper.from_array(array, name))
        return self._linear("DequantizeLinear", name, scale, np.int32)

    def shape(self, *extents: int) -> str:
        """A constant shape."""
        return self._constant(extents, np.int64)

    def save(self, path: Path, input_shape: Sequence[int], output: str) -> None:
        """Writes the model."""
        graph = helper.make_graph(
            self._nodes,
            "network",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(input_shape))],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
            self._tensors,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 8
        path.write_bytes(model.SerializeToString())

    def _external(self, name: str, array: np.ndarray[Any, Any]) -> None:
        assert self._data is not None
        tensor = onnx.TensorProto(name=name, dims=array.shape, data_type=TensorProto.INT8)
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (
            ("location", self._data.name),
            ("offset", str(self._offset)),
            ("length", str(array.nbytes)),
        ):
            tensor.external_data.add(key=key, value=value)
        with self._data.open("r+b") as file:
            file.seek(self._offset)
            file.write(array.data)
        self._offset += array.nbytes
        self._tensors.append(tensor)

    def _name(self) -> str:
        self._count += 1
        return f"v{self._count}"

    def _constant(self, value: Any, dtype: Any) -> str:
        key = (value, np.dtype(dtype).name)
        if key not in self._constants:
            self._constants[key] = self._name()
            array = np.array(value, dtype)
            self._tensors.append(numpy_helper.from_array(array, self._constants[key]))
        return self._constants[key]

    def _linear(self, op_type: str, x: str, scale: float, dtype: Any = np.int8) -> str:
        inputs = [x, self._constant(scale, np.float32), self._constant(0, dtype)]
        name = self._name()
        self._nodes.append(helper.make_node(op_type, inputs, [name], name=name))
        return name

    def _quantize(self, x: str, scale: float) -> str:
        quantized = self._linear("QuantizeLinear", x, scale)
        return self._linear("DequantizeLinear", quantized, scale)


def many_operators(path: Path, count: int, size: int = 12) -> int:
    """Writes a network of `count` operators: convolutions, ReLUs and additions with branches.

    Returns:
        How many operators it has, quantisers not counted.
    """
    network = QuantizedNetwork()
    scale = 0.05
    x = network.input(scale)
    while network.operators < count:
        branch = x
        for kernel in (1, 3):
            # The sum of 16 * kernel**2 products, each of a standard deviation of about 73 * 73.
            weight_scale = 1 / (73 * 4 * kernel)
            weights = network.weights((CHANNELS, CHANNELS, kernel, kernel), weight_scale)
            bias = network.bias(CHANNELS, scale * weight_scale)
            pads = [kernel // 2] * 4
            branch = network.operator("Conv", [branch, weights, bias], scale, pads=pads)
            if kernel == 1:  # not behind the last one: sums of what is positive would saturate
                branch = network.operator("Relu", [branch], scale)
        x = network.operator("Add", [x, branch], scale)
    network.save(path, (1, CHANNELS, size, size), x)
    return network.operators


def large_weights(path: Path, size: int, *, hole: int = 0, width: int = WIDTH) -> int:
    """Writes a network with at least `size` bytes of int8 weights in external data.

    Fully connected layers with and without transposed weights, and every fourth a 1x1 convolution.

    Args:
        path: the model; the data lies beside it.
        size: bytes of weights.
        hole: bytes of the external file that no tensor uses, before the first one.
        width: inputs and outputs of a layer.

    Returns:
        The bytes of weights.
    """
    network = QuantizedNetwork(path.with_suffix(".data"))
    network.skip_data(hole)
    scale = 0.05
    weight_scale = 1 / (73 * width**0.5)
    x = network.input(scale)
    layers = -(-size // width**2)
    for layer in range(layers):
        if layer % 4 == 3:
            x = network.operator("Reshape", [x, network.shape(1, width, 1, 1)], scale)
            weights = network.weights((width, width, 1, 1), weight_scale)
            x = network.operator("Conv", [x, weights], scale)
            x = network.operator("Flatten", [x], scale)
            continue
        weights = network.weights((width, width), weight_scale)
        bias = network.bias(width, scale * weight_scale)
        x = network.operator("Gemm", [x, weights, bias], scale, transB=layer % 2)
    network.save(path, (1, width), x)
    return layers * width**2


@dataclass(frozen=True)
class Figures:
    """What compiling took.

    Attributes:
        seconds: from the first line of the importer to the closed file.
        peak_mib: peak resident set of the process.
        phases: (phase, seconds); beside them there are import and assembly.
        output_mib: size of the ENF file.
        processor_seconds: as `seconds`, on processors: other work on the machine changes it less.
    """

    seconds: float
    peak_mib: float
    phases: list[tuple[str, float]]
    output_mib: float
    processor_seconds: float


_COMPILE = """
import json, sys, time
from pathlib import Path
from furiosa_ir.backends.warboy.enf.writer import save_program
from furiosa_ir.compiler import compile_source
from furiosa_ir.instrumentation.timing import Timing
source, output, target = sys.argv[1:]
timing = Timing()
started, on_processors = time.perf_counter(), time.process_time()
with timing.recording():
    result = compile_source(Path(source), target=target)
written = time.perf_counter()
save_program(result.program, output)
phases = [
    (name.removeprefix("phase "), span.seconds)
    for name, span in timing.root.children.items()
    if name.startswith("phase ")
]
phases.append(("write", time.perf_counter() - written))
seconds = time.perf_counter() - started
on_processors = time.process_time() - on_processors
# Not getrusage: its maximum begins with the process that started this one.
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
peak = int(status["VmHWM"].split()[0]) / 1024
print(json.dumps([seconds, peak, phases, on_processors]))
"""


def measure(source: Path, output: Path, target: str = "warboy-2pe") -> Figures:
    """Compiles in a process of its own."""
    command = [sys.executable, "-P", "-c", _COMPILE, str(source), str(output), target]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, peak, phases, on_processors = json.loads(done.stdout.splitlines()[-1])
    return Figures(seconds, peak, phases, output.stat().st_size / MIB, on_processors)


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--operators", type=int, default=0, help="compile that many operators")
    parser.add_argument("--weights", type=int, default=0, metavar="MIB", help="MiB of weights")
    parser.add_argument("--folder", type=Path, help="where the files go (default: temporary)")
    parser.add_argument("--target", default="warboy-2pe")
    arguments = parser.parse_args()
    operators, weights = arguments.operators, arguments.weights
    if not operators and not weights:
        operators, weights = 2000, 2048
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        if operators:
            count = many_operators(folder / "operators.onnx", operators)
            figures = measure(folder / "operators.onnx", folder / "a.enf", arguments.target)
            _report(f"{count} operators", figures)
        if weights:
            # The second half of a 2 GiB file, and all of it behind a hole, is beyond 31 bits.
            size = large_weights(folder / "weights.onnx", weights * MIB, hole=1 << 31)
            figures = measure(folder / "weights.onnx", folder / "b.enf", arguments.target)
            _report(f"{size // MIB} MiB of weights", figures)
            print(f"  peak less weights: {figures.peak_mib - size / MIB:.0f} MiB")


def _report(what: str, figures: Figures) -> None:
    print(
        f"{what}: {figures.seconds:.1f} s, peak {figures.peak_mib:.0f} MiB, "
        f"ENF {figures.output_mib:.0f} MiB"
    )
    for phase, seconds in figures.phases:
        print(f"  {phase:10} {seconds:7.2f} s", flush=True)


if __name__ == "__main__":
    main()
