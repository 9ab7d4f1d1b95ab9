"""LiteRT as the numerical oracle: write small TFLite models and run its reference kernels.

A model is a list of :class:`Operator` over named :class:`Tensor` objects. Tensors that no operator
writes and that hold no data are the model's inputs; tensors that no operator reads are its outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

_TENSOR_TYPE = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.int8): schema.TensorType.INT8,
    np.dtype(np.uint8): schema.TensorType.UINT8,
    np.dtype(np.int16): schema.TensorType.INT16,
    np.dtype(np.int32): schema.TensorType.INT32,
    np.dtype(np.int64): schema.TensorType.INT64,
    np.dtype(np.bool_): schema.TensorType.BOOL,
}
_BUILTIN_OPTIONS_SUFFIX = "T"


@dataclass(frozen=True, eq=False)
class Tensor:
    """A TFLite tensor; ``scale`` is a number, or one number per index of ``axis`` (weights)."""

    name: str
    shape: Sequence[int]
    dtype: np.typing.DTypeLike
    scale: float | Sequence[float] | None = None
    zero_point: int | Sequence[int] = 0
    axis: int = 0
    data: np.ndarray | None = None

    @staticmethod
    def constant(
        name: str,
        data: np.ndarray,
        scale: float | Sequence[float] | None = None,
        zero_point: int | Sequence[int] = 0,
        axis: int = 0,
    ) -> Tensor:
        """A tensor that holds ``data`` in the model file."""
        return Tensor(name, data.shape, data.dtype, scale, zero_point, axis, data)


@dataclass(frozen=True, eq=False)
class Operator:
    """One operator: ``builtin`` is its name in ``schema.BuiltinOperator``, e.g. ``"CONV_2D"``.

    ``options`` is a ``schema.*OptionsT`` object or None. ``version`` only matters to LiteRT's
    registry; the default selects the int8 kernels.
    """

    builtin: str
    inputs: Sequence[Tensor | None]
    outputs: Sequence[Tensor]
    options: object | None = None
    version: int = field(default=1)


def build_model(operators: Sequence[Operator]) -> bytes:
    """The TFLite flatbuffer of a model with these operators, in execution order."""
    tensors: list[Tensor] = []
    index: dict[int, int] = {}
    for operator in operators:
        for tensor in (*operator.inputs, *operator.outputs):
            if tensor is not None and id(tensor) not in index:
                index[id(tensor)] = len(tensors)
                tensors.append(tensor)
    written = {id(t) for operator in operators for t in operator.outputs}
    read = {id(t) for operator in operators for t in operator.inputs if t is not None}

    model = schema.ModelT()
    model.version = 3
    model.buffers = [schema.BufferT()]
    model.operatorCodes = []
    subgraph = schema.SubGraphT()
    subgraph.name = b"main"
    subgraph.tensors = [_tensor(model, tensor) for tensor in tensors]
    subgraph.inputs = [i for i, t in enumerate(tensors) if t.data is None and id(t) not in written]
    subgraph.outputs = [i for i, t in enumerate(tensors) if id(t) in written - read]
    subgraph.operators = []
    for operator in operators:
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, operator.builtin)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version = operator.version
        model.operatorCodes.append(code)
        node = schema.OperatorT()
        node.opcodeIndex = len(model.operatorCodes) - 1
        node.inputs = [-1 if t is None else index[id(t)] for t in operator.inputs]
        node.outputs = [index[id(t)] for t in operator.outputs]
        if operator.options is not None:
            name = type(operator.options).__name__.removesuffix(_BUILTIN_OPTIONS_SUFFIX)
            node.builtinOptionsType = getattr(schema.BuiltinOptions, name)
            node.builtinOptions = operator.options
        subgraph.operators.append(node)
    model.subgraphs = [subgraph]

    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def run_reference(
    model: bytes,
    inputs: Sequence[np.ndarray],
    resolver: OpResolverType = OpResolverType.BUILTIN_REF,
) -> list[np.ndarray]:
    """The model's outputs on LiteRT, by default with its reference kernels."""
    interpreter = Interpreter(
        model_content=model, experimental_op_resolver_type=resolver, num_threads=1
    )
    interpreter.allocate_tensors()
    for detail, array in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], array)
    interpreter.invoke()
    return [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]


def _tensor(model: schema.ModelT, tensor: Tensor) -> schema.TensorT:
    record = schema.TensorT()
    record.name = tensor.name.encode()
    record.shape = list(tensor.shape)
    record.hasRank = True
    record.type = _TENSOR_TYPE[np.dtype(tensor.dtype)]
    record.buffer = 0
    if tensor.data is not None:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(tensor.data).tobytes(), np.uint8)
        record.buffer = len(model.buffers)
        model.buffers.append(buffer)
    if tensor.scale is not None:
        scales = np.atleast_1d(np.asarray(tensor.scale, np.float32))
        zeros = np.broadcast_to(np.asarray(tensor.zero_point, np.int64), scales.shape)
        record.quantization = schema.QuantizationParametersT()
        record.quantization.scale = scales
        record.quantization.zeroPoint = np.array(zeros)
        record.quantization.quantizedDimension = tensor.axis
    return record
