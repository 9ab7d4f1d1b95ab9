"""Which networks LiteRT's reference resolver refuses, against LiteRT itself."""

from __future__ import annotations

from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from furiosa_ir.importers.tflite import import_tflite
from furiosa_ir.importers.tflite.reference_kernels import REFERENCE_VERSIONS
from furiosa_ir.ir.text import read_module, write_module
from tests.oracle.litert import Operator, Tensor, build_model

REFERENCE = OpResolverType.BUILTIN_REF
DEFAULT = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
OPERATORS = [
    name
    for name, value in vars(schema.BuiltinOperator).items()
    if isinstance(value, int) and name.isupper() and name != "CUSTOM"
]


def file_of_code(operator: str, version: int) -> bytes:
    """A file with one operator code that no operator uses."""
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, operator)
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    code.version = version
    graph, model = schema.SubGraphT(), schema.ModelT()
    graph.tensors, graph.inputs, graph.outputs, graph.operators = [], [], [], []
    model.version, model.buffers = 3, [schema.BufferT()]
    model.operatorCodes, model.subgraphs = [code], [graph]
    builder = flatbuffers.Builder(256)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def accepts(resolver: OpResolverType, operator: str, version: int) -> bool:
    try:
        Interpreter(
            model_content=file_of_code(operator, version), experimental_op_resolver_type=resolver
        )
    except ValueError:
        return False
    return True


def greatest(resolver: OpResolverType, operator: str) -> int:
    return max((v for v in range(1, 20) if accepts(resolver, operator, v)), default=0)


@pytest.mark.parametrize("operator", OPERATORS)
def test_the_table_is_what_litert_accepts(operator: str) -> None:
    reference, default = greatest(REFERENCE, operator), greatest(DEFAULT, operator)
    assert default >= reference
    expected = {operator: reference} if default > reference else {}
    assert {k: v for k, v in REFERENCE_VERSIONS.items() if k == operator} == expected


def tile(version: int, *, used: bool = True) -> bytes:
    x, y, z = (Tensor(name, (1, 4), np.int8, 0.5) for name in "xyz")
    repeats = Tensor.constant("repeats", np.array([1, 1], np.int32))
    data = build_model(
        [Operator("RELU", [x], [y], version=2), Operator("TILE", [y, repeats], [z], None, version)]
    )
    if used:
        return data
    model = schema.ModelT.InitFromPackedBuf(data)
    model.subgraphs[0].operators.pop()
    model.subgraphs[0].outputs = model.subgraphs[0].operators[0].outputs
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@pytest.mark.parametrize("used", [True, False])
@pytest.mark.parametrize("version", [2, 3])
def test_a_network_says_which_kernels_it_means(version: int, used: bool) -> None:
    data = tile(version, used=used)
    attributes = import_tflite(data).attributes
    try:
        Interpreter(model_content=data, experimental_op_resolver_type=REFERENCE)
    except ValueError:
        assert attributes["graph.kernels"].data == "optimized"
    else:
        assert "graph.kernels" not in attributes


def test_text_keeps_the_kernels(tmp_path: Path) -> None:
    module = import_tflite(tile(3))
    write_module(module, tmp_path / "tile.mlir")
    assert read_module(tmp_path / "tile.mlir").attributes == module.attributes
