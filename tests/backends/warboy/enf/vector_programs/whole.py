"""Vectors of whole programs: set-up, two PEs, variables, host segments, errors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from furiosa_ir.backends.warboy.enf.records import Dot, Pool
from furiosa_ir.program import HostSegment, Variable
from tests.backends.warboy.enf.vector_builder import Builder, op
from tests.backends.warboy.enf.vector_programs.declaration import (
    FULL,
    I32,
    I64,
    Made,
    draw,
    vector,
)


@vector("a set-up that pins constants, of two segments, and three runs")
def pinned() -> Made:
    b = Builder()
    x = draw((1, 4, 4, 8))
    w, table = draw((8, 1, 1, 8), seed=1), draw((256,), "int32", 2)
    weight = b.constant(w, pin=True)
    looked_up = b.parameter(table, pin=True)
    tile = b.input(x, (2, 2))
    made = b.tile((1, 4, 4, 8), (2, 2), "HWC", 4)
    zero = Dot(
        tile,
        weight,
        w.shape,
        None,
        (1, 1),
        (1, 1),
        (1, 1),
        (0, 0, 0, 0),
        1,
        0,
        0,
        False,
        (),
        (),
        (),
        made,
        0,
    )
    b.add(zero)
    between = b.tensor("between", "int32", (1, 4, 4, 8))
    b.store(made, between)
    b.output(b.vector([tile], [op("lookup", 0, 1, to=4)], [looked_up]))
    b.segment()
    factor = b.parameter([1, 2, 3, 4, 5, 6, 7, 8], pin=True)
    again = b.bind(between)
    second = b.load(again, b.tile(again.extent, (4, 1), "HCW", 4))
    b.output(b.vector([second], [op("mul", 0, 1, to=8)], [factor]))
    return b, [[x], [draw(x.shape, seed=9)], [x]]


@vector("two kernels beside each other, one on each PE")
def beside() -> Made:
    b = Builder("warboy-2pe")
    x = draw((1, 8, 8, 16))
    low, high = b.input(x, (8, 8)), b.input(x, (8, 8), first=64)
    zero = b.tile((1, 8, 8, 16), (8, 8), element=4)
    b.add(replace_result(b, low, zero, 3))
    other = b.tile((1, 8, 8, 16), (4, 16), "HWC", 4, first=64)
    b.add(replace(replace_result(b, high, other, -5), beside=True))
    both = b.vector([zero, other], [op("sub", 0, 1, to=4)], slices=(8, 16))
    b.output(both)
    return b, [[x, x]]


def replace_result(b: Builder, x: Any, result: Any, zp: int) -> Pool:
    return Pool(x, "sum", (3, 3), (1, 1), (1, 1), (1, 1, 1, 1), zp, (), (), (), result, 0)


@vector("variables: what a run leaves is what the next one finds")
def variables() -> Made:
    b = Builder()
    x = draw((1, 2, 2, 4))
    before, after = (b.tensor(name, "int32", (1, 2, 2, 4)) for name in ("before", "after"))
    kept = b.tensor("kept", "uint8", (3,))
    initial = np.arange(16, dtype=np.int32) * -7
    tile = b.input(x)
    state = b.bind(before)
    old = b.load(state, b.tile(state.extent, element=4))
    made = b.vector([tile, old], [op("add", 0, 1, to=4)], element=4)
    b.store(made, after)
    b.outputs += [after, kept]
    b.variables = [
        Variable("state", before, after, initial.tobytes()),
        Variable("kept", kept, kept, bytes([1, 2, 255])),
    ]
    return b, [[x], [x], [-x]]


@vector("outputs with names of their own: an input, and a tensor twice")
def names() -> Made:
    b = Builder()
    x = draw((1, 2, 3, 4))
    y = b.output(b.vector([b.input(x)], [op("add", 0, 0)]))
    b.outputs += [b.inputs[0], y]
    b.names = ("sum", "same as x", "sum again")
    return b, [[x]]


SHAPE, SCALE = (1, 2, 4, 8), 0.5
"""Of what host segments quantise."""


def onnx_quantiser(operator: str, dtype: str, zp: int) -> bytes:
    """A sub-model of one QuantizeLinear or DequantizeLinear."""
    wide, narrow = TensorProto.FLOAT, helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    before, after = (wide, narrow) if operator == "quantize" else (narrow, wide)
    constants = [
        helper.make_tensor("scale", wide, [], [SCALE]),
        helper.make_tensor("zp", narrow, [], [zp]),
    ]
    name = f"{operator.title()}Linear"
    graph = helper.make_graph(
        [helper.make_node(name, ["x", "scale", "zp"], ["y"])],
        "host",
        [helper.make_tensor_value_info("x", before, SHAPE)],
        [helper.make_tensor_value_info("y", after, SHAPE)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def tflite_quantiser(operator: str, dtype: str, zp: int) -> bytes:
    """A sub-model of one QUANTIZE or DEQUANTIZE."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    kinds = {"int8": schema.TensorType.INT8, "uint8": schema.TensorType.UINT8}
    tensors = []
    for name, is_narrow in (("x", operator != "quantize"), ("y", operator == "quantize")):
        tensor = schema.TensorT()
        tensor.name, tensor.shape = name.encode(), list(SHAPE)
        tensor.type = kinds[dtype] if is_narrow else schema.TensorType.FLOAT32
        if is_narrow:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = [SCALE], [zp]
        tensors.append(tensor)
    code, node = schema.OperatorCodeT(), schema.OperatorT()
    code.builtinCode = getattr(schema.BuiltinOperator, operator.upper())
    code.deprecatedBuiltinCode, code.version = code.builtinCode, 2
    node.inputs, node.outputs = [0], [1]
    graph, model = schema.SubGraphT(), schema.ModelT()
    graph.tensors, graph.operators, graph.inputs, graph.outputs = tensors, [node], [0], [1]
    model.version, model.subgraphs, model.operatorCodes = 3, [graph], [code]
    model.buffers = [schema.BufferT()]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


