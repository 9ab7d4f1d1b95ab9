"""A float TFLite network in the form that ai-edge-quantizer works on.

It knows tensors by their names, which need not differ in a file; and it takes a DEQUANTIZE of
constants, which the converter writes for float16 weights, for an operator on data.
"""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np

from furiosa_ir.errors import FuriosaError
from furiosa_ir.formats import TFLITE_IDENTIFIER
from furiosa_ir.numerics.array import Array
from furiosa_ir.numerics.element_types import BY_TFLITE
from furiosa_ir.quantization.names import fresh


def packed(model: Any, size: int) -> bytes:
    """A model of the object API as a file.

    Args:
        model: the model.
        size: about as many bytes.
    """
    builder = flatbuffers.Builder(size)
    builder.Finish(model.Pack(builder), file_identifier=TFLITE_IDENTIFIER)
    return bytes(builder.Output())


def operator_name(model: Any, op: Any, schema: Any) -> str:
    """An operator's name: CONV_2D; "" of one that LiteRT's schema does not have."""
    code = model.operatorCodes[op.opcodeIndex]
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    return _names(schema).get(number, "")


_known: dict[int, str] = {}


def _names(schema: Any) -> dict[int, str]:
    if not _known:
        kinds: Any = schema.BuiltinOperator
        numbers = {name: getattr(kinds, name) for name in dir(kinds) if name.isupper()}
        _known.update({number: name for name, number in numbers.items()})
    return _known


_REAL = ("float32", "float16", "int8", "uint8")


def elements_of(model: Any, tensor: Any) -> Array | None:
    """A constant's elements as real numbers; None of what is no constant, or of no such type."""
    element = BY_TFLITE.get(tensor.type)
    data = model.buffers[tensor.buffer].data
    if data is None or not len(data) or element is None or element.name not in _REAL:
        return None
    shape = [int(n) for n in (tensor.shape if tensor.shape is not None else ())]
    stored = np.frombuffer(np.asarray(data, np.uint8).tobytes(), element.dtype)
    elements = stored.reshape(shape)
    if elements.dtype.kind == "f":
        return elements.astype(np.float32)
    quantization = tensor.quantization
    if quantization is None or quantization.scale is None or not len(quantization.scale):
        return None
    scale = np.asarray(quantization.scale, np.float64)
    zero = quantization.zeroPoint
    offset = np.zeros(1) if zero is None else np.asarray(zero, np.float64)
    along = [1] * elements.ndim
    if scale.size > 1:
        along[quantization.quantizedDimension] = scale.size
    real = (elements - (offset.reshape(along) if offset.size > 1 else offset)) * (
        scale.reshape(along) if scale.size > 1 else scale
    )
    return real.astype(np.float32)


def store_floats(model: Any, tensor: Any, elements: Array, schema: Any) -> None:
    """Makes a tensor a float32 constant, in a buffer of its own."""
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(np.ascontiguousarray(elements, "<f4").tobytes(), np.uint8)
    model.buffers.append(buffer)
    tensor.buffer = len(model.buffers) - 1
    tensor.type, tensor.quantization = schema.TensorType.FLOAT32, None


def prepare(model: Any, labels: list[str], name: str, schema: Any) -> bool:
    """Gives every tensor a name of its own, and float32 weights for those stored shorter.

    Args:
        model: changes.
        labels: what the tensors of the first subgraph are called; they change with them.
        name: of the file.
        schema: LiteRT's module of the file format.

    Returns:
        Whether anything changed.

    Raises:
        FuriosaError: the network computes with quantised integers.
    """
    changed = _unique(model.subgraphs[0], labels)
    changed |= _with_float_constants(model, schema)
    _check_float(model, labels, name, schema)
    return changed


def _unique(graph: Any, labels: list[str]) -> bool:
    taken, seen = set(labels), set[str]()
    results = [int(i) for i in (*graph.inputs, *graph.outputs)]
    changed = False
    for index in dict.fromkeys([*results, *range(len(labels))]):
        label = labels[index]
        if label in seen:
            label = labels[index] = fresh(label, taken)
        seen.add(label)
        if graph.tensors[index].name != label.encode():
            graph.tensors[index].name, changed = label.encode(), True
    return changed


