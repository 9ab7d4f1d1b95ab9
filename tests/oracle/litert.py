"""LiteRT as the numerical oracle: write small TFLite models and run its reference kernels.

A model is a list of :class:`Operator` over named :class:`Tensor` objects. Tensors that no operator
writes and that hold no data are the model's inputs; tensors that no operator reads are its outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import flatbuffers
import ml_dtypes
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

_TENSOR_TYPE = {
    np.dtype(np.float16): schema.TensorType.FLOAT16,
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.int8): schema.TensorType.INT8,
    np.dtype(np.uint8): schema.TensorType.UINT8,
    np.dtype(np.int16): schema.TensorType.INT16,
    np.dtype(np.int32): schema.TensorType.INT32,
    np.dtype(np.int64): schema.TensorType.INT64,
    np.dtype(np.bool_): schema.TensorType.BOOL,
    np.dtype(np.void): schema.TensorType.RESOURCE,  # a handle
    np.dtype(np.float16): schema.TensorType.FLOAT16,
    np.dtype(ml_dtypes.bfloat16): schema.TensorType.BFLOAT16,
    np.dtype(np.float64): schema.TensorType.FLOAT64,
    np.dtype(np.uint16): schema.TensorType.UINT16,
    np.dtype(np.uint32): schema.TensorType.UINT32,
    np.dtype(np.uint64): schema.TensorType.UINT64,
    np.dtype(np.complex64): schema.TensorType.COMPLEX64,
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
    is_variable: bool = False

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
    intermediates: Sequence[Tensor] = ()


@dataclass(frozen=True, eq=False)
class Subgraph:
    """A further subgraph: its operators, and which tensors are its inputs and outputs."""

    operators: Sequence[Operator]
    inputs: Sequence[Tensor]
    outputs: Sequence[Tensor]


def build_model(operators: Sequence[Operator], subgraphs: Sequence[Subgraph] = ()) -> bytes:
    """The TFLite flatbuffer of a model with these operators, in execution order.

    Further subgraphs have the numbers 1 and up; options of operators name them so.
    """
    model = schema.ModelT()
    model.version = 3
    model.buffers = [schema.BufferT()]
    model.operatorCodes = []
    written = {id(t) for operator in operators for t in operator.outputs}
    read = {id(t) for operator in operators for t in operator.inputs if t is not None}
    main = _subgraph(model, operators)
    main.name = b"main"
    tensors = _tensors(operators)
    inside = {id(t) for operator in operators for t in operator.intermediates}
    main.inputs = [
        i
        for i, t in enumerate(tensors)
        if t.data is None and not t.is_variable and id(t) not in written | inside
    ]
    main.outputs = [
        i for i, t in enumerate(tensors) if id(t) in written - read and np.dtype(t.dtype) != np.void
    ]
    model.subgraphs = [main]
    for number, subgraph in enumerate(subgraphs, 1):
        made = _subgraph(model, subgraph.operators, (*subgraph.inputs, *subgraph.outputs))
        made.name = f"subgraph {number}".encode()
        inside = _tensors(subgraph.operators, (*subgraph.inputs, *subgraph.outputs))
        indices = {id(t): i for i, t in enumerate(inside)}
        made.inputs = [indices[id(t)] for t in subgraph.inputs]
        made.outputs = [indices[id(t)] for t in subgraph.outputs]
        model.subgraphs.append(made)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _tensors(operators: Sequence[Operator], more: Sequence[Tensor] = ()) -> list[Tensor]:
    """The tensors of a subgraph, each once."""
    named = [
        t for o in operators for t in (*o.inputs, *o.outputs, *o.intermediates) if t is not None
    ]
    return list({id(t): t for t in (*named, *more)}.values())


def _subgraph(
    model: schema.ModelT, operators: Sequence[Operator], more: Sequence[Tensor] = ()
) -> schema.SubGraphT:
    tensors = _tensors(operators, more)
    index = {id(t): i for i, t in enumerate(tensors)}
    subgraph = schema.SubGraphT()
    subgraph.tensors = [_tensor(model, tensor) for tensor in tensors]
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
        if operator.intermediates:
            node.intermediates = [index[id(t)] for t in operator.intermediates]
        if operator.options is not None:
            name = type(operator.options).__name__.removesuffix(_BUILTIN_OPTIONS_SUFFIX)
            first = getattr(schema.BuiltinOptions, name, None)
            if first is not None:
                node.builtinOptionsType, node.builtinOptions = first, operator.options
            else:
                node.builtinOptions2Type = getattr(schema.BuiltinOptions2, name)
                node.builtinOptions2 = operator.options
        subgraph.operators.append(node)
    return subgraph


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


class Stream:
    """A model that runs again and again on LiteRT, and keeps its state."""

    def __init__(self, model: bytes, resolver: OpResolverType = OpResolverType.BUILTIN_REF) -> None:
        self._interpreter = Interpreter(
            model_content=model, experimental_op_resolver_type=resolver, num_threads=1
        )
        self._interpreter.allocate_tensors()

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The outputs of the next run."""
        for detail, array in zip(self._interpreter.get_input_details(), inputs, strict=True):
            self._interpreter.set_tensor(detail["index"], array)
        self._interpreter.invoke()
        outputs = self._interpreter.get_output_details()
        return [np.array(self._interpreter.get_tensor(d["index"])) for d in outputs]


def _tensor(model: schema.ModelT, tensor: Tensor) -> schema.TensorT:
    record = schema.TensorT()
    record.name = tensor.name.encode()
    record.shape = list(tensor.shape)
    record.hasRank = True
    record.type = _TENSOR_TYPE[np.dtype(tensor.dtype)]
    record.buffer = 0
    record.isVariable = tensor.is_variable
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