QUANTISERS = {"onnx": onnx_quantiser, "tflite": tflite_quantiser}


@vector(
    "host segments that quantise and dequantise: ties, saturation, signed zero",
    of=["onnx_int8", "onnx_uint8", "tflite_int8", "tflite_uint8"],
)
def host(of: str) -> Made:
    b = Builder()
    framework, dtype = of.split("_")
    zp = -3 if dtype == "int8" else 130
    below = np.nextafter(np.float32(0.25), np.float32(0))  # half a step, and a little less
    some = [1e9, -1e9, np.inf, -np.inf, below, -below, -0.0, 63.75, -64.25, 100.0, 33.3, -7.3]
    x = np.array([*np.arange(-26, 26) / 8, *some], np.float32).reshape(SHAPE)
    if framework == "tflite":  # which C++ leaves open
        x[~np.isfinite(x)] = 1e8
    given = b.tensor("x", "float32", SHAPE)
    quantised = b.tensor("x_q", dtype, SHAPE, SCALE, zp)
    made = b.tensor("y_q", dtype, SHAPE, SCALE, zp)
    result = b.tensor("y", "float32", SHAPE)
    b.inputs, b.outputs = [given], [result, quantised]
    quantiser, row = QUANTISERS[framework], ("layer_0", 5, "float data runs on the host")
    model = quantiser("quantize", dtype, zp)
    b.host(HostSegment("host_0", framework, (given,), (quantised,), model, (("quantize", *row),)))
    b.segment()
    tile = b.load(b.bind(quantised), b.tile(SHAPE))
    b.store(b.vector([tile], [op("clamp", 0, immediates=(-100, 90))]), made)
    b.segment()
    model = quantiser("dequantize", dtype, zp)
    b.host(HostSegment("host_2", framework, (made,), (result,), model, (("dequantize", *row),)))
    return b, [[x]]


@vector("runs that end in an error, and go on: a divisor that is not positive")
def bad_divisor() -> Made:
    b = Builder()
    a, d = draw((1, 1, 2, 4)), np.array([1, 2, 3, 4], np.int8).reshape(1, 1, 1, 4)
    given = [b.input(a), b.input(d)]
    b.output(b.vector(given, [op("divide", 0, 1, immediates=(0, -128, 127))]))
    return b, [[a, d], [a, d - 4], [a, d - 1], [a, d]]


@vector("runs that end in an error: a shift beyond 62, a negative one, a multiplier beyond 32 bits")
def bad_factors() -> Made:
    b = Builder()
    x = draw((1, 1, 2, 4))
    m, s = np.array([1, 2, -3, I32.min]), np.array([0, 1, 62, 31], np.int8)
    m, s = m.reshape(1, 1, 1, 4), s.reshape(1, 1, 1, 4)
    given = [b.input(a) for a in (x, m, s)]
    program = [op("rescale", 0, 1, 2, immediates=(0, 0, -128, 127), mode="even")]
    b.output(b.vector(given, program))
    return b, [[x, m, s], [x, m, s + 1], [x, m, s - 1], [x, m - 1, s], [x, -m, s], [x, m, s]]


@vector("i48: values beyond 48 and 53 bits, through SRAM, constants and DRAM")
def wide() -> Made:
    b = Builder()
    x = np.array([1 << k for k in (46, 47, 48, 53, 54, 62)] + [I64.max, I64.min], np.int64)
    x = np.concatenate([x, -x, x - 1, 1 - x]).reshape(1, 4, 1, 8)
    tile = b.input(x, (2, 1), "HWC")
    numbers = b.parameter(np.roll(x, 3).reshape(4, 1, 8), "int64")
    b.output(b.vector([tile], [op("add", 0, 1, to=8)], [numbers]))
    stored = b.vector([tile], [op("sub", 0, 1, to=8)], [numbers], slices=(4, 2))
    b.output(b.vector([stored], [op("maximum", 0, 1, to=8)], [b.parameter(3)]))
    program = [op("rescale", 0, 1, 2, immediates=(0, 0, *FULL[8]), mode="up", to=8)]
    b.output(b.vector([stored], program, [b.parameter(3), b.parameter(1, "int8")]))
    return b, [[x]]
