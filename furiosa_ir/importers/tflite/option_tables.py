"""Which options table LiteRT reads of each builtin operator, and what it means without one.

LiteRT asks an operator for the table of its own kind (`flatbuffer_conversions.cc`). Where the file
has none, or one of another kind, in whichever of the two unions, its parameters stay zero: not what
a table without fields means, where a default of the schema is no zero, and none of an enumeration's
members, where LiteRT counts these from 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import flatbuffers

from furiosa_ir.importers.tflite.vectors import enum_names
from furiosa_ir.tflite_schema import tflite, writers

NO_MEMBER = -1
"""Of an enumeration: LiteRT takes such a number for what it has without a table."""

_OPERATORS: Mapping[str, tuple[str, ...]] = {
    "Add": ("ADD",),
    "ArgMax": ("ARG_MAX",),
    "ArgMin": ("ARG_MIN",),
    "BatchMatMul": ("BATCH_MATMUL",),
    "BidirectionalSequenceLSTM": ("BIDIRECTIONAL_SEQUENCE_LSTM",),
    "BidirectionalSequenceRNN": ("BIDIRECTIONAL_SEQUENCE_RNN",),
    "Bucketize": ("BUCKETIZE",),
    "Call": ("CALL",),
    "CallOnce": ("CALL_ONCE",),
    "Cast": ("CAST",),
    "Concatenation": ("CONCATENATION",),
    "Conv2D": ("CONV_2D",),
    "Conv3D": ("CONV_3D", "CONV_3D_TRANSPOSE"),
    "Cumsum": ("CUMSUM",),
    "DepthToSpace": ("DEPTH_TO_SPACE",),
    "DepthwiseConv2D": ("DEPTHWISE_CONV_2D",),
    "Div": ("DIV",),
    "EmbeddingLookupSparse": ("EMBEDDING_LOOKUP_SPARSE",),
    "FakeQuant": ("FAKE_QUANT",),
    "FullyConnected": ("FULLY_CONNECTED",),
    "Gather": ("GATHER",),
    "Gelu": ("GELU",),
    "Hashtable": ("HASHTABLE",),
    "If": ("IF",),
    "L2Norm": ("L2_NORMALIZATION",),
    "LSHProjection": ("LSH_PROJECTION",),
    "LSTM": ("LSTM",),
    "LeakyRelu": ("LEAKY_RELU",),
    "LocalResponseNormalization": ("LOCAL_RESPONSE_NORMALIZATION",),
    "MirrorPad": ("MIRROR_PAD",),
    "Mul": ("MUL",),
    "OneHot": ("ONE_HOT",),
    "Pack": ("PACK",),
    "Pool2D": ("AVERAGE_POOL_2D", "L2_POOL_2D", "MAX_POOL_2D"),
    "RNN": ("RNN",),
    "Random": ("MULTINOMIAL", "RANDOM_STANDARD_NORMAL", "RANDOM_UNIFORM"),
    "ReduceWindow": ("REDUCE_WINDOW",),
    "Reducer": (
        *("MEAN", "SUM", "REDUCE_ALL", "REDUCE_ANY", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD"),
    ),
    "Reshape": ("RESHAPE",),
    "ResizeBilinear": ("RESIZE_BILINEAR",),
    "ResizeNearestNeighbor": ("RESIZE_NEAREST_NEIGHBOR",),
    "ReverseSequence": ("REVERSE_SEQUENCE",),
    "SVDF": ("SVDF",),
    "SequenceRNN": ("UNIDIRECTIONAL_SEQUENCE_RNN",),
    "Shape": ("SHAPE",),
    "SkipGram": ("SKIP_GRAM",),
    "Softmax": ("SOFTMAX",),
    "SpaceToDepth": ("SPACE_TO_DEPTH",),
    "SparseToDense": ("SPARSE_TO_DENSE",),
    "Split": ("SPLIT",),
    "SplitV": ("SPLIT_V",),
    "Squeeze": ("SQUEEZE",),
    "StableHLOComposite": ("STABLEHLO_COMPOSITE",),
    "StablehloGather": ("STABLEHLO_GATHER",),
    "StablehloPad": ("STABLEHLO_PAD",),
    "StablehloReduce": ("STABLEHLO_REDUCE",),
    "StablehloReduceWindow": ("STABLEHLO_REDUCE_WINDOW",),
    "StablehloRngBitGenerator": ("STABLEHLO_RNG_BIT_GENERATOR",),
    "StablehloScatter": ("STABLEHLO_SCATTER",),
    "StablehloSort": ("STABLEHLO_SORT",),
    "StablehloWhile": ("STABLEHLO_WHILE",),
    "StridedSlice": ("STRIDED_SLICE",),
    "Sub": ("SUB",),
    "TransposeConv": ("TRANSPOSE_CONV",),
    "UnidirectionalSequenceLSTM": ("UNIDIRECTIONAL_SEQUENCE_LSTM",),
    "Unique": ("UNIQUE",),
    "Unpack": ("UNPACK",),
    "VarHandle": ("VAR_HANDLE",),
    "While": ("WHILE",),
}
"""Table -> the operators of which LiteRT reads it; no other operator's table means anything."""

