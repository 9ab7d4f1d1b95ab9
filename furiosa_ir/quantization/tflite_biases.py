"""Biases of quantised TFLite networks that do not fit into 32 bits, and weights that make room.

A bias is stored in units of the accumulator: the scale of the data times that of its channel's
weights. Where these are zero or tiny beside the bias (a dead channel), so is the unit, and
ai-edge-quantizer saturates the bias: the channel gives nothing like it. The channel's weights get
the least scale with which its bias fits; they matter as little as before. onnxruntime's quantiser
does the same (`_adjust_weight_scale_for_int32_bias`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from furiosa_ir.numerics.array import Array
from furiosa_ir.quantization.tflite_preparation import packed

_MOST_STEPS = 1 << 30
"""Of a bias: half of what 32 bits hold, so that the products have room beside it."""

_OPERANDS = {
    "CONV_2D": (0, 1, 2),
    "CONV_3D": (0, 1, 2),
    "DEPTHWISE_CONV_2D": (0, 1, 2),
    "FULLY_CONNECTED": (0, 1, 2),
    "TRANSPOSE_CONV": (2, 1, 3),
}
"""Operator -> its inputs: data, weights, bias."""


def with_room_for_biases(source: bytes, quantized: bytes, schema: Any) -> bytes:
    """A quantised network in which every bias is what the float network says.

    Args:
        source: the float network.
        quantized: what ai-edge-quantizer made of it; its operators stand in the same order.
        schema: LiteRT's module of the file format.
    """
    models = [schema.ModelT.InitFromPackedBuf(content, 0) for content in (source, quantized)]
    kinds = {getattr(schema.BuiltinOperator, name): name for name in _OPERANDS}
    real, stored = (
        [(kinds[code], op) for op in m.subgraphs[0].operators if (code := _code(m, op)) in kinds]
        for m in models
    )
    if [name for name, _ in real] != [name for name, _ in stored]:
        return quantized  # it is another network
    changed = False
    for (name, old), (_, new) in zip(real, stored, strict=True):
        at = _OPERANDS[name]
        if max(at) < len(old.inputs) and max(at) < len(new.inputs):
            changed |= _settle(models[0], old, models[1], new, at, schema)
    if not changed:
        return quantized
    return packed(models[1], len(quantized))


def _code(model: Any, op: Any) -> int:
    code = model.operatorCodes[op.opcodeIndex]
    return max(code.builtinCode, code.deprecatedBuiltinCode)


def _settle(
    source: Any, old: Any, model: Any, new: Any, at: tuple[int, int, int], schema: Any
) -> bool:
    """Gives one operator weights and a bias of other scales; False where it needs none."""
    tensors = model.subgraphs[0].tensors
    x, weight, bias = (tensors[new.inputs[i]] if new.inputs[i] >= 0 else None for i in at)
    if x is None or weight is None or bias is None:
        return False
    kinds = (x.type, weight.type, bias.type)
    if kinds != (schema.TensorType.INT8, schema.TensorType.INT8, schema.TensorType.INT32):
        return False
    real_weight, real_bias = (_floats(source, old.inputs[i], schema) for i in at[1:])
    if real_weight is None or real_bias is None or list(real_weight.shape) != list(weight.shape):
        return False
    unit = float(x.quantization.scale[0])
    scales = np.asarray(weight.quantization.scale, np.float64)
    needed = np.abs(real_bias.astype(np.float64)) / (unit * _MOST_STEPS)
    if scales.size == 1:
        needed = needed.max(initial=0.0).reshape(1)
    if not np.all(np.isfinite(needed)) or np.all(needed <= scales):
        return False
    made = np.maximum(scales, needed).astype(np.float32)
    axis = weight.quantization.quantizedDimension if made.size > 1 else 0
    along = made.astype(np.float64)
    if made.size > 1:
        along = along.reshape([-1 if i == axis else 1 for i in range(real_weight.ndim)])
    steps = np.clip(np.rint(real_weight / along), -127, 127).astype(np.int8)
    bias_scales = (np.float32(unit) * made).astype(np.float32)
    stored_bias = np.rint(real_bias.astype(np.float64) / bias_scales).astype(np.int32)
    inputs = [int(i) for i in new.inputs]
    inputs[at[1]] = _replaced(model, inputs[at[1]], steps, made, schema)
    inputs[at[2]] = _replaced(model, inputs[at[2]], stored_bias, bias_scales, schema)
    new.inputs = inputs
    return True


def _floats(model: Any, index: int, schema: Any) -> Array | None:
    """The elements of a constant of float32."""
    if index < 0:
        return None
    tensor = model.subgraphs[0].tensors[index]
    data = model.buffers[tensor.buffer].data
    if data is None or tensor.type != schema.TensorType.FLOAT32:
        return None
    elements = np.frombuffer(np.asarray(data, np.uint8).tobytes(), "<f4")
    return elements.reshape([int(n) for n in tensor.shape])


def _replaced(model: Any, index: int, elements: Array, scales: Array, schema: Any) -> int:
    """The index of a constant in place of another one, which other operators may use, too."""
    graph = model.subgraphs[0]
    users = sum(list(op.inputs).count(index) for op in graph.operators)
    tensor = graph.tensors[index]
    if users > 1:
        copy = schema.TensorT()
        vars(copy).update(vars(tensor))
        copy.quantization = schema.QuantizationParametersT()
        vars(copy.quantization).update(vars(tensor.quantization))
        copy.name = tensor.name + f"/{len(graph.tensors)}".encode()
        graph.tensors.append(copy)
        tensor, index = copy, len(graph.tensors) - 1
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(elements.tobytes(), np.uint8)
    model.buffers.append(buffer)
    tensor.buffer = len(model.buffers) - 1
    tensor.quantization.scale = scales
    return index
