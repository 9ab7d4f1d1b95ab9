"""The layers of a quantised TFLite network beside those of the float one.

Both keep all their tensors for that. A layer alone is a network of one operator, which gets the
float network's values.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from furiosa_ir.errors import FuriosaError
from furiosa_ir.numerics.array import Array
from furiosa_ir.quantization.calibration import InputDescription, Sample
from furiosa_ir.quantization.layers import LayerAccuracy, LayerSums, some_of
from furiosa_ir.quantization.tflite_preparation import operator_name, packed
from furiosa_ir.quantization.tflite_running import all_values, interpreter_of, real, stored

_BORDERS = {"QUANTIZE", "DEQUANTIZE"}
"""Operators that the quantiser puts between integers and floats."""

_SHARED = {"ADD", "SUB", "CONCATENATION"}
"""Operators whose operands share the range of the result."""


@dataclass(frozen=True)
class _Layer:
    """A quantised layer.

    Attributes:
        name, kind: of it.
        operands: of the single operator: its inputs, each with the float network's tensor.
        result: the float network's tensor; the quantised one's.
        single: a network of the operator.
    """

    name: str
    kind: str
    operands: tuple[str, ...]
    result: tuple[str, str]
    single: bytes


def compare_layers(
    content: bytes,
    quantized: bytes,
    inputs: Sequence[InputDescription],
    samples: Sequence[Sample],
    name: str,
    clipped: Collection[str],
    schema: Any,
    on_sample: Callable[[int, int], None],
) -> list[LayerAccuracy]:
    """How near each quantised layer is.

    Args:
        content: the float network.
        quantized: what the quantiser made of it.
        inputs: what it takes.
        samples: what to run them on; some of them are used.
        name: of the file.
        clipped: tensors of which nobody can tell what is beyond their range.
        schema: LiteRT's module of the file format.
        on_sample: is told the progress: how many are done, and how many there are.

    Raises:
        FuriosaError: LiteRT does not run it.
    """
    layers = list(_layers(content, quantized, schema))
    if not layers:
        return []
    alone = [_runner(layer, name) for layer in layers]
    runs = [all_values(c, inputs, name) for c in (content, quantized)]
    sums = [LayerSums() for _ in layers]
    ends: dict[str, tuple[float, float]] = {}
    chosen = some_of(samples)
    for index, sample in enumerate(chosen):
        on_sample(index, len(chosen))
        want, got = (run(sample) for run in runs)
        for layer, single, each in zip(layers, alone, sums, strict=True):
            if single is None:
                continue
            tensor = layer.result[0]
            value = want[tensor].astype(np.float64)
            result, ends[tensor] = single(want)
            value = np.clip(value, *ends[tensor]) if tensor in clipped else value
            each.add(
                float(np.square(value).sum()),
                float(np.square(value - result).sum()),
                float(np.square(value - got[layer.result[1]]).sum()),
                _peaks(value),
            )
    on_sample(len(chosen), len(chosen))
    return [
        each.result(layer.name, layer.kind, ends[layer.result[0]], _reach(layer, ends))
        for layer, each in zip(layers, sums, strict=True)
        if layer.result[0] in ends
    ]


def _reach(layer: _Layer, ends: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    if layer.kind not in _SHARED:
        return {}
    return {t: max(map(abs, ends[t])) for t in layer.operands if t in ends}


def _peaks(value: Array) -> Array:
    """The greatest absolute value of each channel: the last dimension."""
    if value.ndim < 2 or not value.size:
        return np.zeros(0)
    return np.abs(value).reshape(-1, value.shape[-1]).max(axis=0)


def _layers(content: bytes, quantized: bytes, schema: Any) -> Iterator[_Layer]:
    """The operators that are quantised, if both networks have the same ones."""
    models = [schema.ModelT.InitFromPackedBuf(c, 0) for c in (content, quantized)]
    kinds = [[operator_name(m, op, schema) for op in m.subgraphs[0].operators] for m in models]
    old, new = (
        [
            op
            for op, kind in zip(m.subgraphs[0].operators, some, strict=True)
            if kind not in _BORDERS
        ]
        for m, some in zip(models, kinds, strict=True)
    )
    named = [[kind for kind in some if kind not in _BORDERS] for some in kinds]
    if named[0] != named[1]:
        return
    before, after = (m.subgraphs[0].tensors for m in models)
    for kind, source, op in zip(named[0], old, new, strict=True):
        if len(op.outputs) != 1 or after[int(op.outputs[0])].type != schema.TensorType.INT8:
            continue
        label, made = before[int(source.outputs[0])].name, after[int(op.outputs[0])].name
        taken = [int(i) for i in source.inputs if i >= 0]
        operands = tuple(
            before[i].name.decode() for i in taken if not _is_constant(models[0], before[i])
        )
        single = _single(models[1], op, schema)
        yield _Layer(label.decode(), kind, operands, (label.decode(), made.decode()), single)


def _is_constant(model: Any, tensor: Any) -> bool:
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 0


def _single(model: Any, op: Any, schema: Any) -> bytes:
    """A network of one operator of another one."""
    graph = model.subgraphs[0]
    result, inner = schema.ModelT(), schema.SubGraphT()
    result.version, result.operatorCodes = model.version, model.operatorCodes
    result.buffers, result.subgraphs = [schema.BufferT()], [inner]
    inner.name = b"layer"
    tensors: list[Any] = []
    places: dict[int, int] = {-1: -1}
    for index in dict.fromkeys(int(i) for i in (*op.inputs, *op.outputs)):
        if index < 0:
            continue
        tensor = schema.TensorT()
        vars(tensor).update(vars(graph.tensors[index]))
        places[index] = len(tensors)
        tensors.append(tensor)
        if _is_constant(model, tensor):
            result.buffers.append(model.buffers[tensor.buffer])
            tensor.buffer = len(result.buffers) - 1
        else:
            tensor.buffer = 0
    inner.tensors = tensors
    copy = schema.OperatorT()
    vars(copy).update(vars(op))
    copy.inputs, copy.outputs = ([places[int(i)] for i in e] for e in (op.inputs, op.outputs))
    inner.operators, inner.outputs = [copy], list(copy.outputs)
    fed = [i for i in dict.fromkeys(copy.inputs) if i >= 0 and not tensors[i].buffer]
    inner.inputs = fed
    return packed(result, 1024)


def _runner(
    layer: _Layer, name: str
) -> Callable[[Mapping[str, Array]], tuple[Array, tuple[float, float]]] | None:
    """Runs a layer alone: what comes out, and the ends of what it can store."""
    running = None
    with suppress(FuriosaError):  # LiteRT has no kernel for it alone
        running = interpreter_of(layer.single, name)
    if running is None:
        return None
    fed, (result,) = running.get_input_details(), running.get_output_details()
    operands = list(dict.fromkeys(layer.operands))
    if len(fed) != len(operands):
        return None
    scale, zero_point = result["quantization"]
    info = np.iinfo(result["dtype"])
    ends = ((info.min - zero_point) * scale, (info.max - zero_point) * scale)

    def run(values: Mapping[str, Array]) -> tuple[Array, tuple[float, float]]:
        for detail, operand in zip(fed, operands, strict=True):
            value = values.get(operand, np.zeros(0))  # a constant without elements is no constant
            running.set_tensor(detail["index"], stored(value.reshape(detail["shape"]), detail))
        running.invoke()
        return real(running.get_tensor(result["index"]), result), ends

    return run
