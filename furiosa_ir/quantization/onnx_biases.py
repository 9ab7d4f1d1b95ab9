"""Biases of channels whose weights are all zero, in quantised ONNX networks.

A bias is stored in units of the accumulator: the scale of the data times that of its channel's
weights. Zeros have no range, and onnxruntime's quantiser gives them the scale 1.0: a bias below
half of the data's step is 0 then. Any scale holds zeros, so they get one that their bias is
exact with. `tflite_biases` is the other format's.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import numpy_helper

from furiosa_ir.numerics.array import Array

_STEPS = 1 << 20
"""Of such a bias: exact to a millionth, and far from the ends of 32 bits."""

_CHANNELS = {"Conv": 0, "Gemm": 1, "ConvTranspose": 1}
"""Operator -> the axis of its weights that has the bias's channels."""


def settle_dead_biases(quantized: onnx.ModelProto, model: onnx.ModelProto) -> None:
    """Gives channels of zeros the scale that their bias needs, in place.

    Args:
        quantized: with DequantizeLinear before each weight (int8) and bias (int32).
        model: the float network that it was made of, with the same names of nodes.
    """
    held = {i.name: i for i in quantized.graph.initializer}
    makers = {o: n for n in quantized.graph.node for o in n.output}
    real = {i.name: i for i in model.graph.initializer}
    biases = {
        n.name: numpy_helper.to_array(real[n.input[2]])
        for n in model.graph.node
        if n.op_type in _CHANNELS and len(n.input) > 2 and n.input[2] in real
    }
    for node in list(quantized.graph.node):
        if node.op_type not in _CHANNELS or node.name not in biases:
            continue
        x, weight, bias = (makers.get(i) for i in node.input[:3])
        if x is None or not _is_of_constant(weight, held) or not _is_of_constant(bias, held):
            continue
        assert weight is not None
        assert bias is not None
        if x.op_type == "DequantizeLinear" and x.input[1] in held:
            _settle(quantized, node, (x, weight, bias), biases[node.name], held)


def _is_of_constant(node: onnx.NodeProto | None, held: Mapping[str, onnx.TensorProto]) -> bool:
    return (
        node is not None
        and node.op_type == "DequantizeLinear"
        and all(i in held for i in node.input[:2])
    )


def _settle(
    quantized: onnx.ModelProto,
    node: onnx.NodeProto,
    operands: tuple[onnx.NodeProto, onnx.NodeProto, onnx.NodeProto],
    bias: Array,
    held: Mapping[str, onnx.TensorProto],
) -> None:
    x, of_weight, of_bias = operands
    steps = numpy_helper.to_array(held[of_weight.input[0]])
    scales = numpy_helper.to_array(held[of_weight.input[1]])
    stored = numpy_helper.to_array(held[of_bias.input[0]])
    unit = numpy_helper.to_array(held[x.input[1]])
    if unit.size != 1 or stored.dtype != np.int32 or stored.shape != bias.shape:
        return
    axis = _axis(node)
    if scales.size > 1 and scales.shape != stored.shape:
        return  # a ConvTranspose of groups has fewer channels in its weight
    others = tuple(i for i in range(steps.ndim) if i != axis)
    is_dead = ~steps.any(axis=None if scales.size == 1 else others)
    largest = np.abs(bias).max(initial=0.0) if scales.size == 1 else np.abs(bias)
    needed = largest.astype(np.float64) / (float(unit.reshape(())) * _STEPS)
    given = numpy_helper.to_array(held[of_bias.input[1]])
    if not (np.isfinite(scales).all() and np.isfinite(given).all()):
        return  # an error of its own
    # What float32 holds only as a denormal number, or not at all, is as good as 0.
    is_meant = is_dead & (needed > np.finfo(np.float32).tiny) & (needed < scales)
    if not is_meant.any():
        return
    made = np.where(is_meant, needed, scales).astype(np.float32).reshape(scales.shape)
    bias_scales = np.float32(unit.reshape(())) * made
    if not np.all(bias_scales >= np.finfo(np.float32).tiny):
        return
    with np.errstate(over="ignore"):
        exact = np.rint(bias.astype(np.float64) / bias_scales)
    new = np.where(is_meant, exact, stored).astype(np.int32)
    _dequantized_anew(quantized, node, 1, of_weight, {1: made})
    _dequantized_anew(quantized, node, 2, of_bias, {0: new, 1: bias_scales})


def _axis(node: onnx.NodeProto) -> int:
    if node.op_type == "Gemm" and any(a.name == "transB" and a.i for a in node.attribute):
        return 0
    return _CHANNELS[node.op_type]


def _dequantized_anew(
    quantized: onnx.ModelProto,
    node: onnx.NodeProto,
    at: int,
    old: onnx.NodeProto,
    constants: Mapping[int, Array],
) -> None:
    """An operand's own DequantizeLinear, of other constants; others may use the old one."""
    result = f"{node.name}_dead_channels_{at}"
    made = onnx.NodeProto()
    made.CopyFrom(old)
    made.name, made.output[0] = result, result
    for index, elements in constants.items():
        made.input[index] = f"{result}_{index}"
        quantized.graph.initializer.append(
            numpy_helper.from_array(np.ascontiguousarray(elements), made.input[index])
        )
    place = next(i for i, n in enumerate(quantized.graph.node) if n == node)
    quantized.graph.node.insert(place, made)
    quantized.graph.node[place + 1].input[at] = result
    _drop_unused(quantized, old)


def _drop_unused(quantized: onnx.ModelProto, old: onnx.NodeProto) -> None:
    graph = quantized.graph
    used = {i for n in graph.node for i in n.input} | {o.name for o in graph.output}
    if old.output[0] in used:
        return
    graph.node.remove(old)
    left = {i for n in graph.node for i in n.input} | {o.name for o in graph.output}
    for name in set(old.input) - left:
        graph.initializer.remove(next(i for i in graph.initializer if i.name == name))
