"""Networks with a planted fault, and a quantised network's file without its quantisation."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from onnx import helper, numpy_helper
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue

from furiosa_ir.dialects.graph.base import quantization_of
from furiosa_ir.dialects.quant import Quantization, UniformType
from furiosa_ir.dialects.quant.arithmetic import dequantize
from furiosa_ir.importers.tflite.unpacking import unpacked
from furiosa_ir.ir.location import layer_name
from furiosa_ir.ir.shaped_operation import shape_of, tensor_type
from furiosa_ir.quantization.tflite_preparation import packed


def planted_onnx(
    model: onnx.ModelProto, tensor: str, *, factor: float = 1, shift: int = 0, read: bool = True
) -> onnx.ModelProto:
    """The network with another scale and zero point for one tensor.

    Args:
        model: of QuantizeLinear and DequantizeLinear.
        tensor: what a QuantizeLinear makes.
        factor: of the scale.
        shift: of the zero point.
        read: whether the DequantizeLinear behind has them, too.
    """
    made = onnx.ModelProto()
    made.CopyFrom(model)
    values = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    numbers: dict[str, Any] = {}
    for node in made.graph.node:
        writes = node.op_type == "QuantizeLinear" and node.output[0] == tensor
        reads = node.op_type == "DequantizeLinear" and node.input[0] == tensor and read
        if not writes and not reads:
            continue
        scale, zero = (values[name] for name in node.input[1:])
        numbers = {
            "planted_scale": np.array(scale * factor, np.float32),
            "planted_zero": np.array(int(zero) + shift, zero.dtype),
        }
        node.input[1:] = list(numbers)
    made.graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in numbers.items())
    return made


def planted_module(module: ModuleOp, layer: str, *, factor: float = 1, shift: int = 0) -> None:
    """Gives the results of a layer another scale and zero point, in place.

    A reader of one operand and one result that had the same quantisation gets the new one as well.
    """
    for op in module.walk():
        if layer_name(op) == layer and op.operands:
            for result in op.results:
                _plant(result, factor, shift)


def _plant(value: SSAValue, factor: float, shift: int) -> None:
    q = quantization_of(value)
    assert q is not None
    old = value.type
    planted = Quantization(
        q.storage,
        tuple(s * factor for s in q.scales),
        tuple(z + shift for z in q.zero_points),
        q.axis,
    )
    value._type = tensor_type(UniformType(planted), shape_of(value))  # pyright: ignore[reportPrivateUsage]
    for use in value.uses:
        user = use.operation
        if len(user.operands) == 1 and user.results and user.results[0].type == old:
            _plant(user.results[0], factor, shift)


def without_quantisation(model: onnx.ModelProto) -> onnx.ModelProto:
    """A network of QuantizeLinear and DequantizeLinear in float, by onnx alone.

    Weights are dequantised; integers that begin at zero are behind a ReLU.
    """
    values = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    made = onnx.ModelProto()
    made.CopyFrom(model)
    del made.graph.node[:]
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear":
            zero = values[node.input[2]]
            is_relu = int(zero) == np.iinfo(zero.dtype).min
            kind = "Relu" if is_relu else "Identity"
            made.graph.node.append(helper.make_node(kind, [node.input[0]], [node.output[0]]))
        elif node.op_type == "DequantizeLinear" and node.input[0] in values:
            stored, scale, zero = (values[name] for name in node.input)
            axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
            q = Quantization(
                {1: "i8", 4: "i32"}[stored.dtype.itemsize],
                tuple(np.atleast_1d(scale).astype(float).tolist()),
                tuple(np.atleast_1d(zero).astype(int).tolist()),
                axis if scale.ndim else None,
            )
            real = dequantize(stored, q).astype(np.float32)
            made.graph.initializer.append(numpy_helper.from_array(real, node.output[0]))
        elif node.op_type == "DequantizeLinear":
            made.graph.node.append(helper.make_node("Identity", [node.input[0]], [node.output[0]]))
        else:
            made.graph.node.append(node)
    return made


def without_quantisation_tflite(content: bytes) -> bytes:
    """A quantised TFLite network in float, by LiteRT's schema alone: weights are dequantised."""
    model = unpacked(content, schema)
    (graph,) = model.subgraphs
    kinds = schema.TensorType
    stored = {kinds.INT8: np.int8, kinds.UINT8: np.uint8, kinds.INT32: np.int32}
    for tensor in graph.tensors:
        parameters = tensor.quantization
        if tensor.type not in stored or parameters is None or parameters.scale is None:
            continue
        data = model.buffers[tensor.buffer].data
        if data is not None and len(data):
            numbers = np.frombuffer(bytes(data), stored[tensor.type]).reshape(tensor.shape)
            scales, zeros = np.array(parameters.scale), np.array(parameters.zeroPoint)
            if scales.size > 1:
                shape = [
                    -1 if i == parameters.quantizedDimension else 1 for i in range(numbers.ndim)
                ]
                scales, zeros = scales.reshape(shape), zeros.reshape(shape)
            real = ((numbers.astype(np.float64) - zeros) * scales).astype(np.float32)
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(real.tobytes(), np.uint8)  # pyright: ignore[reportAttributeAccessIssue]
            model.buffers.append(buffer)
            tensor.buffer = len(model.buffers) - 1
        tensor.type = kinds.FLOAT32
        tensor.quantization = None
    return packed(model, len(content) * 5)
