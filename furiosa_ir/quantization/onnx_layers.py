"""The layers of a quantised ONNX network beside those of the float one, in one run.

One network holds both, and each quantised layer a second time: there its operands are the float
network's, rounded. onnxruntime sums up the differences, so that no tensor has to leave it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import onnx
from onnx import helper, numpy_helper

from furiosa_ir.quantization.calibration import Sample
from furiosa_ir.quantization.layers import LayerAccuracy, LayerSums, some_of
from furiosa_ir.quantization.names import rename, subgraphs_of
from furiosa_ir.quantization.onnx_running import onnx_runner
from furiosa_ir.quantization.opset import opset_of
from furiosa_ir.quantization.preparation import copy_of

_Q, _DQ = "QuantizeLinear", "DequantizeLinear"

_MOST_BYTES = 3 << 29
"""Of both networks together, which become one message: protobuf ends at 2 GiB."""


@dataclass(frozen=True)
class _Layer:
    """A quantised layer.

    Attributes:
        node: in the quantised network.
        tensor: its result in the float one.
        quantize, dequantize: of its result, in the quantised network.
    """

    node: onnx.NodeProto
    tensor: str
    quantize: onnx.NodeProto
    dequantize: onnx.NodeProto


def compare_layers(
    model: onnx.ModelProto,
    quantized: onnx.ModelProto,
    samples: Sequence[Sample],
    name: str,
    clipped: Collection[str],
    shown: Callable[[str], str],
    value_of: Callable[[str], str],
    on_sample: Callable[[int, int], None],
) -> list[LayerAccuracy]:
    """How near each quantised layer is; of networks of gigabytes, nothing.

    Args:
        model: the float network, prepared.
        quantized: what the quantiser made of it.
        samples: what to run them on; some of them are used.
        name: of the file.
        clipped: values of the float network of which nobody can tell what is beyond their range.
        shown: what the user calls a value or a node.
        value_of: the float network's value that one of the quantised network comes from.
        on_sample: is told the progress: how many are done, and how many there are.

    Raises:
        FuriosaError: onnxruntime does not run it.
    """
    layers = list(_layers(model, quantized, value_of))
    if not layers or model.ByteSize() + quantized.ByteSize() > _MOST_BYTES:
        return []
    constants = {i.name: i for i in quantized.graph.initializer}
    reach = {layer.tensor: _ends(layer.quantize, constants) for layer in layers}
    limits = {tensor: ends for tensor, ends in reach.items() if tensor in clipped}
    run = onnx_runner(_merged(model, quantized, layers, limits, value_of), name)
    sums = [LayerSums() for _ in layers]
    chosen = some_of(samples)
    for index, sample in enumerate(chosen):
        on_sample(index, len(chosen))
        results = [np.asarray(r, np.float64) for r in run(sample)]
        for at, each in enumerate(sums):
            signal, alone, accumulated, peaks = results[4 * at : 4 * at + 4]
            each.add(float(signal), float(alone), float(accumulated), peaks.reshape(-1))
    on_sample(len(chosen), len(chosen))
    return [
        each.result(
            shown(layer.node.name),
            layer.node.op_type,
            reach[layer.tensor],
            _operands(layer, reach, value_of, shown),
        )
        for layer, each in zip(layers, sums, strict=True)
    ]


def _layers(
    model: onnx.ModelProto, quantized: onnx.ModelProto, value_of: Callable[[str], str]
) -> Iterator[_Layer]:
    known = {o for node in model.graph.node for o in node.output}
    quantizes: dict[str, onnx.NodeProto] = {}
    dequantizes: dict[str, onnx.NodeProto] = {}
    for node in quantized.graph.node:
        if node.op_type == _Q:
            quantizes[node.input[0]] = node
        elif node.op_type == _DQ:
            dequantizes[node.input[0]] = node
    for node in quantized.graph.node:
        if node.op_type in (_Q, _DQ) or subgraphs_of(node):
            continue
        quantize = quantizes.get(node.output[0])
        dequantize = dequantizes.get(quantize.output[0]) if quantize is not None else None
        tensor = value_of(node.output[0])
        if quantize is not None and dequantize is not None and tensor in known:
            yield _Layer(node, tensor, quantize, dequantize)


def _merged(
    model: onnx.ModelProto,
    quantized: onnx.ModelProto,
    layers: Sequence[_Layer],
    limits: Mapping[str, tuple[float, float]],
    value_of: Callable[[str], str],
) -> onnx.ModelProto:
    """The float network, the quantised one and its layers alone; four results a layer."""
    merged = copy_of(model)
    graph = merged.graph
    given = {i.name for i in graph.input}
    other = copy_of(quantized)
    _prefix(other, given)
    graph.initializer.extend(other.graph.initializer)
    graph.node.extend(other.graph.node)
    del graph.output[:]
    sources = {o: n for n in quantized.graph.node for o in n.output}
    rounded: set[str] = set()

    def operand(name: str) -> str:
        """What a layer alone takes in place of a value of the quantised network."""
        source = sources.get(name)
        if source is None:
            return name if name in given or not name else f"q/{name}"
        if source.op_type != _DQ:
            return value_of(name)
        quantize = sources.get(source.input[0])
        if quantize is None or quantize.op_type != _Q:
            return f"q/{name}"  # of a constant
        result = f"a/{name}"
        if result not in rounded:
            rounded.add(result)
            graph.node.extend(_around(value_of(quantize.input[0]), result, quantize, source))
        return result

    ranks = {
        v.name: len(v.type.tensor_type.shape.dim)
        for v in cast("list[Any]", [*model.graph.value_info, *model.graph.output])
    }
    for index, layer in enumerate(layers):
        at = f"layer/{index}"
        alone = onnx.NodeProto()
        alone.CopyFrom(layer.node)
        alone.input[:] = [operand(i) for i in layer.node.input]
        alone.output[:] = [f"{at}/{o}" if o else "" for o in layer.node.output]
        alone.name = f"{at}/alone"
        graph.node.append(alone)
        graph.node.extend(
            _around(alone.output[0], f"{at}/stored", layer.quantize, layer.dequantize)
        )
        others = (f"{at}/stored", f"q/{layer.dequantize.output[0]}")
        want = layer.tensor
        if want in limits:
            ends = [f"{at}/low", f"{at}/high"]
            for end, number in zip(ends, limits[want], strict=True):
                constant = np.array(number, np.float32)
                graph.initializer.append(numpy_helper.from_array(constant, end))
            cast_, want = f"{at}/all", f"{at}/clipped"
            floats = int(onnx.TensorProto.FLOAT)
            graph.node.append(helper.make_node("Cast", [layer.tensor], [cast_], to=floats))
            graph.node.append(helper.make_node("Clip", [cast_, *ends], [want]))
        nodes, results = _statistics(at, want, others)
        rank = ranks.get(layer.tensor, 0)
        axes = [i for i in range(rank) if i != (1 if rank > 3 else rank - 1)]
        peaks = helper.make_node("ReduceMax", [f"{at}/size"], [f"{at}/peaks"], keepdims=0)
        if opset_of(model) < _AXES_ARE_INPUTS:
            peaks.attribute.append(helper.make_attribute("axes", axes or [0]))
        else:
            constant = np.array(axes or [0], np.int64)
            graph.initializer.append(numpy_helper.from_array(constant, f"{at}/axes"))
            peaks.input.append(f"{at}/axes")
        graph.node.extend(nodes)
        if axes:
            graph.node.append(peaks)
            results.append(f"{at}/peaks")
        else:
            results.append(f"{at}/size")
        graph.output.extend(onnx.ValueInfoProto(name=r) for r in results)
    return merged


_AXES_ARE_INPUTS = 18
"""The opset since which ReduceMax takes its axes as an input."""


def _around(
    value: str, result: str, quantize: onnx.NodeProto, dequantize: onnx.NodeProto
) -> list[onnx.NodeProto]:
    """The value, rounded as a pair of the quantised network does."""
    pair = [onnx.NodeProto(), onnx.NodeProto()]
    for node, given, ends in zip(
        pair,
        (quantize, dequantize),
        ((value, f"{result}/integers"), (f"{result}/integers", result)),
        strict=True,
    ):
        node.CopyFrom(given)
        node.input[:] = [ends[0], *(f"q/{i}" for i in given.input[1:])]
        node.output[:] = [ends[1]]
        node.name = f"{ends[1]}/{given.op_type}"
    return pair


def _statistics(
    at: str, want: str, others: Sequence[str]
) -> tuple[list[onnx.NodeProto], list[str]]:
    """Sums of squares: of a value, and of how far others are from it."""
    node, to = helper.make_node, int(onnx.TensorProto.FLOAT)
    nodes = [
        node("Cast", [want], [f"{at}/want"], to=to),
        node("Abs", [f"{at}/want"], [f"{at}/size"]),
        node("ReduceSumSquare", [f"{at}/want"], [f"{at}/signal"], keepdims=0),
    ]
    results = [f"{at}/signal"]
    for index, other in enumerate(others):
        got, error, noise = (f"{at}/{part}_{index}" for part in ("got", "error", "noise"))
        nodes += [
            node("Cast", [other], [got], to=to),
            node("Sub", [f"{at}/want", got], [error]),
            node("ReduceSumSquare", [error], [noise], keepdims=0),
        ]
        results.append(noise)
    return nodes, results


def _ends(quantize: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> tuple[float, float]:
    """The least and the greatest value that a QuantizeLinear can store."""
    scale = float(numpy_helper.to_array(constants[quantize.input[1]]))
    zero = numpy_helper.to_array(constants[quantize.input[2]])
    info = np.iinfo(zero.dtype)
    return (scale * (info.min - int(zero)), scale * (info.max - int(zero)))


def _operands(
    layer: _Layer,
    reach: dict[str, tuple[float, float]],
    value_of: Callable[[str], str],
    shown: Callable[[str], str],
) -> dict[str, float]:
    """How far the operands reach that have to share the range of the result."""
    if layer.node.op_type not in ("Add", "Sub", "Concat"):
        return {}
    tensors = [value_of(i) for i in layer.node.input]
    return {shown(t): max(map(abs, reach[t])) for t in tensors if t in reach}


def _prefix(model: onnx.ModelProto, given: set[str]) -> None:
    """Puts q/ in front of every name but those of the inputs."""
    rename(
        model,
        lambda name: name if name in given else f"q/{name}",
        lambda name: f"q/{name}",
    )
