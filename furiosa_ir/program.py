"""What every compiled program consists of, whatever machine it is for.

A program is segments that exchange tensors: some run on the host in the network's own framework,
the others on the device, and what is in those is the backend's business (`DeviceSegment`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor that segments, inputs and outputs exchange.

    Attributes:
        name: the framework's name.
        dtype: name in numpy or ml_dtypes ("float32", "int8", "bfloat16", ...), or "string".
        shape: extents; -1 where only running the network tells (between host segments).
        scale, zero_point: how 8-bit data is quantised, for people; scale 0 if it is not.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    scale: float = 0.0
    zero_point: int = 0


@dataclass(frozen=True, slots=True)
class Binding:
    """A tensor and its place in a device segment's memory.

    Attributes:
        tensor: index of the tensor.
        address: where, in the device's own terms: often the byte offset in its memory at which it
            lies dense, row-major in its own shape.
    """

    tensor: int
    address: int


@dataclass(frozen=True, slots=True)
class DeviceSegment:
    """What runs on the device; a backend's own class says how.

    Attributes:
        name: "npu_0", ...
        inputs: the tensors it takes, in order, and where it finds them.
        outputs: the tensors it makes, in order, and where it leaves them.
    """

    name: str
    inputs: tuple[Binding, ...]
    outputs: tuple[Binding, ...]

    @property
    def reads(self) -> tuple[int, ...]:
        """Indices of the tensors that it takes, in order."""
        return tuple(binding.tensor for binding in self.inputs)

    @property
    def makes(self) -> tuple[int, ...]:
        """Indices of the tensors that it makes, in order."""
        return tuple(binding.tensor for binding in self.outputs)


@dataclass(frozen=True, slots=True)
class HostSegment:
    """A sub-model that runs on the host in its own framework.

    Attributes:
        name: "host_0", ...
        framework: "onnx" (run by onnxruntime) or "tflite" (run by LiteRT).
        inputs, outputs: indices of tensors, in the order of the sub-model's inputs and outputs.
        model: the sub-model's file.
        operators: rows of (operator, layer name, hint number, reason).
    """

    name: str
    framework: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    model: memoryview | bytes
    operators: tuple[tuple[str, str, int, str], ...]

    @property
    def reads(self) -> tuple[int, ...]:
        """Indices of the tensors that it takes, in order."""
        return self.inputs

    @property
    def makes(self) -> tuple[int, ...]:
        """Indices of the tensors that it makes, in order."""
        return self.outputs


@dataclass(frozen=True, slots=True)
class Layer:
    """A row of the report: one layer of the network as it was compiled.

    Attributes:
        name: the framework's layer name(s).
        operator: the framework's operator.
        segment: index of its segment.
        macs: multiply-accumulates of the layer (0 if it has none).
        weight_bytes: its parameters.
    """

    name: str
    operator: str
    segment: int
    macs: int
    weight_bytes: int


@dataclass(frozen=True, slots=True)
class Resumption:
    """A place where a compile went on from IR text.

    Attributes:
        passes: how many passes of `Program.pipeline` had run before.
        text: "unedited" (as the compiler wrote it), "edited", or "foreign" (not written by it).
    """

    passes: int
    text: str


@dataclass(frozen=True, slots=True)
class Variable:
    """What a program keeps from one run to the next.

    Attributes:
        name: the framework's.
        before: index of the tensor that holds it when a run begins; no segment makes that tensor.
        after: index of the tensor whose elements it has when the run has ended: an input's, a
            segment's result, or `before` of this or another variable.
        initial: its elements before the first run: dense, row-major, little endian.
    """

    name: str
    before: int
    after: int
    initial: memoryview | bytes


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled network.

    Attributes:
        target: what it was compiled for.
        machine: the target's parameters (name -> integer), so that a program stays what it is.
        tensors: all that segments exchange.
        inputs, outputs: indices into tensors.
        segments: in order of execution.
        layers: the report's rows, NPU and host.
        compiler: name and version.
        options: name -> text.
        pipeline: the passes that ran, in order, as `furiosa-opt -p` takes them.
        source_hash: SHA-256 of the model file (hexadecimal digits).
        source_framework: "onnx" or "tflite".
        resumed: where the compile went on from IR text; nowhere, if it began with the model.
        output_names: of the outputs; none where each is called as its tensor. An output that is an
            input, or that is another output as well, has a name of its own, but no tensor.
        variables: what it keeps from run to run; none, for most networks.
    """

    target: str
    machine: dict[str, int]
    tensors: tuple[Tensor, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    segments: tuple[DeviceSegment | HostSegment, ...]
    layers: tuple[Layer, ...]
    compiler: str = ""
    options: dict[str, str] = field(default_factory=dict[str, str])
    pipeline: str = ""
    source_hash: str = ""
    source_framework: str = ""
    resumed: tuple[Resumption, ...] = ()
    output_names: tuple[str, ...] = ()
    variables: tuple[Variable, ...] = ()

    @property
    def output_tensors(self) -> tuple[Tensor, ...]:
        """The network's outputs under their names."""
        tensors = tuple(self.tensors[i] for i in self.outputs)
        if not self.output_names:
            return tensors
        named = zip(tensors, self.output_names, strict=True)
        return tuple(replace(tensor, name=name) for tensor, name in named)


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a program says of how it was made.

    Attributes:
        compiler: name and version.
        options: name -> text.
        pipeline: the passes that ran.
        resumed: where the module was read from text.
        source_hash: SHA-256 of the model file.
        source_framework: "onnx" or "tflite".
    """

    compiler: str
    options: dict[str, str]
    pipeline: str
    resumed: tuple[Resumption, ...]
    source_hash: str
    source_framework: str