def _with_float_constants(model: Any, schema: Any) -> bool:
    graph = model.subgraphs[0]
    users: dict[int, list[Any]] = {}
    for op in graph.operators:
        for index in op.inputs:
            users.setdefault(int(index), []).append(op)
    outputs, changed = {int(i) for i in graph.outputs}, False
    kept: list[Any] = []
    for op in graph.operators:
        source, target = int(op.inputs[0]) if len(op.inputs) else -1, None
        if operator_name(model, op, schema) == "DEQUANTIZE" and source >= 0:
            target = graph.tensors[int(op.outputs[0])]
            elements = elements_of(model, graph.tensors[source])
            if elements is not None and int(op.outputs[0]) not in outputs:
                store_floats(model, target, elements, schema)
                changed = True
                continue
        kept.append(op)
    graph.operators = kept
    for index, tensor in enumerate(graph.tensors):
        takers = users.get(index, [])
        if tensor.type == schema.TensorType.INT8 and takers and _all_float(graph, takers, schema):
            elements = elements_of(model, tensor)
            if elements is not None:
                store_floats(model, tensor, elements, schema)
                changed = True
    return changed


def _all_float(graph: Any, ops: list[Any], schema: Any) -> bool:
    """Whether all of them have real numbers on both sides: only their weights are integers."""
    ends = [[int(op.inputs[0]), *map(int, op.outputs)] for op in ops]
    floats = schema.TensorType.FLOAT32
    return all(graph.tensors[i].type == floats for some in ends for i in some if i >= 0)


def _check_float(model: Any, labels: list[str], name: str, schema: Any) -> None:
    graph = model.subgraphs[0]
    quantized = {schema.TensorType.INT8, schema.TensorType.UINT8, schema.TensorType.INT16}
    made = {int(i) for op in graph.operators for i in op.outputs} | {int(i) for i in graph.inputs}
    integers = {
        i
        for i in made
        if graph.tensors[i].type in quantized
        and graph.tensors[i].quantization is not None
        and graph.tensors[i].quantization.scale is not None
        and len(graph.tensors[i].quantization.scale)
    }
    if not integers:
        return
    borders = {"QUANTIZE", "DEQUANTIZE"}
    computing = [
        labels[int(op.outputs[0])]
        for op in graph.operators
        if len(op.outputs)
        and operator_name(model, op, schema) not in borders
        and graph.tensors[int(op.outputs[0])].type == schema.TensorType.FLOAT32
    ]
    if not computing:
        raise FuriosaError(
            "the network is quantised already",
            file=name,
            layer=labels[min(integers)],
            hint="compile it as it is",
        )
    more = f" and {len(computing) - 3} more" if len(computing) > 3 else ""
    layers = ", ".join(f"'{layer}'" for layer in computing[:3])
    raise FuriosaError(
        f"the network is quantised already, but for {layers}{more}: ai-edge-quantizer takes a "
        "float network only",
        file=name,
        layer=labels[min(integers)],
        hint="compile it as it is, which leaves those on the host, or quantise its float source",
    )


def with_names(source: bytes, quantized: bytes, schema: Any) -> bytes:
    """A quantised network whose inputs and outputs are called as those of the float one."""
    before, after = (schema.ModelT.InitFromPackedBuf(c, 0) for c in (source, quantized))
    pairs = [
        (int(new), before.subgraphs[0].tensors[int(old)].name)
        for ends in ("inputs", "outputs")
        for old, new in zip(
            getattr(before.subgraphs[0], ends), getattr(after.subgraphs[0], ends), strict=True
        )
    ]
    tensors = after.subgraphs[0].tensors
    if all(tensors[index].name == name for index, name in pairs):
        return quantized
    named = dict(pairs)
    taken = {t.name.decode() for t in tensors if t.name}
    wanted = set(named.values())
    for index, tensor in enumerate(tensors):
        if index not in named and tensor.name in wanted:
            tensor.name = fresh(tensor.name.decode(), taken).encode()
    for index, name in pairs:
        tensors[index].name = name
    return packed(after, len(quantized))
