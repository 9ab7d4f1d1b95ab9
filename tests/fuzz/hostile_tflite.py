"""TFLite files of some KiB that ask for gigabytes."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema


def _tables(builder: flatbuffers.Builder, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _indices(builder: flatbuffers.Builder, *indices: int) -> int:
    return int(builder.CreateNumpyVector(np.array(indices, np.int32)))


def shared_custom_options(operators: int = 11_000, size: int = 110_000) -> bytes:
    """Custom operators that are one, whose options are long."""
    b: Any = flatbuffers.Builder(1 << 16)
    options, into, out = b.CreateByteVector(bytes(size)), _indices(b, 0), _indices(b, 1)
    schema.OperatorStart(b)
    schema.OperatorAddInputs(b, into)
    schema.OperatorAddOutputs(b, out)
    schema.OperatorAddCustomOptions(b, options)
    operator = _tables(b, [schema.OperatorEnd(b)] * operators)
    tensors: list[int] = []
    for name in ("x", "y"):
        text, shape = b.CreateString(name), _indices(b, 1)
        schema.TensorStart(b)
        schema.TensorAddShape(b, shape)
        schema.TensorAddName(b, text)
        tensors.append(schema.TensorEnd(b))
    vector = _tables(b, tensors)
    schema.SubGraphStart(b)
    schema.SubGraphAddTensors(b, vector)
    schema.SubGraphAddInputs(b, into)
    schema.SubGraphAddOutputs(b, out)
    schema.SubGraphAddOperators(b, operator)
    graphs = _tables(b, [schema.SubGraphEnd(b)])
    name = b.CreateString("Mine")
    schema.OperatorCodeStart(b)
    schema.OperatorCodeAddDeprecatedBuiltinCode(b, schema.BuiltinOperator.CUSTOM)
    schema.OperatorCodeAddBuiltinCode(b, schema.BuiltinOperator.CUSTOM)
    schema.OperatorCodeAddCustomCode(b, name)
    codes = _tables(b, [schema.OperatorCodeEnd(b)])
    schema.BufferStart(b)
    buffers = _tables(b, [schema.BufferEnd(b)])
    schema.ModelStart(b)
    schema.ModelAddVersion(b, 3)
    schema.ModelAddOperatorCodes(b, codes)
    schema.ModelAddSubgraphs(b, graphs)
    schema.ModelAddBuffers(b, buffers)
    b.Finish(schema.ModelEnd(b), file_identifier=b"TFL3")
    return bytes(b.Output())
