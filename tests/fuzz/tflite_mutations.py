"""Mutations of TFLite networks through the object interface of their schema."""

from __future__ import annotations

import copy
import pickle
import random
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tests.fuzz import choices
from tests.fuzz.registry import Mutations

MUTATIONS = Mutations()


def mutate_tflite(data: bytes, rng: random.Random) -> tuple[bytes, list[str]]:
    """The network after one to four mutations, and their names."""
    while True:
        model = pickle.loads(_unpacked(data))
        applied = MUTATIONS.apply(model, rng)
        try:
            return _packed(model), applied
        except Exception:  # noqa: BLE001  # no file can say it: other mutations
            continue


@lru_cache(maxsize=32)
def _unpacked(data: bytes) -> bytes:
    """The pickled `ModelT`: unpacking a flatbuffer takes ten times as long."""
    return pickle.dumps(schema.ModelT.InitFromPackedBuf(data), 5)


def _packed(model: Any) -> bytes:
    size = sum(0 if b.data is None else len(b.data) for b in model.buffers)
    builder = flatbuffers.Builder(size + 65536)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _graph(model: Any) -> Any:
    return model.subgraphs[0]


def _operator(model: Any, rng: random.Random) -> Any:
    return rng.choice(_graph(model).operators)


def _tensor(model: Any, rng: random.Random) -> Any:
    return rng.choice(_graph(model).tensors)


def _operand(model: Any, rng: random.Random) -> tuple[Any, int]:
    """An operator, its inputs a list, and one of these."""
    operator = rng.choice([o for o in _graph(model).operators if _count(o.inputs)])
    operator.inputs = [int(i) for i in operator.inputs]
    return operator, rng.randrange(len(operator.inputs))


def _count(items: Any) -> int:
    return 0 if items is None else len(items)


def _list(items: Any) -> list[Any]:
    return [] if items is None else [i.item() if hasattr(i, "item") else i for i in items]


def _int32(value: int) -> int:
    return max(-(2**31), min(2**31 - 1, value))


_DTYPES = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.INT32: np.int32,
    schema.TensorType.UINT8: np.uint8,
    schema.TensorType.INT64: np.int64,
    schema.TensorType.INT16: np.int16,
    schema.TensorType.INT8: np.int8,
}

_TYPES = (
    *_DTYPES,
    schema.TensorType.INT4,
    schema.TensorType.BOOL,
    schema.TensorType.FLOAT16,
    schema.TensorType.STRING,
)


# -- operators ------------------------------------------------------------------------------------


@MUTATIONS.weight(12)
def option(model: Any, rng: random.Random) -> None:
    """Another number in an operator's options."""
    operator = rng.choice([o for o in _graph(model).operators if o.builtinOptions is not None])
    options = operator.builtinOptions
    field = rng.choice(sorted(vars(options)))
    value = getattr(options, field)
    match value:
        case bool():
            new: Any = not value
        case int():
            new = rng.choice((0, 1, 2, 3, 5, 7, 100, -1, 127, 128, _int32(choices.integer(rng))))
        case float():
            new = choices.number(rng, value)
        case None:
            new = [rng.choice((0, 1, 2, -1, 100)) for _ in range(rng.randrange(5))]
        case _:
            new = [_int32(choices.integer(rng, n)) for n in _list(value)]
    setattr(options, field, new)


@MUTATIONS.weight(2)
def options_table(model: Any, rng: random.Random) -> None:
    """No options, those of another operator, or a table under another name."""
    operator = _operator(model, rng)
    match rng.randrange(4):
        case 0:
            operator.builtinOptions, operator.builtinOptionsType = None, 0
        case 1:
            operator.builtinOptionsType = rng.randrange(130)
        case 2:
            other = _operator(model, rng)
            operator.builtinOptions = copy.deepcopy(other.builtinOptions)
            operator.builtinOptionsType = other.builtinOptionsType
        case _:
            operator.customOptions = np.frombuffer(rng.randbytes(rng.randrange(64)), np.uint8)


@MUTATIONS.weight(8)
def operator_code(model: Any, rng: random.Random) -> None:
    """Another operator, another version, or one that does not exist."""
    code = rng.choice(model.operatorCodes)
    match rng.randrange(6):
        case 0:
            code.version = rng.choice((0, 1, 2, 3, 5, 9, 1000, -1, 2**31 - 1))
        case 1:
            code.builtinCode = rng.randrange(-2, 250)
        case 2:
            code.deprecatedBuiltinCode = rng.randrange(-128, 128)
        case 3:
            words = ("", "Acme", "TFLite_Detection_PostProcess", "Mfcc", "two\nlines", "é\x1b[2J")
            code.builtinCode = schema.BuiltinOperator.CUSTOM
            code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
            code.customCode = rng.choice(words).encode()
        case _:
            code.builtinCode = rng.choice(_builtins())
            code.deprecatedBuiltinCode = min(code.builtinCode, 127)