TABLE_OF = {operator: table for table, operators in _OPERATORS.items() for operator in operators}
"""Operator -> the table that LiteRT reads of it."""

_WINDOW = {"Padding": NO_MEMBER, "DilationHFactor": 0, "DilationWFactor": 0}

_ABSENT: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        "Add": {"PotScaleInt16": 0},
        "ArgMax": {"OutputType": NO_MEMBER},
        "ArgMin": {"OutputType": NO_MEMBER},
        "BidirectionalSequenceLSTM": {"TimeMajor": 0},
        "Conv2D": _WINDOW,
        "Conv3D": {**_WINDOW, "DilationDFactor": 0},
        "DepthwiseConv2D": _WINDOW,
        "MirrorPad": {"Mode": NO_MEMBER},
        "Pool2D": {"Padding": NO_MEMBER},
        "Shape": {"OutType": NO_MEMBER},
        "StablehloRngBitGenerator": {"Algorithm": NO_MEMBER},
        "Sub": {"PotScaleInt16": 0},
        "TransposeConv": {"Padding": NO_MEMBER},
        "Unique": {"IdxOutType": NO_MEMBER},
    }
)
"""Table -> what an operator without it has in fields that a table without fields says otherwise."""

NEEDED = frozenset(
    {
        *("LSTM", "StablehloPad"),
        *(
            "Call",
            "CallOnce",
            "If",
            "StableHLOComposite",
            "StablehloReduce",
            "StablehloReduceWindow",
        ),
        *("StablehloScatter", "StablehloSort", "StablehloWhile", "While"),
    }
)
"""Tables without which LiteRT refuses the file, or has the operator call the network itself."""

UNIONS = {
    "BuiltinOptions": enum_names(tflite.BuiltinOptions),
    "BuiltinOptions2": enum_names(tflite.BuiltinOptions2),
}
"""The unions that hold options: the first is full, so later operators have theirs in the second."""


def given_options(reader: Any, op_type: str) -> tuple[str, Any] | None:
    """The union and the reader of the table that LiteRT reads of an operator, if it has that."""
    table = TABLE_OF.get(op_type)
    for union, names in UNIONS.items():
        if table is not None and names.get(getattr(reader, f"{union}Type")()) == f"{table}Options":
            found = getattr(reader, union)()
            if found is not None:
                options = getattr(tflite, f"{table}Options")()
                options.Init(found.Bytes, found.Pos)
                return union, options
    return None


def lacks_options(reader: Any, op_type: str) -> bool:
    """Whether an operator has no table of those that LiteRT reads of its kind."""
    return op_type in TABLE_OF and given_options(reader, op_type) is None


def read_options(reader: Any, op_type: str) -> Any:
    """A builtin operator's options: a reader of its table, or of one that means the same as none.

    None if LiteRT reads no table of such an operator, or does not run it without.
    """
    given = given_options(reader, op_type)
    return _absent_options(op_type) if given is None else given[1]


@lru_cache
def _absent_options(op_type: str) -> Any:
    """What an operator means without its table, as a reader of one; None if no table is its own."""
    table = TABLE_OF.get(op_type)
    if table is None or table in NEEDED:
        return None
    kind = f"{table}Options"
    functions = writers(kind)
    builder = flatbuffers.Builder(64)
    functions[f"{kind}Start"](builder)
    for field, value in _ABSENT.get(table, {}).items():
        functions[f"{kind}Add{field}"](builder, value)
    builder.Finish(functions[f"{kind}End"](builder))
    return getattr(tflite, kind).GetRootAs(bytes(builder.Output()), 0)


@lru_cache
def empty_options(options: Any) -> Any:
    """A reader of that class over a table whose fields all have their defaults."""
    # A table at 4 whose vtable (4 bytes: its own size and the table's) lies behind it.
    empty = (4).to_bytes(4, "little") + (-4).to_bytes(4, "little", signed=True) + b"\4\0\4\0"
    reader = options()
    reader.Init(empty, 4)
    return reader