@lru_cache
def _builtins() -> Sequence[int]:
    return sorted(v for k, v in vars(schema.BuiltinOperator).items() if k.isupper())


@MUTATIONS.weight(5)
def one_operator(model: Any, rng: random.Random) -> None:
    """Another code for one operator only, mostly of one that has as many inputs."""
    operator = _operator(model, rng)
    if rng.random() < 0.4:
        operator.opcodeIndex = rng.randrange(len(model.operatorCodes) + 1)
        return
    names = _UNARY if _count(operator.inputs) == 1 else _BINARY
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, rng.choice(names))
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    code.version = rng.choice((1, 1, 1, 2, 3))
    model.operatorCodes.append(code)
    operator.opcodeIndex = len(model.operatorCodes) - 1
    if rng.random() < 0.7:
        operator.builtinOptions, operator.builtinOptionsType = None, 0


_UNARY = (
    *("RELU", "RELU6", "RELU_N1_TO_1", "LOGISTIC", "TANH", "HARD_SWISH", "ELU", "GELU", "ABS"),
    *("NEG", "EXP", "LOG", "SQRT", "RSQRT", "SQUARE", "SIN", "COS", "FLOOR", "CEIL", "ROUND"),
    *("SOFTMAX", "LOG_SOFTMAX", "L2_NORMALIZATION", "QUANTIZE", "DEQUANTIZE", "CAST", "SHAPE"),
    *("RESHAPE", "SQUEEZE", "MAX_POOL_2D", "AVERAGE_POOL_2D", "L2_POOL_2D", "PACK", "UNPACK"),
    *("SPACE_TO_DEPTH", "DEPTH_TO_SPACE", "LEAKY_RELU", "ZEROS_LIKE", "RANK", "CONCATENATION"),
    *("LOGICAL_NOT", "LOCAL_RESPONSE_NORMALIZATION", "SIGN", "WHERE", "UNIQUE", "BITCAST"),
)
_BINARY = (
    *("ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "POW", "PRELU"),
    *("FLOOR_DIV", "FLOOR_MOD", "EQUAL", "NOT_EQUAL", "LESS", "GREATER", "LOGICAL_AND", "GATHER"),
    *("RESHAPE", "TRANSPOSE", "MEAN", "SUM", "REDUCE_MAX", "REDUCE_PROD", "PAD", "MIRROR_PAD"),
    *("EXPAND_DIMS", "TILE", "SPLIT", "BATCH_MATMUL", "FULLY_CONNECTED", "RESIZE_BILINEAR"),
    *("RESIZE_NEAREST_NEIGHBOR", "REVERSE_V2", "ARG_MAX", "ARG_MIN", "TOPK_V2", "FILL", "SLICE"),
    *("CONCATENATION", "PACK", "BROADCAST_TO", "CUMSUM", "ADD_N", "GATHER_ND", "PADV2", "CONV_2D"),
    *("DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "STRIDED_SLICE", "EMBEDDING_LOOKUP", "SVDF", "RNN"),
)


@MUTATIONS.weight(4)
def drop_operator(model: Any, rng: random.Random) -> None:
    """Without an operator; mostly, its users take its first input instead."""
    operators = _graph(model).operators
    index = rng.randrange(len(operators))
    gone = operators[index]
    if rng.random() < 0.8:
        source, result = int(gone.inputs[0]), int(gone.outputs[0])
        for other in operators:
            other.inputs = [source if i == result else i for i in _list(other.inputs)]
    del operators[index]


@MUTATIONS.weight(2)
def order(model: Any, rng: random.Random) -> None:
    """Two operators change places, or one stands there twice."""
    operators = _graph(model).operators
    i, j = rng.sample(range(len(operators)), 2)
    if rng.random() < 0.5:
        operators[i], operators[j] = operators[j], operators[i]
        return
    made = copy.deepcopy(operators[i])
    tensors = _graph(model).tensors
    if rng.random() < 0.7:
        made.outputs = [len(tensors) + k for k in range(_count(made.outputs))]
        tensors.extend(copy.deepcopy(tensors[k]) for k in operators[i].outputs)
        user, slot = _operand(model, rng)
        user.inputs[slot] = rng.choice(made.outputs)
    operators.insert(i + 1, made)


# -- edges ----------------------------------------------------------------------------------------


@MUTATIONS.weight(6)
def rewire(model: Any, rng: random.Random) -> None:
    """An input is another tensor: any, one of its shape, none, or one that does not exist."""
    operator, slot = _operand(model, rng)
    tensors = _graph(model).tensors
    old = operator.inputs[slot]
    kind = rng.randrange(6)
    if kind <= 2:
        shape = _list(tensors[old].shape)
        alike = [i for i, t in enumerate(tensors) if _list(t.shape) == shape and i != old]
        operator.inputs[slot] = rng.choice(alike)
    elif kind == 3:
        operator.inputs[slot] = rng.randrange(len(tensors))
    elif kind == 4:
        operator.inputs[slot] = -1
    else:
        operator.inputs[slot] = rng.choice((-2, len(tensors), 2**31 - 1, -(2**31)))


@MUTATIONS.weight(4)
def edges(model: Any, rng: random.Random) -> None:
    """More or fewer inputs, in another order."""
    operator, slot = _operand(model, rng)
    match rng.randrange(4):
        case 0:
            del operator.inputs[slot]
        case 1:
            operator.inputs += [operator.inputs[slot]] * rng.choice((1, 1, 2, 300))
        case 2:
            rng.shuffle(operator.inputs)
        case _:
            operator.inputs = None


@MUTATIONS.weight(3)
def results(model: Any, rng: random.Random) -> None:
    """An operator's outputs: another tensor, none, one that does not exist, or intermediates."""
    operator = _operator(model, rng)
    operator.outputs = _list(operator.outputs)
    tensors = len(_graph(model).tensors)
    match rng.randrange(5):
        case 0:
            operator.outputs[rng.randrange(len(operator.outputs))] = rng.randrange(tensors)
        case 1:
            operator.outputs[0] = rng.choice((-1, -2, tensors, 2**31 - 1))
        case 2:
            del operator.outputs[0]
        case 3:
            operator.outputs.append(rng.randrange(tensors))
        case _:
            operator.intermediates = [rng.randrange(-1, tensors + 1)]


@MUTATIONS.weight(6)
def graph_results(model: Any, rng: random.Random) -> None:
    """The network's inputs and outputs: fewer, other, the same twice; a part of the network."""
    graph = _graph(model)
    graph.inputs, graph.outputs = _list(graph.inputs), _list(graph.outputs)
    side = rng.choice((graph.inputs, graph.outputs))
    match rng.randrange(6):
        case 0:
            side.append(rng.randrange(len(graph.tensors)))
        case 1:
            side.append(rng.choice((-1, -2, len(graph.tensors), 2**31 - 1)))
        case 2:
            del side[rng.randrange(len(side))]
        case 3:
            side.append(rng.choice(side))
        case _:
            operator = _operator(model, rng)
            graph.outputs = _list(operator.outputs)


# -- tensors --------------------------------------------------------------------------------------


@MUTATIONS.weight(5)
def shape(model: Any, rng: random.Random) -> None:
    tensor = _tensor(model, rng)
    new = [_int32(n) for n in choices.shape(rng, _list(tensor.shape))]
    match rng.randrange(8):
        case 0:
            tensor.shapeSignature = new
        case 1:
            tensor.shape = None
        case 2:
            tensor.hasRank = not tensor.hasRank
            tensor.shape = new
        case _:
            tensor.shape = new
            if rng.random() < 0.6:
                _fill(model, tensor, rng)


def _fill(model: Any, tensor: Any, rng: random.Random) -> None:
    """Gives a constant as many bytes as its shape wants, if these are not too many."""
    data = model.buffers[tensor.buffer].data
    if data is None or not len(data):
        return
    dtype = np.dtype(_DTYPES.get(tensor.type, np.uint8))
    size = int(np.prod(np.array(tensor.shape, np.float64))) * dtype.itemsize
    if 0 <= size <= 1 << 20:
        tensor.buffer = len(model.buffers)
        made = schema.BufferT()
        made.data = np.resize(np.asarray(data, np.uint8), size)
        model.buffers.append(made)


@MUTATIONS.weight(5)
def tensor_type(model: Any, rng: random.Random) -> None:
    """Another element type of one tensor, or of all that have its type."""
    tensor = _tensor(model, rng)
    old = tensor.type
    new = rng.choice((*_TYPES, rng.randrange(25)))
    if rng.random() < 0.3:
        for other in _graph(model).tensors:
            if other.type == old:
                other.type = new
    tensor.type = new
    if rng.random() < 0.5:
        _fill(model, tensor, rng)


@MUTATIONS.weight(12)
def quantization(model: Any, rng: random.Random) -> None:
    """Scales, zero points, their numbers and the quantised dimension."""
    tensor = rng.choice([t for t in _graph(model).tensors if t.quantization is not None])
    q = tensor.quantization
    scales = np.array(_list(q.scale), np.float32)
    points = np.array(_list(q.zeroPoint), np.int64)
    match rng.randrange(10):
        case 0 | 1:
            scales = choices.disturb(rng, scales)
        case 2 | 3:
            new = rng.choice((-128, -1, 0, 1, 3, 100, 127, 128, 255, choices.integer(rng)))
            points = np.full(points.shape, new, np.int64)
        case 4:
            scales = np.resize(scales, rng.choice((0, 1, 2, 3, len(scales) + 1)))
        case 5:
            points = np.resize(points, rng.choice((0, 1, 2, 3, len(points) + 1)))
        case 6:
            q.quantizedDimension = rng.choice((-1, 0, 1, 2, 3, 4, 2**31 - 1))
        case 7:
            axis = rng.randrange(len(tensor.shape))
            q.quantizedDimension = axis
            scales = np.resize(scales, tensor.shape[axis])
            points = np.resize(points, tensor.shape[axis])
        case 8:
            tensor.quantization = None
        case _:
            other = _tensor(model, rng).quantization
            tensor.quantization = copy.deepcopy(other)
            return
    q.scale, q.zeroPoint = scales, points


@MUTATIONS.weight(3)
def tensor_fields(model: Any, rng: random.Random) -> None:
    """A tensor's name, buffer, whether it is a variable, and whether it is sparse."""
    tensor = _tensor(model, rng)
    match rng.randrange(5):
        case 0 | 1:
            tensor.name = rng.choice((choices.name(rng).encode(), b"\xff\xfe", None))
        case 2:
            buffers = len(model.buffers)
            tensor.buffer = rng.choice((0, rng.randrange(buffers), buffers, 2**32 - 1))
        case 3:
            tensor.isVariable = not tensor.isVariable
        case _:
            tensor.sparsity = schema.SparsityParametersT()


# -- buffers and the model ------------------------------------------------------------------------


@MUTATIONS.weight(4)
def buffer(model: Any, rng: random.Random) -> None:
    """Other bytes, fewer, more, none, or said to lie behind the flatbuffer."""
    chosen = rng.choice([b for b in model.buffers if _count(b.data)])
    data = np.asarray(chosen.data, np.uint8)
    match rng.randrange(5):
        case 0:
            chosen.data = data[: rng.randrange(len(data))]
        case 1:
            chosen.data = np.resize(data, len(data) + rng.choice((1, 4, 1000)))
        case 2:
            chosen.data = None
        case 3:
            chosen.offset = rng.choice((1, 2, 100, 2**40, 2**64 - 1))
            chosen.size = rng.choice((0, 1, len(data), 2**40, 2**64 - 1))
        case _:
            chosen.data = choices.disturb(rng, data)


@MUTATIONS.weight(6)
def constant_values(model: Any, rng: random.Random) -> None:
    """Other elements of a constant, mostly of one that says a shape, axes or paddings."""
    small = rng.random() < 0.7
    tensors = [
        t
        for t in _graph(model).tensors
        if t.type in _DTYPES
        and _count(model.buffers[t.buffer].data)
        and (not small or (t.type == schema.TensorType.INT32 and np.prod(t.shape) <= 16))
    ]
    chosen = model.buffers[rng.choice(tensors).buffer]
    tensor = next(t for t in tensors if model.buffers[t.buffer] is chosen)
    data = np.asarray(chosen.data, np.uint8).view(_DTYPES[tensor.type])
    chosen.data = choices.disturb(rng, data).view(np.uint8)


@MUTATIONS.weight(1)
def model_fields(model: Any, rng: random.Random) -> None:
    match rng.randrange(7):
        case 0:
            model.version = rng.choice((0, 1, 2, 4, 2**32 - 1))
        case 1:
            model.subgraphs.append(copy.deepcopy(model.subgraphs[0]))
        case 2:
            model.subgraphs = rng.choice(([], None))
        case 3:
            model.operatorCodes = model.operatorCodes[:-1]
        case 4:
            _graph(model).operators = rng.choice(([], None))
        case 5:
            _graph(model).tensors = _graph(model).tensors[:-1]
        case _:
            model.buffers = model.buffers[: rng.randrange(len(model.buffers))]
